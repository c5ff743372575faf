"""calibration.json in serving: temperature and biases are applied exactly, for every kind of answer."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from shared.errors import ArtifactError
from tests.engine.conftest import load
from tests.engine.test_labels import REGIONS, TEXTS, TOPICS, naive, with_answer
from worker.engine.transformers_engine import TransformersEngine

LABELS = ("货币政策", "股市", "股", "其他")


def calibrated(folder: Path, bias: dict[str, float], data_type: str = "fp32") -> None:
    value = {"schema": 1, "temperature": {"fp32": 1.7}, "bias": {data_type: bias}}
    (folder / "calibration.json").write_text(json.dumps(value), encoding="utf-8")


def served(engine: TransformersEngine) -> torch.Tensor:
    return torch.tensor([list(answer.probabilities.values()) for answer in engine.classify(TEXTS)])


def test_a_label_s_bias_is_added_to_the_log_of_its_summed_forms(copy: Path):
    calibrated(copy, {"股市": 0.8, "其他": -1.5})
    engine = load(copy)
    forms = naive(engine, ["货币政策", "股市", "股票市场", "股", "其他"])
    folded = torch.stack([forms[:, 0], forms[:, 1:3].logsumexp(1), forms[:, 3], forms[:, 4]], 1)
    expected = torch.softmax(folded / 1.7 + torch.tensor([0, 0.8, 0, -1.5]), 1)
    torch.testing.assert_close(served(engine), expected, atol=1e-4, rtol=0)


def test_the_biases_of_slots_values_add_up_in_every_combination(copy: Path):
    calibrated(copy, {"region=国际": 1.1, "topic=股": 0.4, "topic=其他": -0.7})
    taxonomy = f'name = "slots"\n[slots]\nregion = {list(REGIONS)}\ntopic = {list(TOPICS)}\n'
    engine = with_answer(copy, "这条新闻属于：{region}、{topic}。", taxonomy)
    scores = naive(engine, [f"{region}、{topic}" for region in REGIONS for topic in TOPICS])
    bias = torch.tensor([0, 1.1, 0])[:, None] + torch.tensor([0, 0, 0.4, -0.7])
    expected = torch.softmax(scores / 1.7 + bias.flatten(), 1)
    torch.testing.assert_close(served(engine), expected, atol=1e-4, rtol=0)


def test_where_each_label_has_a_verdict_the_bias_is_added_to_its_log_odds(copy: Path):
    calibrated(copy, {"股市": 2.0, "股": -2.0})
    engine = with_answer(copy, "这条新闻属于：{label}？{verdict}。", more='verdicts = ["是", "不是"]')
    yes, no = (naive(engine, [f"{label}？{verdict}" for label in LABELS]) for verdict in ("是", "不是"))
    expected = torch.sigmoid((yes - no) / 1.7 + torch.tensor([0, 2.0, -2.0, 0]))
    torch.testing.assert_close(served(engine), expected, atol=1e-4, rtol=0)


def test_labels_of_a_request_take_the_temperature_and_no_bias(copy: Path):
    plain = copy / "calibration.json"
    calibrated(copy, {"股市": 3.0})
    asked = [("股市", "其他")] * len(TEXTS)
    biased = load(copy).classify(TEXTS, asked)
    plain.write_text('{"schema": 1, "temperature": {"fp32": 1.7}}', encoding="utf-8")
    assert biased == load(copy).classify(TEXTS, asked)


def test_a_type_of_its_own_temperature_does_not_borrow_a_bias(copy: Path):
    calibrated(copy, {"股市": 3.0}, "int8")
    with_bias_of_another = served(load(copy))
    (copy / "calibration.json").write_text('{"schema": 1, "temperature": {"fp32": 1.7}}', encoding="utf-8")
    assert torch.equal(with_bias_of_another, served(load(copy)))


@pytest.mark.parametrize("change", [lambda folder: None, lambda folder: calibrated(folder, {"债券": 1.0})])
def test_a_bias_for_what_is_no_label_is_refused(copy: Path, change: Callable[[Path], None]):
    calibrated(copy, {"region=国际": 1.0})
    change(copy)
    with pytest.raises(ArtifactError, match=r"bias for .*, which the labels do not have"):
        load(copy)
