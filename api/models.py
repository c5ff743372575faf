"""What can be asked for: the models that workers have published, live or not."""

import json
import time
from dataclasses import dataclass
from typing import Any

from redis import Redis

from api.errors import ApiError
from api.schemas import CLASSIFIER, Model
from shared.description import Description
from shared.redis_keys import Keys

FRESH = 0.5  # seconds that one look at Redis serves a process


@dataclass(frozen=True, kw_only=True)
class Worker(Description):
    """A worker that has published itself; `ready` while it is alive with its model loaded."""

    node: str
    ready: bool


class Models:
    """Reads worker:<node>, at most every FRESH seconds."""

    def __init__(self, redis: Redis, keys: Keys):
        self._redis = redis
        self._keys = keys
        self._read_at = float("-inf")
        self._workers: list[Worker] = []

    def workers(self) -> list[Worker]:
        # An empty answer is not kept: another process may have said already that a worker is ready.
        if not self._workers or time.monotonic() - self._read_at > FRESH:
            self._workers = self._read()
            self._read_at = time.monotonic()
        return self._workers

    def ready_workers(self) -> list[Worker]:
        return [worker for worker in self.workers() if worker.ready]

    def answering(self) -> Description | None:
        """What all workers serve alike; None without workers, or while they differ (a change of model)."""
        workers = self.workers()
        return workers[0] if len({worker.fingerprint for worker in workers}) == 1 else None

    @property
    def zero_shot(self) -> bool:
        """Whether every worker takes labels of a request."""
        return all(worker.zero_shot for worker in self.workers())

    def served(self) -> list[Model]:
        """The models on offer; none before any worker came. A job may wait for a worker that is down."""
        workers = self.workers()
        if not workers:
            return []
        first = workers[0]
        classifier = Model(id=CLASSIFIER, created=0, labels=list(first.labels), revision=first.revision)
        writer = Model(id=first.name, created=0, labels=[], revision=first.revision)
        return [classifier, writer] if first.writes else [classifier]

    def classifier(self, asked: str | None) -> str:
        """The id that answers with labels.

        Raises:
            ApiError: 503, no worker ever came; 404, no such model; 400, it writes text.
        """
        model = self.resolve(asked)
        if model != CLASSIFIER:
            message = f"{model} writes text; ask {CLASSIFIER} for labels."
            raise ApiError(400, "wrong_model", message, "model")
        return model

    def writer(self, asked: str) -> str:
        """The id that writes text.

        Raises:
            ApiError: 503, no worker ever came; 404, no such model; 400, it answers with labels only.
        """
        model = self.resolve(asked)
        if model == CLASSIFIER:
            message = f"{CLASSIFIER} answers with labels only; GET /v1/models lists what writes text."
            raise ApiError(400, "wrong_model", message, "model")
        return model

    def resolve(self, asked: str | None) -> str:
        """The id that serves a request.

        Raises:
            ApiError: 503, no worker ever came; 404, no such model.
        """
        served = [model.id for model in self.served()]
        if not served:
            message = "No worker has come yet, so no model is known; retry when one is ready (GET /ready)."
            raise ApiError(503, "no_worker", message, headers={"Retry-After": "5"})
        if asked is None:
            return CLASSIFIER
        if asked not in served:
            message = f"There is no such model; 'model' may be {' or '.join(served)} (GET /v1/models)."
            raise ApiError(404, "model_not_found", message, "model")
        return asked

    def _read(self) -> list[Worker]:
        nodes = sorted(self._redis.smembers(self._keys.workers))
        if not nodes:
            return []
        names = [key for node in nodes for key in (self._keys.worker(node), self._keys.alive(node))]
        values = self._redis.mget(names)
        pairs = zip(values[::2], values[1::2], strict=True)
        return [_worker(json.loads(published), token) for published, token in pairs if published]


def _worker(published: dict[str, Any], token: str | None) -> Worker:
    ready = published.pop("token") == token
    return Worker(**published | {"labels": tuple(published["labels"]), "ready": ready})
