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
from api.limits import Limits, Places, Window
from api.refusals import not_failed, refusal
from shared.job import Endpoint, JobRecord, Priority, Request, new_job_id
from shared.message import encode_message
from shared.redis_keys import Keys
from shared.scripts import job_script
from shared.settings import Settings

MINUTE_MS, HOUR_MS = 60_000, 3_600_000
WINDOW_NAMES = {"client": "minute", "client_hour": "hour", "all": "hour-all"}  # in headers

AskedWindow = tuple[str, int, int, str]  # key, texts, ms, name
How = Literal["admitted", "cached", "joined", "repeated"]


@dataclass(frozen=True, kw_only=True)
class Terms:
    """How a request wants to be treated.

    Attributes:
        waits: its caller stays on the connection; a queued job that nobody waits for any more is cancelled.
        expires_in: seconds after which a job that nobody has begun is not wanted any more.
        digests: names of the answers in the cache, one for each text; empty: don't reuse answers.
        store: the answers may be reused for others who ask the same.
        later: its caller may be told to come back, and when.
        row: it is a row of a batch (api/batches/): no window counts it, it gives way to everybody who waits
            for an answer, it is in no list and joins nobody.
    """

    priority: Priority = "interactive"
    waits: bool = False
    expires_in: float | None = None
    idempotency_key: str | None = None
    digests: Sequence[str] = ()
    store: bool = True
    later: bool = False
    row: bool = False


@dataclass(frozen=True)
class Admitted:
    job_id: str
    how: How
    priority: Priority
    limits: Limits
    texts: int
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

    def admit_row(
        self, client: str, endpoint: Endpoint, request: Request, terms: Terms, job_id: str
    ) -> Admitted:
        """As `admit`, for a row of a batch, whose job has a name beforehand: asked twice it is one job.

        Raises:
            ApiError: 400, more texts than could ever be admitted; 503, no room now, or a drain.
        """
        return self._ask(Client(id=client), endpoint, request, terms, job_id, retry=False)

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
        windows = [] if terms.row else self._windows(client)
        fingerprint = _digest([job_id] if terms.row else [client.id, endpoint, body])
        record: dict[str, str | int | float] = {
            "v": request.version,
            "client": client.id,
            "endpoint": endpoint,
            "priority": terms.priority,
            "fingerprint": fingerprint,
            "model": request.model,
            "request": body,
            "store": int(terms.store),
        }
        if terms.row:
            record["row"] = 1
        if request.generation:
            record["writes"] = 1
            record["streams"] = int(request.generation.stream)
        if request.questions:
            record["questions"] = request.outline
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
            "windows": windows,
            "row": terms.row,
            "max_waiting": config.max_waiting,
            "max_bulk": config.max_waiting_bulk,
            "retry": retry,
            "paced": terms.later or not terms.waits,
        }
        if terms.idempotency_key is not None:
            ask["idempotency"] = self._keys.idempotency(_digest([client.id, terms.idempotency_key]))
        verdict, value, *more = self._script(json.dumps(ask, ensure_ascii=False))
        limits = self._limits(windows, terms.priority, more.pop(0)) if more else None
        if limits and verdict in ("admitted", "cached", "joined", "repeated"):
            return Admitted(value, verdict, terms.priority, limits, len(request.texts), *more)
        raise refusal(verdict, value, len(request.texts), client, config, limits)

    def _windows(self, client: Client) -> list[AskedWindow]:
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

    def _limits(self, windows: Sequence[AskedWindow], priority: Priority, left: str) -> Limits:
        """From what the script has found."""
        waiting, bulk, pace, *found = map(int, left.split())
        config = self._config
        places = [Places("queue", config.max_waiting, max(0, config.max_waiting - waiting))]
        if priority == "bulk":
            most = config.max_waiting_bulk
            places.append(Places("queue-bulk", most, max(0, most - bulk)))
        return Limits(
            windows=[
                Window(WINDOW_NAMES[name], limit, ms // 1000, max(0, limit - used), -(-opens // 1000))
                for (_, limit, ms, name), used, opens in zip(windows, found[::2], found[1::2], strict=True)
                if limit
            ],
            places=places,
            pace=None if pace < 0 else pace / 1_000_000,
            waiting=waiting,
            waiting_bulk=bulk,
        )


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
