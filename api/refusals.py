"""What a caller is told whose request admission.lua has refused: the status, the reason, when to retry."""

import math
import secrets

from api.clients import Client
from api.errors import ApiError
from api.limits import LONGEST_RETRY, Limits
from shared.settings import Settings

DRAINING_RETRY = 10  # seconds: about what a restart takes
SPREAD = 4  # a quarter of the wait, so that those who were refused together do not return together


def refusal(
    verdict: str, value: int | str, texts: int, client: Client, config: Settings, limits: Limits | None
) -> ApiError:
    """The error for a verdict of admission.lua on a request with so many texts."""
    error = _reason(verdict, value, texts, client, config, limits)
    error.headers.update(limits.headers() if limits else {})
    return error


def not_failed(state: str) -> ApiError:
    message = f"Only a failed job can be run again; this one is {state or 'gone'}."
    return ApiError(409, "job_not_failed", message, "id", {"x-should-retry": "false"})


def _reason(
    verdict: str, value: int | str, texts: int, client: Client, config: Settings, limits: Limits | None
) -> ApiError:
    if verdict == "not_failed" or limits is None:
        return not_failed(str(value))
    if verdict == "reused":
        message = "This Idempotency-Key was sent with another request; use a new key for other work."
        return ApiError(422, "idempotency_key_reused", message, "Idempotency-Key")
    if verdict == "draining":
        message = "An operator has stopped admission for a while; what was accepted goes on."
        return ApiError(503, "draining", message, headers={"Retry-After": str(_spread(DRAINING_RETRY))})
    if verdict in ("full", "full_bulk"):
        return _queue_full(verdict, texts, config, limits)
    return _too_fast(verdict, math.ceil(int(value) / 1000), client, config)


def _queue_full(verdict: str, texts: int, config: Settings, limits: Limits) -> ApiError:
    """A bulk text leaves after the interactive ones that wait."""
    bulk = verdict == "full_bulk"
    waiting, most = (
        (limits.waiting_bulk, config.max_waiting_bulk) if bulk else (limits.waiting, config.max_waiting)
    )
    whose = "bulk texts" if bulk else "texts"
    retry_after = _spread(limits.drain(limits.waiting + texts - most))
    message = f"{waiting} {whose} already wait, {most} may; retry in {retry_after} s."
    headers = {"Retry-After": str(retry_after)} | ({} if most else {"x-should-retry": "false"})
    return ApiError(config.overload_status, "queue_full", message, headers=headers)


def _spread(seconds: int) -> int:
    return min(LONGEST_RETRY, seconds + secrets.randbelow(2 + seconds // SPREAD))


def _too_fast(window: str, retry_after: int, client: Client, config: Settings) -> ApiError:
    whose = {
        "client": f"You may send {client.rate_per_minute} texts a minute",
        "client_hour": f"You may send {client.rate_per_hour} texts an hour",
        "all": f"All clients together may send {config.rate_per_hour} texts an hour",
    }[window]
    headers = {"Retry-After": str(retry_after)}
    if retry_after > LONGEST_RETRY:
        headers["x-should-retry"] = "false"
    return ApiError(
        429, "rate_limit_exceeded", f"{whose}; the next fits in {retry_after} s.", headers=headers
    )
