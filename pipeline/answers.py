"""What an engine answered for rows; the same from a file of predictions, so that anything can be compared."""

import json
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.label_reader import listed, refuse_unknown
from pipeline.rows import Row
from pipeline.tables import read_table
from shared.errors import ItemError, RecipeError
from worker.engine.protocol import Engine

TEXTS_AT_ONCE = 3  # as the worker does


@dataclass(frozen=True)
class Outcome:
    """What was answered for one row; without an answer, the label is empty and p is 0.

    Attributes:
        probabilities: of all labels, where they are known.
        slots: each slot's values and their probabilities.
    """

    row: Row
    label: str
    probability: float
    probabilities: Mapping[str, float] = field(default_factory=dict)
    slots: Mapping[str, Mapping[str, float]] = field(default_factory=dict)

    @property
    def right(self) -> bool:
        return bool(self.label) and self.label in (self.row.label, *self.row.also)

    @property
    def values(self) -> tuple[str, ...]:
        """The labels that were answered: one, or one for each slot."""
        if self.slots:
            return tuple(max(chances, key=chances.__getitem__) for chances in self.slots.values())
        return (self.label,) if self.label else ()


def classify(engine: Engine, rows: Sequence[Row]) -> list[Outcome]:
    """An answer for each row, a few at once; an item that failed counts as answered wrongly.

    Raises:
        RecipeError: a row's label is none of the engine's.
    """
    refuse_unknown(((row.id, row.label) for row in rows if row.label), engine.describe().labels)
    outcomes = []
    for start in range(0, len(rows), TEXTS_AT_ONCE):
        some = rows[start : start + TEXTS_AT_ONCE]
        for row, answer in zip(some, engine.classify([row.text for row in some]), strict=True):
            if isinstance(answer, ItemError):
                outcomes.append(Outcome(row, "", 0.0))
            else:
                outcomes.append(
                    Outcome(row, answer.label, answer.probability, answer.probabilities, answer.slots or {})
                )
    return outcomes


def timed(engine: Engine, rows: Sequence[Row]) -> tuple[list[Outcome], float]:
    """The answers, and how many a second."""
    began = time.perf_counter()
    outcomes = classify(engine, rows)
    return outcomes, len(outcomes) / (time.perf_counter() - began)


def write_predictions(path: Path, outcomes: Sequence[Outcome]) -> None:
    """JSON lines, no texts: `id`, `label`, `probability`, and `values` where there are slots."""
    lines = [
        {"id": one.row.id, "label": one.label, "probability": one.probability}
        | ({"values": one.values} if one.slots else {})
        for one in outcomes
    ]
    text = "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines)
    path.write_text(text, encoding="utf-8")


def read_predictions(path: Path, rows: Sequence[Row], answers: Collection[str]) -> list[Outcome]:
    """The answers that a file has for the rows, by `id`; what made them does not matter.

    Args:
        answers: the right ones are among these.

    Raises:
        RecipeError: a row has none, or two, or one that could not be right.
    """
    found: dict[str, Mapping[str, object]] = {}
    unknown = []
    known = {"", *answers}  # an item that failed has no answer
    for number, value in read_table(path, ["id", "label"]):
        identity = str(value["id"])  # as rows have them
        if identity in found:
            raise RecipeError(f"{path.name}, row {number}: id {identity!r} occurs twice")
        found[identity] = value
        if str(value["label"]) not in known:
            unknown.append(f"row {number}: label {value['label']!r}")
    if unknown:
        raise RecipeError(f"{path.name}, {listed(unknown)}: not in the taxonomy, so never right")
    if missing := [row.id for row in rows if row.id not in found]:
        raise RecipeError(f"{path.name} has no prediction for {listed(missing)}")
    return [_predicted(row, found[row.id]) for row in rows]


def _predicted(row: Row, value: Mapping[str, object]) -> Outcome:
    given = value.get("values")
    slots = {str(n): {str(one): 1.0} for n, one in enumerate(given)} if isinstance(given, list) else {}
    return Outcome(row, str(value["label"]), float(str(value.get("probability", 1.0))), {}, slots)
