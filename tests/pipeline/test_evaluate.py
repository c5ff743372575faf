"""Figures, calibration, and the refusal to measure on what was trained on."""

import json
from pathlib import Path

import pytest
import torch

from pipeline.calibration import best_temperature
from pipeline.card import card
from pipeline.evaluate import evaluate, read_items, refuse_leaks
from pipeline.figures import calibration_error, figures
from pipeline.rows import Row, read_rows
from shared.errors import RecipeError
from tests.pipeline.conftest import write_jsonl
from worker.engine.standin import StandIn


def test_figures_of_a_case_worked_by_hand() -> None:
    measured = figures(["a", "a", "b"], ["a", "b", "b"], [0.9, 0.6, 0.8], ["a", "b", "c"])
    assert measured.accuracy == pytest.approx(2 / 3)
    assert measured.labels["a"].recall == 0.5
    assert measured.labels["b"].precision == 0.5
    assert measured.macro_f1 == pytest.approx(2 / 3)
    assert set(measured.labels) == {"a", "b"}
    assert "accuracy 0.667" in measured.table()


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


def test_items_that_were_trained_on_are_refused(work: Path) -> None:
    trained = read_rows(work, "train")[0]
    with pytest.raises(RecipeError, match="1 items of the evaluation were trained on"):
        refuse_leaks([trained], work)


def test_items_are_grouped_by_their_script(tmp_path: Path) -> None:
    write_jsonl(
        tmp_path / "items.jsonl",
        [{"text": "央行降准", "label": "货币政策"}, {"text": "Oil up", "label": "能源"}],
    )
    assert [row.group for row in read_items(tmp_path / "items.jsonl")] == [
        "written Chinese",
        "written English",
    ]


def test_the_card_gives_each_figure_or_says_how_to_measure(artifact: Path) -> None:
    manifest = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    group = {"items": 10, "accuracy": 0.8, "macro_f1": 0.7, "ece": 0.04}
    assert "pipeline.evaluate" in card(manifest)
    assert "| flash | 10 | 0.800 | 0.700 | 0.040 |" in card(manifest, {"groups": {"flash": group}})
