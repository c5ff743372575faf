"""A source's file -> rows with labels of the taxonomy and a split."""

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from pipeline.agreement import nearest_label
from pipeline.findings import Findings
from pipeline.label_reader import LabelReader, Unknown, corrections, labels_by_id, listed
from pipeline.recipe import Recipe
from pipeline.rows import Row, clean, key, without_links
from pipeline.source import Source
from pipeline.tables import Numbered, read_table, row_id
from shared.errors import RecipeError
from shared.taxonomy import Taxonomy

LINKS_KEPT = 0.2  # of training rows: what is served may hold links, what is learned should not be links
FIRST_ROWS = 3  # of those with an unknown label, named in a refusal


def files_of(recipe: Recipe, data: Path) -> list[Source]:
    """The recipe's sources, one for each file."""
    return [one for source in recipe.sources for one in source.files(folder_of(source, recipe, data))]


def folder_of(source: Source, recipe: Recipe, data: Path) -> Path:
    return data if source.beside == "data" else recipe.folder


def rows_of(
    source: Source, recipe: Recipe, data: Path, taxonomy: Taxonomy, findings: Findings
) -> Iterator[Row]:
    """The rows of a source, in the file's order.

    Raises:
        RecipeError: the file cannot be read, or holds labels that nothing knows; names file and rows.
    """
    base = folder_of(source, recipe, data)
    joined = labels_by_id(base / source.labels_file, source.label) if source.labels_file else None
    values = read_table(base / source.file, _needs(source, taxonomy))
    reader = LabelReader(source, taxonomy, recipe)
    corrected = corrections(source, recipe, reader)
    unused = set(corrected)
    is_held_out = _splitter(source, values)
    unknown: dict[str, list[int]] = defaultdict(list)
    for place, (identity, (number, value)) in enumerate(zip(_ids(source, values), values, strict=True)):
        text = clean(str(value.get(source.text) or ""))
        unused.discard(identity)
        if joined is not None and identity not in joined:
            findings.left_out["no label in the file of labels"] += 1
            continue
        if not key(text):
            findings.left_out["no text"] += 1
            continue
        given = joined[identity] if joined is not None else reader.given(value)
        answers = corrected.get(identity) or reader.answers(given, text)
        if isinstance(answers, Unknown):
            unknown[answers.name].append(number)
            continue
        if not answers:
            findings.left_out[reader.why_none(given) + (", text kept" if source.keep_dropped else "")] += 1
        split = _split(text, source, is_held_out(place, text)) if answers else "unlabelled"
        if answers or source.keep_dropped:
            text = text if split == "held_out" or place_of(text, "link") < LINKS_KEPT else without_links(text)
            published = tuple(map(str, value[source.published])) if source.published else ()
            label, *also = answers or [""]
            yield Row(identity, text, label, source.group, split, source.repeat, tuple(also), published)
    if unused:
        findings.left_out[f"correction without a row in {source.file}"] += len(unused)
    if unknown:
        raise RecipeError(_refusal(source, unknown, taxonomy))


def place_of(text: str, purpose: str) -> float:
    """A number in [0, 1) that depends on nothing but the text and what it is for."""
    return int.from_bytes(hashlib.sha256(f"{purpose} {key(text)}".encode()).digest()[:8]) / 2**64


def _needs(source: Source, taxonomy: Taxonomy) -> list[str]:
    """Fields that every row must have."""
    labels = [] if source.labels_file else [*source.slots.values()] or [source.label]
    missing = set(taxonomy.slots) - set(source.slots) if source.slots else set()
    if missing or (set(source.slots) - set(taxonomy.slots)):
        raise RecipeError(
            f"source {source.name!r}: slots must name a field for each of {', '.join(taxonomy.slots)}"
        )
    more = [field for field in (source.published, source.held_out_field) if field]
    return [source.text, *labels, *more, *(["id"] if source.labels_file or source.corrections else [])]


def _ids(source: Source, values: Sequence[Numbered]) -> list[str]:
    """The id of each row: its own, or its file and number.

    Raises:
        RecipeError: two rows have one id, by which reports could not tell them apart.
    """
    rows: dict[str, int] = {}
    for number, value in values:
        identity = row_id(Path(source.file).name, number, value)
        first = rows.setdefault(identity, number)
        if first != number:
            raise RecipeError(
                f"{source.file}, rows {first} and {number}: both have id {identity}; "
                "reports name rows by it, so give each its own"
            )
    return list(rows)


def _splitter(source: Source, values: Sequence[Numbered]) -> Callable[[int, str], bool]:
    """Says of a row, by its place and text, whether it is held out."""
    field = source.held_out_field or ""
    first = round(len(values) * (1 - source.held_out))
    if source.held_out_by == "order":
        return lambda place, _: place >= first
    if source.held_out_by == "source":
        return lambda place, _: place_of(str(values[place][1][field]), "held out") < source.held_out
    if source.held_out_by == "time":
        times = [_time(source, number, value[field]) for number, value in values]
        if first == len(times):
            return lambda *_: False
        boundary = sorted(times)[first]  # rows of one moment stay together
        return lambda place, _: times[place] >= boundary
    return lambda _, text: place_of(text, "held out") < source.held_out


def _time(source: Source, number: int, value: Any) -> float:
    """Seconds, of a number or a date as in ISO 8601."""
    try:
        if isinstance(value, datetime):
            return value.timestamp()
        return float(value) if not isinstance(value, str) else datetime.fromisoformat(value).timestamp()
    except (ValueError, TypeError):
        raise RecipeError(
            f"{source.file}, row {number}: {source.held_out_field} {value!r} is no time; "
            "write seconds, or a date like 2026-01-31 or 2026-01-31T08:00:00"
        ) from None


def _split(text: str, source: Source, held_out: bool) -> str:
    if held_out:
        return "held_out"
    return "calibration" if place_of(text, "calibration") < source.calibration else "train"


def _refusal(source: Source, unknown: Mapping[str, Sequence[int]], taxonomy: Taxonomy) -> str:
    faults = []
    for label, rows in unknown.items():
        first = ", ".join(map(str, rows[:FIRST_ROWS])) + (", …" if len(rows) > FIRST_ROWS else "")
        where = f"rows {first} ({len(rows)} in all)" if len(rows) > 1 else f"row {first}"
        near = nearest_label(label, taxonomy)
        faults.append(f"{where}: label {label!r}" + (f" (is {near!r} meant?)" if near else ""))
    return f"{source.file}, {listed(faults)}: not in the taxonomy, and nothing in the recipe maps or drops it"
