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

SPLITS = ("train", "calibration", "held_out", "unlabelled")
LINKS_KEPT = 0.2  # of training rows: what is served may hold links, what is learned should not be links
LINK = re.compile(r"https?://\S+")
SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Row:
    """One text with its label ("" in the unlabelled split); `group` names the kind of text in reports."""

    id: str
    text: str
    label: str
    group: str
    split: str
    repeat: int = 1


def prepare(recipe: Recipe, data: Path) -> list[Row]:
    """All rows of all sources. A text that occurs twice is kept once: held out before trained on.

    Raises:
        RecipeError: a file is missing, or a label is unknown; names file and row number.
    """
    names = set(load_taxonomy(recipe.taxonomy).names)
    rows = [row for source in recipe.sources for row in _rows(source, recipe, data, names)]
    rows.sort(key=lambda row: _KEPT_FIRST.index(row.split))
    seen = {key(str(value.get("text"))) for file in recipe.exclude for _, value in read_jsonl(data / file)}
    return [
        row
        for row in rows
        if not (key(row.text) in seen or seen.add(key(row.text)))  # type: ignore[func-returns-value]
    ]


def ensure_prepared(recipe: Recipe, data: Path, work: Path) -> None:
    """Prepare unless `work` holds rows that were prepared with the same sources."""
    made_from = work / "sources.json"
    wanted = json.dumps(recipe.model_dump(mode="json", include={"sources", "exclude"}), ensure_ascii=False)
    if not made_from.is_file() or made_from.read_text(encoding="utf-8") != wanted:
        write_rows(prepare(recipe, data), work)
        made_from.write_text(wanted, encoding="utf-8")


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
    return [Row(**value) for _, value in read_jsonl(path)]


def clean(text: str) -> str:
    """NFC, markup escapes out, white space single."""
    text = unicodedata.normalize("NFC", text).replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    return SPACE.sub(" ", text).strip()


def key(text: str) -> str:
    """What two copies of one text share: letters and digits, folded, without links."""
    folded = unicodedata.normalize("NFKC", LINK.sub(" ", clean(text))).casefold()
    return "".join(c for c in folded if c.isalnum())


_KEPT_FIRST = ("held_out", "calibration", "train", "unlabelled")


def _rows(source: Source, recipe: Recipe, data: Path, names: set[str]) -> Iterator[Row]:
    base = data if source.beside == "data" else recipe.folder
    labels = _joined_labels(source, base)
    values = list(read_jsonl(base / source.file))
    last = round(len(values) * (1 - source.held_out))
    for number, value in values:
        given = labels.get(value.get("id")) if labels is not None else value.get(source.label)
        text = clean(str(value.get(source.text) or ""))
        if not key(text) or (labels is not None and given is None):
            continue
        label = _label(source, str(given), text)
        if label and label not in names:
            raise RecipeError(
                f"{source.file}, row {number}: label {given!r} is not in the taxonomy or the recipe's map"
            )
        split = _split(text, source, number > last) if label else "unlabelled"
        if label or source.keep_dropped:
            text = text if split == "held_out" or _place(text, "link") < LINKS_KEPT else _without_links(text)
            yield Row(str(value.get("id", number)), text, label, source.group, split, source.repeat)


def _label(source: Source, given: str, text: str) -> str:
    """The taxonomy's label; "" for a row that the recipe drops; `given` when nothing maps it."""
    for ruling in source.rulings:
        if ruling.applies(given, text):
            return ruling.label
    if given in source.drop:
        return ""
    return given if source.map is None else source.map.get(given, given)


def _joined_labels(source: Source, base: Path) -> dict[Any, str] | None:
    if source.labels_file is None:
        return None
    return {value["id"]: value[source.label] for _, value in read_jsonl(base / source.labels_file)}


def read_jsonl(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Row numbers from 1, and values. Only line feeds end a row: texts may hold other line ends."""
    if not path.is_file():
        raise RecipeError(f"{path.name} is missing in {path.parent}")
    for number, line in enumerate(path.read_text(encoding="utf-8").split("\n"), start=1):
        try:
            if line.strip():
                yield number, json.loads(line)
        except json.JSONDecodeError as error:
            raise RecipeError(f"{path.name}, row {number}: not JSON ({error.msg})") from None


def _split(text: str, source: Source, is_last: bool) -> str:
    """By order or by a hash of the text."""
    held_out = is_last if source.held_out_by == "order" else _place(text, "held out") < source.held_out
    if held_out:
        return "held_out"
    return "calibration" if _place(text, "calibration") < source.calibration else "train"


def _place(text: str, purpose: str) -> float:
    """A number in [0, 1) that depends on nothing but the text and what it is for."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {key(text)}".encode()).digest()[:8]) / 2**64


def _without_links(text: str) -> str:
    return SPACE.sub(" ", LINK.sub(" ", text)).strip()


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
    work = options.work or Path("runs") / recipe.name
    (work / "sources.json").unlink(missing_ok=True)  # prepare anew: the data may have changed
    ensure_prepared(recipe, options.data, work)
    print(counts(row for split in SPLITS for row in read_rows(work, split)))


if __name__ == "__main__":
    main()
