"""The seam between the queue and any engine: what goes in, what comes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.description import Description
from shared.errors import ItemError


@dataclass(frozen=True)
class Classification:
    """The answer for one text.

    probabilities sums to 1 over the labels (calibrated); label_mass is the probability, before
    that renormalisation, that the model answers with any label at all (0..1).
    """

    label: str
    probabilities: dict[str, float]
    label_mass: float
    truncated: bool
    answer: str
    prompt_tokens: int
    completion_tokens: int

    @property
    def probability(self) -> float:
        return self.probabilities[self.label]


class Engine(Protocol):
    """Holds one model. Not thread-safe: the worker calls it from one thread."""

    def classify(self, texts: Sequence[str]) -> list[Classification | ItemError]:
        """Score all texts in one step; the answer keeps their order, a bad text yields its error."""

    def describe(self) -> Description: ...
