"""Labelled texts -> cleaned, de-duplicated rows split into train, calibration and held-out.

python -m pipeline.prepare --recipe pipeline/recipes/newsroom-mini.toml --data DIR
"""

import argparse
import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pipeline.recipe import Recipe, Source, load_recipe
from shared.errors import RecipeError
from shared.taxonomy import load_taxonomy

SPLITS = ("train", "calibration", "held_out")
LINK = re.compile(r"https?://\S+")
SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Row:
    """One text with its label; `group` names the kind of text in reports."""

    id: str
    text: str
    label: str
    group: str
    split: str


def prepare(recipe: Recipe, data: Path) -> list[Row]:
    """All rows of all sources. A text that occurs twice is kept once, the first time.

    Raises:
        RecipeError: a file is missing, or a label is unknown; names file and row number.
    """
    names = set(load_taxonomy(recipe.taxonomy).names)
    seen: set[str] = set()
    return [
        row
        for source in recipe.sources
        for row in _rows(source, data, names)
        if not (key(row.text) in seen or seen.add(key(row.text)))  # type: ignore[func-returns-value]
    ]


def write_rows(rows: Iterable[Row], folder: Path) -> None:
    """One JSON-lines file per split."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(rows)
    for split in SPLITS:
        lines = [json.dumps(asdict(row), ensure_ascii=False) for row in rows if row.split == split]
        (folder / f"{split}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_rows(folder: Path, split: str) -> list[Row]:
    path = folder / f"{split}.jsonl"
    if not path.is_file():
        raise RecipeError(f"{path} is missing: run python -m pipeline.prepare first")
    return [Row(**json.loads(line)) for line in path.read_text(encoding="utf-8").splitlines()]


def clean(text: str) -> str:
    """NFC, links and markup escapes out, white space single."""
    text = unicodedata.normalize("NFC", text).replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    return SPACE.sub(" ", LINK.sub(" ", text)).strip()


def key(text: str) -> str:
    """What two copies of one text share: letters and digits, folded."""
    return "".join(c for c in unicodedata.normalize("NFKC", text).casefold() if c.isalnum())


def _rows(source: Source, data: Path, names: set[str]) -> Iterator[Row]:
    labels = _joined_labels(source, data)
    for number, value in _read_jsonl(data / source.file):
        given = labels.get(value.get("id")) if labels is not None else value.get(source.label)
        if given in source.drop or (labels is not None and given is None):
            continue
        label = given if source.map is None else source.map.get(given)
        if label not in names:
            raise RecipeError(
                f"{source.file}, row {number}: label {given!r} is not in the taxonomy or the recipe's map"
            )
        text = clean(str(value.get(source.text) or ""))
        if text:
            yield Row(str(value.get("id", number)), text, label, source.group, _split(text, source))


def _joined_labels(source: Source, data: Path) -> dict[Any, str] | None:
    if source.labels_file is None:
        return None
    return {value["id"]: value[source.label] for _, value in _read_jsonl(data / source.labels_file)}


def _read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    if not path.is_file():
        raise RecipeError(f"{path.name} is missing in the data folder")
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1):
        try:
            yield number, json.loads(line)
        except json.JSONDecodeError as error:
            raise RecipeError(f"{path.name}, row {number}: not JSON ({error.msg})") from None


def _split(text: str, source: Source) -> str:
    """By a hash of the text, so that copies of one text never stand in two splits."""
    place = int.from_bytes(hashlib.sha256(key(text).encode()).digest()[:8]) / 2**64
    if place < source.held_out:
        return "held_out"
    return "calibration" if place < source.held_out + source.calibration else "train"


def counts(rows: Iterable[Row]) -> str:
    """A table: rows by label and split."""
    rows = list(rows)
    by = Counter((row.label, row.split) for row in rows)
    labels = sorted({row.label for row in rows}, key=lambda label: -sum(by[label, split] for split in SPLITS))
    lines = ["".join(f"{head:>12}" for head in (*SPLITS, "label"))]
    lines += ["".join(f"{by[label, split]:>12}" for split in SPLITS) + f"    {label}" for label in labels]
    return "\n".join(lines)


def arguments(description: str) -> argparse.ArgumentParser:
    """The arguments that every step of the pipeline takes."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--recipe", type=Path, required=True, help="recipe, a TOML file")
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled texts")
    parser.add_argument("--work", type=Path, help="folder for what is made on the way (default runs/<name>)")
    return parser


def main() -> None:
    options = arguments("Clean, de-duplicate and split labelled texts.").parse_args()
    recipe = load_recipe(options.recipe)
    rows = prepare(recipe, options.data)
    write_rows(rows, options.work or Path("runs") / recipe.name)
    print(counts(rows))


if __name__ == "__main__":
    main()
