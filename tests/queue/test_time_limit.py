"""A step that hangs ends its worker, not the queue; what has failed is kept for a retry."""

from collections.abc import Callable

import pytest
from redis import Redis

from api.errors import ApiError
from shared.redis_keys import Keys
from shared.settings import Settings
from tests.queue.conftest import Desk
from tests.services import Worker
from tests.waiting import wait_until

Start = Callable[..., Worker]


def test_a_text_that_hangs_alone_fails_and_the_next_one_runs(desk: Desk, start_worker: Start):
    hanging = desk.submit("gate")
    worker = start_worker(job_limit=1)
    assert desk.ended(hanging).results[0].error_code == "time_limit"
    assert worker.process.wait(10) == 75
    worker.restart()
    assert desk.ended(desk.submit("fine")).state == "succeeded"


def test_the_neighbours_of_a_text_that_hangs_finish(desk: Desk, start_worker: Start):
    neighbours = [desk.submit("one"), desk.submit("two")]
    hanging = desk.submit("gate")
    worker = start_worker(job_limit=1)

    def all_ended() -> bool:
        if worker.process.poll() is not None:
            worker.restart()
        return all(desk.jobs.read(job).ended for job in [hanging, *neighbours])

    wait_until(all_ended, "every text ends", 60)
    assert desk.ended(hanging).results[0].error_code == "time_limit"
    assert [desk.ended(job).state for job in neighbours] == ["succeeded"] * 2


def test_the_number_of_attempts_is_a_setting(desk: Desk, start_worker: Start):
    worker = start_worker(max_attempts=1)
    poison = desk.submit("die")
    worker.process.wait(20)
    worker.restart()
    assert desk.ended(poison).results[0].error_code == "worker_lost"


def test_a_failed_job_is_kept_and_can_be_retried(desk: Desk, start_worker: Start, redis: Redis, keys: Keys):
    job = desk.submit("fail")
    start_worker()
    failed = desk.ended(job)
    assert redis.ttl(keys.job(job)) > 600_000
    redis.hset(keys.job(job), "request", '{"texts": ["mended"], "model": "news-classifier"}')
    desk.retry(job)
    again = desk.ended(job)
    assert (failed.state, again.state) == ("failed", "succeeded")
    assert again.attempts == 1
    assert not redis.zrange(keys.failed_jobs, 0, -1)


def test_only_a_failed_job_is_retried_and_only_within_the_bound(make_desk, start_worker: Start):
    desk = make_desk(max_waiting=1)
    job = desk.submit("fail")
    start_worker().stop()
    failed, waiting = desk.ended(job), desk.submit("next")
    with pytest.raises(ApiError) as full:
        desk.retry(job)
    assert (full.value.status, desk.jobs.read(job)) == (503, failed)
    with pytest.raises(ApiError) as open_still:
        desk.retry(waiting)
    assert open_still.value.detail.code == "job_not_failed"


def test_only_so_many_dead_letters_are_kept(desk: Desk, redis: Redis, keys: Keys, start_worker: Start):
    job = desk.submit("fail")
    start_worker()
    desk.ended(job)
    redis.zadd(keys.failed_jobs, {f"newer {n}": 1e15 + n for n in range(1000)})
    desk.ended(desk.submit("fail too"))
    assert redis.zcard(keys.failed_jobs) == 1000
    assert redis.ttl(keys.job(job)) <= Settings().result_ttl
