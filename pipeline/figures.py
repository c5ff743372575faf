"""Accuracy, F1 and calibration of a set of answers."""

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
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
class SetFigures:
    """Answers against label sets as published; micro-F1 over all labels of all items."""

    items: int
    micro_f1: float
    exact_match: float
    all_covered: float

    def line(self) -> str:
        return (
            f"label sets: items {self.items}, micro-F1 {self.micro_f1:.4f}, "
            f"exact match {self.exact_match:.4f}, all gold labels covered {self.all_covered:.4f}"
        )


@dataclass(frozen=True)
class Figures:
    """How one group of items fared; shares in 0..1.

    Attributes:
        micro_f1: differs from accuracy where items had no answer.
        macro_f1: mean over the labels that occur in the group.
        ece: expected calibration error (Naeini et al. 2015), the mean distance of confidence and
            accuracy over 10 equal bins.
        brier: mean squared distance of the probabilities to the truth, summed over the labels; None where
            only the answer's probability is known.
        bins: mean confidence, accuracy and items of each bin that has any.
        confusion: (right label, answered label) -> items.
    """

    items: int
    accuracy: float
    micro_f1: float
    macro_f1: float
    ece: float
    brier: float | None
    items_per_second: float
    labels: dict[str, LabelFigures]
    bins: tuple[tuple[float, float, int], ...]
    confusion: Mapping[tuple[str, str], int]

    def table(self) -> str:
        """For a person at a terminal."""
        brier = "" if self.brier is None else f", Brier {self.brier:.3f}"
        speed = f", {self.items_per_second:.0f} items/s" if self.items_per_second else ""
        head = f"items {self.items}, accuracy {self.accuracy:.3f}, macro-F1 {self.macro_f1:.3f}, "
        lines = [f"{head}ECE {self.ece:.3f}{brier}{speed}"]
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
            "micro_f1": round(self.micro_f1, 4),
            "macro_f1": round(self.macro_f1, 4),
            "ece": round(self.ece, 4),
            "brier": None if self.brier is None else round(self.brier, 4),
            "f1": {label: round(one.f1, 4) for label, one in self.labels.items()},
        }


def figures(
    gold: Sequence[str],
    answered: Sequence[str],
    confidence: Sequence[float],
    labels: Sequence[str],
    items_per_second: float = 0.0,
    chances: Sequence[Mapping[str, float]] = (),
) -> Figures:
    """
    Args:
        gold, answered, confidence: for each item its label, the answer, and the answer's probability.
        labels: the label set, in order.
        chances: for each item the probabilities of all labels, where they are known.
    """
    by_label = {label: _label(label, gold, answered) for label in labels if label in gold}
    right = [a == b for a, b in zip(gold, answered, strict=True)]
    given = sum(bool(answer) for answer in answered)
    return Figures(
        items=len(gold),
        accuracy=sum(right) / len(right),
        micro_f1=2 * sum(right) / (len(right) + given),
        macro_f1=sum(one.f1 for one in by_label.values()) / len(by_label),
        ece=calibration_error(right, confidence),
        brier=brier(gold, chances) if all(chances) and chances else None,
        items_per_second=items_per_second,
        labels=by_label,
        bins=reliability_bins(right, confidence),
        confusion=Counter(zip(gold, answered, strict=True)),
    )


def set_figures(gold: Sequence[Collection[str]], answers: Sequence[Collection[str]]) -> SetFigures:
    """
    Args:
        gold, answers: for each item its labels as published, and those answered.
    """
    pairs = [(set(a), set(b)) for a, b in zip(gold, answers, strict=True)]
    common = sum(len(a & b) for a, b in pairs)
    return SetFigures(
        items=len(pairs),
        micro_f1=2 * common / sum(len(a) + len(b) for a, b in pairs),
        exact_match=sum(a == b for a, b in pairs) / len(pairs),
        all_covered=sum(a <= b for a, b in pairs) / len(pairs),
    )


def brier(gold: Sequence[str], chances: Sequence[Mapping[str, float]]) -> float:
    """Mean over items of the squared distances, summed over labels (Brier 1950)."""
    distances = [
        sum((p - (label == right)) ** 2 for label, p in some.items())
        for right, some in zip(gold, chances, strict=True)
    ]
    return sum(distances) / len(distances)


def calibration_error(right: Sequence[bool], confidence: Sequence[float]) -> float:
    """Mean |confidence - accuracy| over the bins, weighted by their items."""
    bins = reliability_bins(right, confidence)
    return sum(items * abs(mean - accuracy) for mean, accuracy, items in bins) / len(right)


def reliability_bins(
    right: Sequence[bool], confidence: Sequence[float]
) -> tuple[tuple[float, float, int], ...]:
    """Mean confidence, accuracy and items of each bin that has any."""
    bins: dict[int, list[tuple[bool, float]]] = {}
    for one, p in zip(right, confidence, strict=True):
        bins.setdefault(min(int(p * BINS), BINS - 1), []).append((one, p))
    return tuple(
        (sum(p for _, p in some) / len(some), sum(one for one, _ in some) / len(some), len(some))
        for _, some in sorted(bins.items())
    )


def _label(label: str, gold: Sequence[str], answered: Sequence[str]) -> LabelFigures:
    items, answers = Counter(gold)[label], Counter(answered)[label]
    both = sum(a == b == label for a, b in zip(gold, answered, strict=True))
    precision = both / answers if answers else 0.0
    recall = both / items if items else 0.0
    f1 = 2 * both / (items + answers) if items + answers else 0.0
    return LabelFigures(items, precision, recall, f1)
