"""Texts are written beside labels: rows come and go, nothing is lost, nobody holds up the others."""

import json
import signal
from collections.abc import Callable, Iterator

import pytest
from redis import Redis

from tests.queue.conftest import Desk
from tests.services import KEYS, Worker
from tests.waiting import wait_until

Start = Callable[..., Worker]


@pytest.fixture(autouse=True)
def written(redis: Redis) -> Iterator[Callable[[], list[list[str]]]]:
    """The prompts of each step so far."""
    yield lambda: [step.split("|") for step in redis.lrange("written", 0, -1)]
    redis.delete("written", "ticks", "steps")


def text(desk: Desk, job: str) -> str | None:
    return desk.ended(job).results[0].text


def test_a_text_is_written_and_counted(desk: Desk, start_worker: Start):
    start_worker()
    job = desk.ended(desk.write("hello", most=4))
    (result,) = job.results
    assert (result.text, result.finish_reason) == ("1 2 3 4", "length")
    assert (result.prompt_tokens, result.completion_tokens) == (5, 4)
    assert job.state == "succeeded"
    assert job.endpoint == "/v1/completions"


def test_texts_that_wait_together_are_written_together(desk: Desk, start_worker: Start, written):
    jobs = [desk.write(f"p{n}") for n in range(4)]
    start_worker()
    assert [text(desk, job) for job in jobs] == ["1 2 3"] * 4
    assert written() == [["p0", "p1", "p2"]] * 2 + [["p3"]] * 2


def test_a_free_row_is_filled_while_others_go_on(desk: Desk, start_worker: Start, written, redis: Redis):
    start_worker()
    long = desk.write("ticked long", most=8)
    wait_until(written, "the first step has begun")
    others = [desk.write(f"short {n}", most=3) for n in range(4)]
    redis.rpush("ticks", *["go"] * 7)
    assert text(desk, long) == "1 2 3 4 5 6 7 8"
    assert [text(desk, job) for job in others] == ["1 2 3"] * 4
    steps = written()
    assert max(map(len, steps)) == 3
    assert [step for step in steps if len(step) == 3] == [["ticked long", "short 0", "short 1"]] * 2 + [
        ["ticked long", "short 2", "short 3"]
    ] * 2


def test_labels_are_scored_between_the_steps_of_three_texts(
    desk: Desk, start_worker: Start, written, redis: Redis
):
    jobs = [desk.write(f"ticked {n}", most=6) for n in range(3)]
    start_worker()
    wait_until(written, "the first step has begun")
    label = desk.submit("news")
    redis.rpush("ticks", "go")
    assert desk.ended(label).results[0].label
    assert len(written()) <= 2, "the label came after one step"
    assert all(desk.state(job) == "running" for job in jobs)
    redis.rpush("ticks", *["go"] * 10)
    assert [text(desk, job) for job in jobs] == ["1 2 3 4 5 6"] * 3


def test_a_text_that_waits_for_a_row_does_not_hold_up_labels_behind_it(
    desk: Desk, start_worker: Start, written, redis: Redis
):
    jobs = [desk.write(f"ticked {n}", most=4) for n in range(4)]
    start_worker()
    wait_until(written, "the first step has begun")
    label = desk.submit("news")
    redis.rpush("ticks", "go")
    assert desk.ended(label).state == "succeeded"
    assert desk.state(jobs[3]) == "queued"
    redis.rpush("ticks", *["go"] * 10)
    assert [text(desk, job) for job in jobs] == ["1 2 3 4"] * 4


def test_a_stream_carries_what_was_written_since_the_last_chunk(
    desk: Desk, start_worker: Start, redis: Redis
):
    start_worker()
    job = desk.write("hello", most=4, stream=True, logprobs=0)
    desk.ended(job)
    entries = [entry for _, entry in redis.xrange(KEYS.tokens(job))]
    chunks = [json.loads(entry["chunk"]) for entry in entries[:-1]]
    assert [(chunk["at"], chunk["text"]) for chunk in chunks] == [(0, "1"), (1, " 2"), (3, " 3")]
    assert [chunk["token"] for chunk in chunks] == [0, 1, 2]
    assert chunks[1]["logprobs"] == [{"token": "2", "logprob": -0.5, "top": []}]
    assert entries[-1] == {"end": "succeeded"}
    assert 0 < redis.ttl(KEYS.tokens(job)) <= 60


def test_without_a_stream_no_tokens_are_delivered(desk: Desk, start_worker: Start, redis: Redis):
    start_worker()
    job = desk.write("hello")
    desk.ended(job)
    assert not redis.exists(KEYS.tokens(job))


def test_a_cancelled_text_stops_at_its_next_step(desk: Desk, start_worker: Start, written, redis: Redis):
    start_worker()
    job = desk.write("ticked", most=1000, stream=True)
    wait_until(written, "the first step has begun")
    desk.jobs.cancel(job)
    redis.rpush("ticks", "go")
    assert desk.ended(desk.submit("next")).state == "succeeded"
    wait_until(lambda: not redis.hlen(KEYS.unacked("tester@here")), "nothing is in hand")
    assert desk.state(job) == "cancelled"
    assert len(written()) == 1


def test_a_running_text_stops_when_its_only_caller_leaves(
    desk: Desk, start_worker: Start, written, redis: Redis
):
    start_worker()
    job = desk.write("ticked", most=1000, waits=True, stream=True)
    wait_until(written, "the first step has begun")
    desk.jobs.leave(job)
    assert desk.state(job) == "cancelled"
    redis.rpush("ticks", *["go"] * 3)
    assert desk.ended(desk.submit("next")).state == "succeeded"


def test_a_worker_killed_in_the_middle_writes_the_same_text_again(
    desk: Desk, start_worker: Start, written, redis: Redis
):
    worker = start_worker()
    jobs = [desk.write(f"ticked {n}", most=5, stream=True) for n in range(2)]
    wait_until(lambda: ["ticked 0", "ticked 1"] in written(), "both are written")
    worker.kill()
    redis.delete("written")
    worker.restart()
    redis.rpush("ticks", *["go"] * 20)
    assert [text(desk, job) for job in jobs] == ["1 2 3 4 5"] * 2
    assert all(len(step) == 1 for step in written()), "what may have killed a worker runs alone"


def test_a_text_that_kills_workers_fails_and_harms_no_other(desk: Desk, start_worker: Start):
    worker = start_worker(max_attempts=2)
    poison, good = desk.write("die"), desk.write("good")
    for _ in range(2):
        wait_until(lambda: worker.process.poll() is not None, "the worker is killed")
        worker.restart()
    job = desk.ended(poison)
    assert (job.state, job.results[0].error_code) == ("failed", "worker_lost")
    assert text(desk, good) == "1 2 3"


def test_a_step_that_raises_fails_one_text_and_the_others_are_written(desk: Desk, start_worker: Start):
    jobs = [desk.write(prompt) for prompt in ("good 1", "fail", "good 2")]
    start_worker()
    ended = [desk.ended(job) for job in jobs]
    assert [job.results[0].text for job in ended] == ["1 2 3", None, "1 2 3"]
    assert ended[1].results[0].error_code == "engine_failure"


def test_a_stopping_worker_finishes_the_texts_under_way_and_takes_no_other(
    desk: Desk, start_worker: Start, written, redis: Redis
):
    worker = start_worker()
    job = desk.write("ticked", most=5)
    wait_until(written, "the first step has begun")
    worker.signal(signal.SIGTERM)
    wait_until(lambda: "shutdown" in worker.output.lower(), "it has seen the signal")
    late = desk.write("late")
    redis.rpush("ticks", *["go"] * 10)
    assert text(desk, job) == "1 2 3 4 5"
    assert worker.process.wait(10) == 0
    assert desk.state(late) == "queued"


def test_bulk_texts_are_written_when_no_interactive_one_waits(desk: Desk, start_worker: Start, written):
    bulk = [desk.write(f"bulk {n}", priority="bulk") for n in range(2)]
    first = [desk.write(f"first {n}") for n in range(3)]
    start_worker()
    assert [text(desk, job) for job in bulk + first] == ["1 2 3"] * 5
    assert written()[0] == ["first 0", "first 1", "first 2"]


def test_a_text_can_be_tried_again(desk: Desk, start_worker: Start):
    start_worker()
    job = desk.write("fail")
    assert desk.ended(job).state == "failed"
    desk.retry(job)
    assert desk.ended(job).state == "failed"
