"""A real worker whose model is a fake that does what the text says (python -m tests.scripted_worker).

fail …   the engine step raises        die …    the process is killed in the step
gate …   the step lasts until the test opens the gate (list `gate`)
paced …  the step lasts WIREDESK_STANDIN_SECONDS
Every step notes its number of texts in the list `steps`.

Prompts to write after: the text is "1 2 3 …", a word for each step; each step that has a row whose
prompt begins with `ticked` waits for an element of the list `ticks`. `die` and `fail` as above, in the
second step. Every step notes its prompts in the list `written`.
"""

import os
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from shared.description import Description
from shared.errors import ItemError
from shared.job import Generation, TokenLogprob
from shared.questions import Question
from shared.redis_client import connect
from shared.settings import Settings
from worker.__main__ import run
from worker.engine.protocol import Classification, Findings, Row
from worker.engine.standin import StandIn

LABELS = ("货币政策", "其他")


class ScriptedEngine:
    def __init__(self, config: Settings):
        self._pace = config.standin_seconds
        self._redis = connect(config.broker_url, timeout=60)
        self.texts = ScriptedTexts(self._redis)

    def classify(self, texts: Sequence[str], labels: object = ()) -> list[Classification]:
        self._redis.rpush("steps", len(texts))
        if any(text.startswith("die") for text in texts):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(text.startswith("gate") for text in texts):
            self._redis.blmove("gate", "gate", 30, "LEFT", "LEFT")
        if any(text.startswith("paced") for text in texts):
            time.sleep(self._pace)
        if any(text.startswith("fail") for text in texts):
            raise RuntimeError(f"cannot read {texts}")
        return [self._answer(text) for text in texts]

    def decide(self, asked: Sequence[tuple[str, Sequence[Question]]]) -> list[Findings | ItemError]:
        return StandIn(0).decide(asked)

    def describe(self) -> Description:
        return Description(
            name="scripted",
            revision="1",
            labels=LABELS,
            device="cpu",
            quantization="none",
            memory_bytes=0,
            writes=True,
        )

    def _answer(self, text: str) -> Classification:
        label = LABELS[len(text) % 2]
        probabilities = {name: 0.75 if name == label else 0.25 for name in LABELS}
        return Classification(label, probabilities, 0.9, False, f"这条新闻属于：{label}", len(text), 2)


@dataclass
class ScriptedRow:
    script: str
    asked: Generation
    words: list[str] = field(default_factory=list)
    evicted: bool = False
    error: ItemError | None = None

    @property
    def text(self) -> str:
        return " ".join(self.words)

    @property
    def logprobs(self) -> list[TokenLogprob]:
        return [TokenLogprob(word, -0.5) for word in self.words] if self.asked.logprobs is not None else []

    @property
    def prompt(self) -> range:
        return range(len(self.script))

    @property
    def written(self) -> range:
        return range(len(self.words))

    @property
    def finish_reason(self) -> str | None:
        return "length" if len(self.words) >= self.asked.max_tokens else None

    @property
    def ended(self) -> bool:
        return bool(self.finish_reason) or self.evicted


class ScriptedTexts:
    def __init__(self, redis):
        self._redis = redis
        self._rows: list[ScriptedRow] = []

    def start(self, asked: Sequence[tuple[str, Generation]]) -> list[Row | ItemError]:
        rows = [ScriptedRow(script, how) for script, how in asked]
        self._rows += rows
        for row in rows:
            row.words.append("1")
        return list(rows)

    def step(self) -> None:
        self._rows = [row for row in self._rows if not row.ended]
        scripts = [row.script for row in self._rows]
        self._redis.rpush("written", "|".join(scripts))
        if any(script.startswith("ticked") for script in scripts):
            self._redis.blpop("ticks", 30)
        if any(script.startswith("die") for script in scripts):
            os.kill(os.getpid(), signal.SIGKILL)
        if any(script.startswith("fail") for script in scripts):
            raise RuntimeError(f"cannot write {scripts}")
        for row in self._rows:
            row.words.append(str(len(row.words) + 1))

    def drop(self, row: Row) -> None:
        assert isinstance(row, ScriptedRow)
        row.evicted = True
        self._rows.remove(row)


if __name__ == "__main__":
    run(ScriptedEngine)
