"""The routes of jobs: create, list, read, cancel and retry. A client sees its own only."""

from typing import get_args
from urllib.parse import urlencode

from flask import Blueprint, Response, request

from api.accepted import accepted, described, own_job, without_empty
from api.answers import job_status
from api.asking import admit, tell_limits, understand
from api.auth import caller
from api.body import read_json_object
from api.errors import ApiError
from api.inference import client_socket
from api.prefer import preferences
from api.records import NotListed
from api.responses import json_response
from api.schemas import JobList
from api.service import service
from api.waiting import ClientGone
from shared.job import ENDED, Endpoint, State

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
    return accepted(desk, endpoint, admitted)


@routes.get("/v1/jobs")
def list_jobs() -> Response:
    """Newest first; `status=failed` reaches back as far as failed jobs can be retried."""
    desk, status = service(), request.args.get("status")
    if status is not None and status not in get_args(State):
        message = f"'status' must be one of {', '.join(get_args(State))}."
        raise ApiError(400, "invalid_value", message, "status")
    try:
        jobs, more = desk.jobs.listed(caller().id, status, request.args.get("after"), _limit())
    except NotListed:
        message = "'after' is no job of this list, or no more; begin again without it."
        raise ApiError(400, "invalid_value", message, "after") from None
    listed = [job_status(job, None).model_copy(update={"result": None}) for job in jobs]
    page = JobList(data=listed, has_more=more).model_dump() | {"data": [without_empty(job) for job in listed]}
    return json_response(page, headers=_next_page(listed[-1].id, status) if more else None)


@routes.get("/v1/jobs/<job_id>")
def get_job(job_id: str) -> Response:
    """With `Prefer: wait=N` the answer comes when the job has ended, or after so many seconds."""
    desk, wishes = service(), preferences()
    job = own_job(desk, job_id)
    if job.ended or wishes.wait is None:
        return json_response(described(desk, job))
    patience = wishes.patience(desk.config.sync_timeout)
    try:
        ended = desk.jobs.wait(job_id, patience, client_socket())
    except ClientGone:
        return Response(status=499)
    return json_response(described(desk, ended or own_job(desk, job_id)), headers=wishes.applied(patience))


@routes.delete("/v1/jobs/<job_id>")
def cancel_job(job_id: str) -> Response:
    desk = service()
    own_job(desk, job_id)
    before = desk.jobs.cancel(job_id)
    if before in ENDED or not before:
        message = f"The job is {before or 'gone'} already; only a queued or running one can be cancelled."
        raise ApiError(409, "job_ended", message, "id", {"x-should-retry": "false"})
    return json_response(described(desk, own_job(desk, job_id)))


@routes.post("/v1/jobs/<job_id>/retry")
def retry_job(job_id: str) -> Response:
    desk = service()
    job = own_job(desk, job_id)
    return accepted(desk, job.endpoint, tell_limits(desk.admission.retry(caller(), job)))


def _next_page(last: str, status: str | None) -> dict[str, str]:
    query = urlencode({"limit": _limit(), "after": last} | ({"status": status} if status else {}))
    return {"Link": f'</v1/jobs?{query}>; rel="next"'}


def _limit() -> int:
    asked = request.args.get("limit", "20")
    if not (asked.isascii() and asked.isdigit() and 1 <= int(asked) <= MOST_LISTED):
        raise ApiError(400, "invalid_value", f"'limit' must be 1 to {MOST_LISTED}.", "limit")
    return int(asked)
