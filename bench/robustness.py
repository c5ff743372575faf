"""How much accuracy is lost when the same items are written another way, by group.

python -m bench.robustness --data DIR [--items FILE …] [--artifact models/newsroom-mini]

Changed one way at a time, by a seed: traditional characters, full-width letters and digits, capitals, small
letters, the last 30 % cut off, and one character in thirty lost, doubled or exchanged with the next. The
last line is one JSON document.
"""

import json
import random
import sys
from collections.abc import Callable, Sequence
from dataclasses import replace

from opencc import OpenCC

from bench.held_out import arguments, engine_of, prepared
from pipeline.answers import classify
from pipeline.rows import Row
from shared.errors import WiredeskError
from worker.engine.protocol import Engine

KEPT = 0.7  # of a text that is cut
DAMAGED = 1 / 30  # of the characters
AT_MOST = 400  # items of a group, evenly taken, so that seven readings take minutes
FULL_WIDTH = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
Change = Callable[[str], str]


def main() -> None:
    options = arguments("robustness", str(__doc__).splitlines()[0]).parse_args()
    _, rows = prepared(options)
    engine = engine_of(options)
    result = {
        group: measure(engine, evenly([row for row in rows if row.group == group], AT_MOST))
        for group in dict.fromkeys(row.group for row in rows)
    }
    print(json.dumps({"bench": "robustness", "groups": result}, ensure_ascii=False))


def measure(engine: Engine, rows: Sequence[Row]) -> dict[str, float]:
    """Accuracy as written, and points lost by each change."""
    plain = accuracy(engine, rows)
    lost = {
        name: round(
            100 * (plain - accuracy(engine, [replace(row, text=change(row.text)) for row in rows])), 1
        )
        for name, change in changes().items()
    }
    print(
        f"{rows[0].group} ({len(rows)}): {plain:.3f}  " + "  ".join(f"{k} {-v:+.1f}" for k, v in lost.items())
    )
    return {"items": len(rows), "accuracy": round(plain, 4)} | lost


def accuracy(engine: Engine, rows: Sequence[Row]) -> float:
    return sum(outcome.label == outcome.row.label for outcome in classify(engine, rows)) / len(rows)


def changes() -> dict[str, Change]:
    return {
        "traditional": OpenCC("s2t").convert,
        "full width": lambda text: text.translate(FULL_WIDTH),
        "capitals": str.upper,
        "small letters": str.lower,
        "cut": lambda text: text[: max(1, round(KEPT * len(text)))],
        "damaged": damage,
    }


def damage(text: str) -> str:
    """Some characters lost, doubled, or exchanged with the next; the same for the same text."""
    rng = random.Random(text)
    characters = list(text)
    for place in range(len(characters) - 1):
        if rng.random() < DAMAGED:
            one, other = characters[place : place + 2]
            first, second = rng.choice([("", other), (one * 2, other), (other, one)])
            characters[place], characters[place + 1] = first, second
    return "".join(characters)


def evenly(rows: Sequence[Row], most: int) -> list[Row]:
    step = max(1.0, len(rows) / most)
    return [rows[int(i * step)] for i in range(min(len(rows), most))]


if __name__ == "__main__":
    try:
        main()
    except WiredeskError as problem:
        sys.exit(f"robustness: {problem}")
