"""Answers -> figures of every group: of the answer, of each of its slots, and over label sets."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import product
from typing import Any

from pipeline.answers import Outcome, timed
from pipeline.figures import Figures, SetFigures, figures, set_figures
from pipeline.rows import Row
from worker.engine.protocol import Engine


def evaluate(engine: Engine, rows: Sequence[Row]) -> dict[str, Figures]:
    """Figures of each group of rows, and the engine's speed on it."""
    result: dict[str, Figures] = {}
    for group in dict.fromkeys(row.group for row in rows):
        outcomes, rate = timed(engine, [row for row in rows if row.group == group])
        result |= figures_of(group, outcomes, engine.describe().labels, rate)
    return result


def figures_of(
    group: str, outcomes: Sequence[Outcome], labels: Sequence[str], rate: float = 0.0
) -> dict[str, Figures]:
    """Figures of a group; where answers have slots, of each slot too."""
    known = [one for one in outcomes if one.row.label]
    if not known:
        return {}
    gold = [one.label if one.right else one.row.label for one in known]
    answered = [one.label for one in known]
    chances = [one.probabilities for one in known]
    found = {group: figures(gold, answered, [one.probability for one in known], labels, rate, chances)}
    slots = next((one.slots for one in known if one.slots), {})
    parts = dict(zip(labels, product(*slots.values()), strict=True)) if slots else {}
    for place, (slot, values) in enumerate(slots.items()):
        whole = [one for one in zip(known, gold, strict=True) if one[0].slots]
        said = [one.slots[slot] for one, _ in whole]
        found[f"{group}: {slot}"] = figures(
            [parts[right][place] for _, right in whole],
            [one.values[place] for one, _ in whole],
            [max(some.values()) for some in said],
            list(values),
            chances=said,
        )
    return found


def sets_of(group: str, outcomes: Sequence[Outcome]) -> dict[str, SetFigures]:
    """Figures against published label sets, where there are any."""
    known = [one for one in outcomes if one.row.published and one.slots]
    return {group: set_figures([o.row.published for o in known], [o.values for o in known])} if known else {}


def as_metrics(
    measured: Mapping[str, Mapping[str, Figures]], sets: Mapping[str, Mapping[str, SetFigures]]
) -> dict[str, Any]:
    """metrics.json: `groups` and `label_sets` are of the first data type, `types` has each one's figures."""
    first = next(iter(measured))
    shares = ("accuracy", "macro_f1", "ece", "brier")
    metrics: dict[str, Any] = {
        "schema": 1,
        "groups": {group: one.summary() for group, one in measured[first].items()},
        "types": {
            data_type: {group: {s: one.summary()[s] for s in shares} for group, one in groups.items()}
            for data_type, groups in measured.items()
        },
    }
    if sets[first]:
        metrics["label_sets"] = {
            group: {name: round(value, 4) for name, value in asdict(one).items()}
            for group, one in sets[first].items()
        }
    return metrics


def told(measured: Mapping[str, Mapping[str, Figures]], sets: Mapping[str, Mapping[str, SetFigures]]) -> str:
    """For a person at a terminal."""
    first = next(iter(measured))
    lines = []
    for group, one in measured[first].items():
        lines.append(f"\n{group}\n{one.table()}")
        if group in sets[first]:
            lines.append(sets[first][group].line())
    if len(measured) > 1:
        lines.append(f"\n{'type':<6}{'accuracy':>9}{'macro-F1':>9}{'ECE':>7}{'items/s':>9}  group")
        for data_type, groups in measured.items():
            for group, one in groups.items():
                shares = f"{one.accuracy:>9.3f}{one.macro_f1:>9.3f}{one.ece:>7.3f}"
                speed = f"{one.items_per_second:.0f}" if one.items_per_second else ""
                lines.append(f"{data_type:<6}{shares}{speed:>9}  {group}")
    return "\n".join(lines)
