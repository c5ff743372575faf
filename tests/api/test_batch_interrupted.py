"""Batches in the middle: cancelled, expired, taken over; with a worker whose steps take 50 ms."""

import json
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from redis import Redis

from shared.redis_keys import Keys
from tests.api.batching import (
    CLASSIFY,
    ByHand,
    by_hand,
    code,
    create,
    jsonl,
    once_each,
    results,
    rows,
)
from tests.services import RedisServer, Worker, running
from tests.waiting import wait_until

BATCHES, CHAT, COMPLETIONS = "/v1/batches", "/v1/chat/completions", "/v1/completions"


@pytest.fixture
def slow(
    make_client: Callable[..., FlaskClient], redis_server: RedisServer, redis: Redis, tmp_path: Path
) -> Iterator[ByHand]:
    """A feeder by hand, and a worker whose steps take 50 ms."""
    worker = Worker(redis_server, tmp_path, worker_name="slow@here", standin_seconds=0.05)
    with running(worker), by_hand(make_client()) as feeder:
        worker.wait_until_ready()
        yield feeder


def test_a_batch_is_cancelled_in_the_middle(slow: ByHand, redis: Redis, keys: Keys):
    batch = create(slow.api, jsonl(rows(60))).get_json()["id"]
    wait_until(lambda: slow.batch(batch)["request_counts"]["completed"] > 3, "some have run")
    cancelling = slow.api.post(f"{BATCHES}/{batch}/cancel").get_json()
    assert (cancelling["status"], bool(cancelling["cancelling_at"])) == ("cancelling", True)
    ended = slow.ended(batch)
    assert (ended["status"], bool(ended["cancelled_at"])) == ("cancelled", True)
    output, errors = results(slow.api, ended)
    assert once_each(output, errors) == {f"r{n}" for n in range(60)}
    assert {line["error"]["code"] for line in errors} == {"batch_cancelled"}
    counts = ended["request_counts"]
    assert (counts["completed"], counts["failed"]) == (len(output), len(errors))
    assert 3 < len(output) < 60
    assert redis.llen(keys.bulk) == 0
    again = slow.api.post(f"{BATCHES}/{batch}/cancel")
    assert (again.status_code, code(again)) == (409, "batch_ended")


def test_when_its_time_is_over_a_batch_ends_with_what_it_has(slow: ByHand, redis: Redis, keys: Keys):
    batch = create(slow.api, jsonl(rows(60))).get_json()["id"]
    wait_until(lambda: slow.batch(batch)["request_counts"]["completed"] > 3, "some have run")
    redis.hset(keys.batch(batch), "expires_at", int(time.time()))
    ended = slow.ended(batch)
    assert (ended["status"], bool(ended["expired_at"])) == ("expired", True)
    output, errors = results(slow.api, ended)
    assert once_each(output, errors) == {f"r{n}" for n in range(60)}
    assert {line["error"]["code"] for line in errors} == {"batch_expired"}


def test_a_new_feeder_goes_on_where_the_files_say(slow: ByHand, redis: Redis, keys: Keys):
    """Again and again the feeder forgets all it knows, and some jobs are lost with Redis's last second."""
    batch = create(slow.api, jsonl(rows(40))).get_json()["id"]

    def ended() -> dict | None:
        slow.feeder.forget()
        for _ in range(5):
            state = slow.batch(batch)
        for waiting in redis.lrange(keys.bulk, 0, 0):
            job = json.loads(waiting)["headers"]["id"].partition(".")[0]
            redis.lrem(keys.bulk, 1, waiting)
            redis.zrem(keys.open_jobs, f"{job}.0")
            redis.delete(keys.job(job))
        return state if state["status"] == "completed" else None

    done = wait_until(ended, "the batch has ended", 60)
    assert once_each(*results(slow.api, done)) == {f"r{n}" for n in range(40)}
    assert done["request_counts"] == {"total": 40, "completed": 40, "failed": 0}


def test_everybody_who_waits_for_an_answer_comes_before_rows(slow: ByHand):
    """A request with as many texts as may ever wait is admitted while rows fill the queue."""
    batch = create(slow.api, jsonl(rows(60))).get_json()["id"]
    wait_until(lambda: slow.batch(batch)["request_counts"]["completed"] > 3, "some have run")
    answered = slow.api.post(CLASSIFY, json={"input": [f"news {n}" for n in range(10)]})
    assert answered.status_code == 200
    ended = slow.ended(batch)
    assert once_each(*results(slow.api, ended)) == {f"r{n}" for n in range(60)}
    assert ended["request_counts"]["completed"] == 60
