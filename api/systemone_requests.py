"""The request of TypeSafe's systemone, as pydantic models: questions by name about a state."""

from typing import Annotated, Literal

from pydantic import Field, Tag, model_validator

from api.question_input import MOST_OPTIONS, MOST_QUESTIONS, Content, Name, Value, as_text, by_type
from api.requests import JobRequest
from api.schemas import Schema
from shared.questions import Option, Question


class NoulCriteria(Schema):
    """What counts as yes and as no."""

    true: Content | None = Field(None, description="What counts as yes.")
    false: Content | None = Field(None, description="What counts as no.")


class AskNoul(Schema):
    """Whether a statement about the state is true."""

    type: Literal["noul"] = Field(description="What this is.")
    instructions: Content | None = Field(None, description="What is asked, or stated.")
    criteria: NoulCriteria | None = Field(None, description="What counts as yes and as no.")

    @model_validator(mode="after")
    def _asks_something(self) -> "AskNoul":
        if not self._lines:
            raise ValueError("needs 'instructions' or 'criteria'")
        return self

    def named(self, name: str) -> Question:
        return Question("predicate", "\n".join(self._lines), name=name)

    @property
    def _lines(self) -> list[str]:
        criteria = self.criteria or NoulCriteria()
        said = {"": self.instructions, "Yes: ": criteria.true, "No: ": criteria.false}
        return [before + as_text(content) for before, content in said.items() if content]


class AskOneOf(Schema):
    """Which of several values is right."""

    type: Literal["choice"] = Field(description="What this is.")
    criteria: Annotated[dict[Value, Content | None], Field(min_length=1, max_length=MOST_OPTIONS)] = Field(
        description="Value -> when it is right."
    )
    instructions: Content | None = Field(None, description="What is asked.")

    def named(self, name: str) -> Question:
        options = tuple(Option(value, as_text(said) if said else "") for value, said in self.criteria.items())
        return Question("choice", as_text(self.instructions or ""), options, name)


class AskLevel(Schema):
    """How much of something there is."""

    type: Literal["score"] = Field(description="What this is.")
    criteria: Annotated[list[Content], Field(min_length=1, max_length=MOST_OPTIONS)] = Field(
        description="The levels, in order, from level 0."
    )
    instructions: Content | None = Field(None, description="What is asked.")

    def named(self, name: str) -> Question:
        options = tuple(Option(level) for level in self.criteria)
        return Question("score", as_text(self.instructions or ""), options, name)


AskedByName = Annotated[
    Annotated[AskNoul, Tag("a noul")]
    | Annotated[AskOneOf, Tag("a choice")]
    | Annotated[AskLevel, Tag("a score")],
    by_type("noul", "choice", "score"),
]


class SystemOneRequest(JobRequest):
    """TypeSafe's systemone: named questions about a state. Images, and questions about boxes in them, are
    not answered here."""

    model: str = Field(description="An id of GET /v1/models.")
    state: Content = Field(description="What is asked about: a text, or any JSON, which is read as such.")
    questions: Annotated[dict[Name, AskedByName], Field(min_length=1, max_length=MOST_QUESTIONS)] = Field(
        description="Name -> question."
    )
    assets: None = Field(None, description="Refused: images are not read here.")

    @property
    def text(self) -> str:
        return as_text(self.state) if self.state else ""

    @property
    def asked(self) -> tuple[Question, ...]:
        return tuple(question.named(name) for name, question in self.questions.items())
