"""Every code that an error can carry: the HTTP statuses it comes with, and when."""

from dataclasses import dataclass
from typing import Literal, get_args

Code = Literal[
    "invalid_json",
    "duplicate_field",
    "malformed_request",
    "missing_field",
    "unknown_field",
    "invalid_value",
    "empty_input",
    "too_many_texts",
    "invalid_idempotency_key",
    "wrong_model",
    "labels_not_supported",
    "invalid_labels",
    "invalid_messages",
    "context_length_exceeded",
    "http_error",
    "invalid_form",
    "invalid_api_key",
    "priority_not_allowed",
    "admin_key_needed",
    "model_not_found",
    "job_not_found",
    "file_not_found",
    "batch_not_found",
    "unknown_route",
    "method_not_allowed",
    "job_ended",
    "job_not_failed",
    "job_cancelled",
    "file_in_use",
    "batch_ended",
    "body_too_slow",
    "text_too_long",
    "body_too_large",
    "file_too_large",
    "uri_too_long",
    "unsupported_media_type",
    "expectation_failed",
    "idempotency_key_reused",
    "rate_limit_exceeded",
    "too_many_open_rows",
    "too_many_wrong_keys",
    "headers_too_large",
    "engine_failure",
    "time_limit",
    "worker_lost",
    "item_failed",
    "text_changed",
    "unknown_job_version",
    "internal_error",
    "unsupported_coding",
    "queue_full",
    "queue_unavailable",
    "queue_out_of_memory",
    "no_worker",
    "draining",
    "job_expired",
    "timeout",
    "storage_full",
]
"""The type of ApiError's code, so that the type checker lets no other be sent."""


@dataclass(frozen=True)
class Meaning:
    """
    Attributes:
        status: what the code comes with.
        when: a sentence for the documentation.
        or_status: another status, by setting.
    """

    status: int
    when: str
    or_status: int | None = None

    @property
    def statuses(self) -> tuple[int, ...]:
        return (self.status,) if self.or_status is None else (self.status, self.or_status)


MEANINGS: dict[Code, Meaning] = {
    "invalid_json": Meaning(400, "The body is not valid JSON in UTF-8, or no object."),
    "duplicate_field": Meaning(400, "An object of the body has two members of one name."),
    "malformed_request": Meaning(400, "This is no HTTP/1.1 request that can be read."),
    "missing_field": Meaning(400, "A required field is missing; `param` names it."),
    "unknown_field": Meaning(400, "A field is none of this request; `param` names it."),
    "invalid_value": Meaning(400, "A value cannot be used; `message` says what the field takes."),
    "empty_input": Meaning(400, "A text is empty, or only an instruction."),
    "too_many_texts": Meaning(400, "More texts than may ever wait at once."),
    "invalid_idempotency_key": Meaning(400, "The Idempotency-Key is not 1 to 255 printable ASCII."),
    "wrong_model": Meaning(400, "The model writes text where labels are asked for, or the reverse."),
    "labels_not_supported": Meaning(400, "The model answers with its own labels only."),
    "invalid_labels": Meaning(400, "The labels cannot be told apart, or do not fit the model."),
    "invalid_messages": Meaning(400, "The model's chat template cannot hold these messages."),
    "context_length_exceeded": Meaning(400, "The prompt takes more tokens than the model may read."),
    "http_error": Meaning(400, "The request is no HTTP that can be understood, or broke off."),
    "invalid_form": Meaning(400, "An upload is no complete multipart/form-data with one file."),
    "invalid_api_key": Meaning(401, "A key is needed, or this one is unknown or revoked."),
    "priority_not_allowed": Meaning(403, "The key may ask for bulk priority only."),
    "admin_key_needed": Meaning(403, "The route is for operators, and the key is no operator's."),
    "model_not_found": Meaning(404, "There is no such model."),
    "job_not_found": Meaning(404, "The id is unknown, another client's, or its result has expired."),
    "file_not_found": Meaning(404, "The id is unknown, another client's, or the file has expired."),
    "batch_not_found": Meaning(404, "The id is unknown, another client's, or the batch has expired."),
    "unknown_route": Meaning(404, "There is no such route."),
    "method_not_allowed": Meaning(405, "The route does not take this method; `Allow` says what it takes."),
    "job_ended": Meaning(409, "There is nothing left to cancel."),
    "job_not_failed": Meaning(409, "There is nothing to retry."),
    "job_cancelled": Meaning(409, "The job was cancelled while its answer was waited for."),
    "file_in_use": Meaning(409, "A batch that has not ended reads this file."),
    "batch_ended": Meaning(409, "The batch has ended, or nearly; there is nothing left to cancel."),
    "body_too_slow": Meaning(408, "The body did not come in time, or not to its end."),
    "text_too_long": Meaning(413, "A text has more characters than are taken."),
    "body_too_large": Meaning(413, "The request body is too large."),
    "file_too_large": Meaning(413, "The file has more bytes than one may have."),
    "uri_too_long": Meaning(414, "The request line has more than 4,094 bytes."),
    "unsupported_media_type": Meaning(415, "The body says that it is no plain JSON in UTF-8."),
    "expectation_failed": Meaning(417, "`Expect` says something else than 100-continue."),
    "idempotency_key_reused": Meaning(422, "The Idempotency-Key belongs to another request."),
    "rate_limit_exceeded": Meaning(429, "A rate is used up; `Retry-After` is when the window opens."),
    "too_many_open_rows": Meaning(429, "The client's open batches have as many requests as they may."),
    "too_many_wrong_keys": Meaning(429, "Too many wrong API keys came from this address."),
    "headers_too_large": Meaning(431, "There are more than 50 headers, or one has more than 8,190 bytes."),
    "engine_failure": Meaning(500, "The text failed in the model."),
    "time_limit": Meaning(500, "The text took longer than a job may."),
    "worker_lost": Meaning(500, "The text was begun several times by workers that were lost."),
    "item_failed": Meaning(500, "The text failed."),
    "text_changed": Meaning(500, "A streamed text was written again after a worker was lost, and changed."),
    "unknown_job_version": Meaning(500, "The job was written by another version of Wiredesk."),
    "internal_error": Meaning(500, "The server failed on this request; it is logged."),
    "unsupported_coding": Meaning(501, "The body has a transfer coding other than chunked."),
    "queue_full": Meaning(503, "Too many texts wait; `Retry-After` from the measured drain.", or_status=429),
    "queue_unavailable": Meaning(503, "Redis does not answer; nothing was accepted."),
    "queue_out_of_memory": Meaning(503, "Redis has no memory left; nothing was accepted."),
    "no_worker": Meaning(503, "No worker has come yet, so no model is known."),
    "draining": Meaning(503, "An operator has stopped admission for a while."),
    "job_expired": Meaning(504, "Nobody began the job while it was wanted."),
    "timeout": Meaning(504, "No answer in time; the job goes on, and `job_id` is in the body."),
    "storage_full": Meaning(507, "There is no room for more files."),
}

CODES: tuple[Code, ...] = get_args(Code)


def code_named(name: str | None) -> Code:
    """The code of a failed text, as a worker has stored it; `item_failed` where it is none that we know."""
    return next((code for code in CODES if code == name), "item_failed")
