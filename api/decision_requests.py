"""The request of OpenAI's decisions, as pydantic models: questions in a list about one input."""

from typing import Annotated, Any, Literal

from pydantic import Field, Tag, model_validator

from api.question_input import (
    MOST_OPTIONS,
    MOST_QUESTIONS,
    Input,
    Name,
    Parts,
    ToolCall,
    ToolOutput,
    Value,
    by_type,
    say,
)
from api.requests import JobRequest, Text
from api.schemas import Schema
from shared.questions import Option, Question


class Asking(Schema):
    """What the three kinds have in common."""

    instructions: Parts = Field(description="What is asked, or stated: a text, or parts.")
    name: Name | None = Field(None, description="What the answer is called.")


class AskPredicate(Asking):
    """Whether a statement about the input is true."""

    type: Literal["predicate"] = Field(description="What this is.")

    @property
    def question(self) -> Question:
        return Question("predicate", say(self.instructions), name=self.name)


class AskedChoice(Schema):
    """A value to choose. A text and a boolean that read alike are two values."""

    value: Value | bool = Field(description="What the answer says when it is chosen.")
    description: str | None = Field(None, description="When it is right.")


class AskChoice(Asking):
    """Which of several values is right."""

    type: Literal["choice"] = Field(description="What this is.")
    choices: Annotated[list[AskedChoice], Field(min_length=2, max_length=MOST_OPTIONS)] = Field(
        description="The values, each once."
    )

    @model_validator(mode="after")
    def _distinct(self) -> "AskChoice":
        if len({(type(c.value), c.value) for c in self.choices}) < len(self.choices):
            raise ValueError("has a choice twice; send each once")
        return self

    @property
    def question(self) -> Question:
        options = tuple(Option(choice.value, choice.description or "") for choice in self.choices)
        return Question("choice", say(self.instructions), options, self.name)


class AskedLevel(Schema):
    """One level of a score."""

    label: Value = Field(description="Its name.")
    description: str | None = Field(None, description="When it is right.")


class AskScore(Asking):
    """How much of something there is."""

    type: Literal["score"] = Field(description="What this is.")
    levels: Annotated[list[AskedLevel], Field(min_length=2, max_length=MOST_OPTIONS)] = Field(
        description="The levels, in order, from level 0."
    )

    @property
    def question(self) -> Question:
        options = tuple(Option(level.label, level.description or "") for level in self.levels)
        return Question("score", say(self.instructions), options, self.name)


Asked = Annotated[
    Annotated[AskPredicate, Tag("a predicate")]
    | Annotated[AskChoice, Tag("a choice")]
    | Annotated[AskScore, Tag("a score")],
    by_type("predicate", "choice", "score"),
]


class DecisionRequest(JobRequest):
    """OpenAI's decisions: questions about one input."""

    model: str = Field(description="An id of GET /v1/models.")
    input: Text | Annotated[list[Input], Field(min_length=1)] = Field(
        description="A text, or messages, calls and their outputs."
    )
    questions: Annotated[list[Asked], Field(min_length=1, max_length=MOST_QUESTIONS)] = Field(
        description="What is asked about it, in the order of the answers."
    )

    # Ignored: nothing is kept for a later request but whole answers, and those by what they depend on.
    prompt_cache_key: str | None = Field(None, description="Ignored.")
    prompt_cache_options: Any = Field(None, description="Ignored.")
    safety_identifier: str | None = Field(None, description="Ignored.")

    @model_validator(mode="after")
    def _results_have_calls(self) -> "DecisionRequest":
        known: set[str] = set()
        for one in self.input if isinstance(self.input, list) else ():
            if isinstance(one, ToolCall):
                known.add(one.call_id)
            if isinstance(one, ToolOutput) and one.call_id not in known:
                raise ValueError(f"there is no call {one.call_id!r} before its output")
        return self

    @property
    def text(self) -> str:
        """A single user message is its text; else who says what, in order."""
        if isinstance(self.input, str):
            return self.input
        if len(self.input) == 1 and self.input[0].speaker == "user":
            return self.input[0].said
        return "\n\n".join(f"{one.speaker}: {one.said}" for one in self.input)

    @property
    def asked(self) -> tuple[Question, ...]:
        return tuple(question.question for question in self.questions)
