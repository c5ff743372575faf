"""The routes that ask the model and wait for its answer: classify, chat and completions."""

from socket import socket

from flask import Blueprint, Response, request

from api.admission import Admitted
from api.answers import answer
from api.asking import CHAT, CLASSIFY, COMPLETIONS, Asked, admit, understand
from api.body import read_json_object
from api.errors import ApiError, error_response
from api.responses import json_response
from api.service import Service, service
from api.streaming import Stream
from api.waiting import ClientGone
from shared.job import Endpoint

routes = Blueprint("inference", __name__)


@routes.post(CLASSIFY)
def classify() -> Response:
    return _answer_now(CLASSIFY, read_json_object())


@routes.post(COMPLETIONS)
def complete() -> Response:
    return _answer_now(COMPLETIONS, read_json_object())


@routes.post(CHAT)
def chat() -> Response:
    return _answer_now(CHAT, read_json_object())


def how_it_was_admitted(admitted: Admitted) -> dict[str, str]:
    """Headers that say whether the model was asked for this request."""
    if admitted.how == "repeated":
        return {"Idempotency-Replayed": "true"}
    return {"X-Cache": "hit"} if admitted.how == "cached" else {}


def _answer_now(endpoint: Endpoint, body: dict) -> Response:
    desk = service()
    asked = understand(desk, endpoint, body)
    admitted = admit(desk, endpoint, asked, waits=True)
    try:
        return _streamed(desk, endpoint, asked, admitted) if asked.stream else _whole(desk, admitted)
    except ClientGone:
        desk.jobs.leave(admitted.job_id)
        return Response(status=499)


def _whole(desk: Service, admitted: Admitted) -> Response:
    job = desk.jobs.wait(admitted.job_id, desk.config.sync_timeout, _socket())
    if job is None:
        return _timeout(desk, admitted.job_id)
    return json_response(answer(job), headers=how_it_was_admitted(admitted))


def _streamed(desk: Service, endpoint: Endpoint, asked: Asked, admitted: Admitted) -> Response:
    """A label comes in one piece, so only text is followed as it grows."""
    writes = asked.work.generation is not None
    events = desk.jobs.follow if writes else desk.jobs.awaited
    stream = Stream(desk, endpoint, admitted.job_id, asked.work.model, asked.include_usage, desk.now())
    response = stream.response(events(admitted.job_id, desk.config.sync_timeout, _socket()))
    if response is None:
        return _timeout(desk, admitted.job_id)
    response.headers.update(how_it_was_admitted(admitted))
    return response


def _socket() -> socket | None:
    """The connection of this request, where the server shows it."""
    return request.environ.get("gunicorn.socket")


def _timeout(desk: Service, job_id: str) -> Response:
    desk.jobs.keep(job_id)
    message = (
        f"No answer within {desk.config.sync_timeout:g} s. The job goes on: "
        f"read its result at /v1/jobs/{job_id}, or send the same request again to go on waiting."
    )
    timeout = ApiError(504, "timeout", message, headers={"x-should-retry": "false"})
    return error_response(timeout, job_id=job_id)
