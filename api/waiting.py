"""How a request waits for its job: BLMOVE on done:<id> in short slices.

One list element wakes every waiter (moving it onto its own list leaves it there), and the record is
read again after each slice, so that a Redis restart in between loses nothing.
"""

import select
import socket
import time

from redis import Redis, RedisError

from shared.job import JobRecord
from shared.redis_keys import Keys

SLICE = 1.0  # seconds


class ClientGone(Exception):
    """The client closed the connection; nobody is left to answer."""


class Jobs:
    """Job records as the api reads them.

    Args:
        commands: client for short commands.
        waits: client of its own for blocking ones, so that waiters never starve commands.
    """

    def __init__(self, commands: Redis, waits: Redis, keys: Keys):
        self._commands = commands
        self._waits = waits
        self._keys = keys

    def read(self, job_id: str) -> JobRecord | None:
        value = self._commands.hgetall(self._keys.job(job_id))
        return JobRecord.from_hash(job_id, value) if value else None

    def position(self, job_id: str) -> int | None:
        """Texts before the job's first waiting one; None when none of its texts waits."""
        message = self._commands.hget(self._keys.job(job_id), "message:0")
        if message is None:
            return None
        pipe = self._commands.pipeline()
        pipe.lpos(self._keys.queue, message)
        pipe.llen(self._keys.queue)
        from_tail, length = pipe.execute()
        return None if from_tail is None else length - 1 - from_tail

    def wait(self, job_id: str, seconds: float, client_socket: socket.socket | None) -> JobRecord | None:
        """The ended job, or None when the time is over.

        Raises:
            ClientGone: the client hung up.
        """
        deadline = time.monotonic() + seconds
        while True:
            left = deadline - time.monotonic()
            self._slice(job_id, min(SLICE, max(left, 0.01)))
            try:
                job = self.read(job_id)
            except RedisError:
                job = None  # Redis restarts: the job is in its file, go on waiting
            if job and job.ended:
                return job
            if left <= 0:
                return None
            if _hung_up(client_socket):
                raise ClientGone

    def _slice(self, job_id: str, seconds: float) -> None:
        done = self._keys.done(job_id)
        try:
            self._waits.blmove(done, done, seconds, "LEFT", "LEFT")
        except RedisError:
            time.sleep(min(seconds, 0.2))


def _hung_up(client_socket: socket.socket | None) -> bool:
    if client_socket is None:
        return False
    try:
        readable, _, _ = select.select([client_socket], [], [], 0)
        return bool(readable) and client_socket.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True
