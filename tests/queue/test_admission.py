"""One Lua call decides, exactly and atomically; a refused request changes nothing."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from redis import Redis

from api.admission import HOUR_MS
from api.errors import ApiError
from shared.redis_keys import Keys
from tests.queue.conftest import Desk


def refused(desk: Desk, *texts: str, client: str = "tester") -> ApiError:
    with pytest.raises(ApiError) as caught:
        desk.submit(*texts, client=client)
    return caught.value


def age(redis: Redis, window: str, milliseconds: int) -> None:
    """Make everything in a window older."""
    for member, score in redis.zrange(window, 0, -1, withscores=True):
        redis.zadd(window, {member: score - milliseconds})


def retry_after(error: ApiError) -> int:
    return int(error.headers["Retry-After"])


def test_the_eleventh_waiting_text_is_refused(desk: Desk, redis: Redis, keys: Keys):
    for n in range(10):
        desk.submit(f"news {n}")
    assert refused(desk, "one more").status == 503
    assert redis.llen(keys.queue) == 10


def test_texts_are_admitted_all_or_none(desk: Desk, redis: Redis, keys: Keys):
    desk.submit(*"abcdefg")
    assert refused(desk, *"hijk").detail.code == "queue_full"
    assert redis.llen(keys.queue) == 7
    desk.submit(*"hij")
    assert redis.llen(keys.queue) == 10


def test_more_texts_than_fit_at_all_are_a_bad_request(make_desk):
    desk = make_desk(max_waiting=5)
    error = refused(desk, *"abcdef")
    assert (error.status, error.detail.param) == (400, "input")
    assert "at most 5" in error.detail.message


def test_a_refused_request_counts_in_no_window(make_desk, redis: Redis, keys: Keys):
    desk = make_desk(rate_per_minute=10, rate_per_hour=100, max_waiting=2)
    desk.submit("a", "b")
    for _ in range(20):
        refused(desk, "c")
    assert redis.zcard(keys.window_client("tester")) == redis.zcard(keys.window_all) == 2


def test_a_window_opens_exactly_when_its_oldest_text_leaves(make_desk, redis: Redis, keys: Keys):
    desk = make_desk(rate_per_minute=2, max_waiting=100)
    desk.submit("a")
    age(redis, keys.window_client("tester"), 40_000)
    desk.submit("b")
    assert retry_after(refused(desk, "c")) == 20
    assert 59 <= retry_after(refused(desk, "c", "d")) <= 60
    age(redis, keys.window_client("tester"), 20_000)
    desk.submit("c")
    assert refused(desk, "d").status == 429


def test_the_hourly_window_slides_too(make_desk, redis: Redis, keys: Keys):
    desk = make_desk(rate_per_hour=1)
    desk.submit("a", client="one")
    error = refused(desk, "b", client="two")
    assert error.headers["x-should-retry"] == "false"
    assert 3599 <= retry_after(error) <= 3600
    age(redis, keys.window_all, HOUR_MS)
    desk.submit("b", client="two")


def test_refusals_are_counted_by_reason(make_desk, redis: Redis, keys: Keys):
    desk = make_desk(rate_per_minute=1, rate_per_hour=2, max_waiting=1)
    desk.submit("a")
    refused(desk, "b")
    refused(desk, "b", client="other")
    redis.delete(keys.queue)
    desk.submit("b", client="other")
    refused(desk, "c", client="third")
    stats = redis.hgetall(keys.stats)
    assert {k: v for k, v in stats.items() if ":" in k} == {
        "rejected:client": "1",
        "rejected:full": "1",
        "rejected:all": "1",
    }


def test_without_a_worker_a_full_queue_still_names_a_time(desk: Desk):
    for n in range(10):
        desk.submit(f"{n}")
    assert 1 <= retry_after(refused(desk, "x")) <= 120


@settings(
    max_examples=30,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    bound=st.integers(0, 12),
    rate=st.integers(0, 12),
    requests=st.lists(st.integers(1, 5), min_size=1, max_size=10),
)
def test_admission_equals_a_plain_count(
    make_desk, redis: Redis, keys: Keys, bound: int, rate: int, requests: list[int]
):
    redis.flushall()
    desk = make_desk(max_waiting=bound, rate_per_minute=rate)
    waiting = 0
    for turn, texts in enumerate(requests):
        fits = waiting + texts <= bound and (not rate or waiting + texts <= rate)
        try:
            desk.submit(*(f"{turn} {n}" for n in range(texts)))
            assert fits
            waiting += texts
        except ApiError:
            assert not fits
    assert redis.llen(keys.queue) == waiting
