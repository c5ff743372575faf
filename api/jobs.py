"""The routes of jobs: create, list, read, cancel and retry. A client sees its own only."""

from typing import get_args
from urllib.parse import urlencode

from flask import Blueprint, Response

from api.accepted import accepted, described, own_job, without_empty
from api.answers import job_status
from api.asking import admit, tell_limits, understand
from api.auth import caller
from api.body import read_json_object
from api.codes import Code
from api.documented import ASKS, IS_ADMITTED, READS_JOB, Answer, documented
from api.errors import ApiError
from api.inference import client_socket
from api.job_requests import AnyJob
from api.job_schemas import JobList, JobStatus
from api.parameters import ACCEPTED_HEADERS, JobHeaders, JobsQuery, WaitingHeaders, asked_query
from api.prefer import preferences
from api.records import NotListed
from api.responses import json_response
from api.service import service
from api.waiting import ClientGone
from shared.job import ENDED, Endpoint

routes = Blueprint("jobs", __name__)
JOB = Answer(text="The job.", body=JobStatus)
ACCEPTED = Answer(text="The job, which waits now.", body=JobStatus, headers=ACCEPTED_HEADERS)
NAMES_JOB: tuple[Code, ...] = ("job_not_found", *READS_JOB)
ENDPOINTS: tuple[str, ...] = get_args(Endpoint)


@routes.post("/v1/jobs")
@documented(
    "Work that is polled instead of awaited",
    request=AnyJob,
    headers=JobHeaders,
    answers={202: ACCEPTED},
    errors=(*ASKS, "wrong_model", "labels_not_supported"),
)
def create_job() -> Response:
    """The body of another route, with `endpoint` naming it."""
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
@documented(
    "Your jobs",
    query=JobsQuery,
    answers={200: Answer(text="One page.", body=JobList, headers=("Link",))},
    errors=("invalid_value", "unknown_field", *READS_JOB),
)
def list_jobs() -> Response:
    """Newest first; `status=failed` reaches back as far as failed jobs can be retried."""
    desk, query = service(), asked_query(JobsQuery)
    try:
        jobs, more = desk.jobs.listed(caller().id, query.status, query.after, query.limit)
    except NotListed:
        message = "'after' is no job of this list, or no more; begin again without it."
        raise ApiError(400, "invalid_value", message, "after") from None
    listed = [job_status(job, None).model_copy(update={"result": None}) for job in jobs]
    page = JobList(data=listed, has_more=more).model_dump() | {"data": [without_empty(job) for job in listed]}
    return json_response(page, headers=_next_page(listed[-1].id, query) if more else None)


@routes.get("/v1/jobs/<job_id>")
@documented(
    "One job",
    headers=WaitingHeaders,
    answers={200: Answer(text="The job.", body=JobStatus, headers=("Preference-Applied",))},
    errors=NAMES_JOB,
)
def get_job(job_id: str) -> Response:
    """With `Prefer: wait=N` the answer comes when the job has ended, or after so many seconds."""
    desk, wishes = service(), preferences()
    job = own_job(desk, job_id)
    if wishes.wait is None:
        return json_response(described(desk, job))
    patience = wishes.patience(desk.config.sync_timeout)
    try:
        ended = job if job.ended else desk.jobs.wait(job_id, patience, client_socket())
    except ClientGone:
        return Response(status=499)
    return json_response(described(desk, ended or own_job(desk, job_id)), headers=wishes.applied(patience))


@routes.delete("/v1/jobs/<job_id>")
@documented("Cancel a job", answers={200: JOB}, errors=("job_ended", *NAMES_JOB))
def cancel_job(job_id: str) -> Response:
    """A queued job leaves the queue at once; a running one is marked and its outcome dropped."""
    desk = service()
    own_job(desk, job_id)
    before = desk.jobs.cancel(job_id)
    if before in ENDED or not before:
        message = f"The job is {before or 'gone'} already; only a queued or running one can be cancelled."
        raise ApiError(409, "job_ended", message, "id", {"x-should-retry": "false"})
    return json_response(described(desk, own_job(desk, job_id)))


@routes.post("/v1/jobs/<job_id>/retry")
@documented(
    "Run a failed job again", answers={202: ACCEPTED}, errors=("job_not_failed", *IS_ADMITTED, *NAMES_JOB)
)
def retry_job(job_id: str) -> Response:
    """Under its id, within the same limits as a new one."""
    desk = service()
    job = own_job(desk, job_id)
    return accepted(desk, job.endpoint, tell_limits(desk.admission.retry(caller(), job)))


def _next_page(last: str, query: JobsQuery) -> dict[str, str]:
    following = query.model_copy(update={"after": last}).model_dump(exclude_none=True)
    return {"Link": f'</v1/jobs?{urlencode(following)}>; rel="next"'}
