"""What writing text costs beside transformers' own generate, and what a label waits while texts are written.

python -m bench.writing [--rounds 10] [--seconds 15]
Random weights in newsroom-mini's shape, so that no text ends early. The last line is one JSON document.
"""

import argparse
import json
import statistics
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import takewhile
from pathlib import Path

import httpx2 as httpx

from bench.engine import MINI, NEW_TOKENS, TEXTS, generate, load, measure, print_table, summarise
from bench.processes import private_redis, wiredesk
from shared.job import Generation
from tests.engine.tiny import write_tiny_artifact
from worker.engine.row import Row, Writer
from worker.engine.transformers_engine import TransformersEngine

WRITERS = 3  # texts under way
LENGTH = 512  # tokens of each
PAUSE = 0.25  # seconds between two labels: a busy desk, not a flood


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.writing", description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--seconds", type=float, default=15, help="length of each phase of the service")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        model = write_tiny_artifact(Path(folder) / "tiny", **MINI)
        engine = load(model, "fp32", 1)
        steps = {f"rows: {rows}": compare(engine, rows, options.rounds) for rows in (1, WRITERS)}
        for title, times in steps.items():
            print_table(f"{NEW_TOKENS} tokens, {title}", times)
        agreed = {kind: agreement(load(model, kind, 1)) for kind in ("fp32", "bf16", "int8")}
        print(f"\ntokens that are the same alone and with {WRITERS - 1} others: {agreed}")
        service = beside(model, options.seconds)
    print(
        json.dumps(
            {
                "bench": "writing",
                "generate": summarise(steps),
                "same_alone_and_together": agreed,
                "service": service,
            }
        )
    )


def compare(engine: TransformersEngine, rows: int, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of exactly NEW_TOKENS greedy tokens for so many prompts, theirs and ours."""
    prompts = [engine.prompt.tokenizer(text, add_special_tokens=False)["input_ids"] for text in TEXTS[:rows]]
    engine.texts._writer = Writer(engine.prompt.tokenizer, frozenset())  # no token ends a text
    asked = [(text, Generation(max_tokens=NEW_TOKENS, temperature=0)) for text in TEXTS[:rows]]

    def ours() -> None:
        assert all(len(text) == NEW_TOKENS for text in _written(engine, asked))

    return measure({"transformers generate": lambda: generate(engine, prompts), "ours": ours}, rounds)


def agreement(engine: TransformersEngine) -> float:
    """Share of tokens up to the first that differs, of greedy texts written alone and by WRITERS."""
    engine.texts._writer = Writer(engine.prompt.tokenizer, frozenset())
    how = Generation(max_tokens=NEW_TOKENS, temperature=0)
    asked = [(f"{text[n:]}{n}", how) for n in range(10) for text in TEXTS]
    alone = [row for one in asked for row in _written(engine, [one])]
    together = [
        row
        for start in range(0, len(asked), WRITERS)
        for row in _written(engine, asked[start : start + WRITERS])
    ]
    pairs = zip(alone, together, strict=True)
    same = [len(list(takewhile(lambda pair: pair[0] == pair[1], zip(*pair, strict=True)))) for pair in pairs]
    return round(sum(same) / (NEW_TOKENS * len(asked)), 4)


def _written(engine: TransformersEngine, asked: list[tuple[str, Generation]]) -> list[list[int]]:
    rows = engine.texts.start(asked)
    while engine.texts.generator.rows:
        engine.texts.step()
    return [list(row.written) for row in rows if isinstance(row, Row)]


def beside(model: Path, seconds: float) -> dict[str, float]:
    """Labels alone, texts alone, and both, through the whole service."""
    with private_redis() as redis, wiredesk(redis, 0, model=model, torch_threads=1) as port:
        desk = Desk(port)
        desk.labels(2)  # warm-up
        idle = desk.labels(seconds)
        with desk.writing():
            alone = desk.tokens_in(seconds)
            began, before = time.monotonic(), desk.written
            busy = desk.labels(seconds)
            both = (desk.written - before) / (time.monotonic() - began)
    result = {
        "label_idle_p50_ms": statistics.median(idle),
        "label_beside_texts_p50_ms": statistics.median(busy),
        "label_beside_texts_p95_ms": statistics.quantiles(busy, n=20)[-1],
        "tokens_per_second_alone": alone,
        "tokens_per_second_beside_labels": both,
        "labels_per_second": len(busy) / seconds,
    }
    result["times_idle"] = result["label_beside_texts_p50_ms"] / result["label_idle_p50_ms"]
    result["tokens_kept"] = both / alone
    print(f"\n{WRITERS} texts of {LENGTH} tokens under way, a label every {PAUSE} s")
    for name, value in result.items():
        print(f"{name:<34} {value:9.2f}")
    return {name: round(value, 3) for name, value in result.items()}


class Desk:
    """Clients of the service: one that asks for labels, WRITERS that stream texts."""

    def __init__(self, port: int):
        self._client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=120)
        self._stop = threading.Event()
        self.written = 0

    def labels(self, seconds: float) -> list[float]:
        """Milliseconds of each answer."""
        taken, end = [], time.monotonic() + seconds
        while time.monotonic() < end:
            began = time.perf_counter()
            news = f"{TEXTS[0]} {began}"
            self._client.post("/v1/classify", json={"input": news}).raise_for_status()
            taken.append((time.perf_counter() - began) * 1000)
            time.sleep(PAUSE)
        return taken

    def tokens_in(self, seconds: float) -> float:
        """Tokens a second over this time."""
        began, before = time.monotonic(), self.written
        time.sleep(seconds)
        return (self.written - before) / (time.monotonic() - began)

    @contextmanager
    def writing(self) -> Iterator[None]:
        writers = [threading.Thread(target=self._write, args=(n,)) for n in range(WRITERS)]
        for writer in writers:
            writer.start()
        while self.written < 10 * WRITERS:
            time.sleep(0.05)
        try:
            yield
        finally:
            self._stop.set()
            for writer in writers:
                writer.join()

    def _write(self, number: int) -> None:
        body = {"model": "tiny", "max_tokens": LENGTH, "stream": True, "logprobs": 0}
        while not self._stop.is_set():
            prompt = f"{TEXTS[number]} {time.monotonic()}"
            with self._client.stream("POST", "/v1/completions", json=body | {"prompt": prompt}) as answer:
                for line in answer.iter_lines():
                    if line.startswith('data: {"id"'):
                        logged = json.loads(line.removeprefix("data: "))["choices"][0]["logprobs"]
                        self.written += len(logged["tokens"]) if logged else 0
                    if self._stop.is_set():
                        break


if __name__ == "__main__":
    main()
