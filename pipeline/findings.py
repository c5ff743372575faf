"""What prepare left out of the rows, and which rows contradict each other; row ids only, no texts."""

from collections import Counter
from dataclasses import dataclass, field

from pipeline.rows import Row


@dataclass(frozen=True)
class Repeat:
    """Two rows with one text, or nearly so; `likeness` is 1.0 for a copy."""

    kept: str
    dropped: str
    likeness: float
    splits: tuple[str, str]
    labels: tuple[str, str]

    @property
    def conflict(self) -> bool:
        """Both have a label, and not the same."""
        return all(self.labels) and self.labels[0] != self.labels[1]

    @property
    def across(self) -> bool:
        """The two would have stood on both sides of a split."""
        return self.splits[0] != self.splits[1]


@dataclass
class Findings:
    """Attributes:
    left_out: reason -> rows.
    repeats: the row that stayed and the one that went.
    """

    left_out: Counter[str] = field(default_factory=Counter)
    repeats: list[Repeat] = field(default_factory=list)

    def repeated(self, kept: Row, dropped: Row, likeness: float) -> None:
        splits, labels = (kept.split, dropped.split), (kept.label, dropped.label)
        self.repeats.append(Repeat(kept.id, dropped.id, round(likeness, 3), splits, labels))
        self.left_out["copy of another row" if likeness == 1.0 else "nearly another row"] += 1

    @property
    def conflicts(self) -> list[Repeat]:
        return [repeat for repeat in self.repeats if repeat.conflict]
