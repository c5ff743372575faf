"""Retry-After while no worker answers: from the measured drain, for as many texts as must leave."""

import pytest
from flask.testing import FlaskClient
from redis import Redis

from shared.redis_keys import Keys
from tests.api.test_limits import left

CLASSIFY, JOBS = "/v1/classify", "/v1/jobs"


def test_bulk_has_a_policy_of_its_own(idle: FlaskClient):
    response = idle.post(JOBS, json={"endpoint": CLASSIFY, "input": "a", "priority": "bulk"})
    assert left(response) == {"queue": {"r": 3}, "queue-bulk": {"r": 1}}


def recent(redis: Redis, keys: Keys, *lines: tuple[float, int]) -> None:
    """Texts that have ended: milliseconds of their step, and when; the last first."""
    redis.delete(keys.recent)
    redis.rpush(keys.recent, *(f"0 {took} 3 {ended}" for took, ended in lines))


def fill(api: FlaskClient, count: int) -> None:
    for n in range(count):
        assert api.post(JOBS, json={"endpoint": CLASSIFY, "input": f"{n}"}).status_code == 202


@pytest.mark.parametrize(
    ("lines", "texts", "least"),
    [
        ([(6000, 60_000)] * 3, 1, 2),  # three in one step of six seconds: two a text
        ([(6000, 60_000)] * 3, 4, 8),
        ([(6000, 60_000), (6000, 40_000)], 1, 6),  # idle times between are no work
        ([(6000, 60_000), (6000, 57_000)], 2, 9),  # two workers side by side: 9 s for both
        ([(900_000, 60_000)], 4, 120),
        ([(0, 60_000)], 4, 1),
    ],
)
def test_a_full_queue_names_the_time_that_so_many_texts_take(
    idle: FlaskClient, redis: Redis, keys: Keys, lines: list, texts: int, least: int
):
    fill(idle, 4)
    recent(redis, keys, *lines)
    waits = set()
    for _ in range(30):
        refused = idle.post(CLASSIFY, json={"input": [f"x{n}" for n in range(texts)]})
        assert (refused.status_code, left(refused)["queue"]["r"]) == (503, 0)
        waits.add(int(refused.headers["Retry-After"]))
    assert min(waits) >= least
    assert max(waits) <= min(120, least + least // 4 + 1)
    assert len(waits) > 1 or least == 120


def test_an_accepted_job_is_told_how_long_it_takes(idle: FlaskClient, redis: Redis, keys: Keys):
    recent(redis, keys, (6000, 60_000), (6000, 60_000))
    jobs = [idle.post(JOBS, json={"endpoint": CLASSIFY, "input": text}) for text in "abc"]
    waits = [int(job.headers["Retry-After"]) for job in jobs]
    assert waits == [3, 6, 9]


def test_the_overload_status_can_be_429(make_client, published: None):
    closed = make_client(overload_status=429, max_waiting=1)
    fill(closed, 1)
    refused = closed.post(CLASSIFY, json={"input": "x"})
    assert (refused.status_code, refused.get_json()["error"]["code"]) == (429, "queue_full")
    assert refused.get_json()["error"]["type"] == "rate_limit_error"
    assert refused.headers["Retry-After"]
    assert "x-should-retry" not in refused.headers


def test_a_queue_that_is_closed_for_good_is_not_asked_again(make_client, published: None):
    refused = make_client(max_waiting=0).post(CLASSIFY, json={"input": "x"})
    assert (refused.status_code, refused.headers["x-should-retry"]) == (503, "false")
