"""The faults of a chaos run: what is done to which process."""

import random
import signal
import socket
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from redis import Redis, RedisError

from tests.services import Api, Process, RedisServer, Worker
from tests.waiting import wait_until


@dataclass
class Stack:
    """A whole Wiredesk: one Redis, an api of two processes, two workers."""

    redis_server: RedisServer
    redis: Redis
    api: Api
    workers: list[Worker]
    freeze: float  # seconds that a frozen Redis stays so
    chance: random.Random
    down: set[Process] = field(default_factory=set)  # on purpose: not to be started again yet

    @property
    def processes(self) -> list[Process]:
        return [self.redis_server, self.api, *self.workers]

    def revive(self) -> None:
        """What a supervisor does: start again whatever has died."""
        for process in self.processes:
            if process not in self.down and process.process.poll() is not None:
                process.start()


Fault = Callable[[Stack], None]


def _worker(stack: Stack) -> Worker:
    return stack.chance.choice(stack.workers)


def kill_a_worker(stack: Stack) -> None:
    _signal(_worker(stack), signal.SIGKILL)


def ask_a_worker_to_stop(stack: Stack) -> None:
    _signal(_worker(stack), signal.SIGTERM)


def freeze_a_worker(stack: Stack) -> None:
    worker = _worker(stack)
    _signal(worker, signal.SIGSTOP)
    time.sleep(stack.chance.uniform(0.2, 1.5))
    _signal(worker, signal.SIGCONT)


def told(name: str) -> Fault:
    def fault(stack: Stack) -> None:
        with suppress(RedisError):
            stack.redis.rpush("faults", name)

    fault.__name__ = name
    return fault


def stop_before_storing_and_wake_after_takeover(stack: Stack) -> None:
    told("stopped")(stack)
    time.sleep(stack.chance.uniform(5, 8))  # a claim lasts 3 s, a sweep comes every 3 s
    for worker in stack.workers:
        _signal(worker, signal.SIGCONT)


def kill_redis(stack: Stack) -> None:
    _bounce(stack, signal.SIGKILL)


def shut_redis_down(stack: Stack) -> None:
    _bounce(stack, signal.SIGTERM)


def freeze_redis(stack: Stack) -> None:
    _signal(stack.redis_server, signal.SIGSTOP)
    time.sleep(stack.freeze)
    _signal(stack.redis_server, signal.SIGCONT)


def drop_connections(stack: Stack) -> None:
    with suppress(RedisError):
        stack.redis.execute_command("CLIENT", "KILL", "TYPE", "normal")


def fill_redis(stack: Stack) -> None:
    with suppress(RedisError):
        stack.redis.config_set("maxmemory", 1)
        time.sleep(stack.chance.uniform(0.3, 1.5))
    wait_until(lambda: _unfill(stack), "Redis has memory again", 60)


def kill_the_api(stack: Stack) -> None:
    stack.api.kill()


def restart_the_api(stack: Stack) -> None:
    _signal(stack.api, signal.SIGTERM)


def hang_up(stack: Stack) -> None:
    """A client that asks and goes away."""
    body = b'{"input": "never mind"}'
    head = f"POST /v1/classify HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    with suppress(OSError), socket.create_connection(("127.0.0.1", stack.api.port), 1) as caller:
        caller.sendall(head + body)


ALL: tuple[Fault, ...] = (
    kill_a_worker,
    ask_a_worker_to_stop,
    freeze_a_worker,
    told("before_store"),
    told("after_store"),
    stop_before_storing_and_wake_after_takeover,
    told("oom"),
    told("hang"),
    kill_redis,
    shut_redis_down,
    freeze_redis,
    drop_connections,
    fill_redis,
    kill_the_api,
    restart_the_api,
    hang_up,
)


def start_worker(redis: RedisServer, folder: Path, name: str, **settings: object) -> Worker:
    return Worker(redis, folder, "tests.chaos_worker", worker_name=name, **settings)


def _bounce(stack: Stack, number: int) -> None:
    server = stack.redis_server
    stack.down.add(server)
    _signal(server, number)
    server.process.wait(30)
    time.sleep(stack.chance.uniform(0.1, 1))
    server.start()
    stack.down.discard(server)


def _unfill(stack: Stack) -> bool:
    try:
        return bool(stack.redis.config_set("maxmemory", 0))
    except RedisError:
        return False


def _signal(process: Process, number: int) -> None:
    with suppress(ProcessLookupError):
        process.signal(number)
