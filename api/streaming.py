"""Answers as server-sent events, in OpenAI's shapes: text as it is written, a label in one chunk."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

from flask import Response

from api.answers import body_id, chat_label, reason, timing, usage
from api.chunks import ChatChunk, ChunkChoice, Delta, FirstDelta, TextChunk
from api.errors import ApiError
from api.records import Piece
from api.schemas import FinishReason, TextChoice, Usage
from api.service import Service
from api.token_logprobs import chat_logprobs, text_logprobs
from api.waiting import ClientGone
from shared.job import Endpoint, JobRecord, TokenLogprob

HEADERS = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
DONE = "data: [DONE]\n\n"


class TextChanged(Exception):
    """A text that was written again, after its worker was lost, came out differently."""


@dataclass
class _Shown:
    """What one text's reader has seen."""

    text: str = ""
    tokens: int = 0

    def news(self, piece: Piece) -> tuple[str, list[TokenLogprob]]:
        """What of the piece has not been shown; a text that is written again repeats itself.

        Raises:
            TextChanged: it does not.
        """
        whole = self.text[: piece.at] + piece.text
        if not (whole.startswith(self.text) or self.text.startswith(whole)):
            raise TextChanged
        new, logprobs = whole[len(self.text) :], piece.logprobs[max(0, self.tokens - piece.token) :]
        self.text += new
        self.tokens += len(logprobs)
        return new, list(logprobs)


@dataclass
class Stream:
    """One streamed answer.

    Attributes:
        include_usage: a last chunk says how many tokens were read and written.
    """

    desk: Service
    endpoint: Endpoint
    job_id: str
    model: str
    include_usage: bool
    created: int
    _shown: dict[int, _Shown] = field(default_factory=dict)

    def response(self, events: Iterator[Piece | JobRecord]) -> Response | None:
        """The answer, once its first event has come; None when none has come in time.

        Raises:
            ApiError: the job ended without any.
            ClientGone: the client hung up.
        """
        first = next(events, None)
        if first is None:
            return None
        if isinstance(first, JobRecord) and (error := reason(first)):
            raise error
        return Response(self._lines(first, events), content_type="text/event-stream", headers=HEADERS)

    def _lines(self, first: Piece | JobRecord, events: Iterator[Piece | JobRecord]) -> Iterator[str]:
        """A client that hangs up closes this generator, or is found out by `events`."""
        ended = isinstance(first, JobRecord)
        try:
            if self.endpoint != "/v1/completions":
                yield _line(self._with([ChunkChoice(delta=FirstDelta(), finish_reason=None)]))
            yield from self._event(first)
            for event in events:
                ended = isinstance(event, JobRecord)
                yield from self._event(event)
            if not ended:
                message = "The text did not go on in time; its job was cancelled."
                yield self._error(ApiError(504, "timeout", message))
        except ClientGone:
            return
        except ApiError as error:
            yield self._error(error)
        except TextChanged:
            message = "The text was written again after a worker was lost, and came out differently."
            yield self._error(ApiError(500, "text_changed", message))
        finally:
            if not ended:
                self.desk.jobs.leave(self.job_id)
        yield DONE

    def _event(self, event: Piece | JobRecord) -> Iterator[str]:
        if isinstance(event, Piece):
            new, logprobs = self._shown.setdefault(event.place, _Shown()).news(event)
            if new or logprobs:
                yield self._chunk(event.place, new, logprobs, None)
            return
        if error := reason(event):
            yield self._error(error)
            return
        yield from self._rest(event)
        if self.include_usage:
            yield _line(self._with([], usage(event)))

    def _rest(self, job: JobRecord) -> Iterator[str]:
        """What the record has beyond the pieces, and how each text ended."""
        labelled = job.results[0].label is not None
        for place, result in enumerate(job.results):
            text = result.answer if labelled else result.text or ""
            piece = Piece(place, 0, text, 0, result.logprobs or [])
            new, logprobs = self._shown.setdefault(place, _Shown()).news(piece)
            if labelled:
                yield self._label(job, new)
            else:
                yield self._chunk(place, new, logprobs, result.finish_reason)

    def _label(self, job: JobRecord, sentence: str) -> str:
        chunk = self._with([ChunkChoice(delta=Delta(content=sentence), finish_reason="stop")])
        more = {"classification": chat_label(job.results[0]), "timing": timing(job)}
        return _line(chunk.model_copy(update=more))

    def _chunk(self, place: int, text: str, tokens: list[TokenLogprob], finish: FinishReason | None) -> str:
        if self.endpoint == "/v1/completions":
            shown_before = len(self._shown[place].text) - len(text)
            logged = text_logprobs(tokens or None, shown_before)
            choice = TextChoice(index=place, text=text, finish_reason=finish, logprobs=logged)
            return _line(self._with([choice]))
        logprobs = chat_logprobs(tokens or None)
        return _line(
            self._with([ChunkChoice(delta=Delta(content=text), finish_reason=finish, logprobs=logprobs)])
        )

    def _with(self, choices: list, spent: Usage | None = None) -> ChatChunk | TextChunk:
        kind = TextChunk if self.endpoint == "/v1/completions" else ChatChunk
        chunk = kind(
            id=body_id(self.endpoint, self.job_id), created=self.created, model=self.model, choices=choices
        )
        return chunk.model_copy(update={"usage": spent}) if spent else chunk

    def _error(self, error: ApiError) -> str:
        return f"data: {json.dumps({'error': error.detail.model_dump()}, ensure_ascii=False)}\n\n"


def _line(chunk: ChatChunk | TextChunk) -> str:
    """`finish_reason` and `logprobs` are null until there are any; what a chunk has not is left out."""
    empty = {name for name in ("usage", "classification", "timing") if getattr(chunk, name, None) is None}
    return f"data: {chunk.model_dump_json(exclude=empty)}\n\n"
