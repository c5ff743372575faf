"""Writes an artifact: all files into a folder beside the goal, the manifest last, then one rename."""

import json
import platform
import shlex
import shutil
from collections import Counter
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from transformers.utils.logging import disable_progress_bar

from pipeline.card import card
from pipeline.recipe import ModelShape, Recipe
from pipeline.rows import SPLITS, read_rows
from pipeline.tables import digest
from shared.errors import RecipeError
from shared.taxonomy import load_taxonomy
from worker.engine.artifact import SCHEMA
from worker.engine.prompt_template import PromptTemplate

EMBEDDINGS = "model.embed_tokens.weight"
PACKAGES = ("torch", "transformers", "tokenizers", "safetensors")
STEPS = ("prepare", "train", "calibrate", "evaluate")  # of an artifact's life, in order


def check_output(output: Path) -> None:
    """Only an artifact may be replaced.

    Raises:
        RecipeError: something else is there, or the folder cannot be made.
    """
    ours = (output / "manifest.json").is_file()
    if output.exists() and not ours and not (output.is_dir() and not any(output.iterdir())):
        raise RecipeError(f"{output} is no artifact and would be lost: name a new folder")
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise RecipeError(f"{output} cannot be made: {problem}") from None


def publish(model: Any, tokenizer: Any, recipe: Recipe, work: Path, output: Path, temperature: float) -> Path:
    """Write the artifact and return its folder. An older artifact there is replaced."""
    unfinished = output.with_name(f".{output.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    parameters = sum(weight.numel() for weight in model.parameters())
    _save(model, recipe.model, unfinished)
    tokenizer.save_pretrained(unfinished)
    tokenizer.backend_tokenizer.save(str(unfinished / "tokenizer.json"), pretty=False)  # half the room
    shutil.copyfile(recipe.taxonomy, unfinished / "taxonomy.toml")
    (unfinished / "prompt.toml").write_text(prompt_toml(recipe.prompt), encoding="utf-8")
    write_json(unfinished / "calibration.json", {"schema": SCHEMA, "temperature": {"fp32": temperature}})
    made = manifest(recipe, work, unfinished, parameters)
    write_json(unfinished / "manifest.json", made)
    (unfinished / "README.md").write_text(card(unfinished), encoding="utf-8")
    shutil.rmtree(output, ignore_errors=True)
    return unfinished.rename(output)


def _save(model: Any, shape: ModelShape, folder: Path) -> None:
    disable_progress_bar()  # a second's work
    model.to(torch.float16).save_pretrained(folder)
    path = folder / "model.safetensors"
    if shape.embeddings == "float8":
        weights = load_file(path)  # the model itself stays one of float16, as its configuration says
        weights[EMBEDDINGS] = weights[EMBEDDINGS].to(torch.float8_e4m3fn)
        save_file(weights, path, metadata={"format": "pt"})
    path.chmod(0o644)  # the library writes it for its owner alone


def manifest(recipe: Recipe, work: Path, folder: Path, parameters: int) -> dict[str, Any]:
    """How the artifact was made; no path of the machine that made it."""
    rows_by_split = {split: read_rows(work, split) for split in SPLITS}
    made_of = recipe.model_dump(mode="json") | {"taxonomy": recipe.taxonomy.name}
    return {
        "schema": SCHEMA,
        "name": recipe.name,
        "revision": revision(folder),
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "recipe": made_of,
        "commands": [command(step, for_others(recipe.path)) for step in ("prepare", "train")],
        "parameters": parameters,
        "labels": len(load_taxonomy(recipe.taxonomy).names),
        "data": {
            "splits": {
                split: {"rows": len(rows), "sha256": digest(work / f"{split}.jsonl")}
                for split, rows in rows_by_split.items()
            },
            "sources": {
                group: dict(
                    Counter(
                        split for split, rows in rows_by_split.items() for row in rows if row.group == group
                    )
                )
                for group in dict.fromkeys(source.group for source in recipe.sources)
            },
        },
        "versions": {"python": platform.python_version()} | package_versions(),
    }


def command(step: str, recipe: str, *options: str) -> str:
    """As in docs/pipeline.md: the folders of the machine that ran it say nothing to others."""
    return shlex.join(["python", "-m", f"pipeline.{step}", "--recipe", recipe, "--data", "DIR", *options])


def for_others(path: Path, data: Path | None = None) -> str:
    """A file as a command names it: in DIR, or from the working folder; of one elsewhere the name alone."""
    whole = path.resolve()
    if data and whole.is_relative_to(data.resolve()):
        return f"DIR/{whole.relative_to(data.resolve())}"
    return str(whole.relative_to(Path.cwd())) if whole.is_relative_to(Path.cwd()) else path.name


def note_command(artifact: Path, step: str, recipe: str, *options: str) -> dict[str, Any]:
    """Into the manifest, which is returned: the step as it was run last, in the order of an artifact's life.

    An adopted model has no list of commands.
    """
    path = artifact / "manifest.json"
    made: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    if "commands" in made:
        others = [one for one in made["commands"] if _step_of(one) != step]
        made["commands"] = sorted([*others, command(step, recipe, *options)], key=_place_of)
        write_json(path, made)
    return made


def _step_of(command: str) -> str:
    return command.split()[2].removeprefix("pipeline.")


def _place_of(command: str) -> int:
    return STEPS.index(_step_of(command))


def write_json(path: Path, value: dict[str, Any]) -> None:
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")


def prompt_toml(template: PromptTemplate) -> str:
    """The file prompt.toml. TOML's basic strings and arrays are written as JSON writes them."""
    fields = template.model_dump(exclude={"questions"})
    tables = {"questions": template.questions.model_dump()} if template.questions else {}
    return _lines(fields) + "".join(f"\n[{name}]\n{_lines(table)}" for name, table in tables.items())


def _lines(fields: dict[str, Any]) -> str:
    return "".join(f"{name} = {json.dumps(value, ensure_ascii=False)}\n" for name, value in fields.items())


def revision(folder: Path) -> str:
    """Changes with the weights, an adapter's too, the prompt and the labels."""
    weights = sorted(folder.rglob("*.safetensors"))
    return digest(*weights, folder / "prompt.toml", folder / "taxonomy.toml")[:16]


def package_versions() -> dict[str, str]:
    """What the artifact was made with."""
    return {name: version(name) for name in PACKAGES}
