"""Files of rows: JSON lines, CSV and Parquet, each read as numbered dictionaries."""

import csv
import hashlib
import io
import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from shared.errors import RecipeError

Numbered = tuple[int, dict[str, Any]]
NOTHING = (None, "")  # an empty cell

csv.field_size_limit(2**24)  # a long article is one field
OTHER_SEPARATOR = re.compile(r"[;\t|]")  # as spreadsheets write them where a comma is the decimal mark


def row_id(file: str, number: int, value: dict[str, Any]) -> str:
    """A row's own id, as text because a .csv has no numbers; without one its file and number."""
    own = value.get("id")
    return f"{file}:{number}" if own in NOTHING else str(own)


def digest(*paths: Path) -> str:
    """SHA-256 over the bytes of the files, one after the other."""
    hashed = hashlib.sha256()
    for path in paths:
        with path.open("rb") as file:
            while block := file.read(2**24):
                hashed.update(block)
    return hashed.hexdigest()


def read_table(path: Path, needs: Sequence[str] = ()) -> list[Numbered]:
    """Row numbers and values of a file, by its ending: .jsonl, .csv or .parquet.

    Rows are numbered from 1. In a CSV file the header is row 1, as in a spreadsheet.

    Args:
        needs: fields that the rows must have.

    Raises:
        RecipeError: the file is missing, empty, broken or not UTF-8, or lacks a field; names where.
    """
    readers = {".jsonl": read_jsonl, ".csv": _read_csv, ".parquet": _read_parquet}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise RecipeError(f"{path}: files end with {', '.join(readers)}, which says how to read them")
    rows = list(reader(path))
    if not rows:
        raise RecipeError(f"{path} is empty: it has no row")
    for field in needs:
        _check_field(path, rows, field)
    return rows


def read_jsonl(path: Path) -> Iterator[Numbered]:
    """Row numbers from 1, and values. Only line feeds end a row: texts may hold other line ends."""
    for number, line in enumerate(_text(path).split("\n"), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except json.JSONDecodeError as error:
            raise RecipeError(f"{path}, row {number}: not JSON ({error.msg})") from None
        if not isinstance(value, dict):
            raise RecipeError(f"{path}, row {number}: a row is a JSON object, not {type(value).__name__}")
        yield number, value


def _read_csv(path: Path) -> Iterator[Numbered]:
    reader = csv.reader(io.StringIO(_text(path), newline=""), strict=True)
    number = 0
    try:
        header = next(reader, [])
        if len(header) == 1 and OTHER_SEPARATOR.search(header[0]):
            raise RecipeError(
                f"{path}, row 1: a single column, {header[0]!r}; a comma must separate the columns"
            )
        if len(set(header)) < len(header):
            raise RecipeError(f"{path}, row 1: two columns have the same name")
        for number, values in enumerate(reader, start=2):
            if len(values) != len(header) and values:
                raise RecipeError(
                    f"{path}, row {number}: {len(values)} fields, but the header names {len(header)}; "
                    "a comma or a quote in a text needs quotes around it"
                )
            if values:
                yield number, dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise RecipeError(f"{path}, row {number + 1}: broken CSV ({error})") from None


def _read_parquet(path: Path) -> Iterator[Numbered]:
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise RecipeError(
            f"{path}: Parquet takes pyarrow: .venv/bin/pip install -c constraints.txt pyarrow"
        ) from None
    if not path.is_file():
        raise RecipeError(f"{path} is missing")
    try:
        with parquet.ParquetFile(path) as file:
            number = 0
            for batch in file.iter_batches():
                for value in batch.to_pylist():
                    number += 1
                    yield number, value
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise RecipeError(f"{path} is no readable Parquet file: {reason}") from None


def _text(path: Path) -> str:
    if not path.is_file():
        raise RecipeError(f"{path} is missing")
    content = path.read_bytes()
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        row = content.count(b"\n", 0, error.start) + 1
        raise RecipeError(
            f"{path}, row {row}: not UTF-8 (byte {error.start}); save the file as UTF-8"
        ) from None


def _check_field(path: Path, rows: Sequence[Numbered], field: str) -> None:
    """A column that no row has is a wrong name in the recipe; one that a single row lacks is a hole."""
    lacking = [number for number, value in rows if field not in value]
    if len(lacking) == len(rows):
        there = ", ".join(map(str, rows[0][1]))
        raise RecipeError(f"{path}: there is no field {field!r}; row {rows[0][0]} has {there}")
    if lacking:
        more = f" ({len(lacking)} rows in all)" if len(lacking) > 1 else ""
        raise RecipeError(f"{path}, row {lacking[0]}: field {field!r} is missing{more}")
