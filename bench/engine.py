"""What label scoring costs beside generating an answer, K forwards and padded batches; and each data type.

python -m bench.engine [--model models/newsroom-mini | --tiny] [--rounds 15] [--threads 1]
The last line is one JSON document.
"""

import argparse
import json
import statistics
import tempfile
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Any

import torch

from shared.job import Generation
from shared.settings import Settings
from tests.engine.tiny import write_tiny_artifact
from worker.engine.packing import Asked, Branch, pack
from worker.engine.row import Row, Writer
from worker.engine.scoring import PackedScorer, score_naive
from worker.engine.transformers_engine import TransformersEngine

NEW_TOKENS = 20  # what a short answer takes
LENGTHS = ((40, 40, 40), (100, 100, 100), (20, 60, 100), (60, 120, 380), (380, 380, 380))  # tokens
TYPES = ("fp32", "bf16", "int8")
MINI = {  # the shape of newsroom-mini, for --tiny
    "vocab_size": 10000,
    "hidden_size": 192,
    "intermediate_size": 448,
    "num_hidden_layers": 3,
    "num_attention_heads": 6,
    "num_key_value_heads": 2,
    "head_dim": 32,
    "initializer_range": 0.02,
}
TEXTS = (
    "央行今日开展一千二百亿元七天期逆回购操作，中标利率维持不变，当日有八百亿元到期。",
    "某新能源车企公布三季度业绩，营收同比增长两成，净利润转正。公司称，新工厂投产后单车成本下降，"
    "海外交付首次超过三万辆，全年销量目标上调至四十五万辆，研发投入仍将保持在营收的一成左右。",
    "Crude futures settled higher after producers signalled they would extend output curbs into spring.",
)

Prompts = Sequence[Sequence[int]]
Times = dict[str, list[float]]


def main() -> None:
    options = read_options()
    with tempfile.TemporaryDirectory() as folder:
        model = write_tiny_artifact(Path(folder) / "tiny", **MINI) if options.tiny else options.model
        engines = {kind: load(model, kind, options.threads) for kind in TYPES}
        methods = {
            f"texts: {jobs}": compare_methods(engines["fp32"], jobs, options.rounds) for jobs in (1, 3)
        }
        layouts = {
            str(lengths): compare_layouts(engines["fp32"], lengths, options.rounds) for lengths in LENGTHS
        }
        types = {f"texts: {jobs}": compare_types(engines, jobs, options.rounds) for jobs in (1, 3)}
    results = {"methods": methods, "layouts": layouts, "types": types}
    for kind, tables in results.items():
        for title, times in tables.items():
            print_table(f"{kind}, {title}", times)
    head = {"bench": "engine", "model": engines["fp32"].describe().name, "threads": options.threads}
    print(json.dumps(head | {kind: summarise(tables) for kind, tables in results.items()}))


def compare_methods(engine: TransformersEngine, jobs: int, rounds: int) -> Times:
    """Milliseconds of each way to find the labels of the first `jobs` texts."""
    scorer, prompts = engine.question.scorer, encode(engine, TEXTS[:jobs])
    engine.texts._writer = Writer(engine.prompt.tokenizer, frozenset())  # no token ends a text
    whole = [[*scorer.prefix.ids, *prompt] for prompt in prompts]
    sequences = scorer.trie.sequences
    return measure(
        {
            "packed scoring": lambda: scorer.score(prompts),
            f"transformers' generate {NEW_TOKENS}": lambda: generate(engine, whole),
            f"our {NEW_TOKENS} tokens": lambda: write(engine, TEXTS[:jobs]),
            f"{len(sequences)} forwards": lambda: score_naive(
                scorer.model, scorer.prefix.ids, prompts, sequences
            ),
        },
        rounds,
    )


def compare_layouts(engine: TransformersEngine, lengths: Sequence[int], rounds: int) -> Times:
    """Milliseconds of three prompts of these many tokens: in one row, as padded rows, one at a time."""
    scorer, ids = engine.question.scorer, [token for prompt in encode(engine, TEXTS) for token in prompt] * 20
    prompts = [ids[:length] for length in lengths]
    assert torch.allclose(score_padded(scorer, prompts), scorer.score(prompts), atol=1e-3)
    return measure(
        {
            "packed in one row": lambda: scorer.score(prompts),
            "padded batch": lambda: score_padded(scorer, prompts),
            "one at a time": lambda: [scorer.score([prompt]) for prompt in prompts],
        },
        rounds,
    )


def compare_types(engines: dict[str, TransformersEngine], jobs: int, rounds: int) -> Times:
    """Milliseconds of a whole classify step in each data type."""
    texts = TEXTS[:jobs]
    return measure({kind: partial(engine.classify, texts) for kind, engine in engines.items()}, rounds)


def measure(ways: dict[str, Callable[[], object]], rounds: int) -> Times:
    """Every way once a round, in turn, so that a busy neighbour slows all of them."""
    for way in ways.values():
        way()
    times: Times = {name: [] for name in ways}
    for _ in range(rounds):
        for name, way in ways.items():
            began = perf_counter()
            way()
            times[name].append((perf_counter() - began) * 1000)
    return times


def write(engine: TransformersEngine, texts: Sequence[str]) -> None:
    """Exactly NEW_TOKENS of our own generator after each text."""
    how = Generation(max_tokens=NEW_TOKENS, temperature=0)
    rows = engine.texts.start([(text, how) for text in texts])
    while engine.texts.generator.rows:
        engine.texts.step()
    lengths = [len(row.written) for row in rows if isinstance(row, Row)]
    assert lengths == [NEW_TOKENS] * len(texts), lengths


@torch.inference_mode()
def generate(engine: TransformersEngine, prompts: Prompts) -> torch.Tensor:
    """Greedy generation of exactly NEW_TOKENS for a left-padded batch, with its cache."""
    longest, model = max(map(len, prompts)), engine.question.scorer.model
    ids = torch.zeros(len(prompts), longest, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, longest - len(prompt) :] = torch.tensor(prompt)
        mask[row, longest - len(prompt) :] = 1
    limits = {"min_new_tokens": NEW_TOKENS, "max_new_tokens": NEW_TOKENS, "pad_token_id": 0}
    written = model.generate(ids, attention_mask=mask, do_sample=False, use_cache=True, **limits)
    assert written.shape[1] == longest + NEW_TOKENS
    return written


@torch.inference_mode()
def score_padded(scorer: PackedScorer, prompts: Prompts) -> torch.Tensor:
    """The same trie in the usual batch: a row for each prompt, padded to the longest."""
    trie, past = scorer.trie, scorer.prefix.length
    rows = [pack([Asked(prompt, [Branch((), trie)])], past) for prompt in prompts]
    width = max(row.ids.shape[1] for row in rows)
    ids = torch.zeros(len(rows), width, dtype=torch.long)
    positions = torch.zeros_like(ids)
    mask = torch.ones(len(rows), 1, width, past + width, dtype=torch.bool)  # what padding sees is unused
    for place, row in enumerate(rows):
        length = row.ids.shape[1]
        ids[place, :length], positions[place, :length] = row.ids[0], row.positions[0]
        mask[place, 0, :length] = False
        mask[place, 0, :length, : past + length] = row.mask[0, 0]
    hidden = scorer.model.base_model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=scorer.prefix.cache,
        use_cache=True,
    ).last_hidden_state
    nodes = torch.cat([torch.stack(row.nodes) for row in rows])
    logits = scorer.model.lm_head(hidden[torch.arange(len(rows))[:, None], nodes])
    edges = logits[:, trie.edge_nodes, trie.edge_tokens] - logits.logsumexp(-1)[:, trie.edge_nodes]
    return edges @ trie.paths.T


def encode(engine: TransformersEngine, texts: Sequence[str]) -> Prompts:
    return [engine.prompt.item(text).ids + engine.prompt.tail for text in texts]


def load(model: str | Path, quantization: str, threads: int) -> TransformersEngine:
    return TransformersEngine.load(
        Settings(model=str(model), quantization=quantization, torch_threads=threads)
    )


def print_table(title: str, times: Times) -> None:
    first = next(iter(times.values()))
    print(f"\n{title:<28} {'min ms':>9} {'median ms':>10} {'x min':>7} {'x median':>9}")
    for name, taken in times.items():
        middle = statistics.median(taken)
        ratios = f"{min(taken) / min(first):7.2f} {middle / statistics.median(first):9.2f}"
        print(f"{name:<28} {min(taken):9.2f} {middle:10.2f} {ratios}")


def summarise(results: dict[str, Times]) -> dict[str, Any]:
    return {
        title: {
            name: {"min_ms": round(min(taken), 3), "median_ms": round(statistics.median(taken), 3)}
            for name, taken in times.items()
        }
        for title, times in results.items()
    }


def read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.engine", description=__doc__.splitlines()[0])
    parser.add_argument("--model", default="models/newsroom-mini", help="artifact folder")
    parser.add_argument("--tiny", action="store_true", help="random weights in newsroom-mini's shape")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    return parser.parse_args()


if __name__ == "__main__":
    main()
