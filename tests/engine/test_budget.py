"""What does not fit is refused before it is loaded; what fits is never exceeded."""

import logging
from pathlib import Path

import pytest
from bitsandbytes.nn import Linear8bitLt

from shared.errors import ArtifactError
from tests.engine.conftest import load
from worker.engine import budget
from worker.engine.artifact import open_artifact
from worker.engine.model import load_model
from worker.engine.plan import GIB, make_plan, read_config
from worker.engine.protocol import Classification


def leave(monkeypatch: pytest.MonkeyPatch, size: int) -> None:
    """The device has only so many bytes free."""
    monkeypatch.setattr(budget, "free_memory", lambda _: size)


def needed(folder: Path, tokens: int) -> int:
    """Bytes for the model and a step of so many tokens."""
    head = len(load(folder).prompt.head)
    plan = make_plan(
        read_config(folder),
        "fp32",
        gpu=False,
        embedding_on_host=False,
        prefix_tokens=head,
        batch_size=3,
        generation_tokens=3 * (1024 + 512),
    )
    return plan.standing + plan.step(tokens)


def test_a_model_that_the_free_memory_cannot_hold_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    leave(monkeypatch, GIB // 4)
    with pytest.raises(ArtifactError, match=r"0\.25 GiB are free; set WIREDESK_QUANTIZATION"):
        load(tiny)


def test_room_for_weights_but_not_for_an_item_is_refused(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    leave(monkeypatch, needed(tiny, 40))
    with pytest.raises(ArtifactError, match="set WIREDESK_MAX_ITEM_TOKENS to"):
        load(tiny)


def test_little_memory_makes_smaller_steps(tiny: Path, monkeypatch: pytest.MonkeyPatch):
    leave(monkeypatch, needed(tiny, 120))
    engine = load(tiny)
    rows: list[int] = []
    score = engine.question.scorer.score

    def counted(prompts: list[list[int]]):
        rows.append(sum(engine.question.scorer.cost(prompt) for prompt in prompts))
        return score(prompts)

    monkeypatch.setattr(engine.question.scorer, "score", counted)
    answers = engine.classify(["央行下调利率，股市上涨。"] * 9)
    assert all(isinstance(answer, Classification) for answer in answers)
    assert len(rows) > 1
    assert max(rows) <= 120


def test_the_plan_is_logged(tiny: Path, caplog: pytest.LogCaptureFixture):
    caplog.set_level(logging.INFO)
    load(tiny)
    assert "weights on the device" in caplog.text


def test_answers_of_another_outlier_threshold_are_not_reused(tiny: Path):
    described = [load(tiny, quantization="int8", int8_threshold=t).describe() for t in (6.0, 4.5)]
    assert [said.int8_threshold for said in described] == [6.0, 4.5]
    assert described[0].fingerprint != described[1].fingerprint
    assert load(tiny).describe().int8_threshold == 0


def test_the_outlier_threshold_also_reaches_weights_stored_in_8_bit(copy: Path):
    model = load_model(open_artifact(copy), "int8", int8_threshold=0.0)
    model.save_pretrained(copy)
    stored = load_model(open_artifact(copy), "int8", int8_threshold=4.5)
    assert {m.state.threshold for m in model.modules() if isinstance(m, Linear8bitLt)} == {0.0}
    assert {m.state.threshold for m in stored.modules() if isinstance(m, Linear8bitLt)} == {4.5}
