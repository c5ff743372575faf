"""What a batch's answers, texts and lesson cost a model."""

from dataclasses import dataclass
from typing import Any

import torch
from torch.nn import functional

from pipeline.batches import IGNORED, Batch
from pipeline.lesson import Lesson
from pipeline.recipe import Training


@dataclass(frozen=True)
class Weights:
    """What the losses weigh: of item tokens, of answer tokens, of the teacher's probabilities and vectors."""

    text: float = 0.0
    label: float = 0.0
    soft: float = 0.0
    vectors: float = 0.0


def weighted_loss(
    model: Any, batch: Batch, weights: Weights, recipe: Training, lesson: Lesson | None = None
) -> torch.Tensor:
    """In nats, as they weigh: mean cross-entropy of the item's tokens, and of the answer's; of whole answers
    as the teacher has them; and the mean squared distance from its vectors.

    The output layer runs only on positions that have a target.

    Args:
        lesson: what the teacher thinks of the batch's rows.
    """
    with torch.autocast("cpu", torch.bfloat16):
        embedded = functional.dropout(model.get_input_embeddings()(batch.ids), recipe.dropout, model.training)
        hidden = model.model(inputs_embeds=embedded, use_cache=False).last_hidden_state
        parts = []
        if weights.text:
            said, log_p = _targets(model, hidden, batch.text)
            parts.append(weights.text * functional.nll_loss(log_p, said))
        if weights.label or weights.soft:
            said, log_p = _targets(model, hidden, batch.label)
            parts.append(weights.label * _cross_entropy(log_p, said, recipe.smoothing))
        if lesson and weights.soft:
            parts.append(weights.soft * label_loss(log_p, batch, lesson))
        if lesson and weights.vectors:
            states = hidden[torch.arange(len(batch.before)), batch.before]
            parts.append(weights.vectors * vector_loss(model, states, lesson))
    return torch.stack(parts).sum()


def label_loss(log_p: torch.Tensor, batch: Batch, lesson: Lesson) -> torch.Tensor:
    """Cross-entropy of whole answers, the mean over rows of the sum over an answer's tokens: of each token as
    the teacher weighs all answers that begin as the row's own does up to there.

    Args:
        log_p: [targets, vocabulary] of the answers' tokens, one row's after the other's.
    """
    weights = lesson.probabilities[batch.row] * lesson.alike[lesson.own[batch.row], :, batch.step]
    weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-9)
    likely = log_p.gather(-1, lesson.tokens[:, batch.step].T)
    return -(weights * likely).sum() / len(lesson.own)


def vector_loss(model: Any, states: torch.Tensor, lesson: Lesson) -> torch.Tensor:
    """Mean squared distance from the teacher's vectors.

    Args:
        states: [rows, hidden] before the answer.
    """
    return functional.mse_loss(model.to_teacher(states).float(), lesson.vectors.float())


def _targets(model: Any, hidden: torch.Tensor, target: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """The targets that are there [targets], and log P of any token there: [targets, vocabulary]."""
    chosen = target != IGNORED
    return target[chosen], model.lm_head(hidden[chosen]).float().log_softmax(-1)


def _cross_entropy(log_p: torch.Tensor, said: torch.Tensor, smoothing: float) -> torch.Tensor:
    """With a share of every target spread over all tokens (Szegedy et al. 2016)."""
    return (1 - smoothing) * functional.nll_loss(log_p, said) - smoothing * log_p.mean()
