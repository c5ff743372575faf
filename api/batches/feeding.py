"""Which row is asked next: clients in turn, while there is room in the queue."""

import time
from collections.abc import Sequence

from redis import RedisError

from api.admission import Terms
from api.batches.outcomes import bug
from api.batches.ready import Ready
from api.batches.run import AHEAD, Run
from api.errors import ApiError
from api.service import Service

IDLE, NO_ROOM = 1.0, 0.1  # seconds to wait when nothing happens; when the queue is full
NOT_NOW = ("queue_full", "draining", "no_worker")  # refusals that pass


class Feeding:
    """Asks rows of batches, one client after the other, of each its oldest batch."""

    def __init__(self, desk: Service):
        self._desk = desk
        self._served: dict[str, int] = {}  # client -> rows of all clients when it was last given room
        self._rows = 0

    def feed(self, runs: Sequence[Run]) -> float:
        """Ask rows until there is no room; returns the seconds until it is worth while to try again."""
        pause, fed = IDLE, self._in_turn(runs)
        while fed:
            run = fed.pop(0)
            wait = self._ask_or_give_up(run, runs)
            if wait is None:
                fed.append(run)
            elif wait == NO_ROOM:
                return min(wait, pause)
            else:
                pause = min(wait, pause)
        return pause

    def _in_turn(self, runs: Sequence[Run]) -> list[Run]:
        """Of each client its oldest batch that has rows to ask, the client first that has waited longest."""
        oldest: dict[str, Run] = {}
        for run in runs:
            if run.state in ("queued", "fed"):
                oldest.setdefault(run.batch.client, run)
        for run in oldest.values():
            run.chosen = True
        self._served = {client: self._served.get(client, 0) for client in oldest}
        ordered = sorted(oldest.values(), key=lambda run: self._served[run.batch.client])
        return [run for run in ordered if run.state == "fed"]

    def _ask_or_give_up(self, run: Run, runs: Sequence[Run]) -> float | None:
        try:
            return self._ask_next(run, runs)
        except (RedisError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - a broken file must not hold up the other batches
            run.give_up(error)
            return 0.0

    def _ask_next(self, run: Run, runs: Sequence[Run]) -> float | None:
        """None when another row may be asked; else the seconds until this batch should be tried again."""
        if sum(len(other.in_hand) for other in runs) >= AHEAD:
            return IDLE
        try:
            ready = run.next()
        except ApiError as error:
            if error.detail.code not in NOT_NOW:
                raise
            return NO_ROOM
        if ready is None:
            return 0.0 if run.has_rows else IDLE
        if ready.writes and sum(len(other.writing) for other in runs) >= self._most_writing():
            return IDLE
        return self._admit(run, ready)

    def _admit(self, run: Run, ready: Ready) -> float | None:
        left = max(1.0, run.batch.expires - time.time())
        terms = Terms(priority="bulk", expires_in=left, digests=ready.digests, row=True)
        work, batch = ready.asked.work, run.batch
        try:
            how = self._desk.admission.admit_row(batch.client, batch.endpoint, work, terms, ready.job_id).how
        except ApiError as error:
            if error.detail.code in NOT_NOW:
                return NO_ROOM
            run.wrong(ready, error)
            return None
        except ValueError as error:  # it cannot be written to Redis
            run.wrong(ready, bug(error))
            return None
        run.taken(ready)
        self._rows += 1
        self._served[batch.client] = self._rows
        return None if how == "admitted" else 0.0  # it may have ended already

    def _most_writing(self) -> int:
        """Rows that write text at once: one place of each worker is left for those who wait for an answer."""
        workers = max(1, len(self._desk.models.ready_workers()))
        return max(1, workers * (self._desk.config.batch_size - 1))
