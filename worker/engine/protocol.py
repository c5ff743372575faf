"""The seam between the queue and any engine: what goes in, what comes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from shared.description import Description
from shared.errors import ItemError
from shared.job import Generation, TokenLogprob
from shared.questions import Finding, Question

Labels = tuple[str, ...] | None  # None: the model's own


@dataclass(frozen=True)
class Classification:
    """The answer for one text.

    probabilities sums to 1 over the labels (calibrated), unless each label has a verdict of its own;
    label_mass is the probability, before that renormalisation, that the model answers with any label at
    all, or begins to, where the end of turn is not scored (0..1). labels: those that apply, where any
    number may. slots: the probabilities of each slot's values, given the values of the slots before it.
    """

    label: str
    probabilities: dict[str, float]
    label_mass: float
    truncated: bool
    answer: str
    prompt_tokens: int
    completion_tokens: int
    labels: tuple[str, ...] | None = None
    slots: dict[str, dict[str, float]] | None = None

    @property
    def probability(self) -> float:
        return self.probabilities[self.label]


@dataclass(frozen=True)
class Findings:
    """What was found about one text: a finding for each question, in order. prompt_tokens counts the text
    once, and what each question adds."""

    findings: tuple[Finding, ...]
    truncated: bool
    prompt_tokens: int
    completion_tokens: int


class Row(Protocol):
    """One generation under way; the engine changes it with every step.

    Attributes:
        text: what it has written so far, as far as it may be shown.
        logprobs: of each token, if they were asked for.
        prompt, written: tokens read, and written.
        finish_reason: `stop` at its natural end or a stop text, `length` at max_tokens; None under way.
        error: why it failed.
        evicted: it has left for want of memory, or was dropped; it can be started again.
    """

    @property
    def text(self) -> str: ...
    @property
    def logprobs(self) -> Sequence[TokenLogprob]: ...
    @property
    def prompt(self) -> Sequence[int]: ...
    @property
    def written(self) -> Sequence[int]: ...
    @property
    def finish_reason(self) -> Literal["stop", "length"] | None: ...
    @property
    def error(self) -> ItemError | None: ...
    @property
    def evicted(self) -> bool: ...
    @property
    def ended(self) -> bool: ...


class Texts(Protocol):
    """The part of an engine that writes text, a step at a time."""

    def start(self, asked: Sequence[tuple[str, Generation]]) -> Sequence[Row | ItemError]:
        """Read the prompts; a row has its first token, a bad prompt yields its error."""

    def step(self) -> None:
        """One more token for each row under way."""

    def drop(self, row: Row) -> None:
        """Nobody wants this row any more."""


class Engine(Protocol):
    """Holds one model. Not thread-safe: the worker calls it from one thread."""

    @property
    def texts(self) -> Texts:
        """Writes text with the same weights."""

    def classify(
        self, texts: Sequence[str], labels: Sequence[Labels] = ()
    ) -> list[Classification | ItemError]:
        """Score all texts in one step; the answer keeps their order, a bad text yields its error.

        Args:
            labels: for each text those that it is asked about; empty: the model's own for all.
        """

    def decide(self, asked: Sequence[tuple[str, Sequence[Question]]]) -> list[Findings | ItemError]:
        """Answer the questions about each text in one step; a question that the model cannot answer is
        refused, a bad text yields its error."""

    def describe(self) -> Description: ...
