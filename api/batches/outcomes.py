"""What becomes of a row: its line in the output or the error file."""

import logging
import traceback
from typing import Any

from api.answers import answer
from api.batches.rows import NumberedRow, row_name
from api.batches.schemas import RowError, RowResponse, RowResult
from api.errors import ApiError, problem_of
from shared.job import JobRecord

log = logging.getLogger(__name__)

UNANSWERED = {
    "cancelled": RowError(
        code="batch_cancelled", message="This request was not run before its batch was cancelled."
    ),
    "expired": RowError(
        code="batch_expired", message="This request was not run before its batch's completion window ended."
    ),
}


def answered(batch_id: str, row: NumberedRow, job: JobRecord) -> RowResult:
    """What the synchronous call would have answered, were it an error."""
    try:
        return _result(batch_id, row, 200, answer(job).model_dump(mode="json"))
    except ApiError as error:
        return refused(batch_id, row, error)


def refused(batch_id: str, row: NumberedRow, error: ApiError) -> RowResult:
    """The row was not run: it is wrong, or failed."""
    return _result(batch_id, row, error.status, problem_of(error).model_dump(exclude_unset=True))


def unanswered(batch_id: str, row: NumberedRow, reason: str) -> RowResult:
    """The batch ended (`cancelled` or `expired`) before the row was run."""
    return RowResult(
        id=f"batch_req_{row_name(batch_id, row.line)}",
        custom_id=row.custom_id,
        response=None,
        error=UNANSWERED[reason],
    )


def bug(error: Exception) -> ApiError:
    """A row that makes us fail must not hold up the others; its texts are not logged."""
    where = "".join(traceback.format_tb(error.__traceback__))
    log.error("unexpected %s in a row\n%s", type(error).__name__, where)
    return ApiError(500, "internal_error", "The server failed on this request; it is logged.")


def tokens(body: dict[str, Any]) -> tuple[int, int]:
    """Tokens read and written for an answer: its own usage, or that of its results."""
    parts = [body] if "usage" in body else [part for part in body.get("results", ()) if "usage" in part]
    spent = [part["usage"] for part in parts]
    read = (used.get("prompt_tokens", used.get("input_tokens", 0)) for used in spent)
    written = (used.get("completion_tokens", used.get("output_tokens", 0)) for used in spent)
    return sum(read), sum(written)


def _result(batch_id: str, row: NumberedRow, status: int, body: dict[str, Any]) -> RowResult:
    name = row_name(batch_id, row.line)
    return RowResult(
        id=f"batch_req_{name}",
        custom_id=row.custom_id,
        response=RowResponse(status_code=status, request_id=f"req_{name}", body=body),
        error=None,
    )
