"""What one forward costs beside its limit: the packed row, the frozen prefix; and each data type's start.

python -m bench.forwards [--model models/newsroom-mini] [--wide] [--rounds 30] [--threads 1]
The last line is one JSON document.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from bench.engine import TEXTS, Times, encode, load, measure, print_table, summarise
from tests.engine.tiny import write_tiny_artifact
from worker.engine.prefix import FrozenPrefix
from worker.engine.scoring import PackedScorer

LENGTHS = (30, 80, 150)  # tokens of three uneven items
HEADS = (50, 200, 500)  # tokens of a prompt before its item
WIDE = {  # its output layer is as small a part of a forward as a large model's
    "vocab_size": 10000,
    "hidden_size": 768,
    "intermediate_size": 2048,
    "num_hidden_layers": 6,
    "num_attention_heads": 12,
    "num_key_value_heads": 4,
    "head_dim": 64,
    "initializer_range": 0.02,
}
TYPES = ("fp32", "bf16", "int8", "nf4")
START = """
import json, psutil, sys, time
began = time.perf_counter()
from shared.settings import Settings
from worker.engine.transformers_engine import TransformersEngine
imported = time.perf_counter()
engine = TransformersEngine.load(Settings(model=sys.argv[1], quantization=sys.argv[2], torch_threads=1))
print(json.dumps({
    "import_s": imported - began,
    "load_to_ready_s": time.perf_counter() - imported,
    "model_mb": engine.describe().memory_bytes / 1e6,
    "process_mb": psutil.Process().memory_info().rss / 1e6,
}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.forwards", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="models/newsroom-mini", help="artifact folder")
    parser.add_argument("--wide", action="store_true", help="random weights of 45 million parameters instead")
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    options = parser.parse_args()
    if options.wide:
        with tempfile.TemporaryDirectory() as folder:
            report(write_tiny_artifact(Path(folder) / "wide", **WIDE), options.rounds, options.threads)
    else:
        report(options.model, options.rounds, options.threads)


def report(model: str | Path, rounds: int, threads: int) -> None:
    scorer, prompts = tokens(model, threads)
    row = packed_row(scorer, prompts, rounds)
    print_table(f"three items of {LENGTHS}", row)
    prefixes = {head: prefix(scorer, prompts, head, rounds) for head in HEADS}
    shares = {head: share_saved(times, head, prompts, scorer) for head, times in prefixes.items()}
    for head, times in prefixes.items():
        print_table(f"head of {head} tokens", times)
        print(f"saved, of what is ideal: {shares[head]:.2f}")
    starts = {kind: start(model, kind) for kind in TYPES}
    print(f"\n{'':<8}{'imports s':>10}{'to ready s':>12}{'model MB':>10}{'process MB':>12}")
    for kind, said in starts.items():
        print(
            f"{kind:<8}"
            + "".join(f"{value:{w}.1f}" for value, w in zip(said.values(), (10, 12, 10, 12), strict=True))
        )
    print(
        json.dumps(
            {
                "bench": "forwards",
                "packed": summarise({"row": row}),
                "prefix": summarise({str(head): times for head, times in prefixes.items()}),
                "prefix_share_of_ideal": {str(head): round(share, 3) for head, share in shares.items()},
                "start": {k: {n: round(v, 2) for n, v in said.items()} for k, said in starts.items()},
            }
        )
    )


def tokens(model: str | Path, threads: int) -> tuple[PackedScorer, list[list[int]]]:
    """A scorer, and three prompts of LENGTHS."""
    engine = load(model, "fp32", threads)
    ids = [token for prompt in encode(engine, TEXTS) for token in prompt] * 5
    return engine.question.scorer, [ids[:length] for length in LENGTHS]


def packed_row(scorer: PackedScorer, prompts: Sequence[Sequence[int]], rounds: int) -> Times:
    """A whole packed step, beside the plain causal forward of as many tokens: its limit. A prefill that is to
    answer anything also takes the output layer of its last position."""
    count = sum(map(scorer.cost, prompts))
    plain = torch.tensor([[token for prompt in prompts for token in prompt] * 3])[:, :count]
    cache = scorer.prefix.cache
    given: dict[str, Any] = {"input_ids": plain, "past_key_values": cache, "use_cache": cache is not None}

    @torch.inference_mode()
    def prefill() -> Any:
        return scorer.model.base_model(**given)

    @torch.inference_mode()
    def prefill_and_logits() -> Any:
        return scorer.model(**given, logits_to_keep=1)

    ways = {"plain prefill": prefill, "and its last logits": prefill_and_logits}
    return measure(ways | {"packed step": lambda: scorer.score(prompts)}, rounds)


def prefix(scorer: PackedScorer, prompts: Sequence[Sequence[int]], head: int, rounds: int) -> Times:
    """The same scores with the head's keys and values kept, and with the head in every prompt."""
    ids = (list(prompts[-1]) * 5)[:head]
    kept = PackedScorer(scorer.model, scorer.trie, FrozenPrefix(scorer.model, ids))
    anew = PackedScorer(scorer.model, scorer.trie, FrozenPrefix(scorer.model, []))
    whole = [[*ids, *prompt] for prompt in prompts]
    assert torch.allclose(kept.score(prompts), anew.score(whole), atol=1e-3)
    return measure(
        {"head in every prompt": lambda: anew.score(whole), "frozen head": lambda: kept.score(prompts)},
        rounds,
    )


def share_saved(times: Times, head: int, prompts: Sequence[Sequence[int]], scorer: PackedScorer) -> float:
    """Time saved, over the share of the tokens that need not be computed."""
    anew, kept = (statistics.median(taken) for taken in times.values())
    rest = sum(map(scorer.cost, prompts))
    return (1 - kept / anew) / (len(prompts) * head / (len(prompts) * head + rest))


def start(model: str | Path, quantization: str) -> dict[str, float]:
    """A process of its own: seconds until it is checked and warm, and what it takes."""
    done = subprocess.run(
        [sys.executable, "-c", START, str(model), quantization], capture_output=True, text=True, check=True
    )
    return json.loads(done.stdout.strip().splitlines()[-1])


if __name__ == "__main__":
    main()
