"""Figures, calibration, and the refusal to measure on what was trained on."""

import json
import random
import re
import shutil
from pathlib import Path

import pytest
import torch

from pipeline.answers import Outcome, classify, read_predictions
from pipeline.calibration import best_temperature
from pipeline.compare import differences
from pipeline.evaluate import main
from pipeline.figures import calibration_error, figures, set_figures
from pipeline.label_reader import all_answers
from pipeline.measures import evaluate
from pipeline.recipe import Recipe
from pipeline.rows import Row, read_rows
from shared.errors import RecipeError
from shared.settings import Settings
from shared.taxonomy import load_taxonomy
from tests.pipeline.conftest import WHERE, slot_recipe, write_jsonl
from worker.engine.standin import StandIn
from worker.engine.transformers_engine import TransformersEngine


def test_figures_of_a_case_worked_by_hand() -> None:
    measured = figures(["a", "a", "b"], ["a", "b", "b"], [0.9, 0.6, 0.8], ["a", "b", "c"])
    assert measured.accuracy == pytest.approx(2 / 3)
    assert measured.labels["a"].recall == 0.5
    assert measured.labels["b"].precision == 0.5
    assert measured.macro_f1 == pytest.approx(2 / 3)
    assert set(measured.labels) == {"a", "b"}
    assert measured.table().startswith("items 3, accuracy 0.667, ")
    assert measured.confusion == {("a", "a"): 1, ("a", "b"): 1, ("b", "b"): 1}
    assert measured.micro_f1 == pytest.approx(2 / 3)
    assert measured.brier is None


def test_an_item_without_an_answer_costs_recall_and_no_precision() -> None:
    assert figures(["a", "b"], ["a", ""], [0.9, 0.0], ["a", "b"]).micro_f1 == pytest.approx(2 / 3)


def test_the_brier_score_sums_over_the_labels() -> None:
    chances = [{"a": 0.7, "b": 0.3}, {"a": 1.0, "b": 0.0}]
    measured = figures(["a", "b"], ["a", "a"], [0.7, 1.0], ["a", "b"], chances=chances)
    assert measured.brier == pytest.approx((2 * 0.3**2 + 2) / 2)


def test_label_sets_are_measured_as_published() -> None:
    gold = [["中国", "公司"], ["外国", "公司", "行业"], ["国际", "公 司"]]
    measured = set_figures(gold, [("中国", "公司"), ("外国", "公司"), ("国际", "公司")])
    assert measured.micro_f1 == pytest.approx(2 * (2 + 2 + 1) / (7 + 6))
    assert measured.exact_match == pytest.approx(1 / 3)
    assert measured.all_covered == pytest.approx(1 / 3)


def test_confidence_that_equals_accuracy_has_no_calibration_error() -> None:
    assert calibration_error([True, True, True, False], [0.75] * 4) == 0
    assert calibration_error([False, False], [1.0, 1.0]) == 1


def test_the_temperature_undoes_a_known_one() -> None:
    """Labels drawn from softmax(scores); the scores given are three times too large."""
    generator = torch.Generator().manual_seed(1)
    scores = torch.randn(4000, 5, generator=generator) * 2
    gold = torch.multinomial(torch.softmax(scores, 1), 1, generator=generator).squeeze(1)
    temperature, _ = best_temperature(scores * 3, gold)
    assert temperature == pytest.approx(3.0, rel=0.1)


def test_every_group_is_measured_through_the_engine() -> None:
    rows = [Row("1", "央行降准", "货币政策", "一", "held_out"), Row("2", " ", "其他", "二", "held_out")]
    measured = evaluate(StandIn(0), rows)
    assert list(measured) == ["一", "二"]
    assert measured["二"].accuracy == 0  # nothing to classify counts as wrong


def test_an_item_whose_label_the_model_lacks_is_refused_whoever_measures() -> None:
    """Two artifacts compared and the benchmarks counted it as wrong: an accuracy of 0."""
    labels = {"1": "stocks", "2": "股市", "3": "bonds"}
    rows = [Row(identity, "沪指收涨", label, "一", "held_out") for identity, label in labels.items()]
    with pytest.raises(RecipeError, match=r"^row 1: 'stocks'; row 3: 'bonds' is not among the artifact's"):
        classify(StandIn(0), rows)


OTHERS = [
    ("降准落地，资金面宽松。", "货币政策"),
    ("股指收跌，成交清淡。", "股市"),
    ("Rain delayed the match.", "其他"),
]


@pytest.fixture
def asked(artifact: Path, recipe: Recipe, data: Path, tmp_path: Path) -> tuple[Path, list[str]]:
    """A copy of the artifact, and what the command is given to measure it on three items."""
    copy = shutil.copytree(artifact, tmp_path / "tiny")
    write_jsonl(tmp_path / "items.jsonl", [{"text": text, "label": label} for text, label in OTHERS])
    given = [
        "--recipe",
        str(recipe.folder / "tiny.toml"),
        "--data",
        str(data),
        "--work",
        str(tmp_path / "work"),
    ]
    return copy, [*given, "--items", str(tmp_path / "items.jsonl"), "--threads", "1"]


def test_every_data_type_stands_in_one_table_and_the_report_needs_no_other_host(
    asked: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact, given = asked
    main([*given, "--artifact", str(artifact), "--types", "fp32,bf16,int8"])
    printed = capsys.readouterr().out
    metrics = json.loads(printed.splitlines()[-1])
    assert metrics == json.loads((artifact / "metrics.json").read_text(encoding="utf-8"))
    assert list(metrics["types"]) == ["fp32", "bf16", "int8"]
    assert metrics["leaks_checked"] is True
    for groups in metrics["types"].values():
        assert set(groups) == {"written Chinese", "written English"}
    page = (artifact / "report.html").read_text(encoding="utf-8")
    assert page.count("<svg") == 4
    assert not re.search(r"(src|href)=|url\(|@import|<script", page)
    for text, _ in OTHERS:
        assert text not in page + printed


def test_an_artifact_is_compared_with_a_file_of_predictions(
    asked: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact, given = asked
    own = tmp_path / "own.jsonl"
    main([*given, "--artifact", str(artifact), "--predictions", str(own)])
    main([*given, "--compare", str(artifact), str(own)])
    same = json.loads(capsys.readouterr().out.splitlines()[-1])["all"]
    assert [(one["low"], one["high"]) for one in same] == [(0, 0), (0, 0)]
    assert (tmp_path / "work" / "compare.html").is_file()
    short = [{"id": "items.jsonl:1", "label": "股市"}]
    write_jsonl(tmp_path / "short.jsonl", short)
    with pytest.raises(RecipeError, match=r"no prediction for items\.jsonl:2; items\.jsonl:3"):
        main([*given, "--compare", str(artifact), str(tmp_path / "short.jsonl")])
    write_jsonl(tmp_path / "short.jsonl", short * 2)
    with pytest.raises(RecipeError, match="occurs twice"):
        main([*given, "--compare", str(artifact), str(tmp_path / "short.jsonl")])


def test_predictions_that_the_taxonomy_lacks_are_refused(recipe: Recipe, tmp_path: Path) -> None:
    rows = [Row(str(n), "", "股市", "", "held_out") for n in range(3)]
    answers = all_answers(load_taxonomy(recipe.taxonomy), recipe.prompt)
    labels = ["股市", "", "stocks"]
    write_jsonl(tmp_path / "p.jsonl", [{"id": n, "label": label} for n, label in enumerate(labels)])
    with pytest.raises(RecipeError, match=r"p\.jsonl, row 3: label 'stocks': not in the taxonomy"):
        read_predictions(tmp_path / "p.jsonl", rows, answers)
    write_jsonl(tmp_path / "p.jsonl", [{"id": n, "label": label} for n, label in enumerate(labels[:2])])
    assert [one.label for one in read_predictions(tmp_path / "p.jsonl", rows[:2], answers)] == labels[:2]


def test_the_answers_of_slots_are_all_their_combinations(tmp_path: Path) -> None:
    recipe = slot_recipe(tmp_path)
    answers = all_answers(load_taxonomy(recipe.taxonomy), recipe.prompt)
    assert len(answers) == 9
    assert "国际、政策" in answers


@pytest.mark.parametrize("lacking", ["gone", "gone.jsonl"])
def test_a_comparison_with_what_does_not_exist_says_so(
    lacking: str, recipe: Recipe, capsys: pytest.CaptureFixture[str]
) -> None:
    given = ["--recipe", str(recipe.folder / "tiny.toml"), "--data", "none", "--compare", lacking]
    with pytest.raises(SystemExit):
        main([*given, str(recipe.folder)])
    assert f"--compare: there is no {lacking}" in capsys.readouterr().err


def test_figures_of_a_model_of_other_rows_are_marked(
    asked: tuple[Path, list[str]], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact, given = asked
    made = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    made["data"]["splits"]["train"]["sha256"] = "of other rows"
    (artifact / "manifest.json").write_text(json.dumps(made), encoding="utf-8")
    main([*given, "--artifact", str(artifact), "--predictions", str(tmp_path / "own.jsonl")])
    assert json.loads(capsys.readouterr().out.splitlines()[-1])["leaks_checked"] is False
    assert "trained on: whether items" in (artifact / "README.md").read_text(encoding="utf-8")
    main([*given, "--compare", str(artifact), str(tmp_path / "own.jsonl")])
    assert capsys.readouterr().err.count(f"warning: {artifact} was trained on other rows") == 1


def test_figures_can_be_written_elsewhere_than_into_the_artifact(
    asked: tuple[Path, list[str]], tmp_path: Path
) -> None:
    artifact, given = asked
    before = {path.name: path.read_bytes() for path in artifact.iterdir()}
    other = tmp_path / "figures" / "today"
    main([*given, "--artifact", str(artifact), "--types", "fp32,fp32", "--output", str(other)])
    assert {path.name: path.read_bytes() for path in artifact.iterdir()} == before
    assert {path.name for path in other.iterdir()} == {"metrics.json", "report.html"}
    assert list(json.loads((other / "metrics.json").read_text(encoding="utf-8"))["types"]) == ["fp32"]


def test_an_interval_holds_the_true_difference_and_tells_a_real_one_from_none() -> None:
    """Answers that are right by a coin: 70 % against 80 %, and against as many on other rows."""
    rng = random.Random(3)
    other = {"a": "b", "b": "a"}
    rows = [Row(str(n), "", rng.choice("ab"), "", "") for n in range(1500)]

    def answers(share: float) -> list[Outcome]:
        return [Outcome(r, r.label if rng.random() < share else other[r.label], 1.0) for r in rows]

    def flipped(one: Outcome) -> Outcome:
        return Outcome(one.row, other[one.label], 1.0)

    first = answers(0.7)
    accuracy, macro = differences(first, answers(0.8))
    assert accuracy.low < 0.1 < accuracy.high
    assert accuracy.low > 0
    assert accuracy.second == pytest.approx(0.8, abs=0.03)
    assert macro.first == pytest.approx(accuracy.first, abs=0.01)
    turned = first[1:] + first[:1]  # as often right, but on other rows
    none, _ = differences(
        first, [o if o.right == t.right else flipped(o) for o, t in zip(first, turned, strict=True)]
    )
    assert none.low < 0 < none.high
    # The width is that of the difference of two independent shares.
    assert accuracy.high - accuracy.low == pytest.approx(3.92 * ((0.21 + 0.16) / 1500) ** 0.5, rel=0.15)


def test_a_model_with_slots_is_measured_by_slot_and_over_label_sets(
    slot_work: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    artifact = shutil.copytree(slot_work / "tiny", tmp_path / "two")
    texts = ["央行再次降准，释放资金。", "只有地区的一条。"]
    gold = [["中国", "政策"], ["中国"]]
    write_jsonl(
        tmp_path / "dev.jsonl", [{"text": t, "labels": g, "raw": g} for t, g in zip(texts, gold, strict=True)]
    )
    given = [
        "--recipe",
        str(slot_work / "two.toml"),
        "--data",
        str(slot_work),
        "--work",
        str(tmp_path / "work"),
    ]
    given += ["--items", str(tmp_path / "dev.jsonl"), "--like", "authored", "--threads", "1"]
    main([*given, "--artifact", str(artifact), "--predictions", str(tmp_path / "own.jsonl")])
    metrics = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert set(metrics["groups"]) == {"dev", "dev: region", "dev: topic"}
    assert metrics["groups"]["dev"]["items"] == 1  # the other has no whole answer
    assert metrics["label_sets"]["dev"]["items"] == 2
    assert metrics["label_sets"]["dev"]["exact_match"] <= 0.5
    main([*given, "--compare", str(artifact), str(tmp_path / "own.jsonl")])
    same = json.loads(capsys.readouterr().out.splitlines()[-1])["dev"]
    assert [one["figure"] for one in same] == ["accuracy", "macro-F1", "set micro-F1", "exact match"]
    assert all(one["first"] == one["second"] for one in same)


def test_a_model_with_slots_learns_its_rows(slot_work: Path) -> None:
    rows = read_rows(slot_work / "work", "train")
    settings = Settings(model=str(slot_work / "tiny"), quantization="fp32", torch_threads=1)
    outcomes = classify(TransformersEngine.load(settings), rows)
    assert sum(one.right for one in outcomes) >= len(rows) - 1
    assert {one.values for one in outcomes if one.right} <= {tuple(value) for value in WHERE.values()}
