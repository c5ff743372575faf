"""Starts what a benchmark compares, on a private Redis and free ports, and stops all of it."""

import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from redis import RedisError

from deploy.redis_server import command, find_server
from shared.redis_client import connect

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 30  # seconds for a process to come up


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@contextmanager
def private_redis() -> Iterator[str]:
    """The URL of an empty Redis with the product's own options."""
    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        with process(command(find_server(), Path(folder), port), {}):
            url = f"redis://127.0.0.1:{port}/0"
            wait_until(lambda: _pings(url))
            yield url


@contextmanager
def wiredesk(redis: str, seconds: float, **settings: object) -> Iterator[int]:
    """Our api and a stand-in worker; yields the port."""
    port = free_port()
    values = {
        "redis_url": redis,
        "port": port,
        "model": "standin",
        "standin_seconds": seconds,
        "rate_per_minute": 0,
        "rate_per_hour": 0,
        "max_waiting": 1000,
        "cache_ttl": 0,  # else a text of an earlier round would cost nothing
    } | settings
    environment = {f"WIREDESK_{name.upper()}": str(value) for name, value in values.items()}
    with ExitStack() as stack:
        stack.enter_context(process([sys.executable, "-m", "worker"], environment))
        api = [sys.executable, "-m", "gunicorn", "-c", "api/gunicorn.conf.py", "api.app:app"]
        stack.enter_context(process(api, environment))
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/ready"))
        yield port


@contextmanager
def plain_celery(redis: str, seconds: float) -> Iterator[int]:
    """The plain app of plain_celery.py, with threads for every client; yields the port."""
    port = free_port()
    environment = {"PLAIN_REDIS": redis.removesuffix("0") + "1", "PLAIN_SECONDS": str(seconds)}
    with ExitStack() as stack:
        worker = ["celery", "-A", "bench.plain_celery:celery", "worker", "-P", "solo", "-l", "WARNING"]
        stack.enter_context(process([sys.executable, "-m", *worker], environment))
        web = ["gunicorn", "-b", f"127.0.0.1:{port}", "-w", "2", "-k", "gthread", "--threads", "128"]
        quiet = ["--no-control-socket", "bench.plain_celery:web"]
        stack.enter_context(process([sys.executable, "-m", *web, *quiet], environment))
        wait_until(lambda: _answers(f"http://127.0.0.1:{port}/ready"))
        yield port


@contextmanager
def process(arguments: list[str], environment: dict[str, str]) -> Iterator[subprocess.Popen]:
    child = subprocess.Popen(
        arguments,
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)} | environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield child
    finally:
        child.terminate()
        try:
            child.wait(15)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait()


def wait_until(predicate: Callable[[], bool], patience: float = PATIENCE) -> None:
    deadline = time.monotonic() + patience
    while not predicate():
        if time.monotonic() > deadline:
            raise TimeoutError(f"a process did not come up within {patience} s")
        time.sleep(0.05)


def _pings(url: str) -> bool:
    try:
        return bool(connect(url, timeout=1).ping())
    except RedisError:
        return False


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except OSError:
        return False
