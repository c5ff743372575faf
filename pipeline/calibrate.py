"""Fits an artifact's probabilities to rows that it never saw, and says on other rows what that is worth.

python -m pipeline.calibrate --recipe pipeline/recipes/newsroom-mini.toml --data DIR [--types fp32,int8]
    [--bias] [--precision 0.95]

Half of the calibration rows (by a hash of their text) fit the temperature, and a bias for each label if
wished, of each data type; the other half is reported on. The result is stored in calibration.json.
The last line of the output is one JSON document.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from pipeline.calibration import halve
from pipeline.items import read_items
from pipeline.prepare import arguments, ensure_prepared
from pipeline.publish import for_others, note_command, write_json
from pipeline.recipe import Recipe, load_recipe, progress
from pipeline.refitting import Result, refit, told
from pipeline.rows import Row, mark, read_rows
from shared.errors import WiredeskError
from shared.settings import Settings
from worker.engine.artifact import open_artifact
from worker.engine.calibration import Calibration
from worker.engine.transformers_engine import TransformersEngine

TYPES = ("fp32", "bf16", "int8", "nf4")


def calibrate(
    artifact: Path,
    rows: Sequence[Row],
    types: Sequence[str],
    with_bias: bool,
    precisions: Sequence[float],
    threads: int = 0,
) -> dict[str, Result]:
    """Fit on one half of the rows, report on the other, and store the scales in the artifact.

    Raises:
        ArtifactError: the artifact cannot be served.
        RecipeError: there are too few rows, or their labels are not the artifact's.
    """
    halves = halve(rows)
    results = {}
    known = open_artifact(artifact).calibration
    for data_type in types:
        settings = Settings(model=str(artifact), quantization=data_type, torch_threads=threads)
        question = TransformersEngine.load(settings).question
        results[data_type] = refit(question, halves, known, data_type, with_bias, precisions)
    store(artifact, known, results)
    return results


def store(artifact: Path, calibration: Calibration, results: dict[str, Result]) -> None:
    """Into calibration.json; data types that were not fitted keep what they have."""
    known = calibration.model_dump(by_alias=True, mode="json")
    for data_type, result in results.items():
        known["temperature"][data_type] = result.scale.temperature
        known["bias"].pop(data_type, None)
        if result.scale.bias:
            known["bias"][data_type] = dict(result.scale.bias)
        known["abstain"][data_type] = kept(result)
    value = {name: some for name, some in known.items() if some}
    Calibration.model_validate(value)
    unfinished = artifact / "calibration.json.unfinished"
    unfinished.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
    unfinished.replace(artifact / "calibration.json")


def note_items(artifact: Path, items: Sequence[Row]) -> None:
    """Into the manifest: which items the artifact is calibrated by, so that nobody measures it on them."""
    path = artifact / "manifest.json"
    made = json.loads(path.read_text(encoding="utf-8"))
    made.pop("calibrated_by", None)
    write_json(path, made | ({"calibrated_by": [mark(row.text) for row in items]} if items else {}))


def kept(result: Result) -> list[dict[str, float]]:
    return [one.model_dump() for one in result.abstain]


def main(given: Sequence[str] | None = None) -> None:
    parser = arguments("Fit an artifact's probabilities to rows that it never saw.")
    parser.add_argument("--artifact", type=Path, help="artifact folder (default models/<name>)")
    parser.add_argument("--types", default="fp32", help=f"data types, of {','.join(TYPES)}")
    parser.add_argument("--bias", action="store_true", help="also fit a bias for each label")
    parser.add_argument(
        "--precision",
        type=float,
        action="append",
        default=[],
        help="wished share of right answers, like 0.95",
    )
    parser.add_argument("--items", type=Path, help="rows with text and label instead of the recipe's")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default all but one)")
    options = parser.parse_args(given)
    types = options.types.split(",")
    if unknown := set(types) - set(TYPES):
        parser.error(f"--types: {', '.join(sorted(unknown))} is none of {', '.join(TYPES)}")
    if not all(0 < share < 1 for share in options.precision):
        parser.error("--precision is a share between 0 and 1, like 0.95")
    recipe = load_recipe(options.recipe)
    artifact = options.artifact or Path("models") / recipe.name
    rows = _rows(options, recipe) if options.items is None else read_items(options.items)
    results = calibrate(artifact, rows, types, options.bias, options.precision, options.threads)
    note_command(artifact, "calibrate", for_others(options.recipe, options.data), *_scales_need(options))
    note_items(artifact, rows if options.items else [])
    print(told(results))
    progress(f"wrote {artifact / 'calibration.json'}; its metrics are of before: python -m pipeline.evaluate")
    found = {name: asdict(result) | {"abstain": kept(result)} for name, result in results.items()}
    print(json.dumps(found, ensure_ascii=False))


def _scales_need(options: argparse.Namespace) -> list[str]:
    """The options that change what is fitted."""
    bias = ["--bias"] if options.bias else []
    items = ["--items", for_others(options.items, options.data)] if options.items else []
    wished = [word for share in options.precision for word in ("--precision", str(share))]
    return ["--types", options.types, *bias, *wished, *items]


def _rows(options: argparse.Namespace, recipe: Recipe) -> list[Row]:
    work = options.work or Path("runs") / recipe.name
    ensure_prepared(recipe, options.data, work)
    return read_rows(work, "calibration")


if __name__ == "__main__":
    try:
        main()
    except (WiredeskError, OSError) as problem:
        sys.exit(f"calibrate: {problem}")
