"""Scores many branches of few items: an item is read once, however many branches it has."""

import logging
from collections.abc import Sequence
from typing import Any

import torch

from worker.engine.memory import ran_out, release
from worker.engine.packing import Asked, Branch, in_rows
from worker.engine.prefix import FrozenPrefix
from worker.engine.scoring import score_branches

log = logging.getLogger(__name__)

Scores = torch.Tensor | None  # [sequences of a branch's trie]; None where the device's memory is too small


class BranchScorer:
    """
    Args:
        head: what stands before every item.
        row_tokens: most tokens of one packed forward; a longer branch has its own.
    """

    def __init__(self, model: Any, head: Sequence[int], row_tokens: int):
        self.model = model
        self.prefix = FrozenPrefix(model, head)
        self._row_tokens = row_tokens

    def score(self, asked: Sequence[Asked]) -> list[list[Scores]]:
        """For each item the scores of its branches, in order: items that fit share a row; the branches of
        one that does not are scored in several, over its kept keys and values."""
        return [scores for group in in_rows(asked, _cost, self._row_tokens) for scores in self._row(group)]

    def _row(self, asked: Sequence[Asked]) -> list[list[Scores]]:
        if len(asked) == 1 and asked[0].cost > self._row_tokens:
            return [self._over_kept(asked[0])]
        scores = self._forward(self.prefix, asked)
        if scores is not None and all(_finite(own) for own in scores):
            return scores
        # Memory, or a NaN, which spreads over the row, since 0 x NaN is NaN: find out whose it is.
        if scores is None:
            release()
        if len(asked) == 1:
            return [self._over_kept(asked[0])]
        half = len(asked) // 2
        return self._row(asked[:half]) + self._row(asked[half:])

    def _over_kept(self, asked: Asked) -> list[Scores]:
        """The branches behind an item that is read once, before them."""
        kept = self._keep(asked.item)
        if kept is None:
            release()  # here, and not in the except block, whose exception holds the tensors
            return [None] * len(asked.branches)
        if not kept.finite:
            return [torch.full((len(branch.trie.sequences),), torch.nan) for branch in asked.branches]
        scores: list[Scores] = []
        for group in in_rows(asked.branches, _cost, self._row_tokens):
            scores += self._behind(kept, group)
        return scores

    def _behind(self, kept: FrozenPrefix, branches: Sequence[Branch]) -> list[Scores]:
        scores = self._forward(kept, [Asked((), branches)])
        if scores is not None and (_finite(scores[0]) or len(branches) == 1):
            return scores[0]
        if scores is None:
            release()
        if len(branches) == 1:
            return [None]
        half = len(branches) // 2
        return self._behind(kept, branches[:half]) + self._behind(kept, branches[half:])

    def _keep(self, item: Sequence[int]) -> FrozenPrefix | None:
        try:
            return FrozenPrefix(self.model, item, self.prefix)
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            log.warning("out of memory for an item of %d tokens", len(item))
            return None

    def _forward(self, prefix: FrozenPrefix, asked: Sequence[Asked]) -> list[list[Scores]] | None:
        """None when memory ran out."""
        try:
            scores = iter(score_branches(self.model, asked, prefix))
        except (RuntimeError, MemoryError) as error:
            if not ran_out(error):
                raise
            log.warning("out of memory in a row of %d branches", sum(len(a.branches) for a in asked))
            return None
        return [[next(scores) for _ in a.branches] for a in asked]


def _finite(scores: Sequence[Scores]) -> bool:
    return all(own is None or bool(torch.isfinite(own).all()) for own in scores)


def _cost(one: Asked | Branch) -> int:
    return one.cost
