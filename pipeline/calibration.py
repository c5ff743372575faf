"""Rows scored as in serving, and the temperature of training's end; fitted on rows that it never saw.

Guo et al. 2017, On Calibration of Modern Neural Networks: softmax(log P / T), T minimising the
negative log-likelihood.
"""

import math
from collections.abc import Sequence
from typing import Any

import torch

from pipeline.label_reader import refuse_unknown
from pipeline.rows import Row
from pipeline.sources import place_of
from shared.errors import RecipeError
from worker.engine.labels import AnyLabels, LabelSet, MultiLabels
from worker.engine.prefix import FrozenPrefix
from worker.engine.prompt import Prompt
from worker.engine.question import Question
from worker.engine.scoring import PackedScorer

LOWEST, HIGHEST, STEPS = 0.3, 4.0, 75
ROWS_AT_ONCE = 8
TEXTS_AT_ONCE = 3  # as the worker does
FEWEST = 50  # rows of each half


class Judge:
    """Scores rows as serving does, and says how well the scores fit the rows' labels."""

    def __init__(self, prompt: Prompt, labels: LabelSet, rows: Sequence[Row]):
        self._prompt, self._labels = prompt, labels
        self._prompts = [prompt.item(row.text).ids + prompt.tail for row in rows]
        self._gold = torch.tensor([labels.names.index(row.label) for row in rows], dtype=torch.long)

    def __call__(self, model: Any) -> float:
        """The negative log-likelihood in nats at the best temperature; 0 without rows."""
        return self.fit(model)[1]

    def fit(self, model: Any) -> tuple[float, float]:
        """The temperature with the least negative log-likelihood, and that; 1.0 and 0 without rows."""
        return best_temperature(self._scores(model), self._gold) if self._prompts else (1.0, 0.0)

    @property
    def ignorance(self) -> float:
        """The loss in nats of guessing labels as often as the rows have them."""
        shares = self._gold.bincount().float() / max(1, len(self._gold))
        return float(torch.special.entr(shares).sum())

    def _scores(self, model: Any) -> torch.Tensor:
        """log P of each label: [rows, labels]."""
        model.set_attn_implementation("sdpa")  # training takes eager, which knows no boolean mask
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


def halve(rows: Sequence[Row]) -> tuple[list[Row], list[Row]]:
    """Rows to fit and rows to report on; which one depends on a row's text alone.

    Raises:
        RecipeError: one half has too few.
    """
    fitting = [row for row in rows if place_of(row.text, "fit") < 0.5]
    reporting = [row for row in rows if place_of(row.text, "fit") >= 0.5]
    if min(len(fitting), len(reporting)) < FEWEST:
        raise RecipeError(
            f"{len(fitting)} rows to fit and {len(reporting)} to report on are too few; each half needs "
            f"{FEWEST}, so bring some {FEWEST * 5 // 2}: by --items, or raise `calibration` in the recipe"
        )
    return fitting, reporting


def logits_of(question: Question, rows: Sequence[Row]) -> torch.Tensor:
    """[rows, labels], by the same packed forwards as in serving."""
    prompt = question.prompt
    prompts = [prompt.item(row.text).ids + prompt.tail for row in rows]
    steps = [
        question.labels.logits(question.scorer.score(prompts[start : start + TEXTS_AT_ONCE]))
        for start in range(0, len(prompts), TEXTS_AT_ONCE)
    ]
    return torch.cat(steps)


def truth_of(labels: AnyLabels, rows: Sequence[Row]) -> torch.Tensor:
    """[rows, labels] 1 where the label is right; where one answer is asked for, shares of the right ones.

    Raises:
        RecipeError: a row has a label that is none of the artifact's; names the row.
    """
    rights = [row.published if isinstance(labels, MultiLabels) else (row.label, *row.also) for row in rows]
    named = ((row.id, name) for row, right in zip(rows, rights, strict=True) for name in right)
    refuse_unknown(named, labels.names)
    truth = torch.zeros(len(rows), len(labels.names))
    place = {name: number for number, name in enumerate(labels.names)}
    for number, right in enumerate(rights):
        for name in right:
            truth[number, place[name]] = 1 if isinstance(labels, MultiLabels) else 1 / len(right)
    return truth
