"""The events of streamed answers, as pydantic models (whole answers: api/schemas.py)."""

from typing import Literal

from api.schemas import Body, ChatLabel, ChatLogprobs, FinishReason, Schema, TextChoice, Timing, Usage


class Delta(Schema):
    content: str = ""


class FirstDelta(Delta):
    role: Literal["assistant"] = "assistant"


class ChunkChoice(Schema):
    index: int = 0
    delta: FirstDelta | Delta
    finish_reason: FinishReason | None
    logprobs: ChatLogprobs | None = None


class ChatChunk(Body):
    """One event of a streamed chat; the last may carry `usage`, and a classifier's its label."""

    object: Literal["chat.completion.chunk"] = "chat.completion.chunk"
    choices: list[ChunkChoice]
    usage: Usage | None = None
    classification: ChatLabel | None = None
    timing: Timing | None = None


class TextChunk(Body):
    """One event of a streamed completion; the last may carry `usage`."""

    object: Literal["text_completion"] = "text_completion"
    choices: list[TextChoice]
    usage: Usage | None = None
