"""A row: one text with its label and its split; where rows are kept, and when two texts are the same."""

import hashlib
import json
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from pipeline.tables import read_jsonl
from shared.errors import RecipeError

SPLITS = ("train", "calibration", "held_out", "unlabelled")
LINK = re.compile(r"https?://\S+")
SPACE = re.compile(r"\s+")


@dataclass(frozen=True)
class Row:
    """One text with its label.

    Attributes:
        id: the row's own, or its file and number; the only thing about it that reports show.
        label: "" in the unlabelled split; for slots, the values as the answer joins them.
        group: the kind of text, in reports.
        repeat: how often it is seen in a pass.
        also: other answers that are right too, where the source gives several values for a slot.
        published: the labels as the source gives them, where it gives a set of them.
    """

    id: str
    text: str
    label: str
    group: str
    split: str
    repeat: int = 1
    also: tuple[str, ...] = ()
    published: tuple[str, ...] = ()

    @property
    def answered(self) -> "list[Row]":
        """A row for each answer that is right."""
        return [replace(self, label=label, also=()) for label in (self.label, *self.also)]


def write_rows(rows: Iterable[Row], folder: Path) -> None:
    """One JSON-lines file per split."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = list(rows)
    for split in SPLITS:
        lines = [json.dumps(asdict(row), ensure_ascii=False) for row in rows if row.split == split]
        (folder / f"{split}.jsonl").write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")


def read_rows(folder: Path, split: str) -> list[Row]:
    """The rows of a split.

    Raises:
        RecipeError: they have not been prepared.
    """
    path = folder / f"{split}.jsonl"
    if not path.is_file():
        raise RecipeError(f"{path} is missing: run python -m pipeline.prepare first")
    return [_row(**value) for _, value in read_jsonl(path)]


def _row(also: Iterable[str] = (), published: Iterable[str] = (), **value: str | int) -> Row:
    return Row(**value, also=tuple(also), published=tuple(published))  # type: ignore[arg-type]


def clean(text: str) -> str:
    """NFC, markup escapes out, white space single."""
    text = unicodedata.normalize("NFC", text).replace("&amp;", "&").replace("&lt;", "<").replace("&gt;", ">")
    return SPACE.sub(" ", text).strip()


def key(text: str) -> str:
    """What two copies of one text share: letters and digits, folded, without links."""
    folded = unicodedata.normalize("NFKC", LINK.sub(" ", clean(text))).casefold()
    return "".join(c for c in folded if c.isalnum())


def without_links(text: str) -> str:
    return SPACE.sub(" ", LINK.sub(" ", text)).strip()


def mark(text: str) -> str:
    """Tells a text again without holding it: 64 bits of a hash of its key."""
    return hashlib.sha256(key(text).encode()).hexdigest()[:16]
