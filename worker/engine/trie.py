"""The label trie: every label's tokens, shared prefixes once, as tensors for one packed forward.

Node 0 is the root: the last token of the prompt, which is no input of the trie. The other nodes are
inputs, in breadth-first order. A leaf (the last token of a sequence) is predicted, never fed.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from shared.errors import ArtifactError


@dataclass(frozen=True)
class Trie:
    """N input nodes (0 where every sequence is one token), E edges, K sequences.

    Attributes:
        sequences: the K token sequences that it was built from.
        tokens: [N] token id of each input node.
        depths: [N] distance from the root, from 1.
        ancestors: [N, N] bool; row n is true at n and at every input node above it.
        edge_nodes: [E] node (0 = root) whose output predicts the edge's token; ascending.
        edge_tokens: [E] the token.
        paths: [K, E] float; 1 where the edge belongs to the sequence, so log P = paths @ edge log P.
    """

    sequences: list[list[int]]
    tokens: torch.Tensor
    depths: torch.Tensor
    ancestors: torch.Tensor
    edge_nodes: torch.Tensor
    edge_tokens: torch.Tensor
    paths: torch.Tensor

    @property
    def size(self) -> int:
        return len(self.tokens)

    @property
    def bytes(self) -> int:
        tensors = (self.tokens, self.depths, self.ancestors, self.edge_nodes, self.edge_tokens, self.paths)
        return sum(tensor.nbytes for tensor in tensors)


def build_trie(sequences: Sequence[Sequence[int]], names: Sequence[str] = ()) -> Trie:
    """The trie of token sequences, none of which may begin another or occur twice.

    Args:
        names: what the sequences say, for errors.

    Raises:
        ArtifactError: they are empty, repeated, or not prefix-free.
    """
    known = {tuple(sequence) for sequence in sequences}
    if len(known) != len(sequences) or not all(known):
        raise ArtifactError("two labels have the same tokens, or a label has none")
    prefixes = {sequence[:length] for sequence in known for length in range(1, len(sequence))}
    if begun := prefixes & known:
        which = names[[*map(tuple, sequences)].index(min(begun))] if names else "a label"
        raise ArtifactError(
            f"the tokens of {which} begin another label's; if prompt.toml has score_end = false, take it out"
        )
    nodes = sorted(prefixes, key=lambda prefix: (len(prefix), prefix))
    place = {(): 0} | {prefix: number for number, prefix in enumerate(nodes, start=1)}
    walks = [_walk(tuple(sequence), place) for sequence in sequences]
    edges = sorted({edge for walk in walks for edge in walk})
    number = {edge: index for index, edge in enumerate(edges)}
    paths = torch.zeros(len(walks), len(edges))
    for row, walk in enumerate(walks):
        paths[row, [number[edge] for edge in walk]] = 1
    return Trie(
        sequences=[list(sequence) for sequence in sequences],
        tokens=torch.tensor([prefix[-1] for prefix in nodes], dtype=torch.long),
        depths=torch.tensor([len(prefix) for prefix in nodes], dtype=torch.long),
        ancestors=_ancestors(nodes, place),
        edge_nodes=torch.tensor([node for node, _ in edges], dtype=torch.long),
        edge_tokens=torch.tensor([token for _, token in edges], dtype=torch.long),
        paths=paths,
    )


def _walk(sequence: tuple[int, ...], place: dict[tuple[int, ...], int]) -> list[tuple[int, int]]:
    """The edges (node, token) from the root to the leaf."""
    return [(place[sequence[:length]], token) for length, token in enumerate(sequence)]


def _ancestors(nodes: Sequence[tuple[int, ...]], place: dict[tuple[int, ...], int]) -> torch.Tensor:
    above = torch.eye(len(nodes), dtype=torch.bool)
    for row, prefix in enumerate(nodes):
        for length in range(1, len(prefix)):
            above[row, place[prefix[:length]] - 1] = True
    return above
