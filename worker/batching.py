"""Where jobs become a batch: a Celery strategy for the solo pool.

When a message arrives, peers that already wait are taken with it, up to the batch size. Each runs
Celery's own tracer in a greenlet, which parks in the task's body (`Batch.join`); the batch then runs
once for all, and each greenlet is resumed with its own outcome. Events,
acknowledgement and retries stay Celery's. A lone message waits for nobody; only right after a batch
of more than one does the worker linger for a moment, because clients that have just been answered
are about to ask again (without it, three closed-loop clients fall into batches of 1 + 2).
"""

from collections.abc import Callable, Sequence
from time import monotonic, sleep
from typing import Any

from celery.worker.strategy import default as default_strategy
from greenlet import getcurrent, greenlet

LINGER_SHARE = 0.2  # of the last step: what waiting may cost at most
LINGER_MAX = 0.015  # seconds

Run = Callable[[Sequence[Any]], Sequence[Any]]


class Batch:
    """Collects the messages of one consumer into batches and runs them.

    Args:
        queue: name of the Celery queue from which peers are taken.
        size: most items in one call of `run`.
        run: items -> one outcome for each, in order; it must not raise.
    """

    def __init__(self, queue: str, size: int, run: Run):
        self._queue = queue
        self._size = size
        self._run = run
        self._collected: list[Any] | None = None
        self._linger = 0.0

    def join(self, item: Any) -> Any:
        """Called in a task's body: park until the whole batch has run; returns this item's outcome."""
        slot = getcurrent()
        if isinstance(slot, _Slot):
            return slot.parent.switch(item)
        return self._run([item])[0]

    def strategy(self, task: Any, app: Any, consumer: Any) -> Callable[..., None]:
        """Celery's `Task.Strategy`: what to do with each message of this task."""
        handle = default_strategy(task, app, _Collecting(consumer, self._collect))

        def on_message(message: Any, body: Any, ack: Any, reject: Any, callbacks: Any, **_: Any) -> None:
            if self._collected is not None:  # a peer, delivered by _take_peers below
                return handle(message, body, ack, reject, callbacks)
            self._collected = []
            try:
                handle(message, body, ack, reject, callbacks)
                self._take_peers(consumer, message.channel)
            finally:
                requests, self._collected = self._collected, None
                self._run_together(requests, consumer)
            return None

        return on_message

    def _collect(self, request: Any) -> None:
        assert self._collected is not None
        self._collected.append(request)

    def _take_peers(self, consumer: Any, channel: Any) -> None:
        patience = monotonic() + self._linger
        while self._collected and len(self._collected) < self._size:
            peer = channel.basic_get(self._queue)
            if peer is not None:
                peer.accept = consumer.task_consumer.accept
                consumer.task_consumer.on_message(peer)
            elif monotonic() < patience:
                sleep(0.001)
            else:
                return

    def _run_together(self, requests: list[Any], consumer: Any) -> None:
        slots = [_Slot(consumer.on_task_request) for _ in requests]
        items = [slot.switch(request) for slot, request in zip(slots, requests, strict=True)]
        parked = [(slot, item) for slot, item in zip(slots, items, strict=True) if not slot.dead]
        if not parked:
            return
        if consumer.event_dispatcher:
            consumer.event_dispatcher.flush()  # else Flower sees "started" after the end
        began = monotonic()
        outcomes = self._run([item for _, item in parked])
        lasted = monotonic() - began
        for (slot, _), outcome in zip(parked, outcomes, strict=True):
            slot.switch(outcome)
        self._linger = min(LINGER_MAX, LINGER_SHARE * lasted) if len(parked) > 1 else 0.0


class _Slot(greenlet):
    """One request of the batch, running in Celery's tracer."""


class _Collecting:
    """The consumer as Celery's strategy sees it, except that ready requests come to us."""

    def __init__(self, consumer: Any, collect: Callable[[Any], None]):
        self._consumer = consumer
        self.on_task_request = collect

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)
