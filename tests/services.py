"""Real processes for tests: Redis, the api and workers, on free ports, gone afterwards."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import httpx2 as httpx
from redis import RedisError

from deploy.redis_server import command, find_server
from shared.redis_client import connect
from shared.redis_keys import Keys
from tests.waiting import wait_until

ROOT = Path(__file__).parent.parent
PREFIX = "test:"
KEYS = Keys(PREFIX)


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


class Process:
    """A child in its own process group, whose output is kept in a file."""

    def __init__(self, arguments: list[str], log: Path, environment: Mapping[str, str] | None = None):
        self.log = log
        self._arguments = arguments
        clean = {k: v for k, v in os.environ.items() if not k.startswith("WIREDESK_")}
        self._environment = clean | {"PYTHONPATH": str(ROOT)} | dict(environment or {})
        self.start()

    def start(self) -> None:
        with self.log.open("ab") as output:
            self.process = subprocess.Popen(
                self._arguments,
                cwd=ROOT,
                env=self._environment,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def kill(self) -> None:
        os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds: float = 20) -> int:
        """SIGTERM, then wait; a process that does not leave is killed and fails the test."""
        if self.process.poll() is None:
            self.process.terminate()
        try:
            return self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self._arguments[:3]} did not stop:\n{self.output[-2000:]}") from None

    @property
    def output(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


class RedisServer(Process):
    """A Redis of the test's own, with the product's options."""

    def __init__(self, folder: Path):
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        super().__init__(command(find_server(), folder, self.port), folder / "redis.log")
        self.wait_until_up()

    def wait_until_up(self) -> None:
        wait_until(self._answers, "Redis answers")

    def _answers(self) -> bool:
        try:
            with connect(self.url, timeout=1) as redis:
                return bool(redis.ping())
        except RedisError:
            return False


def settings_for(redis: RedisServer, **settings: object) -> dict[str, str]:
    """The environment of a process: our Redis, no rate limits, the stand-in, and what the test sets."""
    base = {
        "redis_url": redis.url,
        "key_prefix": PREFIX,
        "model": "standin",
        "standin_seconds": 0,
        "rate_per_minute": 0,
        "rate_per_hour": 0,
        "api_processes": 1,
    }
    return {f"WIREDESK_{name.upper()}": str(value) for name, value in (base | settings).items()}


class Worker(Process):
    """A worker process; `module` may be a test's own launcher with another engine."""

    def __init__(self, redis: RedisServer, folder: Path, module: str = "worker", **settings: object):
        self.name = str(settings.get("worker_name", "tester@here"))
        environment = settings_for(redis, **({"worker_name": self.name} | settings))
        self._redis = connect(redis.url, timeout=2)
        super().__init__(
            [sys.executable, "-m", module], folder / f"{self.name}-{free_port()}.log", environment
        )

    def wait_until_ready(self, seconds: float = 20) -> "Worker":
        wait_until(
            lambda: self.output.count(" ready.") >= self.starts or self._leaves(), "worker is ready", seconds
        )
        return self

    starts = 1
    _published: dict[str, str] | None = None

    def republish(self) -> None:
        """After Redis was emptied: what the worker would publish again with its next beat."""
        if self._published is None:
            names = [KEYS.alive(self.name), KEYS.worker(self.name)]
            values = wait_until(lambda: self._all(names), "it is published")
            self._published = dict(zip(names, values, strict=True))
        self._redis.sadd(KEYS.workers, self.name)
        for name, value in self._published.items():
            self._redis.set(name, value, px=3000)

    def _all(self, names: list[str]) -> list[str]:
        values = self._redis.mget(names)
        return values if all(values) else []

    def restart(self) -> None:
        self.starts += 1
        self._published = None  # its token is a new one
        self.start()

    def stop(self, seconds: float = 20) -> int:
        code = super().stop(seconds)
        self._redis.close()
        return code

    def _leaves(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"worker left:\n{self.output[-3000:]}")
        return False


class Api(Process):
    """gunicorn with the product's configuration."""

    def __init__(self, redis: RedisServer, folder: Path, **settings: object):
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        environment = settings_for(redis, port=self.port, **settings)
        gunicorn = [sys.executable, "-m", "gunicorn", "-c", "api/gunicorn.conf.py", "api.app:app"]
        super().__init__(gunicorn, folder / f"api-{self.port}.log", environment)
        wait_until(self._answers, "the api answers")

    def _answers(self) -> bool:
        if self.process.poll() is not None:
            raise AssertionError(f"api left:\n{self.output[-3000:]}")
        try:
            return httpx.get(f"{self.url}/health").status_code == 200
        except httpx.TransportError:
            return False


class Feeder(Process):
    """The product's feeder; `data` is the api's."""

    def __init__(self, redis: RedisServer, folder: Path, **settings: object):
        environment = settings_for(redis, **settings)
        super().__init__([sys.executable, "-m", "api.feeder"], folder / "feeder.log", environment)

    def wait_until_ready(self, starts: int = 1) -> "Feeder":
        wait_until(lambda: self.output.count("ready.") >= starts, "the feeder is ready")
        return self


@contextmanager
def running(process: Process) -> Iterator[Process]:
    """The process, stopped at the end of the block."""
    try:
        yield process
    finally:
        if process.process.poll() is None:
            process.stop()
