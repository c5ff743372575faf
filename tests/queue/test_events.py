"""Flower's events: received, started while the job still runs, then the end with its true time."""

import threading
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from shared.celery_app import make_celery
from shared.settings import Settings
from tests.queue.conftest import Desk
from tests.services import PREFIX, RedisServer, Worker
from tests.waiting import wait_until

Event = dict


@pytest.fixture
def events(redis_server: RedisServer, redis: Redis) -> Iterator[list[Event]]:
    """Task events as Flower receives them, filled while the test runs."""
    seen: list[Event] = []
    app = make_celery(Settings(redis_url=redis_server.url, key_prefix=PREFIX))
    with app.connection_for_read() as connection:
        receiver = app.events.Receiver(connection, handlers={"*": seen.append})
        thread = threading.Thread(target=receiver.capture, kwargs={"limit": None, "wakeup": False})
        thread.start()
        wait_until(lambda: redis.pubsub_numpat() or redis.pubsub_channels(), "the receiver listens")
        yield seen
        receiver.should_stop = True
        thread.join()


def types(events: list[Event], job: str) -> list[str]:
    return [event["type"] for event in list(events) if event.get("uuid") == f"{job}.0"]


def test_each_job_is_received_started_while_it_runs_and_ended(
    desk: Desk, start_worker: Callable[..., Worker], events: list[Event], redis: Redis
):
    good, bad = desk.submit("gate 机密"), desk.submit("fail 机密")
    start_worker()
    for job in (good, bad):
        wait_until(lambda job=job: types(events, job) == ["task-received", "task-started"], "it has started")
        assert desk.jobs.read(job).state == "running"
    redis.lpush("gate", "open")
    wait_until(lambda: types(events, good)[-1] == "task-succeeded", "it has succeeded")
    wait_until(lambda: types(events, bad)[-1] == "task-failed", "it has failed")
    started, succeeded = (
        next(e for e in events if e.get("uuid") == f"{good}.0" and e["type"] == name)
        for name in ("task-started", "task-succeeded")
    )
    between = succeeded["timestamp"] - started["timestamp"]
    assert succeeded["runtime"] == pytest.approx(between, abs=0.5)
    assert "机密" not in str(events)


def test_a_worker_in_a_long_step_goes_on_sending_heartbeats(
    desk: Desk, start_worker: Callable[..., Worker], events: list[Event], redis: Redis
):
    """The hub does not run in a step; without the side thread Flower would show the worker offline."""
    job = desk.submit("gate")
    start_worker()
    desk.running(job)
    before = len(events)
    wait_until(lambda: len(heartbeats(events[before:])) >= 3, "heartbeats in the step")
    assert desk.jobs.read(job).state == "running"
    assert {event["active"] for event in heartbeats(events[before:])} == {1}
    redis.lpush("gate", "open")
    assert desk.ended(job).state == "succeeded"


def heartbeats(events: list[Event]) -> list[Event]:
    return [event for event in events if event["type"] == "worker-heartbeat"]
