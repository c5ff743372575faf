"""Calibration: what is fitted, on which rows, what is reported, and that serving applies it."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from pipeline.calibrate import TYPES, calibrate, main
from pipeline.calibration import halve, truth_of
from pipeline.figures import calibration_error
from pipeline.fitting import above, expected_error, fit, judge, probabilities, threshold
from pipeline.items import refuse_calibrated
from pipeline.refitting import abstention, told
from pipeline.rows import Row
from shared.errors import RecipeError
from shared.settings import Settings
from tests.engine.tiny import tiny_tokenizer
from tests.pipeline.conftest import NEWS, ROOT, write_jsonl
from worker.engine.artifact import open_artifact
from worker.engine.calibration import Scale
from worker.engine.labels import AnyLabels, LabelSet, MultiLabels, SlotLabels
from worker.engine.prompt import Prompt
from worker.engine.prompt_template import PromptTemplate
from worker.engine.transformers_engine import TransformersEngine

NAMES = {"央行": "货币政策", "市场": "股市", "生活": "其他"}
BIAS = {"甲": 0.3, "乙": -0.3, "丙": 0.0}


def labels_of_kind(kind: str) -> AnyLabels:
    answer = {"one": "：{label}", "slots": "：{a}、{b}", "multi": "：{label}？{verdict}"}[kind]
    prompt = Prompt(PromptTemplate(answer=answer), tiny_tokenizer())
    if kind == "slots":
        return SlotLabels({"a": ("甲", "乙"), "b": ("丙", "丁")}, prompt)
    return MultiLabels(list(BIAS), prompt) if kind == "multi" else LabelSet(dict.fromkeys(BIAS, ()), prompt)


@pytest.mark.parametrize("kind", ["one", "slots", "multi"])
def test_temperature_and_biases_that_are_known_are_found(kind: str) -> None:
    """Labels drawn from a scale; the fit of enough rows is that scale again."""
    labels = labels_of_kind(kind)
    generator = torch.Generator().manual_seed(1)
    logits = 4 * torch.randn(20_000, len(labels.names), generator=generator)
    bias = dict(zip(labels.parts, (0.3, -0.3, 0.0, 0.0), strict=False))
    chances = probabilities(logits, Scale(2.5, bias), labels)
    if kind == "multi":
        truth = torch.bernoulli(chances, generator=generator)
    else:
        drawn = torch.multinomial(chances, 1, generator=generator)
        truth = torch.zeros_like(chances).scatter_(1, drawn, 1.0)
    found = fit(logits, truth, labels, with_bias=True)
    assert found.temperature == pytest.approx(2.5, rel=0.05)
    first, second, *_ = found.bias.values()
    assert first - second == pytest.approx(0.6, abs=0.1)
    assert fit(logits, truth, labels, with_bias=False).bias == {}
    worse, better = (judge(probabilities(logits, s, labels), truth, labels) for s in (Scale(), found))
    assert better.nll < worse.nll
    assert better.ece < 0.02 < worse.ece


def test_few_rows_move_a_bias_little() -> None:
    labels = labels_of_kind("one")
    truth = torch.eye(3)[:1].repeat(4, 1)
    assert all(abs(value) < 0.3 for value in fit(torch.zeros(4, 3), truth, labels, True).bias.values())


def test_the_threshold_of_a_case_worked_by_hand() -> None:
    confidence = torch.tensor([0.9, 0.8, 0.8, 0.7, 0.6])
    chances = torch.stack([confidence, 1 - confidence], 1)
    right = torch.tensor([1.0, 1, 0, 1, 0])
    truth = torch.stack([right, 1 - right], 1)
    assert threshold(chances, truth, 0.75) == pytest.approx(0.7)  # 3 of 4
    assert threshold(chances, truth, 0.8) == pytest.approx(0.9)  # both of .8 are answered, or none
    assert threshold(chances, 1 - truth, 0.99) is None
    assert above(chances, truth, 0.7) == (pytest.approx(0.8), pytest.approx(0.75))


def test_a_threshold_that_answers_nothing_of_the_other_half_is_none() -> None:
    """It was stored, as one whose answers are all right."""
    sure, unsure = (torch.tensor([[p, 1 - p]] * 4) for p in (0.9, 0.6))
    truth = torch.tensor([[1.0, 0.0]] * 4)
    assert abstention(0.9, (sure, truth), (unsure, truth)) is None
    found = abstention(0.9, (unsure, truth), (sure, truth))
    assert found and (found.coverage, found.reached) == (1.0, 1.0)


def test_both_calibration_errors_are_the_same_measure() -> None:
    generator = torch.Generator().manual_seed(2)
    confidence, right = torch.rand(500, generator=generator), torch.rand(500, generator=generator) > 0.4
    assert expected_error(confidence, right) == pytest.approx(
        calibration_error(right.tolist(), confidence.tolist()), abs=1e-5
    )


def rows(count: int) -> list[Row]:
    """Every third has the label of another."""
    texts = [NEWS[n % len(NEWS)] for n in range(count)]
    wrong = {"货币政策": "股市", "股市": "其他", "其他": "货币政策"}
    labels = [wrong[NAMES[label]] if n % 3 == 0 else NAMES[label] for n, (_, label) in enumerate(texts)]
    return [
        Row(f"r{n}", f"{text} 第{n}", label, "", "calibration")
        for n, ((text, _), label) in enumerate(zip(texts, labels, strict=True))
    ]


@pytest.fixture(scope="module")
def calibrated(artifact: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str, str]:
    """A copy of the artifact after the command, what it printed, and calibration.json of before."""
    folder = tmp_path_factory.mktemp("calibrated")
    copy = shutil.copytree(artifact, folder / "tiny")
    old = {"precision": 0.8, "threshold": 0.3, "coverage": 0.5, "reached": 0.8, "items": 50}
    before = {
        "schema": 1,
        "temperature": {"fp32": 9.0, "nf4": 1.5},
        "bias": {"fp32": {"股市": 2.0}, "nf4": {"股市": 0.25}},
        "abstain": {"fp32": [old]},
    }
    (copy / "calibration.json").write_text(json.dumps(before), encoding="utf-8")
    results = calibrate(copy, rows(160), ["fp32", "int8"], True, [0.5, 0.9999], threads=1)
    return copy, json.dumps({name: result.after.nll for name, result in results.items()}), str(folder)


def test_what_is_fitted_is_stored_and_other_types_keep_theirs(calibrated: tuple[Path, str, str]) -> None:
    stored = open_artifact(calibrated[0]).calibration
    assert set(stored.temperature) == {"fp32", "int8", "nf4"}
    assert stored.for_type("nf4") == Scale(1.5, {"股市": 0.25})
    assert 0.05 < stored.temperature["fp32"] != 9.0
    (one,) = [one for one in stored.abstain["fp32"] if one.precision == 0.5]
    assert one.items == len(halve(rows(160))[1])
    assert 0 < one.coverage <= 1


def test_serving_gives_the_probabilities_that_were_reported(calibrated: tuple[Path, str, str]) -> None:
    """The figures of the reporting half, from the answers of an engine that was loaded afterwards."""
    engine = TransformersEngine.load(Settings(model=str(calibrated[0]), quantization="fp32", torch_threads=1))
    reporting = halve(rows(160))[1]
    answers = engine.classify([row.text for row in reporting])
    said = [-torch.tensor(a.probabilities[r.label]).log() for a, r in zip(answers, reporting, strict=True)]
    assert float(torch.stack(said).mean()) == pytest.approx(json.loads(calibrated[1])["fp32"], abs=1e-3)


def test_what_the_artifact_was_worth_before_and_what_the_biases_bring_are_told_apart(
    artifact: Path, tmp_path: Path
) -> None:
    copy = shutil.copytree(artifact, tmp_path / "tiny")
    given = {"artifact": copy, "rows": rows(160), "types": ["fp32"], "threads": 1}
    first = calibrate(with_bias=True, precisions=[0.5], **given)["fp32"]
    alone = calibrate(with_bias=False, precisions=[], **given)["fp32"]
    assert first.lost == ()
    assert alone.before == first.after
    assert alone.after == first.temperature_alone
    assert alone.temperature_alone is None
    assert alone.lost == ("biases (--bias)", "the threshold of --precision 0.5")
    stored = json.loads((copy / "calibration.json").read_text(encoding="utf-8"))
    assert "bias" not in stored
    assert stored["abstain"] == {"fp32": []}
    said = told({"fp32": first}) + told({"fp32": alone})
    assert "with biases" in said
    assert "removed, as it was not asked for again: biases (--bias)" in said
    missed = [one.model_copy(update={"precision": 0.9, "reached": 0.85}) for one in first.abstain]
    assert "85.0% of them right (less than wished 90.0%)" in told(
        {"fp32": replace(first, abstain=tuple(missed))}
    )


def test_the_rows_that_are_fitted_are_not_those_reported_on() -> None:
    one, other = halve(rows(200))
    assert len(one) + len(other) == 200
    assert not {row.text for row in one} & {row.text for row in other}
    assert halve(list(reversed(rows(200))))[0] == list(reversed(one))
    with pytest.raises(RecipeError, match="too few; each half needs 50, so bring some 125"):
        halve(rows(60))


def test_a_row_with_a_label_of_another_taxonomy_is_refused() -> None:
    with pytest.raises(RecipeError, match="row r1: '打新' is not among the artifact's labels: 甲; 乙; 丙"):
        truth_of(labels_of_kind("one"), [Row("r1", "x", "打新", "", "")])


def test_the_command_prints_what_abstain_below_to_ask_for(
    artifact: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], recipe: object, data: Path
) -> None:
    copy = shutil.copytree(artifact, tmp_path / "tiny")
    write_jsonl(tmp_path / "items.jsonl", [{"text": row.text, "label": row.label} for row in rows(140)])
    given = ["--recipe", str(ROOT / "pipeline" / "recipes" / "newsroom-mini.toml"), "--data", str(data)]
    given += ["--artifact", str(copy), "--items", str(tmp_path / "items.jsonl"), "--precision", "0.5"]
    main([*given, "--threads", "1"])
    printed = capsys.readouterr().out
    assert "abstain_below 0." in printed
    assert json.loads(printed.splitlines()[-1])["fp32"]["abstain"][0]["precision"] == 0.5
    commands = json.loads((copy / "manifest.json").read_text(encoding="utf-8"))["commands"]
    assert commands[2].endswith("--data DIR --types fp32 --precision 0.5 --items items.jsonl")
    with pytest.raises(RecipeError, match="was calibrated by items of the evaluation: r1; leave them out"):
        refuse_calibrated([rows(2)[1]], copy)
    refuse_calibrated([replace(rows(1)[0], text="另一条")], copy)
    for wrong in (["--types", "fp8"], ["--precision", "95"]):
        with pytest.raises(SystemExit):
            main([*given, *wrong])
    assert set(TYPES) == {"fp32", "bf16", "int8", "nf4"}
