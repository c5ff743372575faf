"""The routes that ask the model and wait for its answer: labels, text, and answers to questions."""

from socket import socket

from flask import Blueprint, Response, request

from api.accepted import accepted, how_it_was_admitted
from api.admission import Admitted
from api.answers import answer
from api.asking import CHAT, CLASSIFY, COMPLETIONS, DECISIONS, SYSTEM_ONE, Asked, admit, understand
from api.body import read_json_object
from api.chunks import ChatChunk, TextChunk
from api.decision_requests import DecisionRequest
from api.documented import ASKS, WAITS, Answer, documented
from api.errors import ApiError, error_response
from api.job_schemas import JobStatus
from api.parameters import ACCEPTED_HEADERS, LIMITS, AskingHeaders
from api.prefer import Preferences, preferences
from api.question_schemas import Decision, SystemOne
from api.requests import ChatRequest, ClassifyRequest, CompletionRequest
from api.responses import json_response
from api.schemas import ChatClassification, ChatCompletion, Classification, Completion
from api.service import Service, service
from api.streaming import Stream
from api.systemone_requests import SystemOneRequest
from api.waiting import ClientGone
from shared.job import Endpoint

routes = Blueprint("inference", __name__)
ANSWERED = ("Preference-Applied", "X-Cache", "Idempotency-Replayed", *LIMITS)
LATER = Answer(text="Only to `Prefer: respond-async`: the job.", body=JobStatus, headers=ACCEPTED_HEADERS)


@routes.post(CLASSIFY)
@documented(
    "Labels for texts",
    request=ClassifyRequest,
    headers=AskingHeaders,
    answers={200: Answer(text="The labels.", body=Classification, headers=ANSWERED), 202: LATER},
    errors=(*ASKS, *WAITS, "wrong_model", "labels_not_supported"),
)
def classify() -> Response:
    """One text or several, each with a probability for every label."""
    return _answer_now(CLASSIFY, read_json_object())


@routes.post(COMPLETIONS)
@documented(
    "Text after a prompt",
    request=CompletionRequest,
    headers=AskingHeaders,
    answers={
        200: Answer(text="The texts.", body=Completion, events=TextChunk, headers=ANSWERED),
        202: LATER,
    },
    errors=(*ASKS, *WAITS, "wrong_model"),
)
def complete() -> Response:
    """OpenAI's completions, by the model's own id."""
    return _answer_now(COMPLETIONS, read_json_object())


@routes.post(CHAT)
@documented(
    "A label or a text, in OpenAI's chat",
    request=ChatRequest,
    headers=AskingHeaders,
    answers={
        200: Answer(
            text="The classifier's sentence, or the text.",
            body=ChatClassification | ChatCompletion,
            events=ChatChunk,
            headers=ANSWERED,
        ),
        202: LATER,
    },
    errors=(*ASKS, *WAITS),
)
def chat() -> Response:
    """`news-classifier` files the last user message; the model's own id answers the conversation."""
    return _answer_now(CHAT, read_json_object())


@routes.post(DECISIONS)
@documented(
    "Questions about one input",
    request=DecisionRequest,
    headers=AskingHeaders,
    answers={200: Answer(text="The answers.", body=Decision, headers=ANSWERED), 202: LATER},
    errors=(*ASKS, *WAITS),
)
def decide() -> Response:
    """OpenAI's decisions: predicates, choices and scores; the input is read once for all of them."""
    return _answer_now(DECISIONS, read_json_object())


@routes.post(SYSTEM_ONE)
@documented(
    "Named questions about a state",
    request=SystemOneRequest,
    headers=AskingHeaders,
    answers={200: Answer(text="The answers.", body=SystemOne, headers=ANSWERED), 202: LATER},
    errors=(*ASKS, *WAITS),
)
def system_one() -> Response:
    """TypeSafe's systemone: the same questions in another shape."""
    return _answer_now(SYSTEM_ONE, read_json_object())


def _answer_now(endpoint: Endpoint, body: dict) -> Response:
    """A stream was asked for in the body, so that it wins over a preference for a later answer."""
    desk, wishes = service(), preferences()
    asked = understand(desk, endpoint, body)
    admitted = admit(desk, endpoint, asked, waits=True, later=wishes.respond_async)
    try:
        if asked.stream:
            return _streamed(desk, endpoint, asked, admitted)
        return _whole(desk, endpoint, admitted, wishes)
    except ClientGone:
        desk.jobs.leave(admitted.job_id)
        return Response(status=499)


def _whole(desk: Service, endpoint: Endpoint, admitted: Admitted, wishes: Preferences) -> Response:
    patience = wishes.patience(desk.config.sync_timeout)
    job = desk.jobs.wait(admitted.job_id, patience, client_socket())
    if job is not None:
        return json_response(answer(job), headers=how_it_was_admitted(admitted) | wishes.applied(patience))
    desk.jobs.keep(admitted.job_id)
    if wishes.respond_async:
        return accepted(desk, endpoint, admitted, wishes.applied_later(patience))
    return _timeout(patience, admitted.job_id)


def _streamed(desk: Service, endpoint: Endpoint, asked: Asked, admitted: Admitted) -> Response:
    """A label comes in one piece, so only text is followed as it grows."""
    writes = asked.work.generation is not None
    events = desk.jobs.follow if writes else desk.jobs.awaited
    stream = Stream(desk, endpoint, admitted.job_id, asked.work.model, asked.include_usage, desk.now())
    response = stream.response(events(admitted.job_id, desk.config.sync_timeout, client_socket()))
    if response is None:
        desk.jobs.keep(admitted.job_id)
        return _timeout(desk.config.sync_timeout, admitted.job_id)
    response.headers.update(how_it_was_admitted(admitted))
    return response


def client_socket() -> socket | None:
    """The connection of this request, where the server shows it."""
    return request.environ.get("gunicorn.socket")


def _timeout(seconds: float, job_id: str) -> Response:
    message = (
        f"No answer within {seconds:g} s. The job goes on: "
        f"read its result at /v1/jobs/{job_id}, or send the same request again to go on waiting."
    )
    timeout = ApiError(504, "timeout", message, headers={"x-should-retry": "false"})
    return error_response(timeout, job_id=job_id)
