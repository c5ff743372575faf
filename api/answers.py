"""From a job record to the bodies that clients see; the same record always gives the same body."""

from api.errors import STATUS_OF_ITEM_ERROR, ApiError
from api.schemas import (
    ChatCompletion,
    ChatLabel,
    ChatMessage,
    Choice,
    Classification,
    ErrorDetail,
    Failed,
    JobStatus,
    Scored,
    Timing,
    Usage,
)
from shared.job import JobRecord, PartResult


def answer(job: JobRecord) -> Classification | ChatCompletion:
    """The body of the synchronous call that asked for this job.

    Raises:
        ApiError: every text of the job failed, or it ended before it ran; says why.
    """
    if error := _reason(job):
        raise error
    return _chat_completion(job) if job.endpoint == "/v1/chat/completions" else _classification(job)


def job_status(job: JobRecord, position: int | None) -> JobStatus:
    """The body of GET /v1/jobs/<id>."""
    return JobStatus(
        id=job.id,
        endpoint=job.endpoint,
        status=job.state,
        priority=job.priority,
        position=position if job.state == "queued" else None,
        attempts=job.attempts,
        created_at=job.created // 1000,
        started_at=job.started // 1000 if job.started else None,
        finished_at=job.finished // 1000 if job.finished else None,
        result=answer(job) if job.state == "succeeded" else None,
        error=error.detail if (error := _reason(job)) else None,
    )


def _reason(job: JobRecord) -> ApiError | None:
    """Why an ended job has no answer."""
    final = {"x-should-retry": "false"}
    if job.state == "cancelled":
        return ApiError(409, "job_cancelled", "The job was cancelled.", headers=final)
    if job.state == "expired":
        message = "The job waited longer than it was wanted and was not run; send it again if it still is."
        return ApiError(504, "job_expired", message, headers=final)
    return _item_error(job.results[0]) if job.state == "failed" else None


def _classification(job: JobRecord) -> Classification:
    return Classification(
        id=job.id,
        created=job.created // 1000,
        model=job.model,
        results=[_outcome(result, job.abstain_below) for result in job.results],
        timing=_timing(job),
    )


def _chat_completion(job: JobRecord) -> ChatCompletion:
    (result,) = job.results
    scored = _scored(result)
    return ChatCompletion(
        id="chatcmpl-" + job.id.removeprefix("job_"),
        created=job.created // 1000,
        model=job.model,
        choices=[Choice(message=ChatMessage(content=result.answer))],
        usage=scored.usage,
        classification=ChatLabel(**scored.model_dump(exclude={"usage", "status"})),
        timing=_timing(job),
    )


def _outcome(result: PartResult, abstain_below: float | None) -> Scored | Failed:
    return Failed(error=_error_detail(result)) if result.failed else _scored(result, abstain_below)


def _scored(result: PartResult, abstain_below: float | None = None) -> Scored:
    assert result.label is not None
    probability = result.probabilities[result.label]
    uncertain = abstain_below is not None and probability < abstain_below
    total = result.prompt_tokens + result.completion_tokens
    return Scored(
        label=None if uncertain else result.label,
        status="uncertain" if uncertain else "classified",
        probability=probability,
        probabilities=result.probabilities,
        label_mass=result.label_mass,
        truncated=result.truncated,
        usage=Usage(
            prompt_tokens=result.prompt_tokens,
            completion_tokens=result.completion_tokens,
            total_tokens=total,
        ),
    )


def _error_detail(result: PartResult) -> ErrorDetail:
    return _item_error(result).detail


def _item_error(result: PartResult) -> ApiError:
    code = result.error_code or "item_failed"
    return ApiError(STATUS_OF_ITEM_ERROR.get(code, 500), code, result.error_message or "The text failed.")


def _timing(job: JobRecord) -> Timing:
    return Timing(queue_ms=job.queue_ms, inference_ms=job.inference_ms)
