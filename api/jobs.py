"""The routes of jobs: create, list, read, cancel and retry. A client sees its own only."""

from typing import get_args

from flask import Blueprint, Response, request

from api.admission import Admitted
from api.answers import job_status
from api.asking import admit, understand
from api.auth import caller
from api.body import read_json_object
from api.errors import ApiError
from api.inference import how_it_was_admitted
from api.responses import json_response
from api.schemas import JobList, JobStatus
from api.service import Service, service
from shared.job import ENDED, Endpoint, JobRecord, State

routes = Blueprint("jobs", __name__)
MOST_LISTED = 100
ENDPOINTS: tuple[str, ...] = get_args(Endpoint)


@routes.post("/v1/jobs")
def create_job() -> Response:
    body = read_json_object()
    endpoint = body.pop("endpoint", None)
    if endpoint not in ENDPOINTS:
        message = f"'endpoint' must be one of {', '.join(ENDPOINTS)}."
        raise ApiError(400, "missing_field" if endpoint is None else "invalid_value", message, "endpoint")
    desk = service()
    asked = understand(desk, endpoint, body)
    if asked.stream:
        message = "A job is polled, so nothing can be streamed; leave 'stream' out."
        raise ApiError(400, "invalid_value", message, "stream")
    admitted = admit(desk, endpoint, asked, waits=False)
    return _accepted(desk, endpoint, admitted)


@routes.get("/v1/jobs")
def list_jobs() -> Response:
    """Newest first; `status=failed` reaches back as far as failed jobs can be retried."""
    desk, status = service(), request.args.get("status")
    if status is not None and status not in get_args(State):
        message = f"'status' must be one of {', '.join(get_args(State))}."
        raise ApiError(400, "invalid_value", message, "status")
    jobs, more = desk.jobs.listed(caller().id, status, request.args.get("after"), _limit())
    listed = [job_status(job, None).model_copy(update={"result": None}) for job in jobs]
    return json_response(
        JobList(data=listed, has_more=more).model_dump() | {"data": [_without_empty(job) for job in listed]}
    )


@routes.get("/v1/jobs/<job_id>")
def get_job(job_id: str) -> Response:
    desk = service()
    return json_response(_described(desk, _own_job(desk, job_id)))


@routes.delete("/v1/jobs/<job_id>")
def cancel_job(job_id: str) -> Response:
    desk = service()
    _own_job(desk, job_id)
    before = desk.jobs.cancel(job_id)
    if before in ENDED or not before:
        message = f"The job is {before or 'gone'} already; only a queued or running one can be cancelled."
        raise ApiError(409, "job_ended", message, "id", {"x-should-retry": "false"})
    return json_response(_described(desk, _own_job(desk, job_id)))


@routes.post("/v1/jobs/<job_id>/retry")
def retry_job(job_id: str) -> Response:
    desk = service()
    job = _own_job(desk, job_id)
    return _accepted(desk, job.endpoint, desk.admission.retry(caller(), job))


def _accepted(desk: Service, endpoint: Endpoint, admitted: Admitted) -> Response:
    headers = {"Location": f"/v1/jobs/{admitted.job_id}"} | how_it_was_admitted(admitted)
    if admitted.how != "admitted":
        return json_response(_described(desk, _own_job(desk, admitted.job_id)), 202, headers)
    status = JobStatus(
        id=admitted.job_id,
        endpoint=endpoint,
        status="queued",
        priority=admitted.priority,
        position=admitted.position,
        created_at=desk.now(),
    )
    return json_response(_without_empty(status), 202, headers)


def _own_job(desk: Service, job_id: str) -> JobRecord:
    job = desk.jobs.read(job_id)
    if job is None or job.client != caller().id:
        message = "There is no such job: the id is unknown, or its result has expired."
        raise ApiError(404, "job_not_found", message, "id")
    return job


def _limit() -> int:
    asked = request.args.get("limit", "20")
    if not (asked.isascii() and asked.isdigit() and 1 <= int(asked) <= MOST_LISTED):
        raise ApiError(400, "invalid_value", f"'limit' must be 1 to {MOST_LISTED}.", "limit")
    return int(asked)


def _described(desk: Service, job: JobRecord) -> dict:
    position = desk.jobs.position(job.id, job.priority) if job.state == "queued" else None
    return _without_empty(job_status(job, position))


def _without_empty(status: JobStatus) -> dict:
    """A job's own fields that do not apply yet are left out; its result is left as it is."""
    return {name: value for name, value in status.model_dump().items() if value is not None}
