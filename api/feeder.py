"""The feeder: moves rows of batches into the queue while there is room (python -m api.feeder).

It knows nothing that is not on disk or in Redis, so it may die at any moment: the next one goes on.
"""

import fcntl
import logging
import os
import signal
import sys
import time
from pathlib import Path

from redis import RedisError

from api.app import largest_body
from api.batches.feeding import IDLE, Feeding
from api.batches.run import Run
from api.service import COMMAND_TIMEOUT, Service
from shared.errors import SettingsError, UnknownVersion
from shared.job import ENDED, JobRecord
from shared.logs import set_up_logging
from shared.redis_client import connect
from shared.redis_keys import FEEDER_TTL_MS
from shared.settings import settings

log = logging.getLogger("feeder")

SLICE = 0.05  # seconds that one batch checks or reads lines before others get a turn
LOOK_EVERY, SWEEP_EVERY = 0.25, 60.0  # seconds between two looks at what is open; at files that expired
CHECKED_AT_ONCE = 8  # batches that are busy with lines of their own
SETBACK = 1.0  # seconds after Redis or the disk has failed


class Feeder:
    """Feeds all open batches: the clients in turn, of each its oldest batch.

    Attributes:
        stopped: leave after this turn.
    """

    def __init__(self, desk: Service):
        self.stopped = False
        self._desk = desk
        self._keys = desk.keys
        self._waits = connect(desk.config.broker_url, timeout=IDLE + COMMAND_TIMEOUT)
        self._longest = largest_body(desk.config)
        self._runs: dict[str, Run] = {}  # by batch, the oldest first
        self._feeding = Feeding(desk)
        self._looked = self._swept = float("-inf")

    def run(self) -> None:
        while not self.stopped:
            try:
                self.turn()
            except (RedisError, OSError) as error:
                log.warning("%s: every batch goes on from its files in a moment", type(error).__name__)
                self.forget()
                time.sleep(SETBACK)

    def turn(self) -> None:
        """Look what is open, check lines, take answers, ask rows, wait for something to happen."""
        self._look()
        busy = [run.work(SLICE) for run in self._at_work()]
        for run in self._runs.values():
            self._take_answers(run)
        pause = self._feeding.feed(list(self._runs.values()))
        if pause and not any(busy):
            self._wait(pause)

    def forget(self) -> None:
        """What is known of batches; it stands in Redis and on disk as well."""
        for run in self._runs.values():
            run.close()
        self._runs.clear()
        self._looked = float("-inf")

    def _look(self) -> None:
        """Which batches are open, and what their clients have asked for since."""
        if time.monotonic() - self._looked < LOOK_EVERY:
            return
        self._looked = time.monotonic()
        self._desk.redis.set(self._keys.feeder, os.getpid(), px=FEEDER_TTL_MS)
        batches = {batch.id: batch for batch in self._desk.batches.all_open()}
        for known, run in list(self._runs.items()):
            if known not in batches or run.state == "ended":
                self._runs.pop(known).close()
        for batch_id, batch in batches.items():
            if batch_id not in self._runs:
                self._runs[batch_id] = Run(self._desk, batch, self._longest)
            self._runs[batch_id].batch = batch
        if time.monotonic() - self._swept > SWEEP_EVERY:
            self._swept = time.monotonic()
            self._desk.files.sweep({name for b in batches.values() for name in (b.input, b.output, b.errors)})

    def _at_work(self) -> list[Run]:
        """Runs that get time now: a few of those with lines to check, and all others."""
        busy = [run for run in self._runs.values() if run.state == "busy"]
        return busy[:CHECKED_AT_ONCE] + [run for run in self._runs.values() if run.state != "busy"]

    def _take_answers(self, run: Run) -> None:
        """Rows whose jobs have ended are written down; only then is the job forgotten."""
        names = list(run.in_hand)
        pipe = self._desk.redis.pipeline(transaction=False)
        for job_id in names:
            pipe.hget(self._keys.job(job_id), "state")
        done = []
        for job_id, state in zip(names, pipe.execute(), strict=True):
            if state is None or state in ENDED:
                run.settle(job_id, self._read(job_id))
                done += [self._keys.job(job_id), self._keys.done(job_id)]
        if done:
            self._desk.redis.delete(*done)
        if run.counts != run.told and run.state != "ended":
            self._desk.batches.count(run.batch.id, run.counts)
            run.told = run.counts

    def _read(self, job_id: str) -> JobRecord | None:
        try:
            return self._desk.jobs.read(job_id)
        except UnknownVersion:  # from before an upgrade: it is asked again
            return None

    def _wait(self, seconds: float) -> None:
        rows = [self._keys.done(job_id) for run in self._runs.values() for job_id in run.in_hand]
        woken = self._waits.blpop([*rows, self._keys.batch_wake], seconds)
        if woken and woken[0] == self._keys.batch_wake:
            self._looked = float("-inf")


def main() -> None:
    set_up_logging()
    try:
        config = settings().model_copy(update={"keys_file": None})
    except SettingsError as error:
        sys.exit(f"feeder: {error}")
    feeder = Feeder(Service.start(config))

    def leave(*_: object) -> None:
        feeder.stopped = True

    signal.signal(signal.SIGTERM, leave)
    signal.signal(signal.SIGINT, leave)
    lock = wait_for_folder(config.data / "files", feeder)
    log.info("feeder ready.")
    feeder.run()
    feeder.forget()
    os.close(lock)


def wait_for_folder(folder: Path, feeder: Feeder) -> int:
    """A lock on the files, held until this process ends: two feeders would write every row twice."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = os.open(folder / "feeder.lock", os.O_RDWR | os.O_CREAT, 0o600)
    told = False
    while not feeder.stopped:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            break
        except BlockingIOError:
            if not told:
                log.info("waiting for the feeder that works in %s to end", folder)
            told = True
            time.sleep(SETBACK)
    return lock


if __name__ == "__main__":
    main()
