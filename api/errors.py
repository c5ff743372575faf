"""Which HTTP status each error becomes, and the one body that all of them share.

The body merges problem+json (RFC 9457) with OpenAI's `error` object, so that both kinds of client
read it: {"type", "title", "status", "detail", "error": {"message", "type", "param", "code"}}.
"""

import logging
import traceback
from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import quote

from flask import Flask, Response, request
from redis import RedisError
from werkzeug.exceptions import (
    ClientDisconnected,
    HTTPException,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
)

from api.codes import Code
from api.responses import json_response
from api.schemas import ErrorDetail, Problem
from shared.errors import UnknownVersion

log = logging.getLogger(__name__)

REDIS_RETRY_AFTER = 5  # seconds: about what a restarted Redis needs to load its file


class ApiError(Exception):
    """An answer that is no success. The message names the field and the fix."""

    def __init__(
        self,
        status: int,
        code: Code,
        message: str,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ):
        super().__init__(message)
        self.status = status
        self.detail = ErrorDetail(message=message, type=_kind(status), param=param, code=code)
        self.headers = dict(headers or {})


def error_response(error: ApiError, **extra: str) -> Response:
    """The answer for an error; `extra` adds members to the problem (a job's id, say)."""
    problem = problem_of(error).model_dump(exclude_unset=True) | extra
    return json_response(problem, error.status, error.headers, "application/problem+json")


def problem_of(error: ApiError) -> Problem:
    return Problem(
        type=f"urn:wiredesk:error:{error.detail.code}",
        title=HTTPStatus(error.status).phrase,
        status=error.status,
        detail=error.detail.message,
        error=error.detail,
    )


def register_error_handlers(app: Flask) -> None:
    app.register_error_handler(ApiError, error_response)
    app.register_error_handler(RedisError, lambda error: error_response(queue_unavailable(error)))
    app.register_error_handler(UnknownVersion, lambda error: error_response(_unknown_version(error)))
    app.register_error_handler(HTTPException, lambda error: error_response(_from_http(error)))
    app.register_error_handler(Exception, _unexpected)


def queue_unavailable(error: RedisError) -> ApiError:
    full = "OOM" in str(error)
    reason = "has no memory left" if full else "does not answer"
    return ApiError(
        503,
        "queue_out_of_memory" if full else "queue_unavailable",
        f"The queue (Redis) {reason}. Nothing was accepted; retry later.",
        headers={"Retry-After": str(REDIS_RETRY_AFTER)},
    )


def _unknown_version(error: UnknownVersion) -> ApiError:
    return ApiError(500, "unknown_job_version", f"This job cannot be read: {error}.", "id")


def _kind(status: int) -> str:
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return "rate_limit_error"
    if status < 500:
        return "invalid_request_error"
    return "service_unavailable_error" if status in (503, 504) else "server_error"


def _from_http(error: HTTPException) -> ApiError:
    if isinstance(error, NotFound):
        return ApiError(404, "unknown_route", f"There is no route {request.method} {request.path}.")
    if isinstance(error, MethodNotAllowed):
        allowed = ", ".join(sorted(error.valid_methods or ()))
        message = f"{request.path} does not take {request.method}; use {allowed}."
        return ApiError(405, "method_not_allowed", message, headers={"Allow": allowed})
    if isinstance(error, RequestEntityTooLarge):
        return ApiError(413, "body_too_large", "The request body is too large; send fewer or shorter texts.")
    if isinstance(error, ClientDisconnected):
        return ApiError(408, "body_too_slow", "The request body did not come in time, or not to its end.")
    return ApiError(400, "http_error", error.description or "The request failed.")


def _unexpected(error: Exception) -> Response:
    where = "".join(traceback.format_tb(error.__traceback__))  # no message: it may quote the news
    log.error("unexpected %s in %s %s\n%s", type(error).__name__, request.method, quote(request.path), where)
    return error_response(ApiError(500, "internal_error", "The server failed on this request; it is logged."))
