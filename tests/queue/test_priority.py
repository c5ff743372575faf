"""Bulk texts wait for interactive ones, but never for ever."""

from collections.abc import Callable

import pytest
from redis import Redis

from api.errors import ApiError
from shared.redis_keys import Keys
from tests.queue.conftest import Desk
from tests.services import Worker

Start = Callable[..., Worker]


def order(desk: Desk, jobs: dict[str, str]) -> list[str]:
    """Names of the jobs in the order in which they were begun."""
    return sorted(jobs, key=lambda name: desk.ended(jobs[name]).started)


@pytest.mark.parametrize("size", [1, 3])
def test_bulk_waits_but_gets_every_eighth_step(make_desk, start_worker: Start, size: int, steps):
    desk = make_desk(max_waiting=1000, max_waiting_bulk=10)
    jobs = {f"bulk {n}": desk.submit(f"bulk {n}", priority="bulk") for n in range(3)}
    jobs |= {f"now {n}": desk.submit(f"now {n}") for n in range(30 * size)}
    start_worker(batch_size=size)
    started = {name: desk.ended(job).started for name, job in jobs.items()}
    begun = sorted(started, key=lambda name: started[name])
    first_bulk = min(place for place, name in enumerate(begun) if name.startswith("bulk"))
    assert 6 * size <= first_bulk <= 8 * size
    assert "now" in begun[-1]  # bulk did not wait for all of them
    assert set(steps()) == {size} | ({3} if size == 3 else set())


def test_bulk_runs_when_nothing_else_waits(make_desk, start_worker: Start, steps):
    desk = make_desk(max_waiting_bulk=10)
    jobs = [desk.submit(f"{n}", priority="bulk") for n in range(3)]
    start_worker()
    assert [desk.ended(job).state for job in jobs] == ["succeeded"] * 3


def test_bulk_fills_only_its_part_of_the_bound(make_desk, redis: Redis, keys: Keys):
    desk = make_desk(max_waiting=4, max_waiting_bulk=2)
    desk.submit("1", "2", priority="bulk")
    with pytest.raises(ApiError) as caught:
        desk.submit("3", priority="bulk")
    assert "bulk" in caught.value.detail.message
    desk.submit("4", "5")
    with pytest.raises(ApiError):
        desk.submit("6")
    assert (redis.llen(keys.queue), redis.llen(keys.bulk)) == (2, 2)


def test_the_position_of_a_bulk_text_counts_the_interactive_ones(desk: Desk):
    first, bulk, late = desk.ask("1"), desk.ask("2", priority="bulk"), desk.ask("3")
    assert [first.position, bulk.position, late.position] == [0, 1, 1]
    assert desk.jobs.position(bulk.job_id, "bulk") == 2


def test_a_bulk_text_of_a_dead_worker_returns_to_the_bulk_queue(
    desk: Desk, start_worker: Start, redis: Redis, keys: Keys
):
    job = desk.submit("gate", priority="bulk")
    worker = start_worker()
    desk.running(job)
    worker.kill()
    redis.lpush("gate", "open")
    worker.restart()
    assert desk.ended(job).attempts == 2
