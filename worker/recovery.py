"""What a worker lost, another (or its own next life) finds again: by ownership, not by time-outs."""

import logging

from redis import Redis

from shared.message import part_of
from shared.redis_keys import Keys
from worker.jobs import Jobs

log = logging.getLogger(__name__)


class Recovery:
    """Puts back texts that dead workers had in hand, and texts that are in no list.

    A text that is in no list may just be on its way from the queue to a worker, so it is put back
    only when it is still missing at the next sweep.
    """

    def __init__(self, redis: Redis, keys: Keys, jobs: Jobs, node: str):
        self._redis = redis
        self._keys = keys
        self._jobs = jobs
        self._node = node
        self._missing: set[str] = set()

    def give_back_own(self) -> None:
        """At every (re)connect: the solo pool runs in line, so nothing of ours can be in progress."""
        live = self._live_nodes() - {self._node}
        self._put_back(dead={self._node}, live=live)

    def sweep(self) -> None:
        """Every few seconds: dead workers' texts, and texts in no list."""
        live = self._live_nodes() | {self._node}
        dead = self._redis.smembers(self._keys.workers) - live
        self._put_back(dead, live)
        for node in dead:
            if not self._redis.exists(self._keys.worker(node)):
                self._redis.srem(self._keys.workers, node)

    def _put_back(self, dead: set[str], live: set[str]) -> None:
        orphans = self._missing | {part for node in dead for part in self._in_hand(node)}
        back, self._missing = self._jobs.requeue(orphans, live)
        for node in dead:
            self._redis.delete(self._keys.unacked(node), self._keys.unacked_index(node))
        for part in sorted(back):
            log.warning("put back %s: its worker is gone", part)

    def _in_hand(self, node: str) -> list[str]:
        return [part_of(message) for message in self._redis.hvals(self._keys.unacked(node))]

    def _live_nodes(self) -> set[str]:
        nodes = sorted(self._redis.smembers(self._keys.workers))
        alive = self._redis.mget([self._keys.alive(node) for node in nodes]) if nodes else []
        return {node for node, token in zip(nodes, alive, strict=True) if token}
