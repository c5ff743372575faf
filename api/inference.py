"""The routes that ask the model: classify, chat and jobs. Each validates, admits, then waits or not."""

from flask import Blueprint, Response, request

from api.admission import Admitted
from api.answers import answer, job_status
from api.body import parse, read_json_object
from api.clients import Client, client_id
from api.errors import ApiError, error_response
from api.responses import json_response
from api.schemas import ChatRequest, ClassifyRequest, JobStatus
from api.service import Service, service
from api.waiting import ClientGone
from shared.job import Endpoint, Request

routes = Blueprint("inference", __name__)
CLASSIFY: Endpoint = "/v1/classify"
CHAT: Endpoint = "/v1/chat/completions"
Asked = tuple[tuple[str, ...], str | None, str]  # texts, model, the field that holds the texts


@routes.post(CLASSIFY)
def classify() -> Response:
    return _answer_now(CLASSIFY, read_json_object())


@routes.post(CHAT)
def chat() -> Response:
    return _answer_now(CHAT, read_json_object())


@routes.post("/v1/jobs")
def create_job() -> Response:
    body = read_json_object()
    endpoint = body.pop("endpoint", None)
    if endpoint not in (CLASSIFY, CHAT):
        message = f"'endpoint' must be {CLASSIFY} or {CHAT}."
        raise ApiError(400, "missing_field" if endpoint is None else "invalid_value", message, "endpoint")
    desk = service()
    admitted = _admit(desk, endpoint, body)
    status = JobStatus(
        id=admitted.job_id,
        endpoint=endpoint,
        status="queued",
        position=admitted.position,
        created_at=desk.now(),
    )
    headers = {"Location": f"/v1/jobs/{admitted.job_id}"}
    return json_response(_without_empty(status), 202, headers)


@routes.get("/v1/jobs/<job_id>")
def get_job(job_id: str) -> Response:
    desk = service()
    job = desk.jobs.read(job_id)
    if job is None or job.client != _caller(desk).id:
        message = "There is no such job: the id is unknown, or its result has expired."
        raise ApiError(404, "job_not_found", message, "id")
    position = desk.jobs.position(job_id) if job.state == "queued" else None
    return json_response(_without_empty(job_status(job, position)))


def _answer_now(endpoint: Endpoint, body: dict) -> Response:
    desk = service()
    admitted = _admit(desk, endpoint, body)
    try:
        job = desk.jobs.wait(
            admitted.job_id, desk.config.sync_timeout, request.environ.get("gunicorn.socket")
        )
    except ClientGone:
        return Response(status=499)
    if job is None:
        message = (
            f"No answer within {desk.config.sync_timeout:g} s. The job goes on: "
            f"read its result at /v1/jobs/{admitted.job_id}."
        )
        timeout = ApiError(504, "timeout", message, headers={"x-should-retry": "false"})
        return error_response(timeout, job_id=admitted.job_id)
    return json_response(answer(job))


def _admit(desk: Service, endpoint: Endpoint, body: dict) -> Admitted:
    texts, asked, param = _asked_in_chat(body) if endpoint == CHAT else _asked_to_classify(body)
    _check_texts(texts, param, desk.config.max_characters)
    return desk.admission.admit(_caller(desk), endpoint, Request(texts, desk.models.resolve(asked)))


def _asked_to_classify(body: dict) -> Asked:
    wanted = parse(ClassifyRequest, body)
    return wanted.texts, wanted.model, "input"


def _asked_in_chat(body: dict) -> Asked:
    wanted = parse(ChatRequest, body)
    if wanted.news is None:
        message = "'messages' has no message with role user; the last one is the news."
        raise ApiError(400, "missing_field", message, "messages")
    return (wanted.news,), wanted.model, "messages"


def _check_texts(texts: tuple[str, ...], param: str, most: int) -> None:
    for index, text in enumerate(texts):
        name = f"{param}[{index}]" if len(texts) > 1 else param
        if not text.strip():
            raise ApiError(400, "empty_input", f"'{name}' is empty; send the text of the news.", name)
        if len(text) > most:
            message = f"'{name}' has {len(text)} characters; at most {most} are taken."
            raise ApiError(413, "text_too_long", message, name)


def _without_empty(status: JobStatus) -> dict:
    """A job's own fields that do not apply yet are left out; its result is left as it is."""
    return {name: value for name, value in status.model_dump().items() if value is not None}


def _caller(desk: Service) -> Client:
    forwarded_for = ",".join(request.headers.getlist("X-Forwarded-For"))
    address = client_id(request.remote_addr or "", forwarded_for, desk.config.trusted_proxies)
    return Client(id=address, rate_per_minute=desk.config.rate_per_minute)
