"""A worker that dies, stops or stalls loses nothing, and cannot overwrite its successor's result."""

import os
import signal
from collections.abc import Callable

import pytest
from redis import Redis

from shared.job import PartResult
from shared.redis_client import connect
from shared.redis_keys import Keys
from shared.settings import Settings
from tests.queue.conftest import Desk
from tests.services import PREFIX, RedisServer, Worker
from tests.waiting import wait_until
from worker.jobs import Jobs, Outcome, Taken
from worker.presence import NodeNameTaken, Presence
from worker.recovery import Recovery

Start = Callable[..., Worker]
Steps = Callable[[], list[int]]


def begin(jobs: Jobs, part: str, node: str) -> Taken:
    (taken,), _ = jobs.begin([part], node)
    return taken


def finish(jobs: Jobs, taken: Taken, label: str) -> bool:
    result = PartResult(label=label, probabilities={label: 1.0})
    (stored,) = jobs.finish([Outcome(taken, result)], inference_ms=1.0)
    return stored


@pytest.fixture
def jobs(redis: Redis) -> Jobs:
    return Jobs(redis, Settings(key_prefix=PREFIX, result_ttl=60))


def test_sigterm_in_a_batch_finishes_it_and_leaves_the_rest(
    desk: Desk, start_worker: Start, redis: Redis, keys: Keys
):
    batch = [desk.submit(f"gate {n}") for n in range(3)]
    rest = desk.submit("later")
    worker = start_worker()
    desk.running(batch[0])
    worker.signal(signal.SIGTERM)
    redis.lpush("gate", "open")
    assert worker.process.wait(20) == 0
    assert [desk.ended(job).state for job in batch] == ["succeeded"] * 3
    assert desk.jobs.read(rest).state == "queued"
    assert redis.llen(keys.queue) == 1
    worker.restart()
    assert desk.ended(rest).state == "succeeded"


def test_the_jobs_of_a_killed_worker_run_again_when_it_restarts(
    desk: Desk, start_worker: Start, redis: Redis
):
    batch = [desk.submit(f"gate {n}") for n in range(3)]
    worker = start_worker()
    desk.running(batch[2])
    worker.kill()
    redis.lpush("gate", "open")
    worker.restart()
    ended = [desk.ended(job) for job in batch]
    assert [job.state for job in ended] == ["succeeded"] * 3
    assert [job.attempts for job in ended] == [2, 2, 2]


def test_another_worker_takes_over_from_a_dead_one(desk: Desk, start_worker: Start, redis: Redis):
    job = desk.submit("gate")
    first = start_worker(worker_name="first@here")
    desk.running(job)
    start_worker(worker_name="second@here")
    first.kill()
    redis.lpush("gate", "open")
    assert desk.ended(job).state == "succeeded"


def test_a_job_that_kills_its_worker_fails_in_the_end_and_its_neighbours_finish(
    desk: Desk, start_worker: Start
):
    poison, innocent = desk.submit("die now"), desk.submit("fine")
    worker = start_worker()

    def keep_alive() -> bool:
        if worker.process.poll() is not None:
            worker.restart()
        return desk.jobs.read(poison).ended

    wait_until(keep_alive, "the poisonous job ends", 60)
    failed = desk.ended(poison)
    assert (failed.state, failed.attempts) == ("failed", 4)
    assert failed.results[0].error_code == "worker_lost"
    assert desk.ended(innocent).state == "succeeded"
    worker.wait_until_ready()


def test_a_message_that_is_in_no_list_is_found(desk: Desk, redis: Redis, keys: Keys, jobs: Jobs):
    """A worker can die between popping a message and writing it down: kombu's BRPOP hole."""
    job = desk.submit("lost")
    redis.rpop(keys.queue)
    recovery = Recovery(redis, keys, jobs, "n@here")
    recovery.sweep()
    assert redis.llen(keys.queue) == 0  # it may just be on its way
    recovery.sweep()
    assert redis.llen(keys.queue) == 1
    recovery.sweep()
    assert redis.llen(keys.queue) == 1
    assert desk.jobs.read(job).state == "queued"


def test_orphans_return_to_the_head_of_the_queue_in_their_order(
    desk: Desk, redis: Redis, keys: Keys, jobs: Jobs
):
    first, second = desk.submit("1"), desk.submit("2")
    lost = {f"{first}.0", f"{second}.0"}
    redis.delete(keys.queue)
    third = desk.submit("3")
    assert jobs.requeue(lost, set())[0] == lost
    order = [
        message.partition('"correlation_id": "')[2].partition(".0")[0]
        for message in redis.lrange(keys.queue, 0, -1)
    ]
    assert list(reversed(order)) == [first, second, third]


def test_a_stale_attempt_cannot_overwrite_the_result(desk: Desk, jobs: Jobs):
    part = f"{desk.submit('x')}.0"
    stale, fresh = begin(jobs, part, "frozen@here"), begin(jobs, part, "successor@here")
    assert (stale.attempt, fresh.attempt) == (1, 2)
    assert not finish(jobs, stale, "其他")
    assert finish(jobs, fresh, "股市")
    assert not finish(jobs, fresh, "债券")
    assert desk.ended(part.removesuffix(".0")).results[0].label == "股市"


def test_a_text_that_was_tried_before_is_begun_alone(desk: Desk, jobs: Jobs):
    again, new = f"{desk.submit('x')}.0", f"{desk.submit('y')}.0"
    begin(jobs, again, "dead@here")
    taken, alone = jobs.begin([again, new], "n@here")
    assert ([text.part for text in taken], alone) == ([new], [again])
    assert begin(jobs, again, "n@here").attempt == 2


def test_an_ended_job_is_not_begun_again(desk: Desk, jobs: Jobs):
    part = f"{desk.submit('x')}.0"
    finish(jobs, begin(jobs, part, "n@here"), "其他")
    assert jobs.begin([part, "job_unknown.0"], "n@here") == ([], [])


def test_a_second_worker_of_the_same_name_refuses_to_start(
    desk: Desk, start_worker: Start, redis: Redis, keys: Keys
):
    start_worker(worker_name="twin@here")
    with pytest.raises(NodeNameTaken, match="WIREDESK_WORKER_NAME"):
        Presence(redis, keys, "twin@here").claim(patience=3.5)


def test_a_frozen_worker_that_was_replaced_leaves_when_it_wakes(
    desk: Desk, start_worker: Start, redis: Redis
):
    frozen = start_worker(worker_name="frozen@here")
    os.kill(frozen.process.pid, signal.SIGSTOP)
    try:
        start_worker(worker_name="frozen@here")
    finally:
        os.kill(frozen.process.pid, signal.SIGCONT)
    assert frozen.process.wait(20) == 70


def test_results_survive_a_kill_of_redis(tmp_path, keys: Keys):
    """With the product's own options: a killed server comes back with what is older than a second."""
    server = RedisServer(tmp_path)
    try:
        with connect(server.url, timeout=5) as redis:
            redis.set("test:accepted", "1")
            wait_until(lambda: redis.info("persistence")["aof_pending_bio_fsync"] == 0, "the file is written")
        server.kill()
        server.start()
        server.wait_until_up()
        with connect(server.url, timeout=5) as redis:
            assert redis.get("test:accepted") == "1"
    finally:
        server.stop()


def test_a_worker_whose_redis_is_gone_still_stops(tmp_path):
    server = RedisServer(tmp_path)
    worker = Worker(server, tmp_path).wait_until_ready()
    server.kill()
    wait_until(lambda: "Connection to broker lost" in worker.output, "it notices", 30)
    worker.stop(60)
