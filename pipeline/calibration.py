"""One temperature, fitted on rows that neither training nor the reported figures use.

Guo et al. 2017, On Calibration of Modern Neural Networks: softmax(log P / T), T minimising the
negative log-likelihood.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from pipeline.rows import Row
from worker.engine.labels import LabelSet
from worker.engine.prefix import FrozenPrefix
from worker.engine.prompt import Prompt
from worker.engine.scoring import PackedScorer

LOWEST, HIGHEST, STEPS = 0.3, 4.0, 75
ROWS_AT_ONCE = 8


class Judge:
    """Scores rows as serving does, and says how well the scores fit the rows' labels."""

    def __init__(self, prompt: Prompt, labels: LabelSet, rows: Sequence[Row]):
        self._prompt, self._labels = prompt, labels
        self._prompts = [prompt.item(row.text).ids + prompt.tail for row in rows]
        self._gold = torch.tensor([labels.names.index(row.label) for row in rows], dtype=torch.long)

    def __call__(self, model: Any) -> float:
        """The negative log-likelihood in nats at the best temperature; 0 without rows."""
        return self._fit(model)[1]

    def temperature(self, model: Any) -> float:
        """The temperature with the least negative log-likelihood; 1.0 without rows."""
        return self._fit(model)[0]

    def _fit(self, model: Any) -> tuple[float, float]:
        return best_temperature(self._scores(model), self._gold) if self._prompts else (1.0, 0.0)

    def _scores(self, model: Any) -> torch.Tensor:
        """log P of each label: [rows, labels]."""
        scorer = PackedScorer(model, self._labels.trie, FrozenPrefix(model, self._prompt.head))
        order = sorted(range(len(self._prompts)), key=lambda i: len(self._prompts[i]))
        scores = torch.empty(len(order), len(self._labels.names))
        for start in range(0, len(order), ROWS_AT_ONCE):
            rows = order[start : start + ROWS_AT_ONCE]
            scores[rows] = self._labels.fold(scorer.score([self._prompts[i] for i in rows]))
        return scores


def best_temperature(scores: torch.Tensor, gold: torch.Tensor) -> tuple[float, float]:
    """A grid, even in the logarithm, is exact enough.

    Args:
        scores: [rows, labels] in nats.
        gold: [rows].

    Returns:
        The temperature and its negative log-likelihood.
    """
    grid = torch.logspace(math.log10(LOWEST), math.log10(HIGHEST), STEPS)
    loss = [float(torch.nn.functional.cross_entropy(scores / t, gold)) for t in grid]
    return round(float(grid[loss.index(min(loss))]), 4), min(loss)
