"""A worker that hurts itself on command (python -m tests.chaos_worker); the model is a fake.

Commands are popped from the list `faults`, each by whichever worker comes to its point first:
before_store   killed when the engine has answered and nothing is stored
after_store    killed when the outcome is stored and the message not yet acknowledged
stopped        stopped before it stores; somebody else wakes it later
oom            killed while the engine holds the texts, as the kernel would
hang           the engine does not return
A text that begins with `bad` makes the engine raise. Every text that the engine runs is noted in
CHAOS_RUNS, one line each.
"""

import os
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from redis import Redis, RedisError

import worker.__main__ as real
from shared.description import Description
from shared.redis_client import connect
from shared.settings import Settings
from worker.engine.protocol import Classification
from worker.engine.standin import StandIn
from worker.jobs import Jobs, Outcome


class Commands:
    def __init__(self, url: str):
        self._redis = connect(url, timeout=1)

    def told(self, *names: str) -> str | None:
        try:
            return next((name for name in names if self._redis.lrem("faults", 1, name)), None)
        except RedisError:
            return None


class ChaosEngine:
    def __init__(self, config: Settings):
        self._standin = StandIn(config.standin_seconds)
        self._commands = Commands(config.broker_url)
        self.texts = self._standin.texts
        self._runs = Path(os.environ["CHAOS_RUNS"])

    def classify(self, texts: Sequence[str], labels: object = ()) -> list[Classification]:
        with self._runs.open("a", encoding="utf-8") as runs:
            runs.write("".join(f"{text}\n" for text in texts))
        told = self._commands.told("oom", "hang")
        if told == "oom":
            os.kill(os.getpid(), signal.SIGKILL)
        if told == "hang":
            time.sleep(3600)
        if any(text.startswith("bad") for text in texts):
            raise RuntimeError("as told")
        return self._standin.classify(texts)

    def describe(self) -> Description:
        return self._standin.describe()


class ChaosJobs(Jobs):
    def __init__(self, redis: Redis, config: Settings):
        super().__init__(redis, config)
        self._commands = Commands(config.broker_url)

    def finish(self, outcomes: Sequence[Outcome], inference_ms: float) -> list[bool]:
        told = self._commands.told("before_store", "stopped")
        if told:
            os.kill(os.getpid(), signal.SIGKILL if told == "before_store" else signal.SIGSTOP)
        stored = super().finish(outcomes, inference_ms)
        if self._commands.told("after_store"):
            os.kill(os.getpid(), signal.SIGKILL)
        return stored


if __name__ == "__main__":
    real.Jobs = ChaosJobs
    real.run(ChaosEngine)
