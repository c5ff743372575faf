"""Every request to the model, as pydantic models: the only definition of each."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from api.schemas import Schema
from shared.job import Priority

MOST = 2**31 - 1  # of what is counted in tokens
Text = Annotated[str, Field(min_length=1)]


class JobRequest(Schema):
    """What every request to the model may say about its job."""

    model: str | None = None
    priority: Priority | None = None
    expires_in: Annotated[float, Field(gt=0, le=604_800)] | None = None


Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class ClassifyRequest(JobRequest):
    """One text, or several that are answered together."""

    input: Text | Annotated[list[Text], Field(min_length=1)]
    labels: Annotated[list[Label], Field(min_length=2, max_length=1000)] | None = None
    abstain_below: Annotated[float, Field(ge=0, le=1)] | None = None

    @field_validator("labels")
    @classmethod
    def _distinct(cls, value: list[str] | None) -> list[str] | None:
        twice = sorted({label for label in value or () if (value or []).count(label) > 1})
        if twice:
            raise ValueError(f"has {twice[0]!r} twice; send each label once")
        return value

    @property
    def texts(self) -> tuple[str, ...]:
        return (self.input,) if isinstance(self.input, str) else tuple(self.input)


class TextPart(Schema):
    type: Literal["text"]
    text: str


class Message(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: str | list[TextPart] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)

    include_usage: bool | None = None


Stop = Annotated[str, Field(min_length=1, max_length=200)]


class WritingRequest(JobRequest):
    """How text is to be written, in OpenAI's fields and our `top_k`."""

    model: str
    max_tokens: Annotated[int, Field(ge=1, le=MOST)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_k: Annotated[int, Field(ge=0, le=MOST)] | None = None
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = None
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    n: Literal[1] | None = None
    user: str | None = None

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


class CompletionRequest(WritingRequest):
    """An OpenAI completion: text after a prompt, or after each of several."""

    prompt: Text | Annotated[list[Text], Field(min_length=1)]
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    # Refused unless they say what is served anyway.
    best_of: Literal[1] | None = None
    echo: Literal[False] | None = None
    suffix: None = None

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.prompt,) if isinstance(self.prompt, str) else tuple(self.prompt)


class ChatRequest(WritingRequest):
    """An OpenAI chat completion. For the classifier the last user message is the news, and its label the
    answer; the model's own id answers the whole conversation with text.

    The classifier scores labels, it writes no free text; so fields that steer sampling change
    nothing and are ignored, and fields that ask for another kind of answer are refused. The table
    in docs/api.md lists every field for both, and a test compares it with the code.
    """

    messages: Annotated[list[Message], Field(min_length=1)]
    max_completion_tokens: Annotated[int, Field(ge=1, le=MOST)] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None

    # Ignored: the answer would be the same.
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    reasoning_effort: str | None = None
    safety_identifier: str | None = None
    service_tier: str | None = None
    store: bool | None = None
    verbosity: str | None = None

    # Refused unless they say what is served anyway.
    audio: None = None
    function_call: Literal["none"] | None = None
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    modalities: list[Literal["text"]] | None = None
    moderation: None = None
    prediction: None = None
    response_format: dict[Literal["type"], Literal["text"]] | None = None
    tool_choice: Literal["none"] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    web_search_options: None = None

    @property
    def news(self) -> str | None:
        """The last user message; None without one."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), None)
