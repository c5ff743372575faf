"""Where a label is scored: the exact log P of every label sequence, from one packed forward."""

from collections.abc import Sequence
from typing import Any

import torch

from worker.engine.packing import Packed, pack
from worker.engine.prefix import FrozenPrefix
from worker.engine.trie import Trie

NODES_AT_ONCE = 64  # bounds the memory of logits over the whole vocabulary


@torch.inference_mode()
def score_packed(
    model: Any, prompts: Sequence[Sequence[int]], trie: Trie, prefix: FrozenPrefix
) -> torch.Tensor:
    """log P(sequence | prefix + prompt), normalised over the whole vocabulary.

    Args:
        prompts: token ids after the prefix.

    Returns:
        [len(prompts), len(sequences)] float32 on the CPU, in nats.
    """
    packed = pack(prompts, trie, prefix.length)
    edges = _edge_log_probabilities(model, _forward(model, packed, prefix), trie)
    return edges @ trie.paths.T


@torch.inference_mode()
def score_naive(
    model: Any, head: Sequence[int], prompts: Sequence[Sequence[int]], sequences: Sequence[Sequence[int]]
) -> torch.Tensor:
    """The same by one whole forward for each prompt and label: slow, and beyond doubt.

    Returns:
        [len(prompts), len(sequences)] as score_packed.
    """
    scores = torch.empty(len(prompts), len(sequences))
    for row, prompt in enumerate(prompts):
        for column, sequence in enumerate(sequences):
            ids = torch.tensor([[*head, *prompt, *sequence]], device=model.device)
            logits = model(input_ids=ids, use_cache=False, logits_to_keep=len(sequence) + 1).logits[0, :-1]
            log_p = torch.log_softmax(logits.float().cpu(), dim=-1)
            scores[row, column] = log_p.gather(-1, torch.tensor(sequence)[:, None]).sum()
    return scores


def _forward(model: Any, packed: Packed, prefix: FrozenPrefix) -> torch.Tensor:
    """Hidden states of every job's root and nodes: [B, 1 + N, hidden]."""
    device = model.device
    past = {"past_key_values": prefix.cache, "use_cache": True} if prefix.cache else {"use_cache": False}
    hidden = model.model(
        input_ids=packed.ids.to(device),
        attention_mask=packed.mask.to(device),
        position_ids=packed.positions.to(device),
        **past,
    ).last_hidden_state[0]
    return hidden[packed.nodes.to(device)]


def _edge_log_probabilities(model: Any, hidden: torch.Tensor, trie: Trie) -> torch.Tensor:
    """[B, E]: logit of the edge's token minus the log-normaliser of its node, a few nodes at a time."""
    log_p = torch.empty(hidden.shape[0], len(trie.edge_nodes))
    for start in range(0, hidden.shape[1], NODES_AT_ONCE):
        logits = model.lm_head(hidden[:, start : start + NODES_AT_ONCE]).float()
        here = (trie.edge_nodes >= start) & (trie.edge_nodes < start + NODES_AT_ONCE)
        nodes, tokens = trie.edge_nodes[here] - start, trie.edge_tokens[here]
        log_p[:, here] = (logits[:, nodes, tokens] - torch.logsumexp(logits, -1)[:, nodes]).cpu()
    return log_p
