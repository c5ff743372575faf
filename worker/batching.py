"""The step loop: a Celery strategy for the solo pool that turns messages into steps of the engine.

When a message arrives, peers that already wait are taken with it, up to the batch size. Each runs
Celery's own tracer in a greenlet, which parks in the task's body (`Batch.join`); the engine then runs
once for all, and each greenlet is resumed with its own outcome. Events, acknowledgement and retries
stay Celery's. Texts under way stay parked from step to step, and between two steps the queue is looked
at: labels are scored beside them at once, and a free row is filled.

A lone message waits for nobody; only right after a batch of more than one does the worker linger for
a moment, because clients that have just been answered are about to ask again (without it, three
closed-loop clients fall into batches of 1 + 2).
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

from celery.worker.strategy import default as default_strategy
from greenlet import getcurrent, greenlet

from shared.job import GENERATE
from worker.jobs import ErrorCode
from worker.peers import Peers
from worker.steps import Steps
from worker.stopping import is_stopping

log = logging.getLogger(__name__)

TURN = 1.0  # seconds for which batches may follow each other without a turn of Celery's hub
WRITING_TURN = 60.0  # the same while texts are written: then no new one is begun until all have ended
LINGER_SHARE = 0.2  # of the last step: what waiting may cost at most
LINGER_MAX = 0.015  # seconds


class Batch:
    """Collects the messages of one consumer into batches and runs them.

    Args:
        peers: takes waiting messages from the queue and acknowledges them.
        size: most items in one step.
        steps: runs them.
    """

    def __init__(self, peers: Peers, size: int, steps: Steps):
        self._peers = peers
        self._size = size
        self._steps = steps
        self._collected: list[Any] | None = None
        self._batch: list[Any] = []
        self._parked: dict[str, _Slot] = {}
        self._linger = 0.0

    def join(self, part: str) -> ErrorCode:
        """Called in a task's body: park until the part has ended; returns its outcome."""
        slot = getcurrent()
        assert isinstance(slot, _Slot)
        return slot.parent.switch(part)

    def strategy(self, task: Any, app: Any, consumer: Any) -> Callable[..., None]:
        """Celery's `Task.Strategy`: what to do with each message of this task."""
        handle = default_strategy(task, app, _Collecting(consumer, self._collect))

        def receive(message: Any, body: Any, reject: Any, callbacks: Any) -> None:
            # Acknowledged together, by the call that takes the next messages.
            handle(message, body, lambda *_: self._peers.acknowledge(message), reject, callbacks)

        def on_message(message: Any, body: Any, _: Any, reject: Any, callbacks: Any, **__: Any) -> None:
            if self._collected is not None:  # delivered by _deliver below
                return receive(message, body, reject, callbacks)
            with self._collecting():
                receive(message, body, reject, callbacks)
                self._fill(consumer, message.channel, self._steps.room)
            self._begin(consumer)
            self._go_on(consumer, message.channel)
            return None

        return on_message

    def _go_on(self, consumer: Any, channel: Any) -> None:
        """The loop: a step for the texts under way, then what waits. Ends when neither is left."""
        began = monotonic()
        while True:
            if self._parked:
                self._resume(self._run(self._steps.step, self._parked))
            lasted = monotonic() - began
            rows = self._steps.room if lasted < (WRITING_TURN if self._parked else TURN) else 0
            most = self._size if self._parked or self._may_go_on(lasted) else 0
            if self._next(consumer, channel, most, rows):
                self._begin(consumer)
            elif not self._parked:
                return

    def _may_go_on(self, lasted: float) -> bool:
        """A bulk text that is due does not wait for the hub, which would look at interactive ones first."""
        return lasted < TURN or self._peers.bulk_is_due

    @contextmanager
    def _collecting(self) -> Iterator[None]:
        """Inside, requests that Celery has made ready come to `_batch` instead of being run."""
        self._collected = self._batch = []
        try:
            yield
        finally:
            self._collected = None

    def _collect(self, request: Any) -> None:
        assert self._collected is not None
        self._collected.append(request)

    def _fill(self, consumer: Any, channel: Any, rows: int) -> None:
        """Add peers to the first request, lingering a moment for them after a batch of more than one."""
        patience = monotonic() + (0 if self._parked else self._linger)
        while self._batch and len(self._batch) < self._size:
            free = rows - sum(request.name == GENERATE for request in self._batch)
            if not self._deliver(consumer, channel, self._size - len(self._batch), free):
                if monotonic() >= patience:
                    return
                sleep(0.001)

    def _next(self, consumer: Any, channel: Any, most: int, rows: int) -> bool:
        """Strike off what is done and collect a batch of what waits already; False when nothing does."""
        with self._collecting():
            waiting = self._deliver(consumer, channel, 0 if is_stopping() else most, rows)
            self._fill(consumer, channel, rows)
            return waiting

    def _deliver(self, consumer: Any, channel: Any, most: int, rows: int) -> bool:
        peers = self._peers.take(most, rows, channel)
        for peer in peers:
            peer.accept = consumer.task_consumer.accept
            consumer.task_consumer.on_message(peer)
        return bool(peers)

    def _begin(self, consumer: Any) -> None:
        """Run Celery's tracer for each request of the batch up to its body, then the engine for all."""
        slots = [_Slot(consumer.on_task_request) for _ in self._batch]
        parts = [slot.switch(request) for slot, request in zip(slots, self._batch, strict=True)]
        parked = {part: slot for slot, part in zip(slots, parts, strict=True) if not slot.dead}
        if consumer.event_dispatcher:
            consumer.event_dispatcher.flush()  # else Flower sees "started" after the end
        began = monotonic()
        self._peers.note_step({request.delivery_info["routing_key"] for request in self._batch})
        self._parked |= parked
        if parked:
            self._resume(self._run(lambda: self._steps.begin(list(parked)), parked))
        lasted = monotonic() - began
        self._linger = min(LINGER_MAX, LINGER_SHARE * lasted) if len(parked) > 1 else 0.0

    def _run(
        self, step: Callable[[], Mapping[str, ErrorCode]], parts: Iterable[str]
    ) -> Mapping[str, ErrorCode]:
        """A step. One that cannot be run at all (no Redis, say) is thrown into everything in hand: the
        jobs stay open, and the sweep finds them."""
        try:
            return step()
        except Exception as error:  # noqa: BLE001
            log.error("step of %d parts not run: %s", len(list(parts)), type(error).__name__)
            self._steps.abandon()
            for part in list(self._parked):
                self._parked.pop(part).throw(error)
            return {}

    def _resume(self, outcomes: Mapping[str, ErrorCode]) -> None:
        for part, outcome in outcomes.items():
            self._parked.pop(part).switch(outcome)


class _Slot(greenlet):
    """One request of the batch, running in Celery's tracer."""


class _Collecting:
    """The consumer as Celery's strategy sees it, except that ready requests come to us."""

    def __init__(self, consumer: Any, collect: Callable[[Any], None]):
        self._consumer = consumer
        self.on_task_request = collect

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)
