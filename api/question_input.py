"""What questions are asked about, as pydantic models: texts, messages, calls and their outputs."""

import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Discriminator, Field, Tag, model_validator

from api.requests import Text
from api.schemas import Schema

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


def by_type(*kinds: str) -> Discriminator:
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
    by_type("input_text", "output_text", "input_json", "refusal"),
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
