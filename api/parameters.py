"""Query parameters and headers, as pydantic models that both validate and document; headers of answers."""

import re
from typing import Annotated

from flask import request
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    TypeAdapter,
    ValidationError,
)

from api.body import T, parse
from api.errors import ApiError
from api.schemas import Schema
from shared.job import State


def digits(value: object) -> object:
    """ASCII digits only: int() also takes other scripts' digits, spaces and underscores."""
    if isinstance(value, str):
        return int(value) if re.fullmatch("[0-9]{1,9}", value) else None
    return value


MOST_LISTED = 100
Limit = Annotated[
    int,
    BeforeValidator(digits),
    Field(ge=1, le=MOST_LISTED, description="Most entries of the page.", examples=[20]),
]


class JobsQuery(Schema):
    """Which of the caller's jobs are listed."""

    status: State | None = Field(None, description="Only jobs in this state.", examples=["failed"])
    after: str | None = Field(None, description="The id of the last job of the page before.")
    limit: Limit = 20


IdempotencyKey = Annotated[str, StringConstraints(pattern=r"^[\x20-\x7e]{1,255}$")]


class Headers(BaseModel):
    """Headers of requests. Only Idempotency-Key can be wrong; the others are preferences."""

    model_config = ConfigDict(frozen=True)

    request_id: str | None = Field(
        None,
        alias="X-Request-ID",
        description="Comes back in `x-request-id` if it is 1 to 128 characters of `A-Z a-z 0-9 _ . : -`.",
        examples=["feed-7:1842"],
    )


class WaitingHeaders(Headers):
    prefer: str | None = Field(
        None,
        alias="Prefer",
        description="RFC 7240: `wait=N` seconds for the job to end.",
        examples=["wait=30"],
    )


class JobHeaders(Headers):
    idempotency_key: IdempotencyKey | None = Field(
        None,
        alias="Idempotency-Key",
        description="The same key with the same request answers with the same job, and costs no rate.",
        examples=["2026-11-25/morning/17"],
    )
    cache_control: str | None = Field(
        None,
        alias="Cache-Control",
        description="`no-store`: neither use nor keep a reusable answer.",
        examples=["no-store"],
    )


class AskingHeaders(JobHeaders):
    prefer: str | None = Field(
        None,
        alias="Prefer",
        description="RFC 7240: `respond-async` answers 202 when the work is not done in `wait=N` seconds.",
        examples=["respond-async, wait=5"],
    )


ANSWER_HEADERS: dict[str, tuple[type, str]] = {
    "x-request-id": (str, "The id of the request: the caller's if it is sane, else one of ours."),
    "Location": (str, "Where the job is."),
    "Preference-Applied": (str, "The preferences that were followed (RFC 7240)."),
    "Retry-After": (int, "Whole seconds after which it is worth to come back."),
    "x-should-retry": (str, "`false`: OpenAI's clients give up at once."),
    "X-Cache": (str, "`hit`: the model was not asked again."),
    "Idempotency-Replayed": (str, "`true`: the answer to an earlier request with the same key."),
    "RateLimit-Policy": (str, "Each limit that holds (draft-ietf-httpapi-ratelimit-headers-11)."),
    "RateLimit": (str, "What is left of each limit."),
    "x-ratelimit-limit-requests": (int, "OpenAI's form, for the window with the least left."),
    "x-ratelimit-remaining-requests": (int, "Texts that may be sent now."),
    "x-ratelimit-reset-requests": (str, "Until more may be sent, as in `42s`."),
    "WWW-Authenticate": (str, "How to send a key."),
    "Allow": (str, "The methods of the route."),
    "Link": (str, 'The next page: `<…>; rel="next"`.'),
    "ETag": (str, "Changes with the content."),
}
LIMITS = (
    "RateLimit-Policy",
    "RateLimit",
    "x-ratelimit-limit-requests",
    "x-ratelimit-remaining-requests",
    "x-ratelimit-reset-requests",
)
"""On every answer and refusal of a request that asks for work."""
ACCEPTED_HEADERS = (
    "Location",
    "Retry-After",
    "Preference-Applied",
    "X-Cache",
    "Idempotency-Replayed",
    *LIMITS,
)


def asked_query(schema: type[T]) -> T:
    """The query parameters of the request that is being handled.

    Raises:
        ApiError: 400, naming the parameter that is wrong.
    """
    return parse(schema, request.args.to_dict())


def idempotency_key() -> str | None:
    """The request's Idempotency-Key.

    Raises:
        ApiError: 400, it cannot be used.
    """
    try:
        return _KEY.validate_python(request.headers.get("Idempotency-Key"))
    except ValidationError:
        message = "Idempotency-Key must be 1 to 255 printable ASCII characters."
        raise ApiError(400, "invalid_idempotency_key", message, "Idempotency-Key") from None


_KEY: TypeAdapter[str | None] = TypeAdapter(IdempotencyKey | None)
