"""Fixtures: a real Redis for the session, emptied for each test; real processes on demand."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from redis import Redis

from shared.redis_client import connect
from shared.redis_keys import Keys
from tests.services import PREFIX, RedisServer

PERMANENT = (
    "jobs:open",
    "jobs:failed",
    "batches:open",
    "batches:rows",
    "cached",
    "draining",
    "workers",
    "stats",
    "stats:recent",
    "queue",
    "_kombu",
    "unacked",
    "flight",
)
"""Prefixes of keys that live on purpose (shared/redis_keys.py); every other key must have a lifetime."""


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    yield server
    server.stop()


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    """An empty Redis; after the test, every key must have a lifetime or be permanent on purpose."""
    with connect(redis_server.url, timeout=5) as client:
        client.flushall()
        yield client
        assert leaked_keys(client) == []


@pytest.fixture
def keys() -> Keys:
    return Keys(PREFIX)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path


def leaked_keys(client: Redis) -> list[str]:
    open_jobs = {member.rpartition(".")[0] for member in client.zrange(f"{PREFIX}jobs:open", 0, -1)}
    open_batches = set(client.zrange(f"{PREFIX}batches:open", 0, -1))
    return [
        key
        for key in client.scan_iter()
        if client.ttl(key) == -1
        and not key.removeprefix(PREFIX).startswith(PERMANENT)
        and key.removeprefix(f"{PREFIX}job:") not in open_jobs
        and key.removeprefix(f"{PREFIX}batch:") not in open_batches
    ]
