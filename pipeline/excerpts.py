"""Random parts of texts: more rows for a teacher to label, each with less to go by than its whole text."""

import random
from collections.abc import Sequence
from dataclasses import replace

from pipeline.items import script
from pipeline.rows import Row

SHORTEST = 25  # characters of a text that is cut
SHARES = (0.25, 0.75)  # of a text's words, or characters where words are not set apart
FEWEST = 3  # words or characters
PART = ", part "  # in ids


def excerpts(rows: Sequence[Row], count: int, seed: int) -> list[Row]:
    """`count` unlabelled rows of each text of more than SHORTEST characters; the same for the same seed.

    A text of so few words that its part would be all of it gives none.
    """
    rng = random.Random(seed)  # noqa: S311 - sampling, not secrets
    parts = [
        (row, replace(row, id=f"{row.id}{PART}{number}", text=_part(row.text, rng), label="", also=()))
        for row in rows
        if len(row.text) > SHORTEST
        for number in range(1, count + 1)
    ]
    return [replace(part, repeat=1) for whole, part in parts if part.text != whole.text]


def whole_of(row: Row) -> str:
    """The id of the text that the row is a part of, or its own."""
    return row.id.partition(PART)[0]


def _part(text: str, rng: random.Random) -> str:
    between = "" if script(text) == "Chinese" else " "
    pieces = text.split(between) if between else list(text)
    length = max(FEWEST, int(len(pieces) * rng.uniform(*SHARES)))
    start = rng.randint(0, max(0, len(pieces) - length))
    return between.join(pieces[start : start + length])
