"""What a model learns from a teacher: which labels it holds likely, and where it sees a text among others.

The second (after Romero et al. 2015, FitNets) says more of a text than 14 probabilities do.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn


@dataclass(frozen=True)
class Lesson:
    """The teacher's opinion of rows.

    Attributes:
        tokens: [labels, longest] of each label's whole answer; 0 behind it.
        alike: [labels, labels, longest] true at a step where two answers have been the same before it.
        own: [rows] number of the row's label.
        probabilities: [rows, labels]
        vectors: [rows, size]
    """

    tokens: torch.Tensor
    alike: torch.Tensor
    own: torch.Tensor
    probabilities: torch.Tensor
    vectors: torch.Tensor

    def of(self, rows: Sequence[int]) -> "Lesson":
        return Lesson(self.tokens, self.alike, self.own[rows], self.probabilities[rows], self.vectors[rows])


def lesson_of(
    answers: Sequence[Sequence[int]], own: Sequence[int], probabilities: torch.Tensor, vectors: torch.Tensor
) -> Lesson:
    """With vectors of mean 0 and variance 1 in every direction, kept in half the room."""
    vectors = vectors.float()
    spread = vectors.std(0).clamp_min(1e-6)
    tokens = torch.zeros(len(answers), max(map(len, answers)), dtype=torch.long)
    for row, answer in zip(tokens, answers, strict=True):
        row[: len(answer)] = torch.tensor(answer)
    same = (tokens[:, None] == tokens[None]).long().cumprod(-1).bool()
    alike = torch.cat([torch.ones_like(same[..., :1]), same[..., :-1]], dim=-1)
    vectors = ((vectors - vectors.mean(0)) / spread).half()
    return Lesson(tokens, alike, torch.tensor(own), probabilities, vectors)


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
