"""Runs an artifact through the serving engine over held-out items; prints and stores what it is worth.

python -m pipeline.evaluate --recipe pipeline/recipes/newsroom-mini.toml --data DIR [--items FILE]

The last line of the output is one JSON document.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.card import card
from pipeline.figures import Figures, figures
from pipeline.prepare import arguments, ensure_prepared
from pipeline.publish import write_json
from pipeline.recipe import load_recipe
from pipeline.rows import Row, key, read_rows
from pipeline.tables import read_jsonl
from shared.errors import ItemError, RecipeError
from shared.settings import Settings
from worker.engine.protocol import Engine
from worker.engine.transformers_engine import TransformersEngine

TEXTS_AT_ONCE = 3  # as the worker does


@dataclass(frozen=True)
class Outcome:
    """What the engine answered for one row; without an answer, the label is empty and p is 0."""

    row: Row
    label: str
    probability: float


def main() -> None:
    parser = arguments("Measure an artifact on held-out items.")
    parser.add_argument("--artifact", type=Path, help="artifact folder (default models/<name>)")
    parser.add_argument(
        "--items", type=Path, action="append", default=[], help="more items: JSON lines, text and label"
    )
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default all but one)")
    options = parser.parse_args()
    recipe = load_recipe(options.recipe)
    work = options.work or Path("runs") / recipe.name
    ensure_prepared(recipe, options.data, work)
    artifact = options.artifact or Path("models") / recipe.name
    rows = read_rows(work, "held_out") + [row for path in options.items for row in read_items(path)]
    refuse_leaks(rows, work)
    settings = Settings(model=str(artifact), quantization="fp32", torch_threads=options.threads)
    result = evaluate(TransformersEngine.load(settings), rows)
    for group, measured in result.items():
        print(f"\n{group}\n{measured.table()}")
    metrics = {"schema": 1, "groups": {group: measured.summary() for group, measured in result.items()}}
    write_json(artifact / "metrics.json", metrics)
    manifest = json.loads((artifact / "manifest.json").read_text(encoding="utf-8"))
    (artifact / "README.md").write_text(card(manifest, metrics), encoding="utf-8")
    print(json.dumps(metrics, ensure_ascii=False))


def evaluate(engine: Engine, rows: Sequence[Row]) -> dict[str, Figures]:
    """Figures of each group of rows, and the engine's speed on it."""
    labels = engine.describe().labels
    result = {}
    for group in dict.fromkeys(row.group for row in rows):
        began = time.perf_counter()
        outcomes = classify(engine, [row for row in rows if row.group == group])
        rate = len(outcomes) / (time.perf_counter() - began)
        result[group] = figures(
            [o.row.label for o in outcomes],
            [o.label for o in outcomes],
            [o.probability for o in outcomes],
            labels,
            rate,
        )
    return result


def classify(engine: Engine, rows: Sequence[Row]) -> list[Outcome]:
    """An answer for each row, a few at once; an item that failed counts as answered wrongly."""
    outcomes = []
    for start in range(0, len(rows), TEXTS_AT_ONCE):
        some = rows[start : start + TEXTS_AT_ONCE]
        for row, answer in zip(some, engine.classify([row.text for row in some]), strict=True):
            if isinstance(answer, ItemError):
                outcomes.append(Outcome(row, "", 0.0))
            else:
                outcomes.append(Outcome(row, answer.label, answer.probability))
    return outcomes


def read_items(path: Path) -> list[Row]:
    """Items written for evaluation, in a group for each script.

    Raises:
        RecipeError: the file is missing.
    """
    return [
        Row(str(number), value["text"], value["label"], f"written {script(value['text'])}", "held_out")
        for number, value in read_jsonl(path)
    ]


def refuse_leaks(rows: Sequence[Row], work: Path) -> None:
    """Raises RecipeError when a text of `rows` was trained or calibrated on."""
    known = {
        key(row.text) for split in ("train", "calibration", "unlabelled") for row in read_rows(work, split)
    }
    leaked = [row.id for row in rows if key(row.text) in known]
    if leaked:
        raise RecipeError(f"{len(leaked)} items of the evaluation were trained on: {', '.join(leaked[:10])}")


def script(text: str) -> str:
    return "Chinese" if any("\u4e00" <= character <= "\u9fff" for character in text) else "English"


if __name__ == "__main__":
    main()
