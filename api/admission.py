"""Where a request is admitted or refused: one Lua call (admission.lua)."""

import hashlib
import json
import math
from dataclasses import dataclass

from redis import Redis

from api.clients import Client
from api.errors import ApiError
from shared.job import VERSION, Endpoint, Request, new_job_id
from shared.message import encode_message
from shared.redis_client import read_script
from shared.redis_keys import Keys
from shared.settings import Settings

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
LONGEST_RETRY = 120  # seconds: openai's client waits this long at most, and gives up above
DRAIN_SAMPLE = 50  # recent texts from which the drain rate is measured
UNKNOWN_DRAIN = 5  # seconds to wait when nothing has been measured yet


@dataclass(frozen=True)
class Admitted:
    job_id: str
    position: int  # texts that waited before it


class Admission:
    """Admits jobs within both rate windows and the queue's bound, exactly and atomically."""

    def __init__(self, redis: Redis, keys: Keys, config: Settings):
        self._redis = redis
        self._keys = keys
        self._config = config
        self._script = redis.register_script(read_script(__file__, "admission.lua"))

    def admit(self, client: Client, endpoint: Endpoint, request: Request) -> Admitted:
        """Write the job and its messages, or change nothing.

        Raises:
            ApiError: 400, more texts than could ever be admitted; 429, a window; 503, a full queue.
        """
        self._check_fits(len(request.texts), client)
        job_id, keys, config = new_job_id(), self._keys, self._config
        record = self._record(client.id, endpoint, request)
        verdict, value = self._script(
            keys=[
                keys.window_client(client.id),
                keys.window_all,
                keys.queue,
                keys.job(job_id),
                keys.open_jobs,
                keys.stats,
            ],
            args=[
                job_id,
                client.rate_per_minute,
                MINUTE_MS,
                config.rate_per_hour,
                HOUR_MS,
                config.max_waiting,
                len(record) // 2,
                *record,
                *(encode_message(job_id, index) for index in range(len(request.texts))),
            ],
        )
        if verdict == "admitted":
            return Admitted(job_id, position=value)
        raise self._refusal(verdict, value, client)

    def _record(self, client: str, endpoint: Endpoint, request: Request) -> list[str | int]:
        body = request.to_json()
        fields: dict[str, str | int] = {
            "v": VERSION,
            "client": client,
            "endpoint": endpoint,
            "priority": "interactive",
            "fingerprint": _fingerprint(client, endpoint, body),
            "model": request.model,
            "request": body,
        }
        return [cell for field in fields.items() for cell in field]

    def _check_fits(self, texts: int, client: Client) -> None:
        config = self._config
        limits = (config.max_waiting, client.rate_per_minute, config.rate_per_hour)
        most = min((limit for limit in limits if limit), default=texts)
        if texts > most:
            message = f"'input' has {texts} texts; send at most {most} in one request."
            raise ApiError(400, "too_many_texts", message, "input")

    def _refusal(self, verdict: str, value: int, client: Client) -> ApiError:
        config = self._config
        if verdict == "full":
            retry_after = self._drain_time()
            message = f"{value} texts already wait, {config.max_waiting} may; retry in {retry_after} s."
            return ApiError(503, "queue_full", message, headers={"Retry-After": str(retry_after)})
        retry_after = math.ceil(value / 1000)
        whose = (
            f"You may send {client.rate_per_minute} texts a minute"
            if verdict == "client"
            else f"All clients together may send {config.rate_per_hour} texts an hour"
        )
        headers = {"Retry-After": str(retry_after)}
        if retry_after > LONGEST_RETRY:
            headers["x-should-retry"] = "false"
        message = f"{whose}; the next fits in {retry_after} s."
        return ApiError(429, "rate_limit_exceeded", message, headers=headers)

    def _drain_time(self) -> int:
        """Seconds until the queue has moved by one engine step, as recent texts have taken."""
        recent = [line.split() for line in self._redis.lrange(self._keys.recent, 0, DRAIN_SAMPLE - 1)]
        if not recent:
            return UNKNOWN_DRAIN
        seconds = sum(float(inference_ms) for _, inference_ms, _ in recent) / len(recent) / 1000
        return max(1, min(LONGEST_RETRY, math.ceil(seconds)))


def _fingerprint(client: str, endpoint: str, body: str) -> str:
    return hashlib.sha256(json.dumps([client, endpoint, body]).encode()).hexdigest()
