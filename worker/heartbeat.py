"""Celery's heartbeat during a long step, when Celery's own hub does not run.

Without it Flower shows a busy worker as offline after a few seconds.
"""

import logging
from typing import Any

from celery.utils.sysinfo import load_average
from celery.worker.state import SOFTWARE_INFO, active_requests, all_total_count
from kombu.exceptions import OperationalError

from shared.celery_app import app
from worker.watch import Watch

log = logging.getLogger(__name__)
INTERVAL = 2.0  # seconds; as Celery's own


class Heartbeat:
    """Speaks for `node` over a broker connection of its own: the worker's is not for two threads."""

    def __init__(self, node: str, watch: Watch):
        self._node = node
        self._watch = watch
        self._dispatcher: Any = None

    def beat(self) -> None:
        """To be called every second or so; silent unless a step has kept the hub from running."""
        step = self._watch.step
        if step is None or step.lasted < INTERVAL:
            return
        try:
            self._send()
        except OperationalError as error:  # Redis is away: the next beat connects anew
            log.warning("no heartbeat sent: %s", type(error).__name__)
            self._dispatcher = None

    def _send(self) -> None:
        self._events().send(
            "worker-heartbeat",
            retry=False,
            freq=INTERVAL,
            active=len(active_requests),
            processed=all_total_count[0],
            loadavg=load_average(),
            **SOFTWARE_INFO,
        )

    def _events(self) -> Any:
        if self._dispatcher is None:
            self._dispatcher = app.events.Dispatcher(app.connection_for_write(), hostname=self._node)
        return self._dispatcher
