"""What a model learns from a teacher: which labels it holds likely, and where it sees a text among others.

The second (after Romero et al. 2015, FitNets) says more of a text than 14 probabilities do.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional


@dataclass(frozen=True)
class Lesson:
    """The teacher's opinion of rows.

    Attributes:
        starts: [labels] first token of each label's answer.
        probabilities: [rows, labels]
        vectors: [rows, size]
    """

    starts: torch.Tensor
    probabilities: torch.Tensor
    vectors: torch.Tensor

    def of(self, rows: Sequence[int]) -> "Lesson":
        return Lesson(self.starts, self.probabilities[rows], self.vectors[rows])


def lesson_of(starts: Sequence[int], probabilities: torch.Tensor, vectors: torch.Tensor) -> Lesson:
    """With vectors of mean 0 and variance 1 in every direction, kept in half the room."""
    vectors = vectors.float()
    spread = vectors.std(0).clamp_min(1e-6)
    return Lesson(torch.tensor(starts), probabilities, ((vectors - vectors.mean(0)) / spread).half())


@contextmanager
def lesson_layer(model: Any, lesson: Lesson | None) -> Iterator[None]:
    """While it learns, the model has a layer that guesses the teacher's vectors from its states."""
    if lesson:
        model.to_teacher = nn.Linear(model.config.hidden_size, lesson.vectors.shape[1])
    try:
        yield
    finally:
        if lesson:
            del model.to_teacher


def label_loss(log_p: torch.Tensor, lesson: Lesson) -> torch.Tensor:
    """Cross-entropy of the answer's first token, over the labels as the teacher weighs them.

    Args:
        log_p: [rows, vocabulary] of that token.
    """
    return -(lesson.probabilities * log_p[:, lesson.starts]).sum(-1).mean()


def vector_loss(model: Any, states: torch.Tensor, lesson: Lesson) -> torch.Tensor:
    """Mean squared distance from the teacher's vectors."""
    return functional.mse_loss(model.to_teacher(states).float(), lesson.vectors.float())
