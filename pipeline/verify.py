"""Says before anything is loaded whether a model fits a card (python -m pipeline.verify --plan MODEL)."""

import argparse
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from shared.errors import ArtifactError, WiredeskError
from worker.engine.adapter import count_numbers
from worker.engine.artifact import stored_type
from worker.engine.plan import CONTEXT, embedding_goes_to_host, make_plan, read_config

UNITS = {"GB": 10**9, "GIB": 2**30, "MB": 10**6, "MIB": 2**20}


def memory(text: str) -> int:
    """'10GiB' or '10 GB' in bytes."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    if not match or match[2].upper() not in UNITS:
        raise argparse.ArgumentTypeError(f"{text!r} is no amount of memory; write it like 10GiB or 24GB")
    return int(float(match[1]) * UNITS[match[2].upper()])


def plan(folder: Path, card: int, quantization: str, **asked: int) -> tuple[str, bool]:
    """The plan as a table, and whether the model fits; `asked` as in make_plan.

    Weights that are stored quantised count as stored, an adapter beside them.

    Raises:
        ArtifactError: the folder has no readable config.json.
    """
    if not (folder / "config.json").is_file():
        raise ArtifactError(f"{folder / 'config.json'} is missing: it holds the shape of the model")
    config = read_config(folder)
    stored = stored_type(folder, config.to_dict())
    adapter = folder / "adapter"
    tied = bool(getattr(config, "tie_word_embeddings", True))
    made = make_plan(
        config,
        stored or quantization,
        gpu=True,
        embedding_on_host=embedding_goes_to_host("auto", stored or quantization, tied, gpu=True),
        adapter_numbers=count_numbers(adapter) if adapter.is_dir() else 0,
        **asked,
    )
    free = card - CONTEXT
    return made.table(free), made.step_tokens(free) > 0


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m pipeline.verify", description=__doc__)
    parser.add_argument("--plan", type=Path, required=True, metavar="MODEL", help="model folder")
    parser.add_argument("--gpu-memory", type=memory, required=True, help="memory of the card, like 10GiB")
    parser.add_argument("--quantization", choices=("int8", "nf4", "bf16"), default="int8")
    parser.add_argument("--prefix-tokens", type=int, default=500, help="tokens of the prompt before the item")
    parser.add_argument("--batch-size", type=int, default=3)
    parser.add_argument("--generation-tokens", type=int, default=4608, help="of all generations at once")
    asked = parser.parse_args(arguments)
    table, fits = plan(
        asked.plan,
        asked.gpu_memory,
        asked.quantization,
        prefix_tokens=asked.prefix_tokens,
        batch_size=asked.batch_size,
        generation_tokens=asked.generation_tokens,
    )
    print(table)
    print("fits" if fits else "does not fit: take a smaller --quantization or a larger card")
    return 0 if fits else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except WiredeskError as problem:
        sys.exit(f"verify: {problem}")
