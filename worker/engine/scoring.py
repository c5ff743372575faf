"""Where a label is scored: the exact log P of every label sequence, from one packed forward."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from worker.engine.packing import Asked, Branch, Packed, pack
from worker.engine.prefix import FrozenPrefix
from worker.engine.trie import Trie

NODES_AT_ONCE = 64  # bounds the memory of logits over the whole vocabulary


class PackedScorer:
    """Scores the sequences of one trie after one prefix; several prompts in one forward."""

    def __init__(self, model: Any, trie: Trie, prefix: FrozenPrefix):
        self.model = model
        self.trie = trie
        self.prefix = prefix
        self._branch = [Branch((), trie)]
        self._chunks = _chunks(trie.edge_nodes, trie.edge_tokens, 1 + trie.size, model.device)

    def cost(self, prompt: Sequence[int]) -> int:
        """Tokens that the prompt takes in a packed row."""
        return len(prompt) + self.trie.size

    @torch.inference_mode()
    def score(self, prompts: Sequence[Sequence[int]]) -> torch.Tensor:
        """log P(sequence | prefix + prompt), normalised over the whole vocabulary.

        Args:
            prompts: token ids after the prefix, each at least one.

        Returns:
            [len(prompts), len(sequences)] float32 on the CPU, in nats.
        """
        asked = [Asked(prompt, self._branch) for prompt in prompts]
        hidden = self._forward(pack(asked, self.prefix.length))
        edges = torch.cat([_score_edges(self.model, hidden, chunk) for chunk in self._chunks], dim=1)
        return edges.cpu() @ self.trie.paths.T

    def _forward(self, packed: Packed) -> torch.Tensor:
        """Hidden states of every prompt's root and nodes: [B, 1 + N, hidden]."""
        return run_packed(self.model, packed, self.prefix)[torch.stack(packed.nodes).to(self.model.device)]


@torch.inference_mode()
def score_branches(model: Any, asked: Sequence[Asked], prefix: FrozenPrefix) -> list[torch.Tensor]:
    """log P(sequence | prefix + item + tail) of every branch, all in one forward; at least one branch.

    Returns:
        For each branch, in order, [sequences of its trie] as PackedScorer.score.
    """
    packed = pack(asked, prefix.length)
    tries = [branch.trie for one in asked for branch in one.branches]
    starts = torch.tensor([0, *(len(nodes) for nodes in packed.nodes)]).cumsum(0).tolist()
    nodes = torch.cat([trie.edge_nodes + start for trie, start in zip(tries, starts, strict=False)])
    tokens = torch.cat([trie.edge_tokens for trie in tries])
    hidden = run_packed(model, packed, prefix)[torch.cat(packed.nodes).to(model.device)][None]
    chunks = _chunks(nodes, tokens, starts[-1], model.device)
    edges = torch.cat([_score_edges(model, hidden, chunk)[0] for chunk in chunks]).cpu()
    own = edges.split([trie.paths.shape[1] for trie in tries])
    return [trie.paths @ scores for trie, scores in zip(tries, own, strict=True)]


def run_packed(model: Any, packed: Packed, prefix: FrozenPrefix) -> torch.Tensor:
    """Hidden states of the row's tokens: [Q, hidden]."""
    device = model.device
    hidden: torch.Tensor = model.base_model(
        input_ids=packed.ids.to(device),
        attention_mask=packed.mask.to(device),
        position_ids=packed.positions.to(device),
        past_key_values=prefix.cache,
        use_cache=prefix.cache is not None,
    ).last_hidden_state[0]
    return hidden


@dataclass(frozen=True)
class _Chunk:
    """Nodes start..end and the edges below them; `nodes` count from `start`."""

    start: int
    end: int
    nodes: torch.Tensor
    tokens: torch.Tensor


def _score_edges(model: Any, hidden: torch.Tensor, chunk: _Chunk) -> torch.Tensor:
    """[B, edges of the chunk] of [B, nodes, hidden]: logit of a token minus its node's log-normaliser."""
    logits = model.lm_head(hidden[:, chunk.start : chunk.end]).float()
    scores: torch.Tensor = logits[:, chunk.nodes, chunk.tokens] - torch.logsumexp(logits, -1)[:, chunk.nodes]
    return scores


def _chunks(
    edge_nodes: torch.Tensor, edge_tokens: torch.Tensor, count: int, device: torch.device
) -> list[_Chunk]:
    """NODES_AT_ONCE nodes at a time; `edge_nodes` ascend, and each of the `count` nodes has an edge."""
    chunks = []
    for start in range(0, count, NODES_AT_ONCE):
        end = min(start + NODES_AT_ONCE, count)
        first, last = torch.searchsorted(edge_nodes, torch.tensor([start, end])).tolist()
        nodes, tokens = edge_nodes[first:last] - start, edge_tokens[first:last]
        chunks.append(_Chunk(start, end, nodes.to(device), tokens.to(device)))
    return chunks


def score_packed(
    model: Any, prompts: Sequence[Sequence[int]], trie: Trie, prefix: FrozenPrefix
) -> torch.Tensor:
    """One step of a PackedScorer, for callers that score with many models."""
    return PackedScorer(model, trie, prefix).score(prompts)


@torch.inference_mode()
def score_naive(
    model: Any, head: Sequence[int], prompts: Sequence[Sequence[int]], sequences: Sequence[Sequence[int]]
) -> torch.Tensor:
    """The same by one whole forward for each prompt and sequence: slow, and beyond doubt.

    Returns:
        [len(prompts), len(sequences)] as PackedScorer.score.
    """
    scores = torch.empty(len(prompts), len(sequences))
    for row, prompt in enumerate(prompts):
        for column, sequence in enumerate(sequences):
            ids = torch.tensor([[*head, *prompt, *sequence]], device=model.device)
            logits = model(input_ids=ids, use_cache=False, logits_to_keep=len(sequence) + 1).logits[0, :-1]
            log_p = torch.log_softmax(logits.float().cpu(), dim=-1)
            scores[row, column] = log_p.gather(-1, torch.tensor(sequence)[:, None]).sum()
    return scores
