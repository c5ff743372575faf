"""gunicorn's gevent worker, guarded: who sends or reads too slowly loses its connection, nobody else waits.

WIREDESK_READ_TIMEOUT seconds are for a new connection's first byte, then for the request's head, then for its
body, with a second more for every SLOWEST bytes that have come. An answer must be taken within SEND seconds.
Between two requests a connection may be silent for gunicorn's `keepalive`.
"""

import logging
import time
from contextlib import suppress
from errno import ECONNRESET
from socket import SHUT_RD, socket
from typing import Any

import gevent
from gevent import Timeout
from gunicorn.http import errors, wsgi
from gunicorn.workers.ggevent import GeventWorker

from api.codes import Code
from api.logs import REQUEST_ID
from shared.settings import settings

SEND = 60  # seconds
SLOWEST = 10_000  # bytes a second

log = logging.getLogger(__name__)
wsgi.SERVER = "wiredesk"  # the Server header: no product or version of anybody's


class Connection:
    """A client's socket. A read that has no time left finds the end of what the client has sent."""

    def __init__(self, client: socket, limit: float, keepalive: float):
        self._socket = client
        self._limit = limit
        self._keepalive = keepalive
        self._silent = True  # no byte of the next request has come
        self._reads_body = False
        self._broken_off = False
        self._deadline = time.monotonic() + limit

    def head_has_come(self) -> None:
        self._silent, self._reads_body = False, True
        self._deadline = time.monotonic() + self._limit

    def next_may_come(self, *, leaving: bool) -> None:
        """Not behind half a body, and not when the process leaves."""
        if not self._broken_off:
            self._silent, self._reads_body = True, False
            self._deadline = time.monotonic() + (0 if leaving else self._keepalive)

    def end_if_silent(self) -> None:
        """Nothing was asked, so nobody misses an answer."""
        if self._silent:
            with suppress(OSError):
                self._socket.shutdown(SHUT_RD)

    def recv(self, size: int, flags: int = 0) -> bytes:
        if flags:  # somebody looks whether the client is still there
            return self._socket.recv(size, flags)
        data = self._recv_in_time(size)
        self._broken_off = not data
        if self._reads_body:
            self._deadline += len(data) / SLOWEST
        elif data and self._silent:
            self._silent = False
            self._deadline = time.monotonic() + self._limit
        return data

    def sendall(self, data: bytes, flags: int = 0) -> None:
        with Timeout(SEND, ConnectionResetError(ECONNRESET, "the answer was not taken in time")):
            self._socket.sendall(data, flags)

    def _recv_in_time(self, size: int) -> bytes:
        data, left = b"", self._deadline - time.monotonic()
        if left > 0:
            with Timeout(left, False):
                data = self._socket.recv(size)
        return data

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)


class Worker(GeventWorker):
    """Every connection is a `Connection`; what is no HTTP is refused in the body of all our errors."""

    def __init__(self, *args: Any, **kwargs: Any):
        super().__init__(*args, **kwargs)
        self._connections: set[Connection] = set()

    def handle(self, listener: Any, client: socket, addr: Any) -> None:
        connection = Connection(client, settings().read_timeout, self.cfg.keepalive)
        self._connections.add(connection)
        try:
            super().handle(listener, connection, addr)
        finally:
            self._connections.discard(connection)

    def handle_exit(self, sig: int, frame: Any) -> None:
        """A process that is to leave finishes its answers; silent clients would keep it for `keepalive`."""
        super().handle_exit(sig, frame)
        gevent.spawn(self._end_silent_ones)

    def _end_silent_ones(self) -> None:
        for connection in list(self._connections):
            connection.end_if_silent()

    def handle_error(self, _req: Any, client: Connection, addr: Any, exc: BaseException) -> None:
        """Requests that reach no route. gunicorn's own would log what the client has sent, a key perhaps."""
        from api.headers import new_request_id  # flask must not be imported before gevent has patched

        REQUEST_ID.set(new_request_id())
        status, code, message = _refusal(exc)
        if status == 500:
            log.error("unexpected %s", type(exc).__name__, exc_info=exc)
        log.info("client=%s status=%s code=%s error=%s", (addr or "-")[0], status, code, type(exc).__name__)
        with Timeout(SEND, False):
            try:
                client.sendall(_answer(status, code, message))
            except OSError:
                log.debug("the client has gone")


def expect_body(_worker: Worker, req: Any) -> None:
    """gunicorn's pre_request: the head has been read."""
    req.unreader.sock.head_has_come()


def expect_next(worker: Worker, req: Any) -> None:
    """gunicorn's post_request: the answer has been sent."""
    req.unreader.sock.next_may_come(leaving=not worker.alive)


def _refusal(exc: BaseException) -> tuple[int, Code, str]:
    for kind, refusal in _REFUSALS.items():
        if isinstance(exc, kind):
            return refusal
    return 500, "internal_error", "The server failed on this request; it is logged."


_REFUSALS: dict[type[BaseException], tuple[int, Code, str]] = {
    errors.LimitRequestLine: (414, "uri_too_long", "The request line is too long; send data in the body."),
    errors.LimitRequestHeaders: (431, "headers_too_large", "The headers are too many or too long."),
    errors.ExpectationFailed: (417, "expectation_failed", "Only 'Expect: 100-continue' is understood."),
    errors.UnsupportedTransferCoding: (501, "unsupported_coding", "Send the body plain or chunked."),
    errors.ParseException: (400, "malformed_request", "This is no HTTP/1.1 request that can be read."),
}


def _answer(status: int, code: Code, message: str) -> bytes:
    from api.errors import ApiError, problem_of
    from api.headers import SAFE

    problem = problem_of(ApiError(status, code, message))
    body = problem.model_dump_json(exclude_unset=True).encode()
    headers = SAFE | {
        "Server": wsgi.SERVER,
        "Connection": "close",
        "Content-Type": "application/problem+json",
        "Content-Length": str(len(body)),
        "x-request-id": REQUEST_ID.get(),
    }
    lines = [f"HTTP/1.1 {status} {problem.title}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode("ascii") + body
