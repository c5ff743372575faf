"""Redis frozen, gone or without memory: refused at once and clearly, and everything resumes by itself."""

import signal
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import httpx2 as httpx
import pytest
from redis import Redis

from shared.redis_client import connect
from tests.services import KEYS, PREFIX, Api, RedisServer, Worker
from tests.waiting import wait_until

LONGER_THAN_OURS = 20  # seconds: a client that would wait this long sees our own refusal first


class Desk(NamedTuple):
    server: RedisServer
    redis: Redis
    worker: Worker
    api: Api

    def post(self, text: str) -> httpx.Response:
        return httpx.post(f"{self.api.url}/v1/classify", json={"input": text}, timeout=LONGER_THAN_OURS)

    def create(self, text: str) -> httpx.Response:
        body = {"endpoint": "/v1/classify", "input": text}
        return httpx.post(f"{self.api.url}/v1/jobs", json=body, timeout=LONGER_THAN_OURS)

    def answers(self, text: str) -> bool:
        return self.post(text).status_code == 200


@pytest.fixture
def own_desk(tmp_path: Path) -> Iterator[Desk]:
    server = RedisServer(tmp_path)
    worker = Worker(server, tmp_path, "tests.scripted_worker", standin_seconds=3).wait_until_ready()
    api = Api(server, tmp_path)
    with connect(server.url, timeout=5) as redis:
        yield Desk(server, redis, worker, api)
    for process in (api, worker, server):
        process.stop(60)


def code(response: httpx.Response) -> str:
    return response.json()["error"]["code"]


def test_a_frozen_redis_refuses_and_everything_resumes_when_it_wakes(own_desk: Desk):
    assert own_desk.answers("before")
    own_desk.server.signal(signal.SIGSTOP)
    try:
        refused = own_desk.post("during")
        assert (refused.status_code, code(refused)) == (503, "queue_unavailable")
        assert int(refused.headers["Retry-After"]) > 0
        assert httpx.get(f"{own_desk.api.url}/health").status_code == 200
        assert httpx.get(f"{own_desk.api.url}/ready").status_code == 503
    finally:
        own_desk.server.signal(signal.SIGCONT)
    wait_until(lambda: own_desk.answers("after"), "it answers again")


def test_a_killed_redis_comes_back_with_its_jobs_and_the_worker_goes_on(own_desk: Desk):
    job = own_desk.create("paced").json()["id"]
    wait_until(lambda: own_desk.redis.hget(KEYS.job(job), "state") == "running", "it runs")
    wait_until(lambda: own_desk.redis.info("persistence")["aof_pending_bio_fsync"] == 0, "it is on disk")
    own_desk.server.stop()  # SIGTERM: as SHUTDOWN, the file is complete
    assert code(own_desk.post("during")) == "queue_unavailable"
    own_desk.server.start()
    own_desk.server.wait_until_up()
    wait_until(lambda: own_desk.redis.hget(KEYS.job(job), "state") == "succeeded", "it ends", 60)
    wait_until(lambda: own_desk.answers("after"), "the worker takes new work", 60)


def test_a_redis_without_memory_refuses_clearly_and_writes_nothing_half(own_desk: Desk):
    assert own_desk.answers("before")
    running = own_desk.create("gate").json()["id"]
    wait_until(lambda: own_desk.redis.hget(KEYS.job(running), "state") == "running", "it runs")
    before = own_desk.redis.hgetall(KEYS.stats), job_keys(own_desk.redis)
    own_desk.redis.config_set("maxmemory", 1)
    refused = own_desk.post("during")
    assert (refused.status_code, code(refused)) == (503, "queue_out_of_memory")
    assert (own_desk.redis.hgetall(KEYS.stats), job_keys(own_desk.redis)) == before
    own_desk.redis.config_set("maxmemory", 0)
    own_desk.redis.lpush("gate", "open")
    wait_until(lambda: own_desk.redis.hget(KEYS.job(running), "state") == "succeeded", "it ends", 60)


def test_an_outcome_that_finds_no_memory_is_made_again(own_desk: Desk):
    running = own_desk.create("gate").json()["id"]
    wait_until(lambda: own_desk.redis.hget(KEYS.job(running), "state") == "running", "it runs")
    own_desk.redis.lpush("gate", "open")
    own_desk.redis.config_set("maxmemory", 1)
    wait_until(
        lambda: (
            "not run" in own_desk.worker.output
            or own_desk.redis.hget(KEYS.job(running), "state") == "succeeded"
        ),
        "the outcome was refused, or was faster",
    )
    own_desk.redis.config_set("maxmemory", 0)
    wait_until(lambda: own_desk.redis.hget(KEYS.job(running), "state") == "succeeded", "it ends", 60)


def job_keys(redis: Redis) -> set[str]:
    return set(redis.scan_iter(f"{PREFIX}job*"))
