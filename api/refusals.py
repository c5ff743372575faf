"""What a caller is told whose request admission.lua has refused: the status, the reason, when to retry."""

import math
from collections.abc import Callable

from api.clients import Client
from api.errors import ApiError
from shared.settings import Settings

LONGEST_RETRY = 120  # seconds: openai's client waits this long at most, and gives up above
DRAINING_RETRY = 10  # seconds: about what a restart takes


def refusal(
    verdict: str, value: int | str, client: Client, config: Settings, drain_time: Callable[[], int]
) -> ApiError:
    """The error for a verdict of admission.lua; `drain_time` gives the seconds until the queue has moved."""
    if verdict == "not_failed":
        return not_failed(str(value))
    if verdict == "reused":
        message = "This Idempotency-Key was sent with another request; use a new key for other work."
        return ApiError(422, "idempotency_key_reused", message, "Idempotency-Key")
    if verdict == "draining":
        message = "An operator has stopped admission for a while; what was accepted goes on."
        return ApiError(503, "draining", message, headers={"Retry-After": str(DRAINING_RETRY)})
    if verdict in ("full", "full_bulk"):
        return _queue_full(verdict, int(value), config, drain_time())
    return _too_fast(verdict, math.ceil(int(value) / 1000), client, config)


def not_failed(state: str) -> ApiError:
    message = f"Only a failed job can be run again; this one is {state or 'gone'}."
    return ApiError(409, "job_not_failed", message, "id", {"x-should-retry": "false"})


def _queue_full(verdict: str, waiting: int, config: Settings, retry_after: int) -> ApiError:
    bulk = verdict == "full_bulk"
    most, whose = (config.max_waiting_bulk, "bulk texts") if bulk else (config.max_waiting, "texts")
    message = f"{waiting} {whose} already wait, {most} may; retry in {retry_after} s."
    return ApiError(503, "queue_full", message, headers={"Retry-After": str(retry_after)})


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
