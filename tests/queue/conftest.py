"""A desk: the api's admission and job reader, and workers that the test starts as it likes."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from api.admission import Admission, Admitted, Terms
from api.clients import Client
from api.records import Jobs
from shared.job import Generation, JobRecord, Request
from shared.redis_client import connect
from shared.redis_keys import Keys
from shared.settings import Settings
from tests.services import PREFIX, RedisServer, Worker
from tests.waiting import wait_until


class Desk:
    """Submits texts as the api does, without HTTP."""

    def __init__(self, redis: Redis, waits: Redis, keys: Keys, **settings: object):
        config = Settings(**{"key_prefix": PREFIX, "rate_per_minute": 0, "rate_per_hour": 0} | settings)
        self.admission = Admission(redis, keys, config)
        self._rate = config.rate_per_minute
        self.jobs = Jobs(redis, waits, keys, config)

    def ask(self, *texts: str, client: str = "tester", **terms: Any) -> Admitted:
        caller = Client(id=client, rate_per_minute=self._rate)
        return self.admission.admit(caller, "/v1/classify", Request(texts, "news-classifier"), Terms(**terms))

    def write(self, *prompts: str, client: str = "tester", most: int = 3, **how: Any) -> str:
        terms = {name: how.pop(name) for name in ("priority", "waits") if name in how}
        asked = Request(prompts, "scripted", generation=Generation(max_tokens=most, **how))
        caller = Client(id=client, rate_per_minute=self._rate)
        return self.admission.admit(caller, "/v1/completions", asked, Terms(**terms)).job_id

    def submit(self, *texts: str, client: str = "tester", **terms: Any) -> str:
        return self.ask(*texts, client=client, **terms).job_id

    def retry(self, job_id: str) -> None:
        self.admission.retry(Client(id="tester", rate_per_minute=self._rate), self.jobs.read(job_id))

    def state(self, job_id: str) -> str:
        return self.jobs.read(job_id).state

    def ended(self, job_id: str) -> JobRecord:
        job = self.jobs.wait(job_id, 30, None)
        assert job is not None, f"{job_id} has not ended"
        return job

    def running(self, job_id: str) -> None:
        wait_until(lambda: self.jobs.read(job_id).state == "running", f"{job_id} runs")


@pytest.fixture
def waits(redis_server: RedisServer) -> Iterator[Redis]:
    with connect(redis_server.url, timeout=5) as client:
        yield client


@pytest.fixture
def make_desk(redis: Redis, waits: Redis, keys: Keys) -> Callable[..., Desk]:
    return lambda **settings: Desk(redis, waits, keys, **settings)


@pytest.fixture
def desk(make_desk: Callable[..., Desk]) -> Desk:
    return make_desk()


@pytest.fixture
def start_worker(redis_server: RedisServer, redis: Redis, folder: Path) -> Iterator[Callable[..., Worker]]:
    """Starts workers with the scripted engine; all are stopped after the test."""
    started: list[Worker] = []

    def start(**settings: object) -> Worker:
        worker = Worker(redis_server, folder, "tests.scripted_worker", **settings)
        started.append(worker)
        return worker.wait_until_ready()

    yield start
    redis.lpush("gate", "open")
    for worker in started:
        worker.stop()
    redis.delete("gate", "steps")


@pytest.fixture
def steps(redis: Redis) -> Callable[[], list[int]]:
    """How many texts each engine step has had."""
    return lambda: [int(texts) for texts in redis.lrange("steps", 0, -1)]
