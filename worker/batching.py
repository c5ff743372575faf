"""Where jobs become a batch: a Celery strategy for the solo pool.

When a message arrives, peers that already wait are taken with it, up to the batch size. Each runs
Celery's own tracer in a greenlet, which parks in the task's body (`Batch.join`); the batch then runs
once for all, and each greenlet is resumed with its own outcome. Events,
acknowledgement and retries stay Celery's. A lone message waits for nobody; only right after a batch
of more than one does the worker linger for a moment, because clients that have just been answered
are about to ask again (without it, three closed-loop clients fall into batches of 1 + 2).
"""

import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from time import monotonic, sleep
from typing import Any

from celery.worker.strategy import default as default_strategy
from greenlet import getcurrent, greenlet

from worker.peers import Peers
from worker.stopping import is_stopping

log = logging.getLogger(__name__)

TURN = 1.0  # seconds for which batches may follow each other without a turn of Celery's hub
LINGER_SHARE = 0.2  # of the last step: what waiting may cost at most
LINGER_MAX = 0.015  # seconds

Run = Callable[[Sequence[Any]], Sequence[Any]]


class Batch:
    """Collects the messages of one consumer into batches and runs them.

    Args:
        peers: takes waiting messages from the queue and acknowledges them.
        size: most items in one call of `run`.
        run: items -> one outcome for each, in order.
    """

    def __init__(self, peers: Peers, size: int, run: Run):
        self._peers = peers
        self._size = size
        self._run = run
        self._collected: list[Any] | None = None
        self._batch: list[Any] = []
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

        def receive(message: Any, body: Any, reject: Any, callbacks: Any) -> None:
            # Acknowledged together, by the call that takes the next messages.
            handle(message, body, lambda *_: self._peers.acknowledge(message), reject, callbacks)

        def on_message(message: Any, body: Any, _: Any, reject: Any, callbacks: Any, **__: Any) -> None:
            if self._collected is not None:  # delivered by _deliver below
                return receive(message, body, reject, callbacks)
            with self._collecting():
                receive(message, body, reject, callbacks)
                self._fill(consumer, message.channel)
            self._run_together(consumer)
            # While more waits, the next batch is taken at once; the hub gets its turn every second.
            turn = monotonic() + TURN
            while self._next(consumer, message.channel, self._size if self._may_go_on(turn) else 0):
                self._run_together(consumer)
            return None

        return on_message

    def _may_go_on(self, turn: float) -> bool:
        """A bulk text that is due does not wait for the hub, which would look at interactive ones first."""
        return monotonic() < turn or self._peers.bulk_is_due

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

    def _fill(self, consumer: Any, channel: Any) -> None:
        """Add peers to the first request, lingering a moment for them after a batch of more than one."""
        patience = monotonic() + self._linger
        while self._batch and len(self._batch) < self._size:
            if not self._deliver(consumer, channel, self._size - len(self._batch)):
                if monotonic() >= patience:
                    return
                sleep(0.001)

    def _next(self, consumer: Any, channel: Any, most: int) -> bool:
        """Strike off what is done and collect a batch of what waits already; False when nothing does."""
        with self._collecting():
            waiting = self._deliver(consumer, channel, 0 if is_stopping() else most)
            self._fill(consumer, channel)
            return waiting

    def _deliver(self, consumer: Any, channel: Any, most: int) -> bool:
        peers = self._peers.take(most, channel)
        for peer in peers:
            peer.accept = consumer.task_consumer.accept
            consumer.task_consumer.on_message(peer)
        return bool(peers)

    def _run_together(self, consumer: Any) -> None:
        slots = [_Slot(consumer.on_task_request) for _ in self._batch]
        items = [slot.switch(request) for slot, request in zip(slots, self._batch, strict=True)]
        parked = [(slot, item) for slot, item in zip(slots, items, strict=True) if not slot.dead]
        if consumer.event_dispatcher:
            consumer.event_dispatcher.flush()  # else Flower sees "started" after the end
        began = monotonic()
        self._peers.note_step({request.delivery_info["routing_key"] for request in self._batch})
        self._resume([slot for slot, _ in parked], [item for _, item in parked])
        lasted = monotonic() - began
        self._linger = min(LINGER_MAX, LINGER_SHARE * lasted) if len(parked) > 1 else 0.0

    def _resume(self, slots: list["_Slot"], items: list[Any]) -> None:
        """Run the batch and hand each slot its outcome, or the error that kept the whole from running."""
        if not slots:
            return
        try:
            outcomes = self._run(items)
        except Exception as error:  # noqa: BLE001 - Redis, say: the jobs stay open, and the sweep finds them
            log.error("batch of %d not run: %s", len(items), type(error).__name__)
            for slot in slots:
                slot.throw(error)
            return
        for slot, outcome in zip(slots, outcomes, strict=True):
            slot.switch(outcome)


class _Slot(greenlet):
    """One request of the batch, running in Celery's tracer."""


class _Collecting:
    """The consumer as Celery's strategy sees it, except that ready requests come to us."""

    def __init__(self, consumer: Any, collect: Callable[[Any], None]):
        self._consumer = consumer
        self.on_task_request = collect

    def __getattr__(self, name: str) -> Any:
        return getattr(self._consumer, name)
