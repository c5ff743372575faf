"""From a job record to the bodies that clients see; the same record always gives the same body."""

from collections.abc import Callable

from api.codes import MEANINGS, code_named
from api.errors import ApiError
from api.findings import decision, system_one
from api.job_schemas import Answer, JobStatus
from api.schemas import (
    ChatClassification,
    ChatCompletion,
    ChatLabel,
    ChatMessage,
    Choice,
    Classification,
    Completion,
    Failed,
    Scored,
    ScoredLabels,
    ScoredSlots,
    TextChoice,
    Timing,
    Usage,
)
from api.token_logprobs import chat_logprobs, text_logprobs
from shared.job import Endpoint, JobRecord, PartResult


def answer(job: JobRecord) -> Answer:
    """The body of the synchronous call that asked for this job.

    Raises:
        ApiError: the job has no answer; says why.
    """
    if error := reason(job):
        raise error
    return _BODIES[job.endpoint](job)


def reason(job: JobRecord) -> ApiError | None:
    """Why an ended job has no answer. A completion has one body for all its prompts, so none may fail."""
    final = {"x-should-retry": "false"}
    if job.state == "cancelled":
        return ApiError(409, "job_cancelled", "The job was cancelled.", headers=final)
    if job.state == "expired":
        message = "The job waited longer than it was wanted and was not run; send it again if it still is."
        return ApiError(504, "job_expired", message, headers=final)
    failed = [result for result in job.results if result.failed]
    if job.state == "failed" or (failed and job.endpoint == "/v1/completions"):
        return _item_error(failed[0])
    return None


def job_status(job: JobRecord, position: int | None) -> JobStatus:
    """The body of GET /v1/jobs/<id>."""
    error = reason(job)
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
        result=answer(job) if job.state == "succeeded" and not error else None,
        error=error.detail if error else None,
    )


def body_id(endpoint: Endpoint, job_id: str) -> str:
    """The id that stands in the body: OpenAI's kinds, ours for our own."""
    return _ID_PREFIXES.get(endpoint, "job_") + job_id.removeprefix("job_")


def usage(job: JobRecord) -> Usage:
    """Tokens of all texts of the job."""
    read = sum(result.prompt_tokens for result in job.results)
    written = sum(result.completion_tokens for result in job.results)
    return Usage(prompt_tokens=read, completion_tokens=written, total_tokens=read + written)


def chat_label(result: PartResult) -> ChatLabel:
    """What stands beside the sentence of a classifier's chat."""
    return ChatLabel(**_scored(result).model_dump(include=set(ChatLabel.model_fields)))


def timing(job: JobRecord) -> Timing:
    return Timing(queue_ms=job.queue_ms, inference_ms=job.inference_ms)


def _classification(job: JobRecord) -> Classification:
    return Classification(
        id=job.id,
        created=job.created // 1000,
        model=job.model,
        results=[_outcome(result, job.abstain_below) for result in job.results],
        timing=timing(job),
    )


def _chat(job: JobRecord) -> ChatCompletion:
    (result,) = job.results
    choice = Choice(
        message=ChatMessage(content=result.answer if result.text is None else result.text),
        finish_reason=result.finish_reason or "stop",
        logprobs=chat_logprobs(result.logprobs),
    )
    common = {
        "id": body_id(job.endpoint, job.id),
        "created": job.created // 1000,
        "model": job.model,
        "choices": [choice],
        "usage": usage(job),
        "timing": timing(job),
    }
    if result.text is None:
        return ChatClassification(**common, classification=chat_label(result))
    return ChatCompletion(**common)


def _completion(job: JobRecord) -> Completion:
    choices = [
        TextChoice(
            index=place,
            text=result.text or "",
            finish_reason=result.finish_reason,
            logprobs=text_logprobs(result.logprobs),
        )
        for place, result in enumerate(job.results)
    ]
    return Completion(
        id=body_id(job.endpoint, job.id),
        created=job.created // 1000,
        model=job.model,
        choices=choices,
        usage=usage(job),
        timing=timing(job),
    )


_ID_PREFIXES: dict[Endpoint, str] = {"/v1/chat/completions": "chatcmpl-", "/v1/completions": "cmpl-"}
_BODIES: dict[Endpoint, Callable[[JobRecord], Answer]] = {
    "/v1/classify": _classification,
    "/v1/chat/completions": _chat,
    "/v1/completions": _completion,
    "/v1/decisions": decision,
    "/v1/systemone": system_one,
}


def _outcome(result: PartResult, abstain_below: float | None) -> Scored | Failed:
    return Failed(error=_item_error(result).detail) if result.failed else _scored(result, abstain_below)


def _scored(result: PartResult, abstain_below: float | None = None) -> Scored:
    assert result.label is not None
    probability = result.probabilities[result.label]
    uncertain = abstain_below is not None and probability < abstain_below
    total = result.prompt_tokens + result.completion_tokens
    scored = Scored(
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
    if result.labels is not None:
        return ScoredLabels(**dict(scored), labels=result.labels)
    return ScoredSlots(**dict(scored), slots=result.slots) if result.slots else scored


def _item_error(result: PartResult) -> ApiError:
    code = code_named(result.error_code)
    return ApiError(MEANINGS[code].status, code, result.error_message or "The text failed.")
