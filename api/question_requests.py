"""The requests that ask typed questions, as pydantic models: OpenAI's decisions and TypeSafe's systemone."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from api.requests import JobRequest, Text
from api.schemas import Schema
from shared.questions import Option, Question

MOST_QUESTIONS = 400
MOST_OPTIONS = 255

Name = Annotated[str, Field(max_length=200)]
Value = Annotated[str, Field(min_length=1, max_length=1000)]


def _readable(value: Any) -> Any:
    """JSON that can be stored, and put to a model, as text."""
    left = [value]
    while left:
        one = left.pop()
        if isinstance(one, str) and not _is_text(one):
            raise ValueError("has half a character (a lone surrogate)")
        left += [*one, *one.values()] if isinstance(one, dict) else one if isinstance(one, list) else ()
    return value


def _is_text(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


Json = Annotated[dict[str, Any] | list[Any], AfterValidator(_readable)]
Content = Annotated[str | dict[str, Any] | list[Any], AfterValidator(_readable)]


def as_text(content: Any) -> str:
    """Text as it is; anything else as compact JSON."""
    if isinstance(content, str):
        return content
    return json.dumps(content, ensure_ascii=False, separators=(",", ":"))


class InputText(Schema):
    """A text."""

    type: Literal["input_text"] = Field(description="What this is.")
    text: str = Field(description="The text.")
    prompt_cache_breakpoint: Any = Field(None, description="Ignored.")

    @property
    def said(self) -> str:
        return self.text


class OutputText(InputText):
    """A text that an assistant has written."""

    type: Literal["output_text"] = Field(description="What this is.")  # type: ignore[assignment]


class InputJson(Schema):
    """An object, or several, in place of a text."""

    type: Literal["input_json"] = Field(description="What this is.")
    data: Json = Field(description="What is read as compact JSON.")

    @property
    def said(self) -> str:
        return as_text(self.data)


class InputRefusal(Schema):
    """An assistant's refusal."""

    type: Literal["refusal"] = Field(description="What this is.")
    refusal: str = Field(description="Its words.")

    @property
    def said(self) -> str:
        return self.refusal


class InputImage(Schema):
    """Refused: images are not read here."""

    type: Literal["input_image"] = Field(description="What this is.")
    image_url: Any = Field(None, description="Not read.")
    detail: Any = Field(None, description="Not read.")
    prompt_cache_breakpoint: Any = Field(None, description="Not read.")

    @model_validator(mode="after")
    def _refuse(self) -> "InputImage":
        raise ValueError("images are not read here; send text")

    @property
    def said(self) -> str:
        return ""


def _by_type(*kinds: str) -> Discriminator:
    """Members of a union by their `type`; tags are no identifiers, so that no error's path has them."""

    def tag(value: Any) -> str:
        return f"a {value.get('type') if isinstance(value, Mapping) else getattr(value, 'type', None)}"

    message = f"'type' must be one of {', '.join(kinds)}"
    return Discriminator(tag, custom_error_type="unknown_type", custom_error_message=message)


Part = Annotated[
    Annotated[InputText, Tag("a input_text")]
    | Annotated[OutputText, Tag("a output_text")]
    | Annotated[InputJson, Tag("a input_json")]
    | Annotated[InputRefusal, Tag("a refusal")]
    | Annotated[InputImage, Tag("a input_image")],
    _by_type("input_text", "output_text", "input_json", "refusal"),
]
Parts = Text | Annotated[list[Part], Field(min_length=1)]


def say(parts: str | list[Part]) -> str:
    return parts if isinstance(parts, str) else "\n".join(part.said for part in parts)


class InputMessage(Schema):
    """What somebody says."""

    role: Literal["user", "developer", "system", "assistant"] = Field(description="Who says it.")
    content: Parts = Field(description="A text, or parts that are read one below the other.")
    type: Literal["message"] = Field("message", description="What this is.")
    phase: Literal["commentary", "final_answer"] | None = Field(None, description="Ignored.")

    @property
    def said(self) -> str:
        return say(self.content)

    @property
    def speaker(self) -> str:
        return self.role


class ToolCall(Schema):
    """A function call or a custom tool call."""

    type: Literal["function_call", "custom_tool_call"] = Field(description="What this is.")
    call_id: str = Field(description="By which its output names it.")
    name: str = Field(description="What is called.")
    arguments: str | None = Field(None, description="Of a function call.")
    input: str | None = Field(None, description="Of a custom tool call.")
    id: str | None = Field(None, description="Ignored.")
    namespace: str | None = Field(None, description="Ignored.")
    status: Literal["in_progress", "completed", "incomplete"] | None = Field(None, description="Ignored.")

    @model_validator(mode="after")
    def _has_what_it_is_called_with(self) -> "ToolCall":
        wanted = "arguments" if self.type == "function_call" else "input"
        if getattr(self, wanted) is None:
            raise ValueError(f"a {self.type} needs '{wanted}'")
        return self

    @property
    def said(self) -> str:
        return f"{self.name}({self.arguments or self.input or ''})"

    @property
    def speaker(self) -> str:
        return "call"


class ToolOutput(Schema):
    """What a call has given."""

    type: Literal["function_call_output", "custom_tool_call_output"] = Field(description="What this is.")
    call_id: str = Field(description="Of the call, which comes before it.")
    output: Parts = Field(description="A text, or parts that are read one below the other.")
    id: str | None = Field(None, description="Ignored.")
    status: Literal["in_progress", "completed", "incomplete"] | None = Field(None, description="Ignored.")

    @property
    def said(self) -> str:
        return say(self.output)

    @property
    def speaker(self) -> str:
        return "result"


def _kind_of_input(value: Any) -> str:
    kind = value.get("type", "message") if isinstance(value, Mapping) else getattr(value, "type", "message")
    if kind in ("function_call", "custom_tool_call"):
        return "a call"
    return "a result" if kind in ("function_call_output", "custom_tool_call_output") else "a message"


Input = Annotated[
    Annotated[InputMessage, Tag("a message")]
    | Annotated[ToolCall, Tag("a call")]
    | Annotated[ToolOutput, Tag("a result")],
    Discriminator(_kind_of_input),
]


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
    _by_type("predicate", "choice", "score"),
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
    _by_type("noul", "choice", "score"),
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
