"""Every request and answer of the api, as pydantic models: the only definition of each."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.job import Endpoint, Priority, State

CLASSIFIER = "news-classifier"

Text = Annotated[str, Field(min_length=1)]


class Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class JobRequest(Schema):
    """What every request to the model may say about its job."""

    model: str | None = None
    priority: Priority | None = None
    expires_in: Annotated[float, Field(gt=0, le=604_800)] | None = None


class ClassifyRequest(JobRequest):
    """One text, or several that are answered together."""

    input: Text | Annotated[list[Text], Field(min_length=1)]

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


class Usage(Schema):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ErrorDetail(Schema):
    message: str
    type: str
    param: str | None
    code: str


class Scored(Schema):
    """One text's answer. probabilities sum to 1; label_mass is the model's own probability, before
    that normalisation, of answering with any label at all."""

    label: str
    probability: float
    probabilities: dict[str, float]
    label_mass: float
    truncated: bool
    usage: Usage


class Failed(Schema):
    error: ErrorDetail


class Timing(Schema):
    queue_ms: int
    inference_ms: float


class Classification(Schema):
    id: str
    object: Literal["classification"] = "classification"
    created: int
    model: str
    results: list[Scored | Failed]
    timing: Timing


class ChatMessage(Schema):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class Choice(Schema):
    index: int = 0
    message: ChatMessage
    finish_reason: Literal["stop"] = "stop"
    logprobs: None = None


class ChatLabel(Schema):
    label: str
    probability: float
    probabilities: dict[str, float]
    label_mass: float
    truncated: bool


class ChatCompletion(Schema):
    id: str
    object: Literal["chat.completion"] = "chat.completion"
    created: int
    model: str
    choices: list[Choice]
    usage: Usage
    classification: ChatLabel
    timing: Timing


class JobStatus(Schema):
    """A job as its client sees it; times are Unix seconds, position counts the texts before it."""

    id: str
    object: Literal["job"] = "job"
    endpoint: Endpoint
    status: State
    priority: Priority
    position: int | None = None
    attempts: int = 0
    created_at: int
    started_at: int | None = None
    finished_at: int | None = None
    result: Classification | ChatCompletion | None = None
    error: ErrorDetail | None = None


class JobList(Schema):
    """One page of a client's jobs, without their results; `after=<id of the last>` gives the next."""

    object: Literal["list"] = "list"
    data: list[JobStatus]
    has_more: bool


class Model(Schema):
    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["wiredesk"] = "wiredesk"
    labels: list[str]
    revision: str


class ModelList(Schema):
    object: Literal["list"] = "list"
    data: list[Model]
