"""What a route says of itself for /openapi.json, declared beside it; the schemas are those that it uses."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from pydantic import BaseModel

from api.codes import Code

ATTRIBUTE = "documentation"
JSON = "application/json"
View = TypeVar("View", bound=Callable[..., Any])

CONNECTION: tuple[Code, ...] = (
    "malformed_request",
    "uri_too_long",
    "expectation_failed",
    "headers_too_large",
    "unsupported_coding",
)
"""What any route may answer before it has begun (api/connections.py)."""
READS_QUEUE: tuple[Code, ...] = ("queue_unavailable", "queue_out_of_memory", "internal_error")
READS_JOB: tuple[Code, ...] = (*READS_QUEUE, "unknown_job_version")
READS_BODY: tuple[Code, ...] = (
    "invalid_json",
    "missing_field",
    "unknown_field",
    "invalid_value",
    "empty_input",
    "duplicate_field",
    "body_too_slow",
    "body_too_large",
    "unsupported_media_type",
    "http_error",
)
IS_ADMITTED: tuple[Code, ...] = ("too_many_texts", "rate_limit_exceeded", "queue_full", "draining")
ASKS: tuple[Code, ...] = (
    *READS_BODY,
    *READS_JOB,
    *IS_ADMITTED,
    "invalid_idempotency_key",
    "idempotency_key_reused",
    "priority_not_allowed",
    "text_too_long",
    "model_not_found",
    "no_worker",
)
"""What every route that asks the model may answer, at once or later."""
WAITS: tuple[Code, ...] = (
    "invalid_labels",
    "invalid_messages",
    "context_length_exceeded",
    "engine_failure",
    "time_limit",
    "worker_lost",
    "item_failed",
    "job_cancelled",
    "job_expired",
    "timeout",
)
"""What may become of the work while its caller waits."""


@dataclass(frozen=True, kw_only=True)
class Answer:
    """One success of a route.

    Attributes:
        text: when it is sent.
        body: the type of the JSON body; None: see `media`.
        events: the type of each event, where the answer may be a stream.
        media: the content type.
        headers: names of api/parameters.py's ANSWER_HEADERS that it carries.
    """

    text: str
    body: Any = None
    events: Any = None
    media: str = JSON
    headers: Sequence[str] = ()


@dataclass(frozen=True, kw_only=True)
class Documentation:
    """
    Attributes:
        request: the type of the body; `media` is its content type.
        query, headers: models whose fields are the parameters.
        errors: every code that the route may answer with, besides those of keys and of CONNECTION.
    """

    summary: str
    answers: Mapping[int, Answer]
    errors: Sequence[Code] = ()
    request: Any = None
    media: str = JSON
    query: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    path: Mapping[str, str] = field(default_factory=dict)


def documented(summary: str, **said: Any) -> Callable[[View], View]:
    """Beside a route, below its decorator: see Documentation. The view's docstring tells the rest."""

    def keep(view: View) -> View:
        setattr(view, ATTRIBUTE, Documentation(summary=summary, **said))
        return view

    return keep
