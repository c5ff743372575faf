"""The side thread: keeps the node's claim fresh and sweeps for lost work while the model is busy."""

import logging
import os
import threading

from redis import RedisError

from worker.heartbeat import Heartbeat
from worker.limit import Limit
from worker.presence import NodeNameTaken, Presence
from worker.recovery import Recovery
from worker.stopping import is_stopping

log = logging.getLogger(__name__)
BEAT = 1.0  # seconds; a third of the claim's lifetime
BEATS_PER_SWEEP = 3


class Sidekick(threading.Thread):
    """Has Redis connections of its own: Celery's hub does not run during an engine step."""

    def __init__(self, presence: Presence, recovery: Recovery, limit: Limit, heartbeat: Heartbeat):
        super().__init__(name="sidekick", daemon=True)
        self._presence = presence
        self._recovery = recovery
        self._limit = limit
        self._heartbeat = heartbeat
        self._stop_asked = threading.Event()

    def run(self) -> None:
        beats = 0
        while not self._stop_asked.wait(BEAT):
            beats += 1
            try:
                self._limit.enforce()
                self._presence.beat()
                self._heartbeat.beat()
                if beats % BEATS_PER_SWEEP == 0:
                    self._recovery.sweep()
            except NodeNameTaken as error:
                log.critical("%s: leaving at once", error)
                os._exit(70)
            except RedisError as error:
                log.warning("Redis does not answer: %s", type(error).__name__)
                if is_stopping():  # Celery would wait for Redis for ever; what is in hand is put back later
                    log.critical("asked to stop while Redis is away: leaving at once")
                    os._exit(75)

    def stop(self) -> None:
        self._stop_asked.set()
        self.join(timeout=5)
