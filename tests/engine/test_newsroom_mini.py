"""The model that ships with Wiredesk, on items written for this test: types and batches agree."""

import json
from functools import cache
from pathlib import Path

import pytest

from tests.engine.conftest import load
from worker.engine.protocol import Classification

ROOT = Path(__file__).parents[2]
MINI = ROOT / "models" / "newsroom-mini"
BATCH = 3


@cache
def held_out() -> tuple[str, ...]:
    lines = (ROOT / "tests" / "data" / "heldout.jsonl").read_text(encoding="utf-8").splitlines()
    return tuple(json.loads(line)["text"] for line in lines)


@cache
def answers(quantization: str, batch: int = BATCH) -> tuple[Classification, ...]:
    engine, texts = load(MINI, quantization=quantization), held_out()
    found = [
        answer
        for start in range(0, len(texts), batch)
        for answer in engine.classify(texts[start : start + batch])
    ]
    assert all(isinstance(answer, Classification) for answer in found)
    return tuple(found)  # type: ignore[arg-type]


def agreement(one: tuple[Classification, ...], other: tuple[Classification, ...]) -> float:
    return sum(a.label == b.label for a, b in zip(one, other, strict=True)) / len(one)


def largest_difference(one: tuple[Classification, ...], other: tuple[Classification, ...]) -> float:
    return max(
        abs(a.probabilities[label] - b.probabilities[label])
        for a, b in zip(one, other, strict=True)
        for label in a.probabilities
    )


def test_8_bit_answers_like_full_precision():
    assert agreement(answers("fp32"), answers("int8")) >= 0.99


@pytest.mark.parametrize(("quantization", "difference"), [("fp32", 1e-4), ("int8", 0.02)])
def test_the_make_up_of_a_batch_does_not_matter(quantization: str, difference: float):
    batched, alone = answers(quantization), answers(quantization, batch=1)
    assert largest_difference(batched, alone) <= difference


def test_nearly_all_probability_is_on_labels():
    masses = sorted(answer.label_mass for answer in answers("fp32"))
    assert masses[len(masses) // 20] > 0.9
