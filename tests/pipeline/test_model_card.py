"""The model card says what was measured, what the recipe says, and who taught the model."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.card import card
from pipeline.publish import for_others, note_command

CardOf = Callable[..., str]


@pytest.fixture
def card_of(artifact: Path, tmp_path: Path) -> CardOf:
    """The card of the artifact with other values in its files."""
    folder = shutil.copytree(artifact, tmp_path / "tiny")

    def told(recipe: dict[str, Any] | None = None, **files: dict[str, Any]) -> str:
        manifest = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
        manifest["recipe"] |= recipe or {}
        for name, value in ({"manifest": manifest} | files).items():
            (folder / f"{name}.json").write_text(json.dumps(value), encoding="utf-8")
        return card(folder)

    return told


def test_the_card_gives_each_figure_or_says_how_to_measure(card_of: CardOf) -> None:
    assert "pipeline.evaluate" in card_of()
    group = {"items": 10, "accuracy": 0.8, "macro_f1": 0.7, "ece": 0.04}
    told = card_of(metrics={"groups": {"flash": group}, "types": {"int8": {}}})
    assert "engine in int8" in told
    assert "| flash | 10 | 0.800 | 0.700 | 0.040 |" in told


def test_the_card_says_when_nothing_could_tell_whether_items_were_trained_on(card_of: CardOf) -> None:
    group = {"items": 10, "accuracy": 0.8, "macro_f1": 0.7, "ece": 0.04}
    metrics = {"groups": {"flash": group}, "types": {"fp32": {}}}
    unknown = "whether items above are among them is not known"
    assert unknown not in card_of(metrics=metrics)
    assert unknown not in card_of(metrics=metrics | {"leaks_checked": True})
    assert unknown in card_of(metrics=metrics | {"leaks_checked": False})


def test_the_card_counts_the_items_that_the_model_is_calibrated_by(card_of: CardOf, artifact: Path) -> None:
    manifest = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    told = card_of(manifest=manifest | {"calibrated_by": ["a", "b"]})
    assert "by 2 items that no figure above is of." in told


def test_the_card_says_as_what_weights_and_embeddings_are_stored(card_of: CardOf) -> None:
    assert "Weights in float16." in card_of()
    assert "Weights in float16, embeddings as float8." in card_of(recipe={"model": {"embeddings": "float8"}})


def test_the_card_names_the_labels_and_gives_the_thresholds(card_of: CardOf) -> None:
    abstain = {"precision": 0.9, "threshold": 0.42, "coverage": 0.875, "reached": 0.891, "items": 80}
    told = card_of(calibration={"schema": 1, "abstain": {"fp32": [abstain]}})
    assert "Labels: 货币政策 (Monetary policy), 宏观经济 (Macro economy), " in told
    assert (
        "`abstain_below` 0.42, chosen for 90%, 87.5% of 80 other calibration rows are answered, 89.1% of"
        in told
    )
    assert "Weights in float16." in told


def test_the_card_says_what_the_recipe_says_of_its_model(card_of: CardOf) -> None:
    assert "files\ntexts under 14 labels" in card_of()
    words = {"files": "mails", "figures": "Of last week.", "limits": ["No attachments."], "licence": "CC0"}
    told = card_of({"card": words})
    assert "files\nmails under" in told
    assert "; licence: CC0." in told
    assert "Of last week.\nNo row was kept back" in told
    assert "## Limits\n- No attachments.\n- It reads" in told


def test_the_card_names_every_teacher(card_of: CardOf) -> None:
    assert "encoder" not in card_of()
    told = card_of({"teacher": {"epochs": 0.0, "ngrams": 0.3}})
    assert "multilingual-e5-small" in told
    assert "taught it" not in told
    told = card_of({"teacher": {"epochs": 1.0, "ngrams": 0.3}})
    assert "taught it" in told
    assert "n-grams" in told


def test_a_command_names_files_as_others_find_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path.parent / f"{tmp_path.name}-data"
    assert for_others(data / "finnl" / "dev.jsonl", data) == "DIR/finnl/dev.jsonl"
    assert for_others(tmp_path / "tests" / "items.jsonl", data) == "tests/items.jsonl"
    assert for_others(tmp_path.parent / "items.jsonl", data) == "items.jsonl"


def test_the_manifest_has_each_step_as_it_was_run_last_and_none_that_was_not(
    artifact: Path, tmp_path: Path
) -> None:
    folder = shutil.copytree(artifact, tmp_path / "tiny")
    steps = [
        ("evaluate", ["--types", "fp32"]),
        ("calibrate", ["--bias"]),
        ("calibrate", ["--types", "fp32", "--precision", "0.9"]),
    ]
    for step, options in steps:
        note_command(folder, step, "desk/tiny.toml", *options)
    commands = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))["commands"]
    assert commands == [
        "python -m pipeline.prepare --recipe tiny.toml --data DIR",
        "python -m pipeline.train --recipe tiny.toml --data DIR",
        "python -m pipeline.calibrate --recipe desk/tiny.toml --data DIR --types fp32 --precision 0.9",
        "python -m pipeline.evaluate --recipe desk/tiny.toml --data DIR --types fp32",
    ]
    (folder / "manifest.json").write_text('{"name": "adopted"}', encoding="utf-8")
    note_command(folder, "calibrate", "desk/tiny.toml", "--bias")
    assert (folder / "manifest.json").read_text(encoding="utf-8") == '{"name": "adopted"}'


def test_the_card_of_a_model_without_calibration_rows_does_not_call_it_calibrated(
    card_of: CardOf, artifact: Path
) -> None:
    assert "No row was kept back to calibrate" in card_of()
    manifest = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    manifest["data"]["splits"]["calibration"]["rows"] = 130
    assert "calibrated (`calibration.json`) by 130 rows" in card_of(manifest=manifest)


def test_the_card_of_an_own_model_names_nothing_of_the_project_s(card_of: CardOf) -> None:
    assert "docs/log.md" not in card_of(metrics={"groups": {}, "types": {"fp32": {}}})
    assert "where the data sets come from" not in card_of()
    assert "From the archive.\nNone of the texts" in card_of({"card": {"data": "From the archive."}})
