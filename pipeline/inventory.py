"""What prepare made of the data: tables, prepared.json and prepared.html; row ids only, no texts."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.findings import Findings, Repeat
from pipeline.page import figure, heading, page, paragraph, table
from pipeline.pictures import bars, histogram
from pipeline.publish import write_json
from pipeline.rows import SPLITS, Row

MOST_SHOWN = 200  # pairs of ids in the page; prepared.json has all


class Inventory:
    """
    Args:
        rows: split -> its rows.
        lengths: split -> tokens of each row's text.
        item_tokens: how many of them the model reads.
        answers: that the model can give, and the labels or values that each consists of.
    """

    def __init__(
        self,
        rows: Mapping[str, Sequence[Row]],
        lengths: Mapping[str, Sequence[int]],
        item_tokens: int,
        findings: Findings,
        answers: Mapping[str, Sequence[str]],
    ):
        self._lengths, self._item_tokens, self._findings = lengths, item_tokens, findings
        by = Counter((row.label, split) for split, some in rows.items() for row in some)
        trained = {part for row in rows["train"] for one in row.answered for part in answers[one.label]}
        parts = dict.fromkeys(part for some in answers.values() for part in some)
        self._untrained = [part for part in parts if part not in trained]
        # With slots only the answers that occur: there may be a thousand others.
        labels = {label for label, _ in by} | (set(answers) & set(self._untrained))
        self._counts = {
            label: [by[label, split] for split in SPLITS]
            for label in sorted(labels, key=lambda label: (-sum(by[label, split] for split in SPLITS), label))
        }

    def text(self) -> str:
        """For a person at a terminal."""
        lines = ["".join(f"{head:>12}" for head in (*SPLITS, "label"))]
        lines += [
            "".join(f"{n:>12}" for n in counts) + f"    {label}" for label, counts in self._counts.items()
        ]
        lines += [f"\nwarning: {self._warning}"] if self._untrained else []
        lines.append("\ntokens       rows    median       95%   longest  truncated")
        lines += [
            f"{split:<12}"
            + "".join(f"{value:>5.3f}" if isinstance(value, float) else f"{value:>8}  " for value in row)
            for split, row in self._token_rows().items()
        ]
        lines.append("\nleft out: " + (_listed(self._findings.left_out) or "none"))
        lines.append(
            f"conflicts: {len(self._findings.conflicts)} pairs of rows with one text and two labels; "
            f"pairs that would have stood on both sides of a split: {len(self._across)}"
        )
        lines += [f"  {_told(repeat)}" for repeat in self._findings.conflicts[:10]]
        return "\n".join(lines)

    def write(self, folder: Path, name: str) -> None:
        """prepared.json and prepared.html."""
        tokens = {
            split: dict(zip(("rows", "median", "p95", "longest", "truncated"), row, strict=True))
            for split, row in self._token_rows().items()
        }
        figures: dict[str, Any] = {
            "schema": 1,
            "labels": {
                label: dict(zip(SPLITS, counts, strict=True)) for label, counts in self._counts.items()
            },
            "untrained": self._untrained,
            "tokens": tokens,
            "left_out": self._findings.left_out,
            "conflicts": [asdict(repeat) for repeat in self._findings.conflicts],
            "across_splits": [asdict(repeat) for repeat in self._across],
        }
        write_json(folder / "prepared.json", figures)
        (folder / "prepared.html").write_text(self._page(name), encoding="utf-8")

    @property
    def _warning(self) -> str:
        return f"no training row has {', '.join(self._untrained)}; the model can answer so all the same"

    @property
    def _across(self) -> list[Repeat]:
        return [repeat for repeat in self._findings.repeats if repeat.across]

    def _token_rows(self) -> dict[str, tuple[int | float, ...]]:
        """Rows, median, 95th percentile, longest, and the share that is longer than the model reads."""
        found = {}
        for split, lengths in self._lengths.items():
            if lengths:
                ordered = sorted(lengths)
                cut = sum(length > self._item_tokens for length in ordered) / len(ordered)
                at = [ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.95, 1.0)]
                found[split] = (len(ordered), *at, round(cut, 4))
        return found

    def _page(self, name: str) -> str:
        labelled = {label: counts[:3] for label, counts in self._counts.items() if label}
        lengths = {split: lengths for split, lengths in self._lengths.items() if lengths}
        parts = [
            heading("Rows by label"),
            figure("rows of each label, by split", bars("Rows by label", SPLITS[:3], labelled)),
            table(("label", *SPLITS), [(label or "without", *n) for label, n in self._counts.items()]),
            *([paragraph(f"Warning: {self._warning}.")] if self._untrained else []),
            heading("Length of the texts"),
            figure("tokens of a text", histogram("Length of the texts", lengths, "tokens")),
            table(("split", "rows", "median", "95 %", "longest", f"above {self._item_tokens}"),
                  [(split, *row) for split, row in self._token_rows().items()]),
            heading("Left out"),
            table(("why", "rows"), list(self._findings.left_out.items())),
            *_pairs("Conflicts", "one text, or nearly so, with two labels", self._findings.conflicts),
            *_pairs(
                "Would have stood on both sides of a split",
                "copies and near-copies; the one nearer to training was left out",
                self._across,
            ),
        ]  # fmt: skip
        return page(f"{name}: prepared rows", "Rows are named by their ids; no text is shown.", parts)


def _pairs(title: str, note: str, repeats: Sequence[Repeat]) -> list[str]:
    rows = [
        (repeat.kept, repeat.splits[0], repeat.labels[0], repeat.dropped, repeat.splits[1], repeat.labels[1],
         repeat.likeness)
        for repeat in repeats[:MOST_SHOWN]
    ]  # fmt: skip
    more = f"; {len(repeats) - MOST_SHOWN} more in prepared.json" if len(repeats) > MOST_SHOWN else ""
    head = ("kept", "split", "label", "left out", "split", "label", "likeness")
    return [
        heading(title),
        paragraph(f"{len(repeats)} pairs: {note}{more}."),
        *([table(head, rows)] if rows else []),
    ]


def _told(repeat: Repeat) -> str:
    kept, dropped = repeat.labels
    return f"{repeat.kept} {kept} / {repeat.dropped} {dropped} (likeness {repeat.likeness:.2f})"


def _listed(counts: Mapping[str, int]) -> str:
    return "; ".join(f"{reason} {count}" for reason, count in counts.items())
