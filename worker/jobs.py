"""The worker's three moves on job records: begin a batch, finish it, put orphans back."""

from collections.abc import Sequence
from dataclasses import dataclass

from redis import Redis

from shared.job import PartResult, Request, split_part_id
from shared.redis_client import read_script
from shared.redis_keys import RECENT, Keys


@dataclass(frozen=True)
class Taken:
    """One text in hand: which attempt this is, and the text."""

    part: str
    attempt: int
    text: str


class Jobs:
    """Job records in Redis, as the worker changes them. Each method is one atomic script."""

    def __init__(self, redis: Redis, keys: Keys, result_ttl: int):
        self._redis = redis
        self._keys = keys
        self._result_ttl = result_ttl
        self._begin = redis.register_script(read_script(__file__, "begin.lua"))
        self._finish = redis.register_script(read_script(__file__, "finish.lua"))
        self._requeue = redis.register_script(read_script(__file__, "requeue.lua"))

    def begin(self, parts: Sequence[str], node: str) -> tuple[list[Taken], list[str]]:
        """Take texts in hand; those for which nothing is left to do are in neither list.

        Returns:
            The texts that run together, and the parts that must be begun alone, one after the other.
        """
        places = [split_part_id(part) for part in parts]
        answers = self._begin(
            keys=[self._keys.job(job_id) for job_id, _ in places],
            args=[node, *(index for _, index in places)],
        )
        found = list(zip(parts, places, answers, strict=True))
        taken = [
            Taken(part, answer[0], Request.from_json(answer[1]).texts[index])
            for part, (_, index), answer in found
            if answer
        ]
        return taken, [part for part, _, answer in found if answer == []]

    def finish(self, outcomes: Sequence[tuple[Taken, PartResult]], inference_ms: float) -> list[bool]:
        """Store what one engine step has made.

        Returns:
            For each, False when a later attempt owns the text or it has its outcome already.
        """
        keys = self._keys
        names = [keys.open_jobs, keys.stats, keys.recent]
        values: list[str | int] = [self._result_ttl, RECENT, len(outcomes), f"{inference_ms:.1f}"]
        for taken, result in outcomes:
            job_id, index = split_part_id(taken.part)
            names += [keys.job(job_id), keys.done(job_id)]
            values += [taken.part, index, taken.attempt, int(result.failed), result.to_json()]
        return [bool(stored) for stored in self._finish(keys=names, args=values)]

    def requeue(self, orphans: set[str], live_nodes: set[str]) -> tuple[set[str], set[str]]:
        """Put orphans back; returns (put back, still in no list)."""
        keys = self._keys
        unacked = [keys.unacked(node) for node in sorted(live_nodes)]
        back, missing = self._requeue(
            keys=[keys.queue, keys.open_jobs, *unacked], args=[keys.job(""), *sorted(orphans)]
        )
        return set(back), set(missing)
