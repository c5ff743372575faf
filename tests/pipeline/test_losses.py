"""The lesson's loss, against the same sum written out."""

from math import log

import pytest
import torch

from pipeline.batches import Example, collate
from pipeline.lesson import lesson_of
from pipeline.losses import label_loss

ANSWERS = [[5, 2], [6, 0, 2], [6, 7, 2], [8, 9, 3, 2]]  # 0 is a token like others
OPINION = [[0.4, 0.1, 0.3, 0.2], [0.1, 0.6, 0.2, 0.1], [1.0, 0.0, 0.0, 0.0]]
OWN = [0, 2, 3]
VOCABULARY = 11


def written_out(log_p: torch.Tensor) -> float:
    """Each token of each answer, weighed by the answers that begin alike."""
    total, target = 0.0, 0
    for row, own in enumerate(OWN):
        for step in range(len(ANSWERS[own])):
            alike = [i for i, one in enumerate(ANSWERS) if one[:step] == ANSWERS[own][:step]]
            mass = sum(OPINION[row][i] for i in alike)
            for i in alike:
                if mass:
                    total -= OPINION[row][i] / mass * float(log_p[target, ANSWERS[i][step]])
            target += 1
    return total / len(OWN)


def test_each_token_is_weighed_by_the_answers_that_begin_alike() -> None:
    examples = [Example([1, 4, *ANSWERS[own]], slice(1, 2), len(ANSWERS[own])) for own in OWN]
    batch = collate(examples)
    lesson = lesson_of(ANSWERS, OWN, torch.tensor(OPINION), torch.randn(3, 4))
    log_p = torch.randn(len(batch.row), VOCABULARY, generator=torch.Generator().manual_seed(1)).log_softmax(
        -1
    )
    assert float(label_loss(log_p, batch, lesson)) == pytest.approx(written_out(log_p), abs=1e-5)


def test_an_even_guess_costs_the_logarithm_of_the_vocabulary_a_token() -> None:
    batch = collate([Example([1, 4, *ANSWERS[0]], slice(1, 2), 2)] * 2)
    lesson = lesson_of(ANSWERS, [0, 0], torch.tensor(OPINION[:2]), torch.zeros(2, 4))
    even = torch.full((4, VOCABULARY), -log(VOCABULARY))
    assert float(label_loss(even, batch, lesson)) == pytest.approx(2 * log(VOCABULARY), abs=1e-5)
