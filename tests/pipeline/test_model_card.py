"""The model card says what was measured, what the recipe says, and who taught the model."""

import json
from pathlib import Path

from pipeline.card import card


def test_the_card_gives_each_figure_or_says_how_to_measure(artifact: Path) -> None:
    manifest = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    group = {"items": 10, "accuracy": 0.8, "macro_f1": 0.7, "ece": 0.04}
    assert "pipeline.evaluate" in card(manifest)
    assert "| flash | 10 | 0.800 | 0.700 | 0.040 |" in card(manifest, {"groups": {"flash": group}})


def test_the_card_says_what_the_recipe_says_of_its_model(artifact: Path) -> None:
    manifest = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    assert "files\ntexts under 14 labels" in card(manifest)
    manifest["recipe"]["card"] = {"files": "mails", "figures": "Of last week.", "limits": ["No attachments."]}
    told = card(manifest)
    assert "files\nmails under" in told
    assert "Of last week.\nProbabilities are" in told
    assert "## Limits\n- No attachments.\n- It reads" in told


def test_the_card_names_every_teacher(artifact: Path) -> None:
    manifest = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    assert "encoder" not in card(manifest)
    manifest["recipe"]["teacher"] = {"epochs": 0.0, "ngrams": 0.3}
    assert "multilingual-e5-small" in card(manifest)
    assert "taught it" not in card(manifest)
    manifest["recipe"]["teacher"]["epochs"] = 1.0
    assert "taught it" in card(manifest)
    assert "n-grams" in card(manifest)
