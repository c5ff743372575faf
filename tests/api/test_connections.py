"""Connections to the real server: slow, silent, broken and flooding ones, and what it logs of them."""

import re
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import httpx2 as httpx
import pytest
from redis import Redis

from tests.services import Api, RedisServer, running
from tests.waiting import wait_until

LIMIT = 0.6  # seconds; the default would make these tests slow
SECRET = "wd_secret-key-in-a-broken-header"


@pytest.fixture(scope="module")
def api(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running(Api(redis_server, tmp_path_factory.mktemp("api"), read_timeout=LIMIT)) as process:
        yield process


def connect(api: Api) -> socket.socket:
    return socket.create_connection(("127.0.0.1", api.port), timeout=20)


def rest(connection: socket.socket) -> bytes:
    """What comes until the server hangs up."""
    data = b""
    try:
        while chunk := connection.recv(65536):
            data += chunk
    except ConnectionResetError:
        pass
    return data


def read_until(connection: socket.socket, end: bytes) -> None:
    data = b""
    while not data.endswith(end):
        data += connection.recv(65536)
        assert data


def raw(api: Api, request: bytes) -> bytes:
    with connect(api) as connection:
        connection.sendall(request)
        return rest(connection)


def drip(connection: socket.socket, data: bytes) -> bytes:
    """A byte at a time, as slowly as the limit never lets one wait alone; what the server has answered."""
    try:
        for place in range(len(data)):
            connection.sendall(data[place : place + 1])
            time.sleep(LIMIT / 10)  # the slowness that is tested
    except OSError:
        pass
    return rest(connection)


HEAD = b"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: 400\r\n"


@pytest.mark.parametrize("sent", [b"", b"GET /hea", b"GET /health HTTP/1.1\r\nHost: x\r\nX-A: b", HEAD])
def test_a_silent_or_half_sent_request_is_hung_up_on(api: Api, sent: bytes):
    assert raw(api, sent) == b""


def test_a_body_that_does_not_come_is_a_408(api: Api):
    answer = raw(api, HEAD + b'\r\n{"input": "')
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"code": "body_too_slow"' in answer
    assert b"x-request-id: req_" in answer


def test_dripping_does_not_extend_the_limit(api: Api):
    with ThreadPoolExecutor(2) as pool, connect(api) as one, connect(api) as two:
        two.sendall(HEAD + b"\r\n")
        began = time.monotonic()
        head = pool.submit(drip, one, b"GET /health HTTP/1.1\r\nX-Slow: " + b"a" * 200)
        body = pool.submit(drip, two, b" " * 300)
        assert head.result() == b""
        assert body.result().startswith(b"HTTP/1.1 408 ")
    assert time.monotonic() - began < 15 * LIMIT


def test_a_connection_may_be_silent_between_requests_and_serve_several(api: Api):
    with connect(api) as connection:
        for _ in range(2):
            connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
            read_until(connection, b'{"status":"ok"}')
            time.sleep(LIMIT * 1.5)  # longer than a request's head may take
        connection.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        assert b'{"status":"ok"}' in rest(connection)


def test_requests_sent_together_are_answered_in_order(api: Api):
    request = b"GET /%s HTTP/1.1\r\nHost: x\r\n\r\n"
    last = HEAD + b"Connection: close\r\n\r\n" + b" " * 400
    answers = raw(api, request % b"health" + request % b"nothing" + last)
    assert re.findall(rb"HTTP/1.1 (\d+)", answers) == [b"200", b"404", b"400"]


@pytest.mark.parametrize(
    ("request_", "status", "code"),
    [
        (b"GET /" + b"a" * 5000 + b" HTTP/1.1\r\n\r\n", 414, b"uri_too_long"),
        (b"GET / HTTP/1.1\r\n" + b"X-A: b\r\n" * 60 + b"\r\n", 431, b"headers_too_large"),
        (b"GET / HTTP/1.1\r\nX-A: " + b"b" * 9000 + b"\r\n\r\n", 431, b"headers_too_large"),
        (b"GET / HTTP/1.1\r\nExpect: a-miracle\r\n\r\n", 417, b"expectation_failed"),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: br\r\n\r\n", 501, b"unsupported_coding"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", 400, b"malformed_request"),
        (b"POST / HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", 400, b"malformed_request"),
        (
            b"GET / HTTP/1.1\r\nAuthorization Bearer " + SECRET.encode() + b"\r\n\r\n",
            400,
            b"malformed_request",
        ),
        (b"\x16\x03\x01\x02\x00\x01\x00\r\n\r\n", 400, b"malformed_request"),
    ],
)
def test_what_is_no_request_is_refused_in_the_body_of_all_errors(
    api: Api, request_: bytes, status: int, code: bytes
):
    answer = raw(api, request_)
    assert answer.startswith(b"HTTP/1.1 %d " % status), answer[:200]
    head, _, body = answer.partition(b"\r\n\r\n")
    for header in (b"x-request-id: req_", b"Content-Type: application/problem+json", b"Server: wiredesk"):
        assert header in head
    assert b'"code":"%s"' % code in body.replace(b": ", b":")
    assert SECRET not in api.output


def test_silent_clients_do_not_keep_a_process_that_is_to_leave(redis_server: RedisServer, tmp_path: Path):
    """They did so for a minute and a quarter, as long as a connection may be silent between requests."""
    with running(Api(redis_server, tmp_path)) as leaving, connect(leaving) as new, connect(leaving) as used:
        used.sendall(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n")
        read_until(used, b'{"status":"ok"}')
        assert leaving.stop(seconds=15) == 0
        assert rest(new) == rest(used) == b""


def test_no_answer_names_a_product_or_its_version(api: Api):
    for path in ("/health", "/nothing"):
        assert httpx.get(api.url + path).headers["Server"] == "wiredesk"


def test_every_line_of_the_log_has_the_id_of_its_request(api: Api, redis: Redis):
    ids = {"/health": "mine-1", "/no%0Aline": "mine-2", "/v1/classify": "mine-3"}
    for path, name in ids.items():
        httpx.get(api.url + path, headers={"x-request-id": name})
    lines = wait_until(
        lambda: [line for line in api.output.splitlines() if "request_id=mine-" in line][2:] and api.output,
        "logs",
    ).splitlines()
    assert all("request_id=" in line for line in lines)
    (odd,) = [line for line in lines if "request_id=mine-2:" in line]
    assert "method=GET path=/no%0Aline status=404" in odd


def test_more_silent_connections_than_select_knows_leave_waiting_callers_alone(
    api: Api, redis: Redis, published: None
):
    """A wait once looked at its client with select(), which refuses file handles above 1,023: callers
    were taken for gone and their jobs cancelled."""
    with ExitStack() as stack:
        for _ in range(1100):
            stack.enter_context(connect(api))
        answer = httpx.post(
            f"{api.url}/v1/classify", json={"input": "a"}, headers={"Prefer": "wait=2"}, timeout=30
        )
        assert (answer.status_code, answer.json()["error"]["code"]) == (504, "timeout")
        assert httpx.get(f"{api.url}/health").status_code == 200
