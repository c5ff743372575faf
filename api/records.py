"""Job records as the api reads them, waits for them and ends them before their time."""

import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from socket import socket

from redis import Redis, RedisError

from api.waiting import SLICE, ClientGone, hung_up
from shared.job import JobRecord, Priority, TokenLogprob
from shared.redis_keys import Keys
from shared.scripts import job_script
from shared.settings import Settings

PAGE = 100  # ids looked at in one round trip while a list is filtered


class NotListed(Exception):
    """A page was asked for behind a job that is not in the list."""


@dataclass(frozen=True)
class Piece:
    """What a text under way has grown by: text from character `at`, log-probabilities from token `token`."""

    place: int
    at: int
    text: str
    token: int
    logprobs: Sequence[TokenLogprob]


class Jobs:
    """What clients do with their jobs.

    Args:
        commands: client for short commands.
        waits: client of its own for blocking ones, so that waiters never starve commands.
    """

    def __init__(self, commands: Redis, waits: Redis, keys: Keys, config: Settings):
        self._commands = commands
        self._waits = waits
        self._keys = keys
        self._close = job_script(commands, config, __file__, "close.lua")

    def read(self, job_id: str) -> JobRecord | None:
        """The record; a job that has waited too long ends here when no worker is there to end it."""
        job = self._read(job_id)
        if job and job.state == "queued" and job.deadline and job.deadline < time.time() * 1000:
            self._close(job_id, "expire")
            return self._read(job_id)
        return job

    def position(self, job_id: str, priority: Priority = "interactive") -> int | None:
        """Texts before the job's first waiting one; None when none of its texts waits."""
        message = self._commands.hget(self._keys.job(job_id), "message:0")
        if message is None:
            return None
        keys, bulk = self._keys, priority == "bulk"
        pipe = self._commands.pipeline()
        pipe.lpos(keys.bulk if bulk else keys.queue, message)
        pipe.llen(keys.bulk if bulk else keys.queue)
        pipe.llen(keys.queue)
        from_tail, length, interactive = pipe.execute()
        return None if from_tail is None else length - 1 - from_tail + (interactive if bulk else 0)

    def wait(self, job_id: str, seconds: float, client_socket: socket | None) -> JobRecord | None:
        """The ended job, or None when the time is over.

        One list element wakes every waiter (moving it onto its own list leaves it there), and the record
        is read again after each slice, so that a Redis restart in between loses nothing. Without seconds it
        does not wait at all.

        Raises:
            ClientGone: the client hung up.
        """
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            if left > 0:
                self._slice(job_id, min(SLICE, max(left, 0.01)))
            job = self._read_if_possible(job_id)
            if job and job.ended:
                return job
            if left <= 0:
                return None
            if hung_up(client_socket):
                raise ClientGone

    def awaited(
        self, job_id: str, seconds: float, client_socket: socket | None
    ) -> Iterator[Piece | JobRecord]:
        """As `follow`, for a job whose answer comes in one piece."""
        if job := self.wait(job_id, seconds, client_socket):
            yield job

    def follow(
        self, job_id: str, seconds: float, client_socket: socket | None
    ) -> Iterator[Piece | JobRecord]:
        """The text as it is written, and at last the ended job; without it when nothing came for so long.

        Raises:
            ClientGone: the client hung up.
        """
        tokens, last, deadline = self._keys.tokens(job_id), "0", time.monotonic() + seconds
        while time.monotonic() < deadline:
            entries = self._entries(tokens, last)
            for name, entry in entries:
                last = name
                if "chunk" in entry:
                    yield _piece(entry)
                    deadline = time.monotonic() + seconds
            if not entries or "end" in entries[-1][1]:
                job = self._read_if_possible(job_id)
                if job and job.ended:
                    yield job
                    return
            if hung_up(client_socket):
                raise ClientGone

    def cancel(self, job_id: str) -> str:
        """End an open job; returns its state before ('' when it is gone)."""
        return self._close(job_id, "cancel")

    def withdraw(self, job_id: str) -> None:
        """End a job that nobody has begun; one that runs goes on."""
        self._close(job_id, "withdraw")

    def leave(self, job_id: str) -> None:
        """A caller that waited has gone: a queued job, or a text, that nobody else wants is cancelled."""
        self._close(job_id, "leave")

    def keep(self, job_id: str) -> None:
        """Its caller means to come back: the job goes on although nobody waits."""
        self._close(job_id, "keep")

    def listed(
        self, client: str, status: str | None, after: str | None, limit: int
    ) -> tuple[list[JobRecord], bool]:
        """One page of the client's jobs, newest first, and whether there are more.

        Raises:
            NotListed: `after` is no job of the list.
        """
        found: list[JobRecord] = []
        for job in self._newest_first(client, status, after):
            if len(found) == limit:
                return found, True
            found.append(job)
        return found, False

    def _newest_first(self, client: str, status: str | None, after: str | None) -> Iterator[JobRecord]:
        failed = self._keys.failed_jobs
        names = failed if status == "failed" else self._keys.client_jobs(client)
        start = 0 if after is None else self._place_after(names, client, after)
        while ids := self._commands.zrevrange(names, start, start + PAGE - 1):
            pipe = self._commands.pipeline(transaction=False)
            for job_id in ids:
                pipe.hgetall(self._keys.job(job_id))
            for job_id, value in zip(ids, pipe.execute(), strict=True):
                if value and value["client"] == client and status in (None, value["state"]):
                    yield JobRecord.from_hash(job_id, value)
            start += PAGE

    def _place_after(self, names: str, client: str, job_id: str) -> int:
        """The list of failed jobs is everybody's; another's job must look like an unknown one."""
        rank = self._commands.zrevrank(names, job_id)
        owner = self._commands.hget(self._keys.job(job_id), "client")
        if rank is None or owner not in (client, None):
            raise NotListed
        return rank + 1

    def _read(self, job_id: str) -> JobRecord | None:
        value = self._commands.hgetall(self._keys.job(job_id))
        return JobRecord.from_hash(job_id, value) if value else None

    def _read_if_possible(self, job_id: str) -> JobRecord | None:
        """None while Redis restarts: the job is in its file, go on waiting."""
        try:
            return self.read(job_id)
        except RedisError:
            return None

    def _entries(self, tokens: str, last: str) -> list[tuple[str, dict[str, str]]]:
        """Entries after `last`; waits a slice for them."""
        try:
            found = self._waits.xread({tokens: last}, block=int(SLICE * 1000))
        except RedisError:
            time.sleep(0.2)
            return []
        return found[0][1] if found else []

    def _slice(self, job_id: str, seconds: float) -> None:
        done = self._keys.done(job_id)
        try:
            self._waits.blmove(done, done, seconds, "LEFT", "LEFT")
        except RedisError:
            time.sleep(min(seconds, 0.2))


def _piece(entry: Mapping[str, str]) -> Piece:
    chunk = json.loads(entry["chunk"])
    logprobs = [TokenLogprob(**token) for token in chunk["logprobs"]]
    return Piece(int(entry["part"]), chunk["at"], chunk["text"], chunk["token"], logprobs)
