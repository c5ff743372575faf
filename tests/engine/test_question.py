"""Labels that come with a request: right answers, kept for the next one, bounded, and bad ones refused."""

from pathlib import Path

import pytest
import torch

from shared.errors import BadLabels, EngineFailure
from tests.engine.conftest import load
from worker.engine import question as module
from worker.engine.labels import LabelSet
from worker.engine.prompt import Prompt
from worker.engine.protocol import Classification
from worker.engine.scoring import score_naive
from worker.engine.transformers_engine import TransformersEngine

TEXTS = ["央行下调利率", "Oil prices rose", "股市上涨。" * 5]
ASKED = ("利好", "利空", "Oil")


@pytest.fixture
def zero_shot(copy: Path) -> TransformersEngine:
    """An engine whose system text lists the labels."""
    path = copy / "prompt.toml"
    lines = path.read_text(encoding="utf-8").splitlines()
    lines[0] = 'system = "从中选择：{labels}。"'
    path.write_text("\n".join([*lines, "zero_shot = true", ""]), encoding="utf-8")
    return load(copy, label_cache_bytes=10**9)


def test_the_prompt_lists_the_labels(zero_shot: TransformersEngine):
    tokenizer = zero_shot.prompt.tokenizer
    assert "从中选择：货币政策、股市、股、其他。" in tokenizer.decode(zero_shot.prompt.head)
    other = Prompt(zero_shot.prompt.template, tokenizer, names=ASKED)
    assert "从中选择：利好、利空、Oil。" in tokenizer.decode(other.head)


def test_labels_of_a_request_are_scored_as_naive_scoring_does(zero_shot: TransformersEngine):
    prompt = Prompt(zero_shot.prompt.template, zero_shot.prompt.tokenizer, names=ASKED)
    prompts = [prompt.item(text).ids + prompt.tail for text in TEXTS]
    sequences = [prompt.label_sequence(name) for name in ASKED]
    scores = score_naive(zero_shot._model, prompt.head, prompts, sequences)
    expected = torch.softmax(scores / 2.0, dim=1)  # the artifact's temperature
    answers = zero_shot.classify(TEXTS, [ASKED] * 3)
    for answer, row in zip(answers, expected.tolist(), strict=True):
        assert tuple(answer.probabilities) == ASKED
        assert list(answer.probabilities.values()) == pytest.approx(row, abs=1e-4)


def test_texts_of_different_label_sets_share_a_step(zero_shot: TransformersEngine):
    labels = [None, ASKED, ("a", "b"), ASKED]
    texts = [*TEXTS, "央行"]
    together = zero_shot.classify(texts, labels)
    alone = [zero_shot.classify([text], [own])[0] for text, own in zip(texts, labels, strict=True)]
    for one, other in zip(together, alone, strict=True):
        assert one.label == other.label
        assert one.probabilities == pytest.approx(other.probabilities, abs=1e-4)


def test_a_label_set_is_made_once_and_the_least_recently_asked_goes_first(zero_shot, monkeypatch):
    made = []
    honest = LabelSet.__init__

    def noting(self, forms, prompt):
        made.append(tuple(forms))
        honest(self, forms, prompt)

    monkeypatch.setattr(LabelSet, "__init__", noting)
    first, second, third = ("a", "b"), ("b", "c"), ("c", "d")
    for labels in (first, second, first):
        zero_shot.classify(["央行"], [labels])
    assert made == [first, second]
    questions = zero_shot._questions
    questions._most = questions.size
    for labels in (third, first, second):
        zero_shot.classify(["央行"], [labels])
    assert made == [first, second, third, second]
    assert questions.size <= questions._most


def test_a_label_set_that_is_larger_than_the_bound_is_still_answered(copy: Path):
    engine = load(copy, label_cache_bytes=0)
    for labels in (ASKED, ("a", "b")):
        (answer,) = engine.classify(["央行"], [labels])
        assert isinstance(answer, Classification)
    assert len(engine._questions._kept) == 1


def test_labels_too_many_for_the_context_fail_alone(zero_shot):
    labels = tuple(f"a very long label number {n}" for n in range(300))
    bad, good = zero_shot.classify(["央行", "央行"], [labels, None])
    assert isinstance(bad, BadLabels)
    assert isinstance(good, Classification)


def test_no_memory_for_a_label_set_fails_its_texts_and_frees_the_others(zero_shot, monkeypatch):
    zero_shot.classify(["央行"], [ASKED])

    def full(*_: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr(module, "FrozenPrefix", full)
    (answer,) = zero_shot.classify(["央行"], [("a", "b")])
    assert isinstance(answer, EngineFailure)
    assert not zero_shot._questions._kept
