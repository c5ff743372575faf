"""What the benchmarks of accuracy start from: their arguments, held-out rows, and the engine to measure."""

import argparse
from argparse import Namespace
from pathlib import Path

from pipeline.items import rows_to_measure
from pipeline.prepare import ensure_prepared
from pipeline.recipe import load_recipe
from pipeline.rows import Row
from shared.settings import Settings
from worker.engine.transformers_engine import TransformersEngine

RECIPE = Path("pipeline/recipes/newsroom-mini.toml")


def arguments(name: str, description: str) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"python -m bench.{name}", description=description)
    parser.add_argument("--data", type=Path, required=True, help="folder of the labelled texts")
    parser.add_argument("--recipe", type=Path, default=RECIPE)
    parser.add_argument("--work", type=Path, help="prepared rows (default runs/<name>)")
    parser.add_argument("--artifact", type=Path, default=Path("models/newsroom-mini"))
    parser.add_argument(
        "--items", type=Path, nargs="+", action="extend", default=[], help="more items to measure on"
    )
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    return parser


def prepared(options: Namespace) -> tuple[Path, list[Row]]:
    """The folder of the prepared rows, and those to measure on.

    Raises:
        RecipeError: as rows_to_measure.
    """
    recipe = load_recipe(options.recipe)
    work = options.work or Path("runs") / recipe.name
    ensure_prepared(recipe, options.data, work)
    return work, rows_to_measure(recipe, work, options.items)


def engine_of(options: Namespace) -> TransformersEngine:
    settings = Settings(model=str(options.artifact), quantization="fp32", torch_threads=options.threads)
    return TransformersEngine.load(settings)
