"""How we connect to Redis: no hidden retries, timeouts that fit the caller."""

from pathlib import Path
from typing import Any

from redis import Redis
from redis.backoff import NoBackoff
from redis.retry import Retry


def connect(url: str, *, timeout: float, connections: int = 64, **options: Any) -> Redis:
    """A client whose every command answers or raises within about `timeout` seconds.

    redis-py's defaults hang for tens of seconds on a frozen server, so they are set here.
    `redis+socket://` URLs, which Celery uses, are accepted too.
    """
    return Redis.from_url(
        url.replace("redis+socket://", "unix://", 1),
        socket_timeout=timeout,
        socket_connect_timeout=timeout,
        max_connections=connections,
        decode_responses=True,
        **{"retry": Retry(NoBackoff(), 0), **options},
    )


def read_script(beside: str, name: str) -> str:
    """The Lua source `name` that lies beside the Python file `beside`."""
    return Path(beside).with_name(name).read_text(encoding="utf-8")
