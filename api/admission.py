"""Where a request is admitted or refused: one Lua call (admission.lua)."""

import hashlib
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from redis import Redis

from api.clients import Client
from api.errors import ApiError
from api.refusals import LONGEST_RETRY, not_failed, refusal
from shared.job import VERSION, Endpoint, JobRecord, Priority, Request, new_job_id
from shared.message import encode_message
from shared.redis_keys import Keys
from shared.scripts import job_script
from shared.settings import Settings

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
DRAIN_SAMPLE = 50  # recent texts from which the drain rate is measured
UNKNOWN_DRAIN = 5  # seconds to wait when nothing has been measured yet

How = Literal["admitted", "cached", "joined", "repeated"]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a request wants to be treated.

    Attributes:
        waits: its caller stays on the connection; a queued job that nobody waits for any more is cancelled.
        expires_in: seconds after which a job that nobody has begun is not wanted any more.
        digests: names of the answers in the cache, one for each text; empty: don't reuse answers.
        store: the answers may be reused for others who ask the same.
    """

    priority: Priority = "interactive"
    waits: bool = False
    expires_in: float | None = None
    idempotency_key: str | None = None
    digests: Sequence[str] = ()
    store: bool = True


@dataclass(frozen=True)
class Admitted:
    job_id: str
    how: How
    priority: Priority
    position: int = 0  # texts that waited before it


class Admission:
    """Admits jobs within the rate windows and the queue's bound, exactly and atomically."""

    def __init__(self, redis: Redis, keys: Keys, config: Settings):
        self._redis = redis
        self._keys = keys
        self._config = config
        self._script = job_script(redis, config, __file__, "admission.lua")
        self._keep_ms = int((config.queue_timeout + config.result_ttl) * 1000)

    def admit(self, client: Client, endpoint: Endpoint, request: Request, terms: Terms = Terms()) -> Admitted:
        """Write the job and its messages, join the same work in flight, or change nothing.

        Raises:
            ApiError: 400, more texts than could ever be admitted; 422, the idempotency key belongs to other
                work; 429, a window; 503, a full queue or a drain.
        """
        return self._ask(client, endpoint, request, terms, new_job_id(), retry=False)

    def retry(self, client: Client, job: JobRecord) -> Admitted:
        """Run a failed job again, under its own id and the same limits as a new one.

        Raises:
            ApiError: 409, it has not failed or is being retried already; and as `admit`.
        """
        if job.state != "failed" or job.request is None:
            raise not_failed(job.state)
        request = Request.from_json(job.request)
        return self._ask(client, job.endpoint, request, Terms(priority=job.priority), job.id, retry=True)

    def _ask(
        self, client: Client, endpoint: Endpoint, request: Request, terms: Terms, job_id: str, *, retry: bool
    ) -> Admitted:
        self._check_fits(len(request.texts), client, terms.priority)
        body, config = request.to_json(), self._config
        fingerprint = _fingerprint(client.id, endpoint, body)
        record: dict[str, str | int | float] = {
            "v": VERSION,
            "client": client.id,
            "endpoint": endpoint,
            "priority": terms.priority,
            "fingerprint": fingerprint,
            "model": request.model,
            "request": body,
            "store": int(terms.store),
        }
        if request.generation:
            record["writes"] = 1
            record["streams"] = int(request.generation.stream)
        if request.abstain_below is not None:
            record["abstain_below"] = request.abstain_below
        ask = {
            "id": job_id,
            "client": client.id,
            "priority": terms.priority,
            "texts": len(request.texts),
            "messages": [
                encode_message(job_id, i, terms.priority, request.task) for i in range(len(request.texts))
            ],
            "cache": list(terms.digests) if config.cache_ttl else [],
            "record": record,
            "flight": fingerprint,
            "waits": terms.waits,
            "expires_in": int(min(terms.expires_in or math.inf, config.queue_timeout) * 1000),
            "keep": self._keep_ms,
            "windows": self._windows(client),
            "max_waiting": config.max_waiting,
            "max_bulk": config.max_waiting_bulk,
            "retry": retry,
        }
        if terms.idempotency_key is not None:
            ask["idempotency"] = self._keys.idempotency(_digest([client.id, terms.idempotency_key]))
        verdict, value, *more = self._script(json.dumps(ask, ensure_ascii=False))
        if verdict in ("admitted", "cached", "joined", "repeated"):
            return Admitted(value, verdict, terms.priority, *more)
        raise refusal(verdict, value, client, self._config, self._drain_time)

    def _windows(self, client: Client) -> list[tuple[str, int, int, str]]:
        keys = self._keys
        return [
            (keys.window_client(client.id), client.rate_per_minute, MINUTE_MS, "client"),
            (keys.window_hour(client.id), client.rate_per_hour, HOUR_MS, "client_hour"),
            (keys.window_all, self._config.rate_per_hour, HOUR_MS, "all"),
        ]

    def _check_fits(self, texts: int, client: Client, priority: Priority) -> None:
        config = self._config
        bound = min(config.max_waiting, config.max_waiting_bulk) if priority == "bulk" else config.max_waiting
        limits = (bound, client.rate_per_minute, client.rate_per_hour, config.rate_per_hour)
        most = min((limit for limit in limits if limit), default=texts)
        if texts > most:
            message = f"'input' has {texts} texts; send at most {most} in one request."
            raise ApiError(400, "too_many_texts", message, "input")

    def _drain_time(self) -> int:
        """Seconds until the queue has moved by one engine step, as recent texts have taken."""
        recent = [line.split() for line in self._redis.lrange(self._keys.recent, 0, DRAIN_SAMPLE - 1)]
        if not recent:
            return UNKNOWN_DRAIN
        seconds = sum(float(inference_ms) for _, inference_ms, _ in recent) / len(recent) / 1000
        return max(1, min(LONGEST_RETRY, math.ceil(seconds)))


def _fingerprint(client: str, endpoint: str, body: str) -> str:
    return _digest([client, endpoint, body])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
