"""Every answer of the api, as pydantic models: the only definition of each (requests: api/requests.py)."""

from typing import Literal

from pydantic import BaseModel, ConfigDict

from api.codes import Code
from shared.job import Endpoint, Priority, State

CLASSIFIER = "news-classifier"
FinishReason = Literal["stop", "length"]


class Schema(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Usage(Schema):
    prompt_tokens: int
    completion_tokens: int
    total_tokens: int


class ErrorDetail(Schema):
    message: str
    type: str
    param: str | None
    code: Code


class Problem(Schema):
    """The body of every answer that is no success: RFC 9457's members beside OpenAI's `error`."""

    type: str
    title: str
    status: int
    detail: str
    error: ErrorDetail
    job_id: str | None = None


class Scored(Schema):
    """One text's answer. probabilities sum to 1; label_mass is the model's own probability, before
    that normalisation, of answering with any label at all. Without a label where the highest
    probability is below the request's abstain_below."""

    label: str | None
    status: Literal["classified", "uncertain"]
    probability: float
    probabilities: dict[str, float]
    label_mass: float
    truncated: bool
    usage: Usage


class ScoredLabels(Scored):
    """From a model that gives each label a verdict of its own: `labels` are those that apply."""

    labels: list[str]


class ScoredSlots(Scored):
    """From a model that answers in slots: the probabilities of each slot's values, given those before it."""

    slots: dict[str, dict[str, float]]


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
    results: list[ScoredLabels | ScoredSlots | Scored | Failed]
    timing: Timing


class ChatMessage(Schema):
    role: Literal["assistant"] = "assistant"
    content: str
    refusal: None = None


class TopLogprob(Schema):
    token: str
    logprob: float
    bytes: list[int] | None


class ChatLogprob(TopLogprob):
    """A token of the answer; `bytes` is null where the token is no whole character."""

    top_logprobs: list[TopLogprob]


class ChatLogprobs(Schema):
    content: list[ChatLogprob]
    refusal: None = None


class Choice(Schema):
    index: int = 0
    message: ChatMessage
    finish_reason: FinishReason = "stop"
    logprobs: ChatLogprobs | None = None


class ChatLabel(Schema):
    label: str
    probability: float
    probabilities: dict[str, float]
    label_mass: float
    truncated: bool


class Body(Schema):
    """What OpenAI's bodies, whole and streamed, have in common."""

    id: str
    created: int
    model: str


class Written(Body):
    usage: Usage
    timing: Timing


class ChatCompletion(Written):
    """What the model has written."""

    object: Literal["chat.completion"] = "chat.completion"
    choices: list[Choice]


class ChatClassification(ChatCompletion):
    """What the classifier has found."""

    classification: ChatLabel


class TextLogprobs(Schema):
    tokens: list[str]
    token_logprobs: list[float]
    top_logprobs: list[dict[str, float]]
    text_offset: list[int]


class TextChoice(Schema):
    index: int
    text: str
    finish_reason: FinishReason | None
    logprobs: TextLogprobs | None


class Completion(Written):
    object: Literal["text_completion"] = "text_completion"
    choices: list[TextChoice]


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
    result: Classification | ChatClassification | ChatCompletion | Completion | None = None
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
