"""The stand-in engine: takes a model's time and answers by a hash; for benchmarks and queue tests."""

import hashlib
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from shared.description import Description
from shared.errors import ItemError
from shared.job import Generation, TokenLogprob
from shared.questions import Finding, Question
from shared.taxonomy import load_taxonomy
from worker.engine.protocol import Classification, Findings, Labels, Row

TAXONOMY = Path(__file__).parents[2] / "shared" / "taxonomies" / "newsroom.toml"


class StandIn:
    """Same protocol as the real engine. Served only when asked for by name (WIREDESK_MODEL=standin).

    Args:
        seconds: duration of one step, however many texts it holds.
    """

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._labels = load_taxonomy(TAXONOMY).names
        self.texts = StandInTexts(seconds)

    def classify(
        self, texts: Sequence[str], labels: Sequence[Labels] = ()
    ) -> list[Classification | ItemError]:
        if self._seconds:
            time.sleep(self._seconds)
        asked = list(labels) or [None] * len(texts)
        return [self._answer(text, own or self._labels) for text, own in zip(texts, asked, strict=True)]

    def decide(self, asked: Sequence[tuple[str, Sequence[Question]]]) -> list[Findings | ItemError]:
        if self._seconds:
            time.sleep(self._seconds)
        return [self._findings(text, questions) for text, questions in asked]

    def _findings(self, text: str, questions: Sequence[Question]) -> Findings:
        """Yes, an option or a level, by a hash of text and question, with probability 0.9."""
        found = []
        for question in questions:
            count = len(question.options) or 2
            place = hashlib.sha256(f"{text}\0{question.instructions}".encode()).digest()[0] % count
            rest = 0.1 / (count - 1) if count > 1 else 0.0
            best = 0.9 if count > 1 else 1.0
            found.append(Finding(tuple(best if n == place else rest for n in range(count)), 1.0))
        read = len(text) + sum(question.characters for question in questions)
        return Findings(tuple(found), truncated=False, prompt_tokens=read, completion_tokens=len(found))

    def describe(self) -> Description:
        return Description(
            name="standin",
            revision="standin",
            labels=self._labels,
            device="none",
            quantization="none",
            memory_bytes=0,
            writes=True,
            zero_shot=True,
        )

    def _answer(self, text: str, labels: Sequence[str]) -> Classification:
        """The label at the place that the text's hash points to, with probability 0.9."""
        place = hashlib.sha256(text.encode()).digest()[0] % len(labels)
        rest = 0.1 / (len(labels) - 1)
        probabilities = {name: 0.9 if i == place else rest for i, name in enumerate(labels)}
        label = labels[place]
        return Classification(
            label=label,
            probabilities=probabilities,
            label_mass=1.0,
            truncated=False,
            answer=f"这条新闻属于：{label}",
            prompt_tokens=len(text),
            completion_tokens=len(label),
        )


SENTENCE = "这是替身写的一句话。"


@dataclass
class StandInRow:
    """Writes a sentence over and over, a character for a token, up to max_tokens."""

    asked: Generation
    prompt: Sequence[int]
    text: str = ""
    logprobs: list[TokenLogprob] = field(default_factory=list)
    finish_reason: Literal["stop", "length"] | None = None
    error: ItemError | None = None
    evicted: bool = False

    @property
    def written(self) -> Sequence[int]:
        return range(len(self.text))

    @property
    def ended(self) -> bool:
        return self.finish_reason is not None or self.evicted

    def write(self) -> None:
        character = SENTENCE[len(self.text) % len(SENTENCE)]
        if character in self.asked.stop:
            self.finish_reason = "stop"
            return
        self.text += character
        if self.asked.logprobs is not None:
            self.logprobs.append(TokenLogprob(character, 0.0, ((character, 0.0),)[: self.asked.logprobs]))
        if len(self.text) == self.asked.max_tokens:
            self.finish_reason = "length"


class StandInTexts:
    """See protocol.Texts; a step takes `seconds`, however many rows it has."""

    def __init__(self, seconds: float):
        self._seconds = seconds
        self._rows: list[StandInRow] = []

    def start(self, asked: Sequence[tuple[str, Generation]]) -> list[Row | ItemError]:
        rows = [StandInRow(how, range(len(text))) for text, how in asked]
        self._write(rows)
        self._rows += rows
        return list(rows)

    def step(self) -> None:
        self._rows = [row for row in self._rows if not row.ended]
        self._write(self._rows)

    def drop(self, row: Row) -> None:
        assert isinstance(row, StandInRow)
        row.evicted = True

    def _write(self, rows: Sequence[StandInRow]) -> None:
        if self._seconds and rows:
            time.sleep(self._seconds)
        for row in rows:
            row.write()
