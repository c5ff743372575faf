"""Answers of the api, as pydantic models: the only definition of each (requests: api/requests.py; answers to
questions: api/question_schemas.py; jobs: api/job_schemas.py)."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from api.codes import Code

CLASSIFIER = "news-classifier"

Created = Annotated[int, Field(description="When the request was accepted, in Unix seconds.")]
FinishReason = Annotated[
    Literal["stop", "length"],
    Field(description="`stop` at the end of turn or before a stop text, `length` at the token limit."),
]
Label = Annotated[str, Field(description="The likeliest label.")]
ModelId = Annotated[str, Field(description="The id of the model that answered (GET /v1/models).")]
Probability = Annotated[float, Field(description="The calibrated probability of the likeliest label.")]
Probabilities = Annotated[
    dict[str, float], Field(description="Label -> probability; over the model's labels, calibrated.")
]
LabelMass = Annotated[
    float,
    Field(description="The model's own probability, before that, of answering with any label at all."),
]
Truncated = Annotated[
    bool, Field(description="The text was longer than the model reads; its start and its end were kept.")
]


class Schema(BaseModel):
    """Answers always have all their fields, unless their class says otherwise."""

    model_config = ConfigDict(extra="forbid", frozen=True, json_schema_serialization_defaults_required=True)


class Usage(Schema):
    """Tokens that were read and written."""

    prompt_tokens: int = Field(description="Tokens of the prompt.")
    completion_tokens: int = Field(description="Tokens of the answer.")
    total_tokens: int = Field(description="Both together.")


class ErrorDetail(Schema):
    """OpenAI's `error` object."""

    message: str = Field(description="What is wrong and how to mend it.")
    type: str = Field(description="OpenAI's kind of error, by status.")
    param: str | None = Field(description="The field, parameter or header that is wrong.")
    code: Code = Field(description="What is wrong, for programs; the list is complete.")


class Problem(Schema):
    """The body of every answer that is no success: RFC 9457's members beside OpenAI's `error`."""

    model_config = ConfigDict(json_schema_serialization_defaults_required=False)

    type: str = Field(description="`urn:wiredesk:error:` and the code.")
    title: str = Field(description="The status in words.")
    status: int = Field(description="The HTTP status.")
    detail: str = Field(description="The same as `error.message`.")
    error: ErrorDetail
    job_id: str = Field("", description="Only after a timeout: the job that goes on.")


class Scored(Schema):
    """One text's answer."""

    label: str | None = Field(description="The likeliest label; null where `status` is `uncertain`.")
    status: Literal["classified", "uncertain"] = Field(
        description="`uncertain`: the highest probability is below the request's `abstain_below`."
    )
    probability: Probability
    probabilities: Probabilities
    label_mass: LabelMass
    truncated: Truncated
    usage: Usage


class ScoredLabels(Scored):
    """One text's answer from a model that gives each label a verdict of its own."""

    labels: list[str] = Field(description="The labels that apply: those with a probability of .5 or more.")


class ScoredSlots(Scored):
    """One text's answer from a model that answers in slots."""

    slots: dict[str, dict[str, float]] = Field(
        description="Slot -> value -> probability, given the values of the slots before it."
    )


class Failed(Schema):
    """Stands in the place of a text that failed while others did not."""

    error: ErrorDetail


class Timing(Schema):
    """What the request waited for."""

    queue_ms: int = Field(description="Milliseconds in the queue.")
    inference_ms: float = Field(description="Milliseconds of the engine steps that it took part in.")


class Classification(Schema):
    """The labels of one text or several."""

    id: str = Field(description="The id of the job that did it.")
    object: Literal["classification"] = Field("classification", description="What this is.")
    created: Created
    model: ModelId
    results: list[ScoredLabels | ScoredSlots | Scored | Failed] = Field(
        description="One for each text, in order."
    )
    timing: Timing


class ChatMessage(Schema):
    """The assistant's answer."""

    role: Literal["assistant"] = Field("assistant", description="Whose message it is.")
    content: str = Field(description="The sentence with the label, or the text that was written.")
    refusal: None = Field(None, description="Always null.")


class TopLogprob(Schema):
    """A token that could have stood there."""

    token: str = Field(description="The token.")
    logprob: float = Field(description="Its natural log-probability.")
    bytes: list[int] | None = Field(description="Its UTF-8 bytes; null where it is no whole character.")


class ChatLogprob(TopLogprob):
    """A token of the answer."""

    top_logprobs: list[TopLogprob] = Field(description="The likeliest tokens at this place.")


class ChatLogprobs(Schema):
    """Log-probabilities of the answer's tokens."""

    content: list[ChatLogprob] = Field(description="Token by token.")
    refusal: None = Field(None, description="Always null.")


class Choice(Schema):
    """The one answer of a chat."""

    index: int = Field(0, description="Always 0.")
    message: ChatMessage
    finish_reason: FinishReason = "stop"
    logprobs: ChatLogprobs | None = Field(None, description="Where they were asked for.")


class ChatLabel(Schema):
    """What stands beside a classifier's sentence."""

    label: Label
    probability: Probability
    probabilities: Probabilities
    label_mass: LabelMass
    truncated: Truncated


class Body(Schema):
    """What OpenAI's bodies, whole and streamed, have in common."""

    id: str = Field(description="OpenAI's kind of id.")
    created: Created
    model: ModelId


class Written(Body):
    usage: Usage
    timing: Timing


class ChatCompletion(Written):
    """What the model has written."""

    object: Literal["chat.completion"] = Field("chat.completion", description="What this is.")
    choices: list[Choice] = Field(description="Always one.")


class ChatClassification(ChatCompletion):
    """What the classifier has found."""

    classification: ChatLabel


class TextLogprobs(Schema):
    """Log-probabilities of a text's tokens, in four lists of one length."""

    tokens: list[str] = Field(description="The tokens.")
    token_logprobs: list[float] = Field(description="Their natural log-probabilities.")
    top_logprobs: list[dict[str, float]] = Field(description="The likeliest tokens at each place.")
    text_offset: list[int] = Field(description="Where each token begins, in characters of the text.")


class TextChoice(Schema):
    """The text after one prompt."""

    index: int = Field(description="The place of its prompt.")
    text: str = Field(description="What was written.")
    finish_reason: FinishReason | None = Field(description="Why it ended; null while it is streamed.")
    logprobs: TextLogprobs | None = Field(description="Where they were asked for.")


class Completion(Written):
    """The texts after the prompts."""

    object: Literal["text_completion"] = Field("text_completion", description="What this is.")
    choices: list[TextChoice] = Field(description="One for each prompt, in order.")


class Model(Schema):
    """A model on offer."""

    id: str = Field(description="What a request's `model` may be.")
    object: Literal["model"] = Field("model", description="What this is.")
    created: int = Field(description="Always 0.")
    owned_by: Literal["wiredesk"] = Field("wiredesk", description="Always the same.")
    labels: list[str] = Field(description="The labels that it answers with; none for one that writes text.")
    revision: str = Field(description="Changes with the weights.")


class ModelCard(Schema):
    """The same model as TypeSafe's clients list it; no date of release is known."""

    name: str = Field(description="What a request's `model` may be.")
    description: str = Field(description="The revision of its weights.")
    release_date: str = Field("1970-01-01", description="Always the same.")


class ModelList(Schema):
    """The models on offer; none before any worker came."""

    object: Literal["list"] = Field("list", description="What this is.")
    data: list[Model] = Field(description="The models.")
    models: list[ModelCard] = Field(description="The same for TypeSafe's clients.")
