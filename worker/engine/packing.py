"""Packs several items, each followed by its branches, into one row of one forward.

Row:   item 1 | branch | branch | … | item 2 | branch | …    (the frozen prefix stands before all of them)
A branch is the rest of a prompt and the trie of what can be answered to it.
Mask:  an item's token sees the prefix and its own item so far; a branch's tail also itself so far; a trie
node sees the prefix, its item, the tail of its branch and its ancestors. Nothing sees another job or
another branch, so no padding and no length bucketing.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeVar

import torch

from worker.engine.trie import Trie

Thing = TypeVar("Thing")


@dataclass(frozen=True)
class Branch:
    """The tokens between an item and an answer, and all that can be answered."""

    tail: Sequence[int]
    trie: Trie

    @property
    def cost(self) -> int:
        """Tokens that it takes in a row."""
        return len(self.tail) + self.trie.size


@dataclass(frozen=True)
class Asked:
    """An item's tokens, and the branches behind it. An empty item has no branch without a tail."""

    item: Sequence[int]
    branches: Sequence[Branch]

    @property
    def cost(self) -> int:
        """Tokens that it takes in a row."""
        return len(self.item) + sum(branch.cost for branch in self.branches)


@dataclass(frozen=True)
class Packed:
    """Inputs of one forward over Q tokens.

    Attributes:
        ids, positions: [1, Q].
        mask: [1, 1, Q, prefix + Q] bool, true where attention is allowed.
        nodes: for each branch, in order, [1 + N] places in Q of its root (the token before the answer) and
            of its trie's nodes.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    nodes: list[torch.Tensor]


def pack(asked: Sequence[Asked], prefix: int) -> Packed:
    """Args: prefix, the length of the frozen prefix."""
    total = sum(one.cost for one in asked)
    ids, positions = torch.empty(1, total, dtype=torch.long), torch.empty(1, total, dtype=torch.long)
    mask = torch.zeros(1, 1, total, prefix + total, dtype=torch.bool)
    mask[..., :prefix] = True
    seen, nodes, start = mask[0, 0, :, prefix:], [], 0
    for one in asked:
        end, depth = start + len(one.item), prefix + len(one.item)
        ids[0, start:end] = torch.tensor(one.item, dtype=torch.long)
        positions[0, start:end] = torch.arange(prefix, depth)
        seen[start:end, start:end] = _so_far(len(one.item))
        place = end
        for branch in one.branches:
            length, tree, last = len(branch.tail), place + len(branch.tail), place + branch.cost
            ids[0, place:tree] = torch.tensor(branch.tail, dtype=torch.long)
            ids[0, tree:last] = branch.trie.tokens
            positions[0, place:tree] = torch.arange(depth, depth + length)
            positions[0, tree:last] = depth + length - 1 + branch.trie.depths
            seen[place:last, start:end] = True
            seen[place:tree, place:tree] = _so_far(length)
            seen[tree:last, place:tree] = True
            seen[tree:last, tree:last] = branch.trie.ancestors
            root = tree - 1 if length else end - 1
            nodes.append(torch.cat([torch.tensor([root]), torch.arange(tree, last)]))
            place = last
        start = place
    return Packed(ids, positions, mask, nodes)


def in_rows(things: Iterable[Thing], cost: Callable[[Thing], int], most: int) -> list[list[Thing]]:
    """In order, in groups that fit one row of `most` tokens; a longer one has its own."""
    rows: list[list[Thing]] = []
    room = 0
    for thing in things:
        size = cost(thing)
        if not rows or size > room:
            rows.append([])
            room = most
        rows[-1].append(thing)
        room -= size
    return rows


def _so_far(length: int) -> torch.Tensor:
    return torch.ones(length, length, dtype=torch.bool).tril_()
