"""What scoring all labels costs beside a forward for each, by their number and form and the prompt's length.

python -m bench.labels [--model models/newsroom-mini | --wide] [--rounds 9] [--threads 1]
An adopted model's prompt names its labels before every item; that head is computed once, here, and with
every label where each has a forward of its own. The last line is one JSON document.
"""

import argparse
import json
import statistics
import tempfile
from pathlib import Path

import torch

from bench.engine import TEXTS, Times, encode, load, measure, print_table, summarise
from bench.forwards import WIDE
from tests.engine.tiny import write_tiny_artifact
from worker.engine.prefix import FrozenPrefix
from worker.engine.scoring import PackedScorer, score_naive
from worker.engine.transformers_engine import TransformersEngine
from worker.engine.trie import build_trie

HEADS = (0, 100, 300)  # tokens before the item: none to speak of, the labels named, rulings as well
LABELS = (14, 30)
FORMS = ("two tokens and the end of turn", "one token")  # the second as newsroom-mini's labels are


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.labels", description=str(__doc__).splitlines()[0])
    parser.add_argument("--model", default="models/newsroom-mini", help="artifact folder")
    parser.add_argument("--wide", action="store_true", help="random weights of 45 million parameters instead")
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1, help="CPU threads of torch")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = write_tiny_artifact(Path(folder) / "wide", **WIDE) if options.wide else options.model
        engine = load(model, "fp32", options.threads)
    tables = {
        f"{form}, head {head}, labels {labels}, texts {texts}": compare(
            engine, form, head, labels, texts, options.rounds
        )
        for form in FORMS
        for head in HEADS
        for labels in LABELS
        for texts in (1, 3)
    }
    for title, times in tables.items():
        print_table(title, times)
    ratios = {title: round(ratio(times), 1) for title, times in tables.items()}
    head = {"bench": "labels", "model": engine.describe().name, "threads": options.threads}
    print(json.dumps(head | {"ratios": ratios, "ms": summarise(tables)}))


def compare(engine: TransformersEngine, form: str, head: int, labels: int, texts: int, rounds: int) -> Times:
    """Milliseconds of both ways for the first `texts` texts."""
    model = engine.question.scorer.model
    some = [token for prompt in encode(engine, TEXTS) for token in prompt]
    before, end = (some * 10)[: head or 1], some[0]
    whole = form == FORMS[0]
    sequences = [[some[i % 5], 100 + i, end] if whole else [100 + i] for i in range(labels)]
    scorer = PackedScorer(model, build_trie(sequences), FrozenPrefix(model, before))
    prompts = encode(engine, TEXTS[:texts])
    assert torch.allclose(scorer.score(prompts), score_naive(model, before, prompts, sequences), atol=1e-3)
    return measure(
        {
            "packed scoring": lambda: scorer.score(prompts),
            "a forward each": lambda: score_naive(model, before, prompts, sequences),
        },
        rounds,
    )


def ratio(times: Times) -> float:
    packed, naive = map(statistics.median, times.values())
    return naive / packed


if __name__ == "__main__":
    main()
