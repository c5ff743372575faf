"""The events of streamed answers, as pydantic models (whole answers: api/schemas.py)."""

from typing import Literal

from pydantic import ConfigDict, Field

from api.schemas import Body, ChatLabel, ChatLogprobs, FinishReason, Schema, TextChoice, Timing, Usage

OPTIONAL = ConfigDict(json_schema_serialization_defaults_required=False)


class Delta(Schema):
    """What the message has grown by."""

    content: str = Field("", description="New text.")


class FirstDelta(Delta):
    """The same, in the first event."""

    role: Literal["assistant"] = Field("assistant", description="Whose message it is.")


class ChunkChoice(Schema):
    """The one answer of a chat, as far as this event tells it."""

    index: int = Field(0, description="Always 0.")
    delta: FirstDelta | Delta = Field(description="What the message has grown by.")
    finish_reason: FinishReason | None = Field(description="In its last event; null before.")
    logprobs: ChatLogprobs | None = Field(None, description="Of the new tokens, where they were asked for.")


class ChatChunk(Body):
    """One event of a streamed chat; the last may carry `usage`, and a classifier's its label."""

    model_config = OPTIONAL

    object: Literal["chat.completion.chunk"] = Field("chat.completion.chunk", description="What this is.")
    choices: list[ChunkChoice] = Field(description="One, or none in the event with `usage`.")
    usage: Usage | None = Field(None, description="In the last event, where it was asked for.")
    classification: ChatLabel | None = Field(None, description="From the classifier.")
    timing: Timing | None = Field(None, description="From the classifier.")


class TextChunk(Body):
    """One event of a streamed completion; the last may carry `usage`."""

    model_config = OPTIONAL

    object: Literal["text_completion"] = Field("text_completion", description="What this is.")
    choices: list[TextChoice] = Field(description="What the texts have grown by.")
    usage: Usage | None = Field(None, description="In the last event, where it was asked for.")
