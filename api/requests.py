"""Every request to the model, as pydantic models: the only definition of each."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, field_validator

from api.schemas import Schema
from shared.job import Priority

MOST = 2**31 - 1  # of what is counted in tokens
Text = Annotated[str, Field(min_length=1)]
IGNORED = Field(None, description="Ignored: the answer would be the same.")
REFUSED = Field(None, description="Refused unless it asks for what is served anyway.")


class JobRequest(Schema):
    """What every request to the model may say about its job."""

    model: str | None = Field(None, description="An id of GET /v1/models; the classifier when left out.")
    priority: Priority | None = Field(
        None,
        description="`bulk` waits while `interactive` texts wait; the highest that you may, when left out.",
    )
    expires_in: Annotated[float, Field(gt=0, le=604_800)] | None = Field(
        None, description="Seconds after which a job that nobody has begun is not wanted any more."
    )


Label = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]


class ClassifyRequest(JobRequest):
    """One text, or several that are answered together."""

    input: Text | Annotated[list[Text], Field(min_length=1)] = Field(
        description="The text, or a list of texts; each counts for limits, and all are admitted or none."
    )
    labels: Annotated[list[Label], Field(min_length=2, max_length=1000)] | None = Field(
        None, description="Distinct labels to choose from instead of the model's own, where it can."
    )
    abstain_below: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Below this probability a text gets no label and status `uncertain`."
    )

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
    """A piece of a message."""

    type: Literal["text"] = Field(description="Only text is taken.")
    text: str = Field(description="The text.")


class Message(BaseModel):
    """One message of a conversation. Other fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    role: Literal["system", "developer", "user", "assistant", "tool", "function"] = Field(
        description="Who speaks; text is written after the first four only."
    )
    content: str | list[TextPart] | None = Field(None, description="The text, or its pieces.")

    @property
    def text(self) -> str:
        if isinstance(self.content, list):
            return "".join(part.text for part in self.content)
        return self.content or ""


class StreamOptions(BaseModel):
    """Of a streamed answer. Other fields are ignored."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    include_usage: bool | None = Field(None, description="A last chunk says how many tokens were used.")


Stop = Annotated[str, Field(min_length=1, max_length=200)]


class WritingRequest(JobRequest):
    """How text is to be written, in OpenAI's fields and our `top_k`."""

    model: str = Field(description="An id of GET /v1/models.")
    max_tokens: Annotated[int, Field(ge=1, le=MOST)] | None = Field(
        None, description="Most new tokens; WIREDESK_MAX_NEW_TOKENS at most."
    )
    temperature: Annotated[float, Field(ge=0, le=2)] | None = Field(
        None, description="0 is greedy; 1 when left out."
    )
    top_p: Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="Draw from the smallest set of likeliest tokens with this probability."
    )
    top_k: Annotated[int, Field(ge=0, le=MOST)] | None = Field(
        None, description="Draw from so many of the likeliest tokens; 0 for all. Not OpenAI's."
    )
    seed: Annotated[int, Field(ge=-(2**63), lt=2**63)] | None = Field(
        None, description="The same seed gives the same text."
    )
    stop: Stop | Annotated[list[Stop], Field(max_length=16)] | None = Field(
        None, description="Texts before which the answer ends."
    )
    stream: bool | None = Field(None, description="Answer as server-sent events.")
    stream_options: StreamOptions | None = Field(None, description="Of a streamed answer.")
    frequency_penalty: float | None = Field(None, description="0, or left out, where text is written.")
    presence_penalty: float | None = Field(None, description="0, or left out, where text is written.")
    logit_bias: dict[str, float] | None = Field(
        None, description="Empty, or left out, where text is written."
    )
    n: Literal[1] | None = REFUSED
    user: str | None = IGNORED

    @property
    def stops(self) -> tuple[str, ...]:
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def include_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


class CompletionRequest(WritingRequest):
    """An OpenAI completion: text after a prompt, or after each of several."""

    prompt: Text | Annotated[list[Text], Field(min_length=1)] = Field(
        description="The prompt, or a list of prompts; taken as written, control tokens included."
    )
    logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="The log-probability of each token and of so many alternatives."
    )

    best_of: Literal[1] | None = REFUSED
    echo: Literal[False] | None = REFUSED
    suffix: None = REFUSED

    @property
    def prompts(self) -> tuple[str, ...]:
        return (self.prompt,) if isinstance(self.prompt, str) else tuple(self.prompt)


class ChatRequest(WritingRequest):
    """An OpenAI chat completion. For the classifier the last user message is the news, and its label the
    answer; the model's own id answers the whole conversation with text.

    The classifier scores labels, it writes no free text; so fields that steer sampling change
    nothing and are ignored, and fields that ask for another kind of answer are refused.
    """

    # The table in docs/api.md lists every field for both, and a test compares it with the code.
    messages: Annotated[list[Message], Field(min_length=1)] = Field(description="The conversation.")
    max_completion_tokens: Annotated[int, Field(ge=1, le=MOST)] | None = Field(
        None, description="The same as `max_tokens`, and stronger."
    )
    logprobs: bool | None = Field(None, description="The log-probability of each token that was written.")
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = Field(
        None, description="And of so many alternatives; needs `logprobs`."
    )

    metadata: dict[str, str] | None = IGNORED
    parallel_tool_calls: bool | None = IGNORED
    prompt_cache_key: str | None = IGNORED
    prompt_cache_options: Any = IGNORED
    prompt_cache_retention: str | None = IGNORED
    reasoning_effort: str | None = IGNORED
    safety_identifier: str | None = IGNORED
    service_tier: str | None = IGNORED
    store: bool | None = IGNORED
    verbosity: str | None = IGNORED

    audio: None = REFUSED
    function_call: Literal["none"] | None = REFUSED
    functions: Annotated[list[Any], Field(max_length=0)] | None = REFUSED
    modalities: list[Literal["text"]] | None = REFUSED
    moderation: None = REFUSED
    prediction: None = REFUSED
    response_format: dict[Literal["type"], Literal["text"]] | None = REFUSED
    tool_choice: Literal["none"] | None = REFUSED
    tools: Annotated[list[Any], Field(max_length=0)] | None = REFUSED
    web_search_options: None = REFUSED

    @property
    def news(self) -> str | None:
        """The last user message; None without one."""
        return next((m.text for m in reversed(self.messages) if m.role == "user"), None)
