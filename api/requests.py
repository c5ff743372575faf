"""Every request to the model, as pydantic models: the only definition of each."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.schemas import Schema
from shared.job import Priority

Text = Annotated[str, Field(min_length=1)]


class JobRequest(Schema):
    """What every request to the model may say about its job."""

    model: str | None = None
    priority: Priority | None = None
    expires_in: Annotated[float, Field(gt=0, le=604_800)] | None = None


class ClassifyRequest(JobRequest):
    """One text, or several that are answered together."""

    input: Text | Annotated[list[Text], Field(min_length=1)]
    abstain_below: Annotated[float, Field(ge=0, le=1)] | None = None

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


class ChatRequest(JobRequest):
    """An OpenAI chat completion: the last user message is the news.

    The classifier scores labels, it writes no free text; so fields that steer sampling change
    nothing and are ignored, and fields that ask for another kind of answer are refused. The table
    in docs/api.md lists every field and a test compares it with this class.
    """

    model: str
    messages: Annotated[list[Message], Field(min_length=1)]

    # Ignored: the answer would be the same.
    frequency_penalty: float | None = None
    logit_bias: dict[str, float] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    metadata: dict[str, str] | None = None
    parallel_tool_calls: bool | None = None
    presence_penalty: float | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: Any = None
    prompt_cache_retention: str | None = None
    reasoning_effort: str | None = None
    safety_identifier: str | None = None
    seed: int | None = None
    service_tier: str | None = None
    stop: str | list[str] | None = None
    store: bool | None = None
    stream_options: StreamOptions | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    user: str | None = None
    verbosity: str | None = None

    # Refused unless they say what is served anyway.
    audio: None = None
    function_call: Literal["none"] | None = None
    functions: Annotated[list[Any], Field(max_length=0)] | None = None
    logprobs: Literal[False] | None = None
    modalities: list[Literal["text"]] | None = None
    moderation: None = None
    n: Literal[1] | None = None
    prediction: None = None
    response_format: dict[Literal["type"], Literal["text"]] | None = None
    stream: Literal[False] | None = None
    tool_choice: Literal["none"] | None = None
    tools: Annotated[list[Any], Field(max_length=0)] | None = None
    top_logprobs: Literal[0] | None = None
    web_search_options: None = None

    @property
    def news(self) -> str | None:
        """The last user message; None without one."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), None)
