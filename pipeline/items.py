"""Rows to measure on: the held-out ones and more items; the refusal of those that were trained on."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.findings import Findings
from pipeline.label_reader import listed
from pipeline.recipe import Recipe, progress
from pipeline.rows import Row, key, mark, read_rows
from pipeline.sources import rows_of
from pipeline.tables import digest, read_table, row_id
from shared.errors import RecipeError
from shared.taxonomy import load_taxonomy

LONG = 180  # characters: several Chinese sentences
LEARNED = {  # splits that a training sees, and what for
    "train": "trained on",
    "calibration": "chosen and calibrated by",
    "unlabelled": "trained on, without labels",
}


def rows_to_measure(recipe: Recipe, work: Path, items: Sequence[Path], like: str | None = None) -> list[Row]:
    """The held-out rows and those of the files.

    Raises:
        RecipeError: there is none; a file cannot be read; an item was trained on, stands twice, or has
            another row's id.
    """
    more = [row for path in items for row in (items_like(path, recipe, like) if like else read_items(path))]
    rows = read_rows(work, "held_out") + more
    if not rows:
        raise RecipeError("there is no row to measure on: bring --items, or raise `held_out` in the recipe")
    if not like:  # what was published is measured as it is
        refuse_copies(more)
    refuse_shared_ids(rows, more)
    refuse_leaks(rows, work)
    return rows


def read_items(path: Path) -> list[Row]:
    """Items with `text` and `label` written for evaluation, in a group for each script; long articles apart.

    Raises:
        RecipeError: the file is missing, or an item lacks its text or label.
    """
    values = read_table(path, ["text", "label"])
    if faults := [f"row {number}: {fault}" for number, value in values if (fault := _fault(value))]:
        raise RecipeError(f"{path}, {listed(faults)}; an item needs a text and its label")
    return [
        Row(
            row_id(path.name, number, value),
            value["text"],
            value["label"],
            group_of(value["text"]),
            "held_out",
        )
        for number, value in values
    ]


def _fault(value: dict[str, Any]) -> str:
    """What keeps a row from being an item; "" when nothing does."""
    for field in ("text", "label"):
        if not isinstance(value[field], str):
            return f"{field} is no string ({type(value[field]).__name__})"
        if not value[field].strip():
            return f"{field} is empty"
    return ""


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


def refuse_copies(rows: Sequence[Row]) -> None:
    """Raises RecipeError when two items have one text, which would count twice; names both."""
    first: dict[str, Row] = {}
    copies = []
    for row in rows:
        known = first.setdefault(key(row.text) or row.text, row)
        if known is not row:
            labels = "" if known.label == row.label else f", labels {known.label!r} and {row.label!r}"
            copies.append(f"{known.id} and {row.id}{labels}")
    if copies:
        raise RecipeError(f"items have the same text: {listed(copies)}; leave one of them")


def refuse_shared_ids(rows: Sequence[Row], items: Sequence[Row]) -> None:
    """Raises RecipeError when an item has another row's id, the only name that predictions give it."""
    owners = Counter(row.id for row in rows)
    if shared := [identity for identity in dict.fromkeys(row.id for row in items) if owners[identity] > 1]:
        raise RecipeError(f"several rows have the id {listed(shared)}; give each item an `id` of its own")


def refuse_leaks(rows: Sequence[Row], work: Path) -> None:
    """Raises RecipeError when a text of `rows` was trained or calibrated on; names the rows that have it."""
    leaked = []
    for split, use in LEARNED.items():
        known = {key(row.text): row.id for row in read_rows(work, split)}
        leaked += [f"{row.id} ({use}: {known[own]})" for row in rows if (own := key(row.text)) in known]
    if leaked:
        raise RecipeError(
            f"the model knows items of the evaluation: {listed(leaked)}; leave them out of the items, or "
            "name their file under `exclude` in the recipe and train again"
        )


def refuse_calibrated(rows: Sequence[Row], artifact: Path) -> None:
    """Raises RecipeError when the artifact was calibrated by some of the rows (`calibrate --items`)."""
    manifest = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    fitted = set(manifest.get("calibrated_by", ()))
    if known := [row.id for row in rows if mark(row.text) in fitted]:
        raise RecipeError(
            f"{artifact} was calibrated by items of the evaluation: {listed(known)}; leave them out, or "
            "calibrate it again by others"
        )


def leaks_checked(artifact: Path, work: Path) -> bool | None:
    """Whether `work` holds the rows that the artifact was made of, so that `refuse_leaks` says something.

    None for an artifact that does not say what it was made of, like an adopted one.
    """
    manifest = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    splits = manifest.get("data", {}).get("splits", {})
    made_of = {split: splits[split]["sha256"] for split in LEARNED if split in splits}
    if not made_of:
        return None
    same = all(sha256 == digest(work / f"{split}.jsonl") for split, sha256 in made_of.items())
    if not same:
        progress(
            f"warning: {artifact} was trained on other rows than those in {work}: whether these items are "
            "among them is not known; use the recipe and data that it was made with"
        )
    return same


def group_of(text: str) -> str:
    return "long articles" if len(text) >= LONG and script(text) == "Chinese" else f"written {script(text)}"


def script(text: str) -> str:
    return "Chinese" if any("\u4e00" <= character <= "\u9fff" for character in text) else "English"
