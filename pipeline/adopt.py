"""Makes an artifact of a model that you have already (python -m pipeline.adopt).

A plain model folder, or a base and a LoRA adapter, know nothing of labels and prompts: adopt adds
them, serves the result once, and says how well labels and prompt fit what the model has learned.
Weights are hard-linked where the file system allows it, so that no second copy is made.
"""

import argparse
import json
import os
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from pipeline.examples import Example, read_examples, report
from pipeline.publish import package_versions, prompt_toml, revision, write_json
from shared.errors import ArtifactError, WiredeskError
from shared.settings import Settings
from shared.taxonomy import load_taxonomy
from worker.engine.artifact import SCHEMA
from worker.engine.prompt_template import PromptTemplate
from worker.engine.self_check import TEXTS
from worker.engine.transformers_engine import TransformersEngine

TOKENIZER_FILES = ("tokenizer*", "vocab*", "merges.txt", "special_tokens_map.json", "added_tokens.json",
                   "chat_template*")  # fmt: skip
MODEL_FILES = ("config.json", "generation_config.json", "*.safetensors", "*.safetensors.index.json")


def adopt(
    base: Path,
    adapter: Path | None,
    labels: Path,
    template: PromptTemplate,
    output: Path,
    examples: Sequence[Example],
    quantization: str,
) -> str:
    """Write the artifact and return the report on it.

    Raises:
        ArtifactError: a part is missing or does not fit the others; nothing is left behind.
    """
    for folder in filter(None, (base, adapter)):
        if not folder.is_dir():
            raise ArtifactError(f"there is no folder {folder}")
    if output.exists():
        raise ArtifactError(f"{output} exists; name another --output, or remove it first")
    unfinished = output.with_name(f".{output.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.mkdir(parents=True)
    try:
        _write(unfinished, base, adapter, labels, template, output.name)
        engine = TransformersEngine.load(Settings(model=str(unfinished), quantization=quantization))
        told = report(engine, examples)
        unfinished.rename(output)
        return told
    except ArtifactError as error:
        raise ArtifactError(str(error).replace(str(unfinished), str(base))) from error
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def _write(
    folder: Path, base: Path, adapter: Path | None, labels: Path, template: PromptTemplate, name: str
) -> None:
    _link(base, folder, MODEL_FILES)
    # An adapter that brings a tokenizer was trained with that one.
    own = adapter is not None and (adapter / "tokenizer_config.json").is_file()
    _link(adapter if adapter and own else base, folder, TOKENIZER_FILES)
    if adapter:
        (folder / "adapter").mkdir()
        _link(adapter, folder / "adapter", ("adapter_config.json", "adapter_model.*"))
    (folder / "taxonomy.toml").write_text(_taxonomy(labels), encoding="utf-8")
    load_taxonomy(folder / "taxonomy.toml")
    (folder / "prompt.toml").write_text(prompt_toml(template), encoding="utf-8")
    manifest: dict[str, Any] = {
        "schema": SCHEMA,
        "name": name,
        "revision": revision(folder),
        "adopted": {"base": base.resolve().name, "adapter": adapter.resolve().name if adapter else None},
        "versions": package_versions(),
    }
    write_json(folder / "manifest.json", manifest)


def _link(source: Path, goal: Path, patterns: Sequence[str]) -> None:
    """Files that match: weights hard-linked, the rest, which a person may edit, copied."""
    for path in sorted({path for pattern in patterns for path in source.glob(pattern) if path.is_file()}):
        link = os.link if path.suffix == ".safetensors" else shutil.copyfile
        try:
            link(path.resolve(), goal / path.name)
        except OSError:  # another file system
            shutil.copyfile(path, goal / path.name)


def _taxonomy(labels: Path) -> str:
    """taxonomy.toml as it is, or made of a file with one label a line."""
    try:
        text = labels.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ArtifactError(f"{labels} is missing: it lists the labels, one a line") from None
    except UnicodeDecodeError:
        raise ArtifactError(f"{labels} is not UTF-8") from None
    if labels.suffix == ".toml":
        return text
    names = [line.strip() for line in text.lstrip("\ufeff").splitlines() if line.strip()]
    rows = [
        f'  {{id = "label_{number}", zh = {_quoted(name)}, en = {_quoted(name)}}},'
        for number, name in enumerate(names, start=1)
    ]
    return "\n".join(['name = "adopted"', "labels = [", *rows, "]", ""])


def _quoted(name: str) -> str:
    return json.dumps(name, ensure_ascii=False)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m pipeline.adopt", description=__doc__)
    parser.add_argument(
        "--base", type=Path, required=True, help="model folder: config, safetensors, tokenizer"
    )
    parser.add_argument("--adapter", type=Path, help="folder of a LoRA adapter for it")
    parser.add_argument("--labels", type=Path, required=True, help="labels, one a line, or a taxonomy.toml")
    parser.add_argument("--system", default="", help="system text of the prompt it was trained with")
    parser.add_argument("--user", default="{item}", help="user text, with {item} where the news stands")
    parser.add_argument("--answer", default="{label}", help="answer, with {label} where the label stands")
    parser.add_argument("--item-tokens", type=int, default=512, help="tokens read of an item")
    parser.add_argument(
        "--strip-prefix",
        metavar="TEXT",
        action="append",
        default=[],
        help="words that callers put before an item and that the model was not trained with; may be repeated",
    )
    parser.add_argument(
        "--score-end",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether the end of turn belongs to a label (see docs/pipeline.md)",
    )
    parser.add_argument(
        "--zero-shot", action="store_true", help="requests may bring labels: {labels} in --system lists them"
    )
    parser.add_argument("--output", type=Path, required=True, help="folder of the artifact, like models/desk")
    parser.add_argument("--examples", type=Path, help="JSON lines with text and label, to report accuracy")
    parser.add_argument("--quantization", choices=("auto", "int8", "nf4", "bf16", "fp32"), default="auto")
    asked = parser.parse_args(arguments)
    try:
        template = PromptTemplate(
            system=asked.system,
            user=asked.user,
            answer=asked.answer,
            item_tokens=asked.item_tokens,
            strip_prefixes=tuple(asked.strip_prefix),
            score_end=asked.score_end,
            zero_shot=asked.zero_shot,
        )
        examples = read_examples(asked.examples) if asked.examples else [Example(text) for text in TEXTS]
    except ValidationError as error:
        wrong = error.errors()[0]
        option = str(wrong["loc"][0]).replace("_", "-")
        parser.error(f"--{option} {wrong['msg'].removeprefix('Value error, ')}")
    except FileNotFoundError:
        parser.error(f"--examples: there is no file {asked.examples}")
    print(
        adopt(asked.base, asked.adapter, asked.labels, template, asked.output, examples, asked.quantization)
    )
    print(f"{asked.output} is ready: WIREDESK_MODEL={asked.output} make run")


if __name__ == "__main__":
    try:
        main()
    except WiredeskError as problem:
        sys.exit(f"adopt: {problem}")
