"""The same work is not done twice: joined jobs, idempotency keys, reused answers."""

from collections.abc import Callable
from typing import Any

import pytest
from redis import Redis

from api.errors import ApiError
from shared.job import PartResult
from shared.redis_keys import Keys
from shared.settings import Settings
from tests.queue.conftest import Desk
from tests.services import PREFIX
from worker.jobs import Jobs, Outcome


class Hand:
    """Takes a text from the queue, begins it and finishes it, as a worker would."""

    def __init__(self, redis: Redis, keys: Keys, **settings: Any):
        self._redis, self._keys = redis, keys
        self._jobs = Jobs(redis, Settings(key_prefix=PREFIX, **settings))

    def run(self, job_id: str, digest: str = "", size: int = 0) -> None:
        self._redis.rpop(self._keys.queue)
        taken, _ = self._jobs.begin([f"{job_id}.0"], "n@here")
        result = PartResult(label="股市", answer="x" * size, probabilities={"股市": 1.0})
        kept = [Outcome(text, result, digest if text.store else "") for text in taken]
        self._jobs.finish(kept, inference_ms=1.0)


@pytest.fixture
def make_hand(redis: Redis, keys: Keys) -> Callable[..., Hand]:
    return lambda **settings: Hand(redis, keys, **settings)


@pytest.fixture
def hand(make_hand) -> Hand:
    return make_hand()


def test_identical_work_of_a_client_joins_the_open_job(desk: Desk, redis: Redis, keys: Keys, hand: Hand):
    first, second = desk.ask("a"), desk.ask("a")
    assert (second.how, second.job_id) == ("joined", first.job_id)
    assert redis.llen(keys.queue) == 1
    hand.run(first.job_id)
    assert desk.ask("a").job_id != first.job_id


@pytest.mark.parametrize("other", [{"client": "somebody else"}, {"texts": ("a", "b")}])
def test_other_work_or_another_client_does_not_join(desk: Desk, other: dict):
    first = desk.ask("a")
    assert desk.ask(*other.pop("texts", ("a",)), **other).job_id != first.job_id


def test_a_request_that_joins_counts_in_the_window_but_not_in_the_queue(make_desk):
    desk = make_desk(rate_per_minute=2, max_waiting=1)
    desk.ask("a")
    assert desk.ask("a").how == "joined"
    with pytest.raises(ApiError) as caught:
        desk.ask("a")
    assert caught.value.status == 429


def test_all_who_joined_are_woken(desk: Desk, hand: Hand):
    job = desk.submit("a", waits=True)
    assert desk.submit("a", waits=True) == job
    hand.run(job)
    assert [desk.ended(job).state for _ in range(2)] == ["succeeded"] * 2


def test_an_idempotency_key_gives_the_same_job_open_or_ended(make_desk, hand: Hand):
    desk = make_desk(rate_per_minute=1)
    first = desk.ask("a", idempotency_key="k")
    assert desk.ask("a", idempotency_key="k").job_id == first.job_id
    hand.run(first.job_id)
    again = desk.ask("a", idempotency_key="k")
    assert (again.how, again.job_id) == ("repeated", first.job_id)


def test_an_idempotency_key_is_not_for_other_work(desk: Desk):
    desk.ask("a", idempotency_key="k")
    with pytest.raises(ApiError) as caught:
        desk.ask("b", idempotency_key="k")
    assert (caught.value.status, caught.value.detail.code) == (422, "idempotency_key_reused")


def test_an_idempotency_key_belongs_to_its_client(desk: Desk):
    first = desk.ask("a", idempotency_key="k", client="one")
    assert desk.ask("b", idempotency_key="k", client="two").job_id != first.job_id


def test_an_idempotency_key_is_forgotten_with_the_result(desk: Desk, hand: Hand, redis: Redis, keys: Keys):
    first = desk.ask("a", idempotency_key="k")
    hand.run(first.job_id)
    redis.delete(keys.job(first.job_id))
    assert desk.ask("b", idempotency_key="k").how == "admitted"


def test_a_refused_request_does_not_use_up_its_key(make_desk, redis: Redis, keys: Keys):
    desk = make_desk(max_waiting=1)
    desk.ask("a")
    with pytest.raises(ApiError):
        desk.ask("b", idempotency_key="k")
    redis.delete(keys.queue)
    assert desk.ask("c", idempotency_key="k").how == "admitted"


def test_an_answer_is_reused_across_clients_even_when_the_queue_is_full(make_desk, hand: Hand):
    desk = make_desk(max_waiting=1)
    first = desk.submit("a", client="one")
    hand.run(first, digest="d1")
    desk.submit("fills the queue")
    hit = desk.ask("a", client="two", digests=["d1"])
    assert (hit.how, hit.job_id == first) == ("cached", False)
    assert desk.ended(hit.job_id).results == desk.ended(first).results
    assert desk.jobs.read(hit.job_id).client == "two"


def test_all_texts_must_have_an_answer(desk: Desk, hand: Hand):
    hand.run(desk.submit("a"), digest="d1")
    assert desk.ask("a", "b", digests=["d1", "d2"]).how == "admitted"


def test_no_store_keeps_no_answer(desk: Desk, hand: Hand, redis: Redis, keys: Keys):
    hand.run(desk.submit("a", store=False), digest="d1")
    assert not redis.exists(f"{PREFIX}cache:d1")


def test_the_cache_stays_within_its_bytes_and_forgets_the_oldest(make_hand, desk: Desk, redis: Redis):
    hand = make_hand(cache_bytes=5_000)
    for n in range(20):
        hand.run(desk.submit(f"{n}"), digest=f"{n:x}", size=300)
    kept = [n for n in range(20) if redis.exists(f"{PREFIX}cache:{n:x}")]
    assert kept == list(range(20 - len(kept), 20))
    assert len(kept) > 3
    assert int(redis.get(f"{PREFIX}cached:bytes")) <= 5_000
    assert redis.zcard(f"{PREFIX}cached") == len(kept)
    assert sum(redis.memory_usage(f"{PREFIX}cache:{n:x}") for n in kept) <= 5_000


@pytest.mark.parametrize("settings", [{"cache_ttl": 0}, {"cache_bytes": 0}])
def test_the_cache_can_be_switched_off(make_hand, make_desk, redis: Redis, settings: dict):
    desk = make_desk(**settings)
    job = desk.submit("a")
    make_hand(**settings).run(job, digest="d1")
    assert desk.state(job) == "succeeded"
    assert desk.ask("a", digests=["d1"]).how == "admitted"
    assert not redis.exists(f"{PREFIX}cache:d1")


def test_a_failed_text_is_not_reused(desk: Desk, redis: Redis, start_worker):
    start_worker()
    desk.ended(desk.submit("fail"))
    desk.ended(desk.submit("good"))
    assert redis.zcard(f"{PREFIX}cached") == 1
