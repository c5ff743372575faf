"""Labelled texts -> cleaned, de-duplicated rows split into train, calibration and held-out.

python -m pipeline.prepare --recipe pipeline/recipes/newsroom-mini.toml --data DIR
"""

import argparse
import json
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pipeline.findings import Findings
from pipeline.inventory import Inventory
from pipeline.label_reader import all_answers
from pipeline.near import near_pairs
from pipeline.recipe import Recipe, load_recipe
from pipeline.rows import SPLITS, Row, key, read_rows, write_rows
from pipeline.sources import files_of, folder_of, rows_of
from pipeline.tables import digest, read_table
from pipeline.tokenizer import train_tokenizer
from shared.errors import RecipeError, WiredeskError
from shared.taxonomy import load_taxonomy

KEPT_FIRST = ("held_out", "calibration", "train", "unlabelled")


def prepare(recipe: Recipe, data: Path, findings: Findings | None = None) -> list[Row]:
    """All rows of all sources; of texts that occur twice or nearly so, one: held out before trained on.

    Args:
        findings: takes down what was left out, and why.

    Raises:
        RecipeError: a file cannot be read, or labels are unknown; names file and rows.
    """
    findings = findings or Findings()
    taxonomy = load_taxonomy(recipe.taxonomy)
    sources = files_of(recipe, data)
    rows = [row for source in sources for row in rows_of(source, recipe, data, taxonomy, findings)]
    rows.sort(key=lambda row: KEPT_FIRST.index(row.split))
    return _without_near(_without_copies(rows, _excluded(recipe, data), findings), recipe, findings)


def ensure_prepared(recipe: Recipe, data: Path, work: Path) -> None:
    """Prepare, and say what came of it, unless `work` holds rows of the same sources, files and labels.

    Raises:
        RecipeError: as prepare.
    """
    made_from = work / "sources.json"
    wanted = recipe.model_dump(mode="json", include={"exclude", "near_duplicates"})
    wanted["taxonomy"] = load_taxonomy(recipe.taxonomy).model_dump(mode="json", exclude_defaults=True)
    wanted["sources"] = [source.model_dump(mode="json") for source in files_of(recipe, data)]
    wanted["files"] = [digest(path) for path in _files_read(recipe, data)]
    written = json.dumps(wanted, ensure_ascii=False)
    if not made_from.is_file() or made_from.read_text(encoding="utf-8") != written:
        findings = Findings()
        rows = prepare(recipe, data, findings)
        _forget_what_read(rows, work)
        write_rows(rows, work)
        _report(recipe, work, findings)
        made_from.write_text(written, encoding="utf-8")


def _forget_what_read(rows: Sequence[Row], work: Path) -> None:
    """Tokenizer and language model go when they were made of a text that is measured on from now on."""
    if not (work / "tokenizer").is_dir():
        return
    read = {key(row.text) for split in ("train", "unlabelled") for row in read_rows(work, split)}
    if any(key(row.text) in read for row in rows if row.split in ("calibration", "held_out")):
        shutil.rmtree(work / "tokenizer", ignore_errors=True)
        (work / "language.pt").unlink(missing_ok=True)


def _files_read(recipe: Recipe, data: Path) -> list[Path]:
    """Raises RecipeError when one is missing."""
    paths = [data / file for file in recipe.exclude]
    for source in files_of(recipe, data):
        base = folder_of(source, recipe, data)
        paths += [base / file for file in (source.file, source.labels_file) if file]
        paths += [recipe.folder / source.corrections] if source.corrections else []
    for path in paths:
        if not path.is_file():
            raise RecipeError(f"{path} is missing")
    return paths


def _report(recipe: Recipe, work: Path, findings: Findings) -> None:
    rows = {split: read_rows(work, split) for split in SPLITS}
    lengths = token_lengths(rows, recipe, work / "tokenizer")
    answers = all_answers(load_taxonomy(recipe.taxonomy), recipe.prompt)
    inventory = Inventory(rows, lengths, recipe.prompt.item_tokens, findings, answers)
    inventory.write(work, recipe.name)
    print(f"{inventory.text()}\n\nmore in {work / 'prepared.html'}")


def _excluded(recipe: Recipe, data: Path) -> set[str]:
    return {
        key(str(value["text"])) for file in recipe.exclude for _, value in read_table(data / file, ["text"])
    }


def _without_copies(rows: list[Row], excluded: set[str], findings: Findings) -> list[Row]:
    """Of rows with one key the first; none with an excluded one."""
    kept: dict[str, Row] = {}
    for row in rows:
        own = key(row.text)
        if own in excluded:
            findings.left_out["text of an excluded file"] += 1
        elif own in kept:
            findings.repeated(kept[own], row, 1.0)
        else:
            kept[own] = row
    return list(kept.values())


def _without_near(rows: list[Row], recipe: Recipe, findings: Findings) -> list[Row]:
    """A row goes when it is nearly an earlier one that stays."""
    dropped: set[int] = set()
    if recipe.near_duplicates:
        for earlier, later, likeness in near_pairs([key(row.text) for row in rows], recipe.near_duplicates):
            if earlier not in dropped and later not in dropped:
                findings.repeated(rows[earlier], rows[later], likeness)
                dropped.add(later)
    return [row for place, row in enumerate(rows) if place not in dropped]


def arguments(description: str) -> argparse.ArgumentParser:
    """The arguments that every step of the pipeline takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--recipe", type=Path, required=True, help="recipe, a TOML file")
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled texts")
    parser.add_argument("--work", type=Path, help="folder for what is made on the way (default runs/<name>)")
    return parser


def main(given: Sequence[str] | None = None) -> None:
    options = arguments("Clean, de-duplicate and split labelled texts.").parse_args(given)
    recipe = load_recipe(options.recipe)
    work = options.work or Path("runs") / recipe.name
    (work / "sources.json").unlink(missing_ok=True)  # prepare anew: the data may have changed
    ensure_prepared(recipe, options.data, work)


def token_lengths(rows: dict[str, list[Row]], recipe: Recipe, kept: Path) -> dict[str, list[int]]:
    """Split -> tokens of each text, by the tokenizer that training made, or would make."""
    from transformers import AutoTokenizer

    if (kept / "tokenizer.json").is_file():
        tokenizer: Any = AutoTokenizer.from_pretrained(kept)
    else:
        seen = (row.text for split in ("train", "unlabelled") for row in rows[split])
        tokenizer = train_tokenizer(seen, recipe.tokenizer)
    return {
        split: [
            len(ids) for ids in tokenizer([row.text for row in some], add_special_tokens=False)["input_ids"]
        ]
        if some
        else []
        for split, some in rows.items()
    }


if __name__ == "__main__":
    try:
        main()
    except (WiredeskError, OSError) as problem:
        sys.exit(f"prepare: {problem}")
