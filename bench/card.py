"""What a card makes of Qwen3-8B's shape: load, memory beside the plan, steps and texts beside its roofline.

python -m bench.card [--types int8 nf4 bf16] [--rounds 10]     on a CUDA card; random weights, 16 GB of disk
python -m bench.card --tiny                                    the same code on a small shape, on any machine
The roofline is measured on the card: a copy for the bandwidth, a product of matrices for the arithmetic.
The last line is one JSON document.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any

import torch
import transformers

from bench.questions import text_of
from shared.errors import ItemError
from shared.job import Generation
from shared.settings import Settings
from tests.engine.tiny import write_tiny_artifact
from worker.engine.memory import release
from worker.engine.plan import GIB, Plan, make_plan, read_config
from worker.engine.transformers_engine import TransformersEngine

QWEN3_8B = {
    "vocab_size": 151_936,
    "hidden_size": 4096,
    "intermediate_size": 12_288,
    "num_hidden_layers": 36,
    "num_attention_heads": 32,
    "num_key_value_heads": 8,
    "head_dim": 128,
    "initializer_range": 0.02,
    "max_position_embeddings": 40_960,
    "tie_word_embeddings": False,
}
SMALL = QWEN3_8B | {
    "vocab_size": 2000,
    "hidden_size": 128,
    "intermediate_size": 256,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 32,
}
ITEM = 300  # tokens
NEW = 20  # tokens of a text
ROWS = 3
Figures = dict[str, Any]


def main() -> None:
    options = read_options()
    gpu = torch.cuda.is_available()
    if not (gpu or options.tiny):
        sys.exit("no CUDA card is here, and the shape of Qwen3-8B needs one; --tiny tries the code without")
    roof = roofline(gpu, side=256 if options.tiny else 8192)
    with tempfile.TemporaryDirectory() as folder:
        model = write_model(Path(folder) / "model", SMALL if options.tiny else QWEN3_8B, gpu)
        results = {}
        for kind in options.types:
            results[kind] = measure_type(model, kind, gpu, options.rounds, roof)
            release()
    print_report(results, said := versions(gpu), roof)
    print(json.dumps({"bench": "card", "tiny": options.tiny} | said | {"roofline": roof, "types": results}))


def write_model(folder: Path, shape: dict[str, Any], gpu: bool) -> Path:
    """An artifact of random 16-bit weights, items of which may take ITEM tokens."""
    with torch.device("cuda" if gpu else "cpu"), _default_type(torch.bfloat16):
        write_tiny_artifact(folder, **shape)
    release()
    path = folder / "prompt.toml"
    said = path.read_text(encoding="utf-8").replace("item_tokens = 64", f"item_tokens = {ITEM}")
    path.write_text(said, encoding="utf-8")
    return folder


def measure_type(folder: Path, kind: str, gpu: bool, rounds: int, roof: Figures) -> Figures:
    """Everything of one data type, beside what the roofline allows."""
    if gpu:
        torch.cuda.reset_peak_memory_stats()
    began = perf_counter()
    engine = TransformersEngine.load(Settings(model=str(folder), quantization=kind))
    loaded = perf_counter() - began
    text, plan = text_of(engine, ITEM), plan_of(folder, kind, gpu, engine)
    steps = {count: _typical(partial(engine.classify, [text] * count), rounds, gpu) for count in (1, ROWS)}
    writing = _typical(partial(write, engine, text), max(1, rounds // 3), gpu)
    peak = torch.cuda.max_memory_allocated() if gpu else engine.describe().memory_bytes
    row = engine.question.scorer.cost(engine.prompt.item(text).ids + engine.prompt.tail)
    limits = {count: least(plan, engine, count * row, roof) for count in (1, ROWS)}
    written = least(plan, engine, ROWS * row, roof) + (NEW - 1) * least(plan, engine, ROWS, roof)
    return {
        "load_s": round(loaded, 2),
        "weights_planned_gib": round(plan.weights / GIB, 3),
        "peak_planned_gib": round((plan.weights + plan.prefix + plan.step(ROWS * row)) / GIB, 3),
        "peak_gib" if gpu else "model_gib": round(peak / GIB, 3),
        **{f"step_{count}_ms": round(seconds * 1000, 2) for count, seconds in steps.items()},
        **{f"step_{count}_roofline_ms": round(limits[count] * 1000, 2) for count in steps},
        "scored_per_s": round(ROWS / steps[ROWS], 2),
        "scored_roofline_per_s": round(ROWS / limits[ROWS], 2),
        "written_per_s": round(ROWS / writing, 2),
        "tokens_per_s": round(ROWS * NEW / writing, 1),
        "tokens_roofline_per_s": round(ROWS * NEW / written, 1),
    }


def plan_of(folder: Path, kind: str, gpu: bool, engine: TransformersEngine) -> Plan:
    return make_plan(
        read_config(folder),
        kind,
        gpu=gpu,
        embedding_on_host=gpu and kind in ("int8", "nf4"),
        prefix_tokens=len(engine.prompt.head),
        batch_size=ROWS,
    )


def least(plan: Plan, engine: TransformersEngine, tokens: int, roof: Figures) -> float:
    """Seconds that a forward of so many tokens takes at least: each weight read once, and two operations."""
    config = engine.question.scorer.model.config
    layer = config.hidden_size * (2 * config.num_attention_heads + 2 * config.num_key_value_heads)
    matrices = layer * config.head_dim + 3 * config.hidden_size * config.intermediate_size
    operations = 2 * tokens * config.num_hidden_layers * matrices
    return max(plan.weights / roof["bytes_per_s"], operations / roof["operations_per_s"])


def write(engine: TransformersEngine, text: str) -> None:
    """ROWS texts of NEW tokens side by side, greedily."""
    how = Generation(max_tokens=NEW, temperature=0)
    rows = engine.texts.start([(text, how)] * ROWS)
    while not all(isinstance(row, ItemError) or row.ended for row in rows):
        engine.texts.step()


def roofline(gpu: bool, side: int) -> Figures:
    """What the device really does: bytes read and written by a copy, operations of a 16-bit product."""
    device = "cuda" if gpu else "cpu"
    block = torch.zeros(side * side * 16, dtype=torch.bfloat16, device=device)
    other = torch.empty_like(block)
    copied = _typical(lambda: other.copy_(block), 10, gpu)
    square = torch.randn(side, side, dtype=torch.bfloat16, device=device)
    product = _typical(lambda: square @ square, 10, gpu)
    return {
        "bytes_per_s": 2 * block.nbytes / copied,
        "operations_per_s": 2 * side**3 / product,
    }


def versions(gpu: bool) -> Figures:
    name = torch.cuda.get_device_properties(0).name if gpu else "no card"
    said = {"card": name, "torch": torch.__version__, "transformers": transformers.__version__}
    return said | {"cuda": torch.version.cuda or "none"}


def print_report(results: dict[str, Figures], said: Figures, roof: Figures) -> None:
    print(", ".join(f"{name} {value}" for name, value in said.items()))
    bandwidth, operations = roof["bytes_per_s"] / 1e9, roof["operations_per_s"] / 1e12
    print(f"measured roofline: {bandwidth:.0f} GB/s, {operations:.2f} Tflop/s in bf16\n")
    names = next(iter(results.values()))
    print(f"{'':<24}" + "".join(f"{kind:>12}" for kind in results))
    for name in names:
        print(f"{name:<24}" + "".join(f"{figures[name]:>12}" for figures in results.values()))


def _typical(way: Callable[[], object], rounds: int, gpu: bool) -> float:
    """Median seconds, after one round that is not counted."""
    taken = []
    for number in range(rounds + 1):
        began = perf_counter()
        way()
        if gpu:
            torch.cuda.synchronize()
        taken += [perf_counter() - began] if number else []
    return median(taken)


@contextmanager
def _default_type(kind: torch.dtype) -> Iterator[None]:
    before = torch.get_default_dtype()
    torch.set_default_dtype(kind)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.card", description=__doc__.splitlines()[0])
    parser.add_argument("--tiny", action="store_true", help="a small shape, on any machine")
    parser.add_argument("--types", nargs="+", default=["int8", "nf4", "bf16"], help="data types")
    parser.add_argument("--rounds", type=int, default=10)
    return parser.parse_args()


if __name__ == "__main__":
    main()
