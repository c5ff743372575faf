"""Accuracy, F1 and calibration of a set of answers."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

BINS = 10  # of equal width, for the calibration error


@dataclass(frozen=True)
class LabelFigures:
    """How one label fared; shares in 0..1."""

    items: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True)
class Figures:
    """How one group of items fared; shares in 0..1.

    macro_f1 is the mean over the labels that occur in the group. ece is the expected calibration
    error (Naeini et al. 2015): the mean distance of confidence and accuracy over 10 equal bins.
    """

    items: int
    accuracy: float
    macro_f1: float
    ece: float
    items_per_second: float
    labels: dict[str, LabelFigures]

    def table(self) -> str:
        """For a person at a terminal."""
        head = f"{self.items} items: accuracy {self.accuracy:.3f}, macro-F1 {self.macro_f1:.3f}, "
        lines = [f"{head}ECE {self.ece:.3f}, {self.items_per_second:.0f} items/s"]
        lines.append(f"{'items':>7}{'precision':>11}{'recall':>8}{'F1':>7}  label")
        lines += [
            f"{one.items:>7}{one.precision:>11.3f}{one.recall:>8.3f}{one.f1:>7.3f}  {label}"
            for label, one in self.labels.items()
        ]
        return "\n".join(lines)

    def summary(self) -> dict[str, Any]:
        """For metrics.json: rounded, F1 alone for each label; no speed, which belongs to the machine."""
        return {
            "items": self.items,
            "accuracy": round(self.accuracy, 4),
            "macro_f1": round(self.macro_f1, 4),
            "ece": round(self.ece, 4),
            "f1": {label: round(one.f1, 4) for label, one in self.labels.items()},
        }


def figures(
    gold: Sequence[str],
    answered: Sequence[str],
    confidence: Sequence[float],
    labels: Sequence[str],
    items_per_second: float = 0.0,
) -> Figures:
    """Args: for each item its label, the answer, and the answer's probability; the label set in order."""
    by_label = {label: _label(label, gold, answered) for label in labels if label in gold}
    right = [a == b for a, b in zip(gold, answered, strict=True)]
    return Figures(
        items=len(gold),
        accuracy=sum(right) / len(right),
        macro_f1=sum(one.f1 for one in by_label.values()) / len(by_label),
        ece=calibration_error(right, confidence),
        items_per_second=items_per_second,
        labels=by_label,
    )


def calibration_error(right: Sequence[bool], confidence: Sequence[float]) -> float:
    """Mean |confidence - accuracy| over the bins, weighted by their items."""
    bins: dict[int, list[tuple[bool, float]]] = {}
    for one, p in zip(right, confidence, strict=True):
        bins.setdefault(min(int(p * BINS), BINS - 1), []).append((one, p))
    return sum(abs(sum(one - p for one, p in some)) for some in bins.values()) / len(right)


def _label(label: str, gold: Sequence[str], answered: Sequence[str]) -> LabelFigures:
    items, answers = Counter(gold)[label], Counter(answered)[label]
    both = sum(a == b == label for a, b in zip(gold, answered, strict=True))
    precision = both / answers if answers else 0.0
    recall = both / items if items else 0.0
    f1 = 2 * both / (items + answers) if items + answers else 0.0
    return LabelFigures(items, precision, recall, f1)
