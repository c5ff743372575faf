"""A marker in texts, prompts, names and keys is sent through every route: no log, and no Flower, holds it."""

import json
import re
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx2 as httpx
import pytest

from api.app import create_app
from shared.keys import new_key
from shared.redis_client import connect
from shared.settings import Settings
from tests.deploy.stack import Stack
from tests.services import running
from tests.waiting import wait_until

MARK = "机密marker7f3a"
SPELLINGS = (MARK, "marker7f3a", json.dumps(MARK)[1:-1])
FLOWER = "ops:watch"
MESSAGES = [{"role": "system", "content": MARK}, {"role": "user", "content": f"{MARK} 央行降准"}]
BODIES: list[dict] = [
    {"input": f"{MARK} 央行降准"},
    {"input": [MARK, ""], "labels": [MARK, "b"]},
    {"input": MARK, "labels": [MARK, MARK]},
    {"input": MARK, MARK: MARK},
    {"input": MARK, "model": MARK},
    {"input": MARK * 5000},
    {"model": "news-classifier", "messages": MESSAGES, "user": MARK},
    {"model": "news-classifier", "messages": MESSAGES, "stream": True},
    {"model": "standin", "messages": MESSAGES, "max_tokens": 3, "stop": [MARK]},
    {"model": "standin", "messages": [{"role": "tool", "content": MARK}]},
    {"model": "standin", "prompt": MARK, "max_tokens": 3, "stream": True},
    {"model": "standin", "prompt": [MARK] * 2, "max_tokens": 3},
    {"endpoint": "/v1/classify", "input": f"{MARK} job"},
    {"endpoint": MARK},
]
RAW = [
    b'{"input": "' + MARK.encode(),
    b'{"' + MARK.encode() + b'": 1, "' + MARK.encode() + b'": 2}',
    b"\xff" + MARK.encode(),
    b"[" * 5000 + MARK.encode(),
]


@pytest.fixture(scope="module")
def marked_key(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    path = tmp_path_factory.mktemp("keys") / "keys"
    return path, new_key(path, "desk", admin=True)


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory, marked_key: tuple[Path, str]) -> Iterator[Stack]:
    settings = {"keys_file": marked_key[0], "flower_auth": FLOWER}
    with running(Stack(tmp_path_factory.mktemp("leaks"), **settings)) as up:
        yield up.wait_until_greeted()


def routes() -> list[tuple[str, str]]:
    """Every route of the api with each of its methods, ids filled in."""
    rules = create_app(Settings()).url_map.iter_rules()
    return [
        (method, re.sub(r"<[^>]+>", "job_unknown", rule.rule))
        for rule in rules
        for method in sorted(rule.methods or ())
        if rule.rule != "/admin/drain"
    ]


def send_everywhere(stack: Stack, key: str) -> int:
    """How many requests were sent; each has the marker in its body, its query or its key."""
    sent = 0
    with httpx.Client(base_url=stack.api, timeout=30) as client:
        good, bad = {"Authorization": f"Bearer {key}"}, {"Authorization": "Bearer marker7f3a"}
        for method, path in routes():
            bodies = [json.dumps(body).encode() for body in BODIES] + RAW if method == "POST" else [b""]
            for body in bodies:
                client.request(method, path, params={"q": MARK}, content=body, headers=good)
            client.request(method, path, params={"after": MARK}, content=RAW[0], headers=bad)
            client.request(method, path, content=MARK.encode(), headers=good | {"Content-Type": "text/plain"})
            sent += len(bodies) + 2
    return sent


def break_off(stack: Stack, key: str) -> None:
    """Requests that are none, or end in the middle."""
    for head in (
        f"POST /v1/classify HTTP/1.1\r\nAuthorization: Bearer {key}\r\nContent-Length: 999\r\n\r\n{MARK}",
        f"GET /{MARK}\r\n\r\n",
        f"GET / HTTP/1.1\r\n{MARK}\r\nAuthorization {key}\r\n\r\n",
        f"GET / HTTP/1.1\r\nX-A: {'a' * 9000}{key}\r\n\r\n",
    ):
        with socket.create_connection(("127.0.0.1", stack.port), timeout=30) as connection:
            connection.sendall(head.encode())
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(65536):
                pass


def assert_silent(where: str, text: str, key: str) -> None:
    for secret in (*SPELLINGS, key):
        assert secret not in text, f"{where} holds {secret!r}"


def test_no_log_and_no_screen_holds_what_clients_have_sent(stack: Stack, marked_key: tuple[Path, str]):
    _, key = marked_key
    sent = send_everywhere(stack, key)
    assert sent > 100
    break_off(stack, key)
    logs = stack.data / "logs"
    wait_until(lambda: (logs / "api.log").read_text().count("method=") >= sent, "all requests are logged")
    shown = httpx.get(stack.flower + "/api/tasks", auth=tuple(FLOWER.split(":")), timeout=30)
    assert any(task["state"] == "SUCCESS" for task in shown.json().values())
    assert_silent("Flower", json.dumps(shown.json(), ensure_ascii=False), key)
    for log in sorted(logs.iterdir()):
        assert_silent(log.name, log.read_text(encoding="utf-8", errors="replace"), key)
    assert_silent("the terminal", stack.output, key)


def test_redis_holds_texts_in_job_records_only(stack: Stack, marked_key: tuple[Path, str]):
    _, key = marked_key
    with connect(f"unix://{stack.data}/redis.sock", timeout=5) as redis:
        body = {"endpoint": "/v1/classify", "input": f"{MARK} once more"}
        httpx.post(f"{stack.api}/v1/jobs", json=body, headers={"Authorization": f"Bearer {key}"})
        assert redis.slowlog_get() == []
        holders = {
            name for name in redis.scan_iter() if any(mark in dumped(redis, name) for mark in SPELLINGS)
        }
        assert {name.split(":")[1] for name in holders} <= {"job"}
        assert not any(key in dumped(redis, name) for name in redis.scan_iter())


def dumped(redis: object, name: str) -> str:
    """Everything under a key, as text."""
    kind = redis.type(name)
    if kind == "string":
        return redis.get(name) or ""
    if kind == "hash":
        return str(redis.hgetall(name))
    return str(redis.lrange(name, 0, -1) if kind == "list" else kind)
