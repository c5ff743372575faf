"""Batches in Redis: opened, listed, moved from status to status; each a decision of one script."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from redis import Redis

from api.batches.files import new_file_id
from api.batches.paging import page
from api.batches.record import WINDOW, BatchRecord, new_batch_id
from api.batches.schemas import BatchRequest, BatchStatus
from api.errors import ApiError
from api.refusals import DRAINING_RETRY
from shared.redis_keys import Keys
from shared.scripts import job_script
from shared.settings import Settings


class Batches:
    """Opens, reads and moves batches; a client sees its own only."""

    def __init__(self, redis: Redis, keys: Keys, config: Settings):
        self._redis = redis
        self._keys = keys
        self._config = config
        self._open = job_script(redis, config, __file__, "open.lua")
        self._move = job_script(redis, config, __file__, "move.lua")

    def open(self, client: str, asked: BatchRequest, now: int) -> BatchRecord:
        """A new batch of the client's, or nothing.

        Raises:
            ApiError: 404, no such file; 429, too many requests in open batches; 503, a drain.
        """
        batch_id, most = new_batch_id(), self._config.max_open_rows
        keep = asked.output_expires_after.seconds if asked.output_expires_after else self._config.file_ttl
        record: dict[str, str | int] = {
            "client": client,
            "endpoint": asked.endpoint,
            "input": asked.input_file_id,
            "output": new_file_id(),
            "errors": new_file_id(),
            "expires_at": now + WINDOW,
            "keep_output": min(keep, self._config.file_ttl),
        }
        if asked.metadata is not None:
            record["metadata"] = json.dumps(asked.metadata, ensure_ascii=False)
        ask = {
            "id": batch_id,
            "client": client,
            "file": asked.input_file_id,
            "record": record,
            "most": most,
            "keep": self._config.file_ttl + WINDOW,
        }
        verdict, value = self._open(json.dumps(ask, ensure_ascii=False))
        if verdict != "opened":
            raise _refusal(verdict, int(value), most)
        return self.read(client, batch_id)

    def read(self, client: str, batch_id: str) -> BatchRecord:
        """The client's batch.

        Raises:
            ApiError: 404, it has none of this id.
        """
        value = self._redis.hgetall(self._keys.batch(batch_id))
        if not value or value["client"] != client:
            raise ApiError(404, "batch_not_found", "There is no such batch, or it has expired.", "id")
        return BatchRecord.from_hash(batch_id, value)

    def listed(self, client: str, after: str | None, limit: int) -> tuple[list[BatchRecord], bool]:
        """One page of the client's batches, newest first, and whether there are more."""
        names = self._keys.client_batches(client)
        found, more = page(self._redis, names, self._keys.batch, limit=limit, after=after)
        return [BatchRecord.from_hash(batch_id, record) for batch_id, record in found], more

    def cancel(self, client: str, batch_id: str) -> BatchRecord:
        """The batch, which ends once what runs has ended.

        Raises:
            ApiError: 404, the client has no such batch; 409, it has ended already, or nearly.
        """
        self.read(client, batch_id)
        before = self.move(batch_id, "cancelling", ("validating", "in_progress"))
        if before not in ("validating", "in_progress", "cancelling"):
            message = f"The batch is {before} already; only one that goes on can be cancelled."
            raise ApiError(409, "batch_ended", message, "id", {"x-should-retry": "false"})
        return self.read(client, batch_id)

    def all_open(self) -> list[BatchRecord]:
        """Open batches of all clients, the oldest first."""
        ids = self._redis.zrange(self._keys.open_batches, 0, -1)
        pipe = self._redis.pipeline(transaction=False)
        for batch_id in ids:
            pipe.hgetall(self._keys.batch(batch_id))
        return [
            BatchRecord.from_hash(name, value)
            for name, value in zip(ids, pipe.execute(), strict=True)
            if value
        ]

    def count(self, batch_id: str, counts: Mapping[str, int]) -> None:
        """Progress, as the feeder's files on disk say it."""
        self._redis.hset(self._keys.batch(batch_id), mapping=dict(counts))

    def move(
        self,
        batch_id: str,
        to: BatchStatus,
        source: Sequence[BatchStatus],
        fields: Mapping[str, Any] | None = None,
        files: Sequence[Mapping[str, Any]] = (),
        file_keep: int = 0,
    ) -> str:
        """The status before; nothing has changed unless it is one of `source`."""
        ask = {
            "id": batch_id,
            "to": to,
            "from": source,
            "set": fields or {},
            "files": files,
            "keep": self._config.file_ttl,
            "file_keep": file_keep,
        }
        return self._move(json.dumps(ask, ensure_ascii=False))


def _refusal(verdict: str, open_rows: int, most: int) -> ApiError:
    if verdict == "no_file":
        message = "'input_file_id' is no file of yours; upload one with purpose batch (POST /v1/files)."
        return ApiError(404, "file_not_found", message, "input_file_id")
    if verdict == "draining":
        message = "An operator has stopped admission for a while; what was accepted goes on."
        return ApiError(503, "draining", message, headers={"Retry-After": str(DRAINING_RETRY)})
    message = (
        f"Your open batches have {open_rows} requests; with this file they would have more than {most}. "
        "Wait for one to end, or cancel it."
    )
    return ApiError(429, "too_many_open_rows", message, "input_file_id", {"x-should-retry": "false"})
