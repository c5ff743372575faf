"""Whether one set of answers is better than another on the same rows: paired bootstrap intervals."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from pipeline.answers import Outcome

RESAMPLES = 2000
AT_ONCE = 200  # resamples in memory
INTERVAL = (0.025, 0.975)


@dataclass(frozen=True)
class Difference:
    """A figure of both, and the 95 % interval of second minus first over resampled rows."""

    figure: str
    items: int
    first: float
    second: float
    low: float
    high: float

    @property
    def told(self) -> str:
        sure = "" if self.low <= 0 <= self.high else "  *"
        return (
            f"{self.figure:<12}{self.items:>7}{self.first:>9.4f}{self.second:>9.4f}"
            f"{self.second - self.first:>+9.4f}  [{self.low:+.4f}, {self.high:+.4f}]{sure}"
        )


HEAD = f"{'':<12}{'items':>7}{'first':>9}{'second':>9}{'change':>9}  95 % interval (* without 0)"


def differences(first: Sequence[Outcome], second: Sequence[Outcome], seed: int = 1) -> list[Difference]:
    """Accuracy and macro-F1; over label sets also micro-F1 and exact match, where rows have published ones.

    Args:
        first, second: answers to the same rows, in the same order.
    """
    labelled = [n for n, one in enumerate(first) if one.row.label]
    one, other = [first[n] for n in labelled], [second[n] for n in labelled]
    names = sorted({outcome.row.label for outcome in one})
    found = _bootstrap("accuracy", [_accuracy(one), _accuracy(other)], seed) if one else []
    found += _bootstrap("macro-F1", [_macro(one, names), _macro(other, names)], seed) if one else []
    sets = [n for n, outcome in enumerate(first) if outcome.row.published]
    if sets:
        one, other = [first[n] for n in sets], [second[n] for n in sets]
        found += _bootstrap("set micro-F1", [_micro(one), _micro(other)], seed)
        found += _bootstrap("exact match", [_exact(one), _exact(other)], seed)
    return found


class _Counts:
    """A figure that is made of sums over rows: of `columns` [rows, 2 ratios], which are summed."""

    def __init__(self, columns: torch.Tensor, ratios: int):
        self.columns, self.ratios = columns, ratios

    def of(self, weights: torch.Tensor) -> torch.Tensor:
        """[resamples, rows] -> [resamples]: the mean of `ratios` ratios of two sums each."""
        above, below = (weights @ self.columns).split(self.ratios, dim=1)
        return (above / below.clamp(min=1e-9)).mean(1)


def _accuracy(outcomes: Sequence[Outcome]) -> _Counts:
    return _Counts(torch.tensor([[float(one.right), 1.0] for one in outcomes]), 1)


def _exact(outcomes: Sequence[Outcome]) -> _Counts:
    rows = [[float(set(one.values) == set(one.row.published)), 1.0] for one in outcomes]
    return _Counts(torch.tensor(rows), 1)


def _micro(outcomes: Sequence[Outcome]) -> _Counts:
    pairs = [(set(one.row.published), set(one.values)) for one in outcomes]
    return _Counts(torch.tensor([[2.0 * len(a & b), float(len(a) + len(b))] for a, b in pairs]), 1)


def _macro(outcomes: Sequence[Outcome], names: Sequence[str]) -> _Counts:
    """F1 of a label is twice its hits over its rows and answers."""
    gold = torch.tensor([[float(_gold(one) == name) for name in names] for one in outcomes])
    answered = torch.tensor([[float(one.label == name) for name in names] for one in outcomes])
    return _Counts(torch.cat([2 * gold * answered, gold + answered], 1), len(names))


def _gold(outcome: Outcome) -> str:
    return outcome.label if outcome.right else outcome.row.label


def _bootstrap(figure: str, counts: Sequence[_Counts], seed: int) -> list[Difference]:
    rows = len(counts[0].columns)
    generator = torch.Generator().manual_seed(seed)
    changes = []
    for _ in range(RESAMPLES // AT_ONCE):
        drawn = torch.randint(rows, (AT_ONCE, rows), generator=generator)
        weights = torch.zeros(AT_ONCE, rows).scatter_add_(1, drawn, torch.ones(AT_ONCE, rows))
        first, second = (one.of(weights) for one in counts)
        changes.append(second - first)
    low, high = torch.cat(changes).quantile(torch.tensor(INTERVAL)).tolist()
    whole = torch.ones(1, rows)
    one, other = (float(one.of(whole)) for one in counts)
    return [Difference(figure, rows, one, other, low, high)]
