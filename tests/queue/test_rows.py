"""Rows of batches in the queue: the lowest of all, in no window, one job however often they are asked."""

from typing import Any

import pytest
from redis import Redis

from api.admission import Admitted, Terms
from api.errors import ApiError
from shared.job import Request, new_job_id
from shared.redis_keys import Keys
from tests.queue.conftest import Desk


def ask_row(desk: Desk, text: str = "row", job_id: str | None = None, **terms: Any) -> Admitted:
    asked = Request((text,) if isinstance(text, str) else text, "news-classifier")
    wanted = Terms(priority="bulk", row=True, **terms)
    return desk.admission.admit_row("tester", "/v1/classify", asked, wanted, job_id or new_job_id())


def code_of_row(desk: Desk) -> str:
    with pytest.raises(ApiError) as refused:
        ask_row(desk)
    return refused.value.detail.code


def waiting(redis: Redis, keys: Keys) -> tuple[int, int]:
    return redis.llen(keys.queue), redis.llen(keys.bulk)


def test_asked_twice_a_row_is_one_job(desk: Desk, redis: Redis, keys: Keys):
    job_id = new_job_id()
    assert [ask_row(desk, job_id=job_id).how for _ in range(2)] == ["admitted", "repeated"]
    assert waiting(redis, keys) == (0, 1)


def test_equal_rows_are_jobs_of_their_own_and_nobody_joins_them(desk: Desk, redis: Redis, keys: Keys):
    assert [ask_row(desk, "same").how for _ in range(2)] == ["admitted", "admitted"]
    assert desk.ask("same").how == "admitted"
    assert waiting(redis, keys) == (1, 2)


def test_rows_obey_both_bounds_and_no_window(make_desk, redis: Redis, keys: Keys):
    desk = make_desk(max_waiting=4, max_waiting_bulk=3, rate_per_minute=1, rate_per_hour=2)
    for _ in range(3):
        ask_row(desk)
    assert code_of_row(desk) == "queue_full"
    desk.submit("a")
    for job in redis.zrange(keys.open_jobs, 0, 1):
        desk.jobs.cancel(job.partition(".")[0])
    redis.set(keys.draining, "now")
    assert code_of_row(desk) == "draining"


def test_the_newest_rows_give_way_and_no_more_than_needed(make_desk, redis: Redis, keys: Keys):
    desk = make_desk(max_waiting=6, max_waiting_bulk=5)
    rows = [ask_row(desk).job_id for _ in range(4)]
    desk.submit("a", "b", "c")
    assert waiting(redis, keys) == (3, 3)
    assert [desk.jobs.read(row) is None for row in rows] == [False, False, False, True]
    assert redis.lrange(keys.done(rows[-1]), 0, -1) == ["gave way"]
    assert redis.zscore(keys.open_jobs, f"{rows[-1]}.0") is None
    assert ask_row(desk, job_id=rows[0]).how == "repeated"


def test_rows_give_way_to_bulk_as_well(make_desk, redis: Redis, keys: Keys):
    desk = make_desk(max_waiting_bulk=3)
    rows = [ask_row(desk).job_id for _ in range(3)]
    desk.submit("a", "b", priority="bulk")
    assert waiting(redis, keys) == (0, 3)
    assert desk.jobs.read(rows[0]) is not None


def test_where_rows_would_not_make_room_enough_nothing_changes(make_desk, redis: Redis, keys: Keys):
    desk = make_desk(max_waiting=6, max_waiting_bulk=5)
    desk.submit("a", "b", "c", priority="bulk")
    rows = [ask_row(desk).job_id for _ in range(2)]
    with pytest.raises(ApiError, match="already wait"):
        desk.submit("a", "b", "c", "d")
    assert waiting(redis, keys) == (0, 5)
    assert all(desk.jobs.read(row) for row in rows)


def test_a_row_never_drives_out_a_row(make_desk, redis: Redis, keys: Keys):
    desk = make_desk(max_waiting_bulk=2)
    rows = [ask_row(desk).job_id for _ in range(2)]
    assert code_of_row(desk) == "queue_full"
    assert all(desk.jobs.read(row) for row in rows)


def test_a_row_that_runs_does_not_give_way(make_desk, start_worker, redis: Redis, keys: Keys):
    desk = make_desk(max_waiting=3, max_waiting_bulk=3)
    start_worker()
    running = ask_row(desk, "gate 0").job_id
    desk.running(running)
    queued = [ask_row(desk, f"gate {n}").job_id for n in (1, 2, 3)]
    desk.submit("a", "b", "c")
    assert [desk.jobs.read(row) is None for row in queued] == [True, True, True]
    redis.lpush("gate", "open")
    assert desk.ended(running).state == "succeeded"


def test_the_texts_of_one_row_give_way_together(make_desk, redis: Redis, keys: Keys):
    desk = make_desk(max_waiting=4, max_waiting_bulk=4)
    ask_row(desk, ("a", "b", "c"))
    desk.submit("x", "y")
    assert waiting(redis, keys) == (2, 0)


def test_a_row_that_is_taken_back_ends_only_while_it_waits(desk: Desk, start_worker, redis: Redis):
    waits = ask_row(desk, "gate").job_id
    desk.jobs.withdraw(waits)
    assert desk.state(waits) == "cancelled"
    start_worker()
    runs = ask_row(desk, "gate").job_id
    desk.running(runs)
    desk.jobs.withdraw(runs)
    redis.lpush("gate", "open")
    assert desk.ended(runs).state == "succeeded"


def test_a_row_that_fails_is_no_dead_letter_and_in_no_list(
    desk: Desk, start_worker, redis: Redis, keys: Keys
):
    start_worker()
    job = desk.ended(ask_row(desk, "fail").job_id)
    assert (job.state, job.request) == ("failed", None)
    assert redis.zcard(keys.failed_jobs) == 0
    assert redis.ttl(keys.job(job.id)) <= 3600
    assert desk.jobs.listed("tester", None, None, 10) == ([], False)
