"""Rows to measure on, besides the held-out ones, and the refusal of those that were trained on."""

from collections.abc import Sequence
from pathlib import Path

from pipeline.findings import Findings
from pipeline.recipe import Recipe
from pipeline.rows import Row, key, read_rows
from pipeline.sources import rows_of
from pipeline.tables import read_table
from shared.errors import RecipeError
from shared.taxonomy import load_taxonomy

LONG = 180  # characters: several Chinese sentences


def read_items(path: Path) -> list[Row]:
    """Items with `text` and `label` written for evaluation, in a group for each script; long articles apart.

    Raises:
        RecipeError: the file is missing, or lacks a field.
    """
    return [
        Row(
            f"{path.name}:{number}",
            value["text"],
            value["label"],
            group_of(value["text"]),
            "held_out",
        )
        for number, value in read_table(path, ["text", "label"])
    ]


def items_like(path: Path, recipe: Recipe, name: str) -> list[Row]:
    """The rows of a file that is laid out as a source of the recipe, in a group of the file's name.

    A row without a whole answer is kept where it has published labels to be measured against.

    Raises:
        RecipeError: the recipe has no such source, or the file cannot be read as one.
    """
    found = [source for source in recipe.sources if source.name == name]
    if not found:
        names = ", ".join(source.name for source in recipe.sources)
        raise RecipeError(f"the recipe has no source {name!r}; it has {names}")
    like = {"file": path.name, "beside": "data", "group": path.stem, "held_out": 1.0, "keep_dropped": True}
    source = found[0].model_copy(update=like)
    rows = rows_of(source, recipe, path.parent, load_taxonomy(recipe.taxonomy), Findings())
    return [row for row in rows if row.label or row.published]


def refuse_leaks(rows: Sequence[Row], work: Path) -> None:
    """Raises RecipeError when a text of `rows` was trained or calibrated on."""
    known = {
        key(row.text) for split in ("train", "calibration", "unlabelled") for row in read_rows(work, split)
    }
    leaked = [row.id for row in rows if key(row.text) in known]
    if leaked:
        raise RecipeError(f"{len(leaked)} items of the evaluation were trained on: {', '.join(leaked[:10])}")


def group_of(text: str) -> str:
    return "long articles" if len(text) >= LONG and script(text) == "Chinese" else f"written {script(text)}"


def script(text: str) -> str:
    return "Chinese" if any("\u4e00" <= character <= "\u9fff" for character in text) else "English"
