"""Packs several prompts, each followed by the label trie, into one row of one forward.

Row:   item 1 | trie | item 2 | trie | …      (the frozen prefix stands before all of them)
Mask:  a prompt's token sees the prefix and its own prompt so far; a trie node sees the prefix, its
whole prompt and its ancestors. Nothing sees another job, so no padding and no length bucketing.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from worker.engine.trie import Trie


@dataclass(frozen=True)
class Packed:
    """Inputs of one forward over Q tokens for B prompts.

    Attributes:
        ids, positions: [1, Q].
        mask: [1, 1, Q, prefix + Q] bool, true where attention is allowed.
        nodes: [B, 1 + N] places in Q of each job's root (last prompt token) and trie nodes.
    """

    ids: torch.Tensor
    positions: torch.Tensor
    mask: torch.Tensor
    nodes: torch.Tensor


def pack(prompts: Sequence[Sequence[int]], trie: Trie, prefix: int) -> Packed:
    """Args: prompts without their prefix, each at least one token; prefix, its length in tokens."""
    lengths = [len(prompt) for prompt in prompts]
    total = sum(lengths) + trie.size * len(prompts)
    ids, positions = torch.empty(1, total, dtype=torch.long), torch.empty(1, total, dtype=torch.long)
    mask = torch.zeros(1, 1, total, prefix + total, dtype=torch.bool)
    mask[..., :prefix] = True
    nodes = torch.empty(len(prompts), 1 + trie.size, dtype=torch.long)
    start = 0
    for row, (prompt, length) in enumerate(zip(prompts, lengths, strict=True)):
        tree, end = start + length, start + length + trie.size
        ids[0, start:tree], ids[0, tree:end] = torch.tensor(prompt), trie.tokens
        positions[0, start:tree] = torch.arange(prefix, prefix + length)
        positions[0, tree:end] = prefix + length - 1 + trie.depths
        seen = mask[0, 0, start:end, prefix + start : prefix + end]
        seen[:length, :length] = torch.ones(length, length, dtype=torch.bool).tril_()
        seen[length:, :length] = True
        seen[length:, length:] = trie.ancestors
        nodes[row] = torch.arange(tree - 1, end)
        start = end
    return Packed(ids, positions, mask, nodes)
