"""One batch in the feeder's hands: checked, fed row by row, closed; after a crash resumed from its files."""

import time
from collections import deque
from collections.abc import Generator, Iterator
from dataclasses import asdict
from itertools import chain, islice
from typing import Literal

from redis import RedisError

from api.batches.closing import end, fail
from api.batches.ledger import Ledger
from api.batches.outcomes import answered, bug, refused, unanswered
from api.batches.ready import Ready, make_ready
from api.batches.record import BatchRecord
from api.batches.rows import Check, NumberedRow, read_rows, row_name
from api.batches.schemas import BatchError
from api.errors import ApiError
from api.service import Service
from shared.job import JobRecord

AHEAD = 32  # rows in hand at once: so many may run on without us after a crash
PATIENCE = 30  # seconds that a batch that closes waits for its running rows
AT_A_TIME = 100  # wrong rows that are written off before others get a turn


class Run:
    """A batch from validation to its end.

    `in_hand` maps job ids to rows that were admitted. Whatever goes wrong on the way (no Redis, a full
    disk) raises; the feeder then makes a new Run, which goes on where the files say.

    Attributes:
        state: busy with lines of its own; queued: another batch of its client comes first; fed: rows can be
            asked of it; closing: it waits for running rows.
        chosen: its turn has come.
        told: the counts that its client can see.
    """

    def __init__(self, desk: Service, batch: BatchRecord, longest: int):
        self.batch = batch
        self.in_hand: dict[str, NumberedRow] = {}
        self.writing: set[str] = set()  # those of them that write text
        self.state: Literal["busy", "queued", "fed", "closing", "ended"] = "busy"
        self.chosen = False
        self.told: dict[str, int] = dict(batch.counted)
        self._desk = desk
        self._longest = longest
        self._input = desk.files.path(batch.input)
        self._ledger = Ledger.at(desk.files.path(batch.output), desk.files.path(batch.errors))
        self._back: deque[NumberedRow] = deque()  # rows that came back without an answer
        self._rest: Iterator[NumberedRow] = iter(())
        self._read_all = False
        self._ready: Ready | None = None
        self._life = self._live()

    def work(self, seconds: float) -> bool:
        """Go on for at most so long; whether there is more to do at once."""
        until = time.monotonic() + seconds
        try:
            for _ in self._life:
                if self.state != "busy" or time.monotonic() > until:
                    break
        except (RedisError, OSError):
            raise
        except Exception as error:  # noqa: BLE001 - a broken file must not hold up the other batches
            self.give_up(error)
        return self.state == "busy"

    def next(self) -> Ready | None:
        """The next row to ask; None when there is none now. Rows that are wrong end here.

        Raises:
            ApiError: no row can be asked now (no worker has come yet).
        """
        for _ in range(AT_A_TIME):
            if self._ready or not (row := self._take()):
                break
            self._ready = self._understood(row)
        return self._ready

    def taken(self, ready: Ready) -> None:
        """It was admitted."""
        self.in_hand[ready.job_id] = ready.row
        if ready.writes:
            self.writing.add(ready.job_id)
        self._ready = None

    def wrong(self, ready: Ready, error: ApiError) -> None:
        """It can never be admitted."""
        self._ledger.write(refused(self.batch.id, ready.row, error))
        self._ready = None

    def settle(self, job_id: str, job: JobRecord | None) -> None:
        """Its job has ended; or is gone, having given way, or lost with Redis's last second: ask it again."""
        row = self.in_hand.pop(job_id)
        self.writing.discard(job_id)
        withdrawn = job is not None and job.state == "cancelled" and self.closing
        if job is None or job.state == "expired" or withdrawn:
            self._back.append(row)
            return
        try:
            result = answered(self.batch.id, row, job)
        except Exception as error:  # noqa: BLE001 - one row's failure is recorded and the loop goes on
            result = refused(self.batch.id, row, bug(error))
        self._ledger.write(result)

    @property
    def has_rows(self) -> bool:
        """Whether there is a row that was not asked yet."""
        return not self._read_all or bool(self._back)

    @property
    def closing(self) -> Literal["cancelled", "expired"] | None:
        """Why the batch ends before all its rows have run."""
        if self.batch.status == "cancelling":
            return "cancelled"
        return "expired" if time.time() >= self.batch.expires else None

    def give_up(self, error: Exception) -> None:
        """The batch ends here: its file has changed under us, or we have a bug."""
        told = bug(error).detail
        fail(
            self._desk,
            self.batch,
            [BatchError(code=told.code, message=told.message, param=None, line=None)],
        )
        self.close()
        self.state = "ended"

    @property
    def counts(self) -> dict[str, int]:
        return asdict(self._ledger.counts)

    def close(self) -> None:
        self._life.close()
        self._ledger.close()

    def _live(self) -> Generator[None]:
        try:
            if self.batch.total is None and not (yield from self._check()):
                return
            yield from self._stand_in_line()
            yield from self._ledger.load()
            self._rest = iter(
                row for row in read_rows(self._input, self._longest) if row.custom_id not in self._ledger
            )
            yield from self._be_fed()
            early = None if self._all_done else self.closing
            if early:
                yield from self._write_off(early)
            end(self._desk, self.batch, self._ledger, early)
        except FileNotFoundError:
            gone = BatchError(code="file_gone", message="The input file is gone.", param=None, line=None)
            fail(self._desk, self.batch, [gone])
        finally:
            self.state = "ended"

    def _check(self) -> Generator[None, None, bool]:
        """Looks at every line; returns whether its rows are to run."""
        check = Check(self.batch.endpoint, self._desk.config.max_batch_rows, self._longest)
        for _ in check.lines(self._input):
            if self.closing:
                break
            yield
        if self.closing:
            end(self._desk, self.batch, None, self.closing)
        elif check.errors:
            fail(self._desk, self.batch, check.errors)
        elif self._begin(check.total) == "validating":
            return True
        else:
            end(self._desk, self.batch, None, "cancelled")  # cancelled while its last line was looked at
        return False

    def _begin(self, total: int) -> str:
        return self._desk.batches.move(self.batch.id, "in_progress", ("validating",), {"total": total})

    def _stand_in_line(self) -> Iterator[None]:
        self.state = "queued"
        while not (self.chosen or self.closing):
            yield
        self.state = "busy"

    def _be_fed(self) -> Iterator[None]:
        self.state = "fed"
        while not (self.closing or self._all_done):
            yield
        self.state = "busy"

    def _write_off(self, reason: Literal["cancelled", "expired"]) -> Iterator[None]:
        """Take back what nobody has begun, wait for what runs, and say of every other row why it was not run.

        Rows are asked in order and at most AHEAD are in hand, so those that a crash has left behind are
        among the next AHEAD.
        """
        ready = [self._ready.row] if self._ready else []
        rest = chain(ready, list(self._back), self._rest)
        self._back.clear()
        near = []
        for row in islice(rest, AHEAD):
            if self._desk.jobs.read(self._job_id(row)):
                self.in_hand[self._job_id(row)] = row
            else:
                near.append(row)
        yield from self._wait_for_running()
        for row in chain(list(self._back), near, rest):
            self._ledger.write(unanswered(self.batch.id, row, reason))
            yield

    def _wait_for_running(self) -> Iterator[None]:
        for job_id in self.in_hand:
            self._desk.jobs.withdraw(job_id)
        self.state, patience = "closing", time.monotonic() + PATIENCE
        while self.in_hand:
            if time.monotonic() > patience:
                for job_id in self.in_hand:
                    self._desk.jobs.cancel(job_id)
            yield
        self.state = "busy"

    @property
    def _all_done(self) -> bool:
        return self._read_all and not (self.in_hand or self._back or self._ready)

    def _take(self) -> NumberedRow | None:
        if self._back:
            return self._back.popleft()
        row = next(self._rest, None)
        self._read_all = row is None
        return row

    def _understood(self, row: NumberedRow) -> Ready | None:
        """None, and a line in the error file, when the row is wrong."""
        try:
            return make_ready(self._desk, self.batch.endpoint, row, self._job_id(row))
        except ApiError as error:
            if error.status == 503:
                self._back.appendleft(row)
                raise
            self._ledger.write(refused(self.batch.id, row, error))
        return None

    def _job_id(self, row: NumberedRow) -> str:
        return f"job_{row_name(self.batch.id, row.line)}"
