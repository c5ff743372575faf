"""A job that nobody wants any more is not run, and its place is free at once."""

import signal
from collections.abc import Callable

import pytest
from redis import Redis

from api.errors import ApiError
from shared.redis_keys import Keys
from shared.settings import Settings
from tests.queue.conftest import Desk
from tests.services import PREFIX, Worker
from tests.waiting import wait_until
from worker.jobs import Jobs
from worker.recovery import Recovery

Start = Callable[..., Worker]


@pytest.fixture
def jobs(redis: Redis) -> Jobs:
    return Jobs(redis, Settings(key_prefix=PREFIX))


def test_a_cancelled_job_leaves_the_queue_and_frees_its_place(make_desk, redis: Redis, keys: Keys):
    desk = make_desk(max_waiting=2)
    job = desk.submit("a", "b")
    with pytest.raises(ApiError):
        desk.submit("c")
    assert desk.jobs.cancel(job) == "queued"
    assert desk.state(job) == "cancelled"
    assert redis.llen(keys.queue) == redis.zcard(keys.open_jobs) == 0
    desk.submit("c")


def test_a_cancelled_job_is_never_begun(desk: Desk, jobs: Jobs):
    job = desk.submit("a")
    desk.jobs.cancel(job)
    assert jobs.begin([f"{job}.0"], "n@here") == ([], [])


def test_cancelling_twice_says_what_the_job_is(desk: Desk):
    job = desk.submit("a")
    assert [desk.jobs.cancel(job), desk.jobs.cancel(job), desk.jobs.cancel("job_unknown")] == [
        *("queued", "cancelled"),
        "",
    ]


def test_the_outcome_of_a_job_that_was_cancelled_while_it_ran_is_dropped(
    desk: Desk, start_worker: Start, redis: Redis
):
    running = desk.submit("gate")
    worker = start_worker()
    desk.running(running)
    assert desk.jobs.cancel(running) == "running"
    redis.lpush("gate", "open")
    assert desk.ended(desk.submit("next")).state == "succeeded"
    assert desk.state(running) == "cancelled"
    assert desk.jobs.read(running).results == ()
    assert "dropped" in worker.output


def test_when_the_last_caller_leaves_its_queued_job_is_cancelled(desk: Desk):
    job = desk.submit("a", waits=True)
    assert desk.submit("a", waits=True) == job
    desk.jobs.leave(job)
    assert desk.state(job) == "queued"
    desk.jobs.leave(job)
    assert desk.state(job) == "cancelled"


@pytest.mark.parametrize("wanted", ["polled", "after a timeout", "by its key"])
def test_a_job_that_somebody_means_to_come_back_for_goes_on(desk: Desk, wanted: str):
    job = desk.submit("a", waits=True, idempotency_key="k" if wanted == "by its key" else None)
    if wanted == "polled":
        desk.submit("a")
    if wanted == "after a timeout":
        desk.jobs.keep(job)
    desk.jobs.leave(job)
    assert desk.state(job) == "queued"
    desk.jobs.cancel(job)


def test_a_running_job_is_not_stopped_when_its_caller_leaves(desk: Desk, jobs: Jobs):
    job = desk.submit("a", waits=True)
    jobs.begin([f"{job}.0"], "n@here")
    desk.jobs.leave(job)
    assert desk.state(job) == "running"
    desk.jobs.cancel(job)


def test_a_text_past_its_deadline_is_not_run(desk: Desk, jobs: Jobs, redis: Redis, keys: Keys):
    job, other = desk.submit("late", expires_in=0.001), desk.submit("in time", expires_in=60)
    wait_until(lambda: overdue(redis, keys, job), "the deadline has passed")
    taken, _ = jobs.begin([f"{job}.0", f"{other}.0"], "n@here")
    assert [text.text for text in taken] == ["in time"]
    assert desk.state(job) == "expired"
    desk.jobs.cancel(other)


def test_the_sweep_ends_what_waited_too_long(desk: Desk, jobs: Jobs, redis: Redis, keys: Keys):
    job = desk.submit("late", expires_in=0.001)
    wait_until(lambda: overdue(redis, keys, job), "the deadline has passed")
    Recovery(redis, keys, jobs, "n@here").sweep()
    assert desk.state(job) == "expired"
    assert redis.llen(keys.queue) == 0


def test_a_text_that_runs_does_not_expire(desk: Desk, jobs: Jobs, redis: Redis, keys: Keys):
    job = desk.submit("slow", expires_in=0.2)
    jobs.begin([f"{job}.0"], "n@here")
    wait_until(lambda: overdue(redis, keys, job), "the deadline has passed")
    Recovery(redis, keys, jobs, "n@here").sweep()
    assert desk.state(job) == "running"
    desk.jobs.cancel(job)


def test_a_stopped_worker_that_wakes_up_changes_no_result(desk: Desk, start_worker: Start, redis: Redis):
    """Stopped in the engine, replaced, woken: the fence is the attempt number in finish.lua."""
    job = desk.submit("gate")
    first = start_worker(worker_name="first@here")
    desk.running(job)
    first.signal(signal.SIGSTOP)
    start_worker(worker_name="second@here")
    redis.lpush("gate", "open")
    result = desk.ended(job)
    first.signal(signal.SIGCONT)
    wait_until(lambda: "dropped" in first.output, "the woken worker has tried", 30)
    assert desk.jobs.read(job) == result
    assert result.attempts == 2


def overdue(redis: Redis, keys: Keys, job_id: str) -> bool:
    seconds, microseconds = redis.time()
    return seconds * 1000 + microseconds // 1000 > int(redis.hget(keys.job(job_id), "deadline"))
