"""report.html: what an artifact is worth, as one page with tables and pictures; row ids, no texts."""

from collections.abc import Mapping, Sequence

from pipeline.answers import Outcome
from pipeline.compare import Difference
from pipeline.figures import Figures, SetFigures
from pipeline.page import figure, heading, page, paragraph, table
from pipeline.pictures import matrix, reliability

MOST_ERRORS = 15
GROUP_HEAD = ("group", "items", "accuracy", "micro-F1", "macro-F1", "ECE", "Brier", "items/s")


def report(
    name: str,
    revision: str,
    measured: Mapping[str, Mapping[str, Figures]],
    sets: Mapping[str, Mapping[str, SetFigures]],
    outcomes: Mapping[str, Sequence[Outcome]],
) -> str:
    """
    Args:
        measured: data type -> group -> figures; the first type is shown in full.
        sets: data type -> group -> figures over label sets, where rows have published ones.
        outcomes: group -> answers of the first type.
    """
    first = next(iter(measured))
    parts = [heading("Groups"), paragraph(f"In {first}. Shares from 0 to 1.")]
    parts.append(table(GROUP_HEAD, [_line(group, one) for group, one in measured[first].items()]))
    if sets[first]:
        parts += [heading("Label sets"), _set_table(sets)]
    if len(measured) > 1:
        parts += [heading("Data types"), _type_table(measured)]
    for group, one in measured[first].items():
        parts += _group(group, one, outcomes.get(group, ()))
    note = (
        f"Revision {revision}. Measured through the serving engine. Rows are named by ids; no text is shown."
    )
    return page(f"{name}: what it is worth", note, parts)


def comparison(first: str, second: str, found: Mapping[str, Sequence[Difference]]) -> str:
    """The page of a comparison: group -> differences."""
    head = ("figure", "items", "first", "second", "change", "95 % interval")
    parts = []
    for group, differences in found.items():
        rows = [
            (one.figure, one.items, one.first, one.second, f"{one.second - one.first:+.3f}",
             f"{one.low:+.3f} to {one.high:+.3f}")
            for one in differences
        ]  # fmt: skip
        parts += [heading(group), table(head, rows)]
    note = "Change is second minus first; the interval is that of 2,000 paired resamples of the rows."
    return page(f"{second} beside {first}", note, parts)


def _line(group: str, one: Figures) -> tuple[object, ...]:
    brier = "" if one.brier is None else one.brier
    speed = f"{one.items_per_second:.0f}" if one.items_per_second else ""
    return (group, one.items, one.accuracy, one.micro_f1, one.macro_f1, one.ece, brier, speed)


def _set_table(sets: Mapping[str, Mapping[str, SetFigures]]) -> str:
    rows = [
        (group, data_type, one.items, one.micro_f1, one.exact_match, one.all_covered)
        for data_type, groups in sets.items()
        for group, one in groups.items()
    ]
    return table(("group", "type", "items", "micro-F1", "exact match", "all gold covered"), rows)


def _type_table(measured: Mapping[str, Mapping[str, Figures]]) -> str:
    groups = list(next(iter(measured.values())))
    rows = [
        (group, data_type, *_line(group, by_group[group])[1:])
        for group in groups
        for data_type, by_group in measured.items()
    ]
    return table((GROUP_HEAD[0], "type", *GROUP_HEAD[1:]), rows)


def _group(group: str, one: Figures, outcomes: Sequence[Outcome]) -> list[str]:
    names = list(one.labels)
    names += [
        answer for answer in dict.fromkeys(answer for _, answer in one.confusion) if answer not in names
    ]
    counts = [[one.confusion.get((gold, answer), 0) for answer in names] for gold in names]
    shown = [name or "no answer" for name in names]
    rows = [(label, f.items, f.precision, f.recall, f.f1) for label, f in one.labels.items()]
    parts = [
        heading(group),
        table(("label", "items", "precision", "recall", "F1"), rows),
        figure("rows: the right label; columns: the answer", matrix(f"Confusions, {group}", shown, counts)),
        figure(
            "probability of the answers against the share that is right; perfect is the dashed line",
            reliability(f"Reliability, {group}", one.bins),
        ),
    ]
    wrong = sorted((o for o in outcomes if not o.right and o.row.label), key=lambda o: -o.probability)
    if wrong:
        worst = [(o.row.id, o.row.label, o.label or "no answer", o.probability) for o in wrong[:MOST_ERRORS]]
        parts += [
            heading("Surest wrong answers", 3),
            table(("row", "right label", "answer", "probability"), worst),
        ]
    return parts
