"""Runs an artifact through the serving engine over held-out items; prints and stores what it is worth.

python -m pipeline.evaluate --recipe pipeline/recipes/newsroom-mini.toml --data DIR [--items FILE …]
    [--types fp32,bf16,int8,nf4] [--compare A B]

The last line of the output is one JSON document.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pipeline.answers import Outcome, classify, read_predictions, timed, write_predictions
from pipeline.card import card
from pipeline.compare import HEAD, differences
from pipeline.figures import Figures, SetFigures
from pipeline.items import leaks_checked, refuse_calibrated, rows_to_measure
from pipeline.label_reader import all_answers
from pipeline.measures import as_metrics, figures_of, sets_of, told
from pipeline.prepare import arguments, ensure_prepared
from pipeline.publish import for_others, note_command, write_json
from pipeline.recipe import Recipe, load_recipe, progress
from pipeline.report import comparison, report
from pipeline.rows import Row
from shared.errors import WiredeskError
from shared.settings import Settings
from shared.taxonomy import load_taxonomy
from worker.engine.artifact import open_artifact
from worker.engine.transformers_engine import TransformersEngine

TYPES = ("fp32", "bf16", "int8", "nf4")


def main(given: Sequence[str] | None = None) -> None:
    options = _options(given)
    recipe = load_recipe(options.recipe)
    work = options.work or Path("runs") / recipe.name
    ensure_prepared(recipe, options.data, work)
    rows = rows_to_measure(recipe, work, options.items, options.like)
    if options.compare:
        result = compare(rows, recipe, work, options)
    else:
        result = measure(options.artifact or Path("models") / recipe.name, rows, work, options)
    print(json.dumps(result, ensure_ascii=False))


def measure(artifact: Path, rows: Sequence[Row], work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Every data type on every group; stores what they are worth."""
    measured: dict[str, dict[str, Figures]] = {}
    sets: dict[str, dict[str, SetFigures]] = {}
    shown: dict[str, list[Outcome]] = {}
    opened = open_artifact(artifact)
    refuse_calibrated(rows, artifact)
    checked = leaks_checked(artifact, work)
    for data_type in options.types:
        engine = load(artifact, data_type, options.threads)
        measured[data_type], sets[data_type] = {}, {}
        for group in dict.fromkeys(row.group for row in rows):
            outcomes, rate = timed(engine, [row for row in rows if row.group == group])
            measured[data_type] |= figures_of(group, outcomes, engine.describe().labels, rate)
            sets[data_type] |= sets_of(group, outcomes)
            if data_type == options.types[0]:
                shown[group] = outcomes
    print(told(measured, sets))
    metrics = as_metrics(measured, sets) | ({} if checked is None else {"leaks_checked": checked})
    store(artifact, metrics, report(opened.name, opened.revision, measured, sets, shown), options)
    if options.predictions:
        write_predictions(options.predictions, [one for outcomes in shown.values() for one in outcomes])
    return metrics


def store(artifact: Path, metrics: dict[str, Any], page: str, options: argparse.Namespace) -> None:
    """metrics.json and report.html; in the artifact's own folder the model card too."""
    folder = options.output or artifact
    folder.mkdir(parents=True, exist_ok=True)
    write_json(folder / "metrics.json", metrics)
    (folder / "report.html").write_text(page, encoding="utf-8")
    if folder == artifact:
        manifest = note_command(
            artifact, "evaluate", for_others(options.recipe, options.data), *_figures_need(options)
        )
        if "recipe" in manifest:  # an adopted model has a card of its own, if any
            (artifact / "README.md").write_text(card(artifact), encoding="utf-8")
    progress(f"wrote {folder / 'report.html'}")


def _figures_need(options: argparse.Namespace) -> list[str]:
    """The options that change the figures."""
    items = ["--items", *(for_others(path, options.data) for path in options.items)] if options.items else []
    like = ["--like", options.like] if options.like else []
    return ["--types", ",".join(options.types), *items, *like]


def compare(rows: Sequence[Row], recipe: Recipe, work: Path, options: argparse.Namespace) -> dict[str, Any]:
    """Two artifacts, or an artifact and a file of predictions, on the same rows; writes compare.html."""
    first, second = options.compare
    one, other = (answers_of(path, rows, recipe, work, options) for path in (first, second))
    groups: dict[str, list[int]] = {}
    for place, row in enumerate(rows):
        groups.setdefault(row.group, []).append(place)
    if len(groups) > 1:
        groups["all"] = list(range(len(rows)))
    found = {
        group: differences([one[n] for n in places], [other[n] for n in places])
        for group, places in groups.items()
    }
    for group, some in found.items():
        print("\n".join([f"\n{group}", HEAD, *(difference.told for difference in some)]))
    page = comparison(first.name, second.name, found)
    (work / "compare.html").write_text(page, encoding="utf-8")
    progress(f"wrote {work / 'compare.html'}")
    return {group: [asdict(difference) for difference in some] for group, some in found.items()}


def answers_of(
    source: Path, rows: Sequence[Row], recipe: Recipe, work: Path, options: argparse.Namespace
) -> list[Outcome]:
    """By an artifact's folder, or out of a file of predictions."""
    if not source.is_dir():
        return read_predictions(source, rows, all_answers(load_taxonomy(recipe.taxonomy), recipe.prompt))
    engine = load(source, options.types[0], options.threads)
    leaks_checked(source, work)
    refuse_calibrated(rows, source)
    return classify(engine, rows)


def load(artifact: Path, data_type: str, threads: int) -> TransformersEngine:
    open_artifact(artifact)
    settings = Settings(model=str(artifact), quantization=data_type, torch_threads=threads)
    return TransformersEngine.load(settings)


def _options(given: Sequence[str] | None) -> argparse.Namespace:
    parser = arguments("Measure an artifact on held-out items.")
    parser.add_argument("--artifact", type=Path, help="artifact folder (default models/<name>)")
    parser.add_argument(
        "--items",
        type=Path,
        nargs="+",
        action="extend",
        default=[],
        help="more items: text and label in each row",
    )
    parser.add_argument("--like", metavar="SOURCE", help="--items are laid out as this source of the recipe")
    parser.add_argument("--types", default="fp32", help=f"data types, of {','.join(TYPES)}")
    parser.add_argument(
        "--compare", type=Path, nargs=2, metavar=("A", "B"), help="artifact folders or files of predictions"
    )
    parser.add_argument(
        "--output", type=Path, help="folder for metrics.json and report.html, instead of the artifact"
    )
    parser.add_argument("--predictions", type=Path, help="write the answers to this file: JSON lines with id")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (default all but one)")
    options = parser.parse_args(given)
    options.types = list(dict.fromkeys(options.types.split(",")))
    if unknown := set(options.types) - set(TYPES):
        parser.error(f"--types: {', '.join(sorted(unknown))} is none of {', '.join(TYPES)}")
    if missing := [str(path) for path in options.compare or () if not path.exists()]:
        parser.error(f"--compare: there is no {' and no '.join(missing)}")
    return options


if __name__ == "__main__":
    try:
        main()
    except (WiredeskError, OSError) as problem:
        sys.exit(f"evaluate: {problem}")
