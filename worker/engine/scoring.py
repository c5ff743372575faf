"""Where a label is scored: the exact log P of every label sequence, from one packed forward."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from worker.engine.packing import Packed, pack
from worker.engine.prefix import FrozenPrefix
from worker.engine.trie import Trie

NODES_AT_ONCE = 64  # bounds the memory of logits over the whole vocabulary


class PackedScorer:
    """Scores the sequences of one trie after one prefix; several prompts in one forward."""

    def __init__(self, model: Any, trie: Trie, prefix: FrozenPrefix):
        self.model = model
        self.trie = trie
        self.prefix = prefix
        self._chunks = _chunks(trie, model.device)

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
        hidden = self._forward(pack(prompts, self.trie, self.prefix.length))
        edges = torch.cat([self._score_edges(hidden, chunk) for chunk in self._chunks], dim=1)
        return edges.cpu() @ self.trie.paths.T

    def _forward(self, packed: Packed) -> torch.Tensor:
        """Hidden states of every prompt's root and nodes: [B, 1 + N, hidden]."""
        device = self.model.device
        hidden = self.model.base_model(
            input_ids=packed.ids.to(device),
            attention_mask=packed.mask.to(device),
            position_ids=packed.positions.to(device),
            past_key_values=self.prefix.cache,
            use_cache=self.prefix.cache is not None,
        ).last_hidden_state[0]
        return hidden[packed.nodes.to(device)]

    def _score_edges(self, hidden: torch.Tensor, chunk: "_Chunk") -> torch.Tensor:
        """[B, edges of the chunk]: logit of an edge's token minus the log-normaliser of its node."""
        logits = self.model.lm_head(hidden[:, chunk.start : chunk.end]).float()
        return logits[:, chunk.nodes, chunk.tokens] - torch.logsumexp(logits, -1)[:, chunk.nodes]


@dataclass(frozen=True)
class _Chunk:
    """Nodes start..end of the trie and the edges below them; `nodes` count from `start`."""

    start: int
    end: int
    nodes: torch.Tensor
    tokens: torch.Tensor


def _chunks(trie: Trie, device: torch.device) -> list[_Chunk]:
    chunks = []
    for start in range(0, 1 + trie.size, NODES_AT_ONCE):
        end = min(start + NODES_AT_ONCE, 1 + trie.size)
        here = (trie.edge_nodes >= start) & (trie.edge_nodes < end)
        nodes, tokens = trie.edge_nodes[here] - start, trie.edge_tokens[here]
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
