"""The worker's three moves on a job record: begin a text, finish it, put orphans back."""

from dataclasses import dataclass

from redis import Redis

from shared.job import PartResult, Request, split_part_id
from shared.keys import RECENT, Keys
from shared.redis_client import read_script


@dataclass(frozen=True)
class Taken:
    """One text in hand: which attempt this is, and the text."""

    part: str
    attempt: int
    text: str


@dataclass(frozen=True)
class Step:
    """What one engine step cost. `first` marks one text of the batch, so that batches can be counted."""

    inference_ms: float
    texts: int
    first: bool


class Jobs:
    """Job records in Redis, as the worker changes them. Each method is one atomic script."""

    def __init__(self, redis: Redis, keys: Keys, result_ttl: int):
        self._redis = redis
        self._keys = keys
        self._result_ttl = result_ttl
        self._begin = redis.register_script(read_script(__file__, "begin.lua"))
        self._finish = redis.register_script(read_script(__file__, "finish.lua"))
        self._requeue = redis.register_script(read_script(__file__, "requeue.lua"))

    def begin(self, part: str, node: str) -> Taken | None:
        """Take the text in hand; None when there is nothing left to do for it."""
        job_id, index = split_part_id(part)
        taken = self._begin(keys=[self._keys.job(job_id)], args=[index, node])
        if not taken:
            return None
        attempt, request = taken
        return Taken(part, attempt, Request.from_json(request).texts[index])

    def finish(self, taken: Taken, result: PartResult, step: Step) -> bool:
        """Store the outcome; False when a later attempt owns the text or it has its outcome already."""
        job_id, index = split_part_id(taken.part)
        keys = self._keys
        stored = self._finish(
            keys=[keys.job(job_id), keys.open_jobs, keys.done(job_id), keys.stats, keys.recent],
            args=[
                taken.part,
                index,
                taken.attempt,
                int(result.failed),
                result.to_json(),
                f"{step.inference_ms:.1f}",
                step.texts,
                int(step.first),
                self._result_ttl,
                RECENT,
            ],
        )
        return bool(stored)

    def requeue(self, orphans: set[str], live_nodes: set[str]) -> tuple[set[str], set[str]]:
        """Put orphans back; returns (put back, still in no list)."""
        keys = self._keys
        unacked = [keys.unacked(node) for node in sorted(live_nodes)]
        back, missing = self._requeue(
            keys=[keys.queue, keys.open_jobs, *unacked], args=[keys.job(""), *sorted(orphans)]
        )
        return set(back), set(missing)
