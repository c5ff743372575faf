"""Typed questions about one text and what was found: what crosses from the api to the worker and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

Kind = Literal["predicate", "choice", "score"]


@dataclass(frozen=True)
class Option:
    """A value to choose, or a level of a score. `value` is what answers repeat: JSON, as it was sent."""

    value: Any
    description: str = ""

    @property
    def text(self) -> str:
        """How the value reads."""
        if isinstance(self.value, str):
            return self.value
        return json.dumps(self.value, ensure_ascii=False, separators=(",", ":"))

    @property
    def described(self) -> str:
        return f"{self.text}: {self.description}" if self.description else self.text


@dataclass(frozen=True)
class Question:
    """
    Attributes:
        instructions: what is asked, or stated; may be empty where options say enough.
        options: values of a choice; levels of a score, from level 0; none for a predicate.
        name: what the client calls it.
    """

    kind: Kind
    instructions: str
    options: tuple[Option, ...] = ()
    name: str | None = None

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Question":
        options = tuple(Option(**option) for option in value["options"])
        return cls(value["kind"], value["instructions"], options, value["name"])

    @property
    def unnamed(self) -> "Question":
        """All that an answer depends on."""
        return replace(self, name=None)

    @property
    def outline(self) -> "Question":
        """All that the body of an answer repeats."""
        return replace(self, instructions="", options=tuple(Option(option.value) for option in self.options))

    @property
    def characters(self) -> int:
        return len(self.instructions) + sum(len(option.described) for option in self.options)


@dataclass(frozen=True)
class Finding:
    """The answer to one question.

    Attributes:
        chances: probability of each option, in order; of yes and of no for a predicate. They sum to 1.
        label_mass: the model's own probability, before that normalisation, of answering with any of them.
        refusal: why there is no answer; then the rest is empty.
    """

    chances: tuple[float, ...] = ()
    label_mass: float = 0.0
    refusal: str | None = None

    @classmethod
    def from_dict(cls, value: Mapping[str, Any]) -> "Finding":
        return cls(tuple(value["chances"]), value["label_mass"], value.get("refusal"))
