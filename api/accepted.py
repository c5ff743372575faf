"""A job as its client sees it, and the answer to work that is not done yet: 202 and where to come back."""

from flask import Response

from api.admission import Admitted
from api.answers import job_status
from api.auth import caller
from api.errors import ApiError
from api.job_schemas import JobStatus
from api.responses import json_response
from api.service import Service
from shared.job import Endpoint, JobRecord


def accepted(desk: Service, endpoint: Endpoint, admitted: Admitted, applied: str | None = None) -> Response:
    """202 with the job's status; `applied` names the preferences that were followed."""
    location = {"Location": f"/v1/jobs/{admitted.job_id}"}
    told = {"Preference-Applied": applied} if applied else {}
    if admitted.how == "admitted" and not applied:
        body = described_anew(desk, endpoint, admitted)
    else:
        body = described(desk, own_job(desk, admitted.job_id))
    wait = {"Retry-After": str(admitted.limits.drain(body.get("position", 0) + admitted.texts))}
    return json_response(body, 202, location | wait | told | how_it_was_admitted(admitted))


def described(desk: Service, job: JobRecord) -> dict:
    """The body of GET /v1/jobs/<id>."""
    position = desk.jobs.position(job.id, job.priority) if job.state == "queued" else None
    return without_empty(job_status(job, position))


def described_anew(desk: Service, endpoint: Endpoint, admitted: Admitted) -> dict:
    """The same for a job that has just been admitted, without another look at Redis."""
    status = JobStatus(
        id=admitted.job_id,
        endpoint=endpoint,
        status="queued",
        priority=admitted.priority,
        position=admitted.position,
        created_at=desk.now(),
    )
    return without_empty(status)


def own_job(desk: Service, job_id: str) -> JobRecord:
    """The caller's job.

    Raises:
        ApiError: 404, there is none, or it is another's.
    """
    job = desk.jobs.read(job_id)
    if job is None or job.client != caller().id:
        message = "There is no such job: the id is unknown, or its result has expired."
        raise ApiError(404, "job_not_found", message, "id")
    return job


def how_it_was_admitted(admitted: Admitted) -> dict[str, str]:
    """Headers that say whether the model was asked for this request."""
    if admitted.how == "repeated":
        return {"Idempotency-Replayed": "true"}
    return {"X-Cache": "hit"} if admitted.how == "cached" else {}


def without_empty(status: JobStatus) -> dict:
    """A job's own fields that do not apply yet are left out; its result is left as it is."""
    return {name: value for name, value in status.model_dump().items() if value is not None}
