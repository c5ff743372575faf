"""Waiting jobs share engine steps; a lone job waits for nobody; a failure stays with its own job."""

import threading
from collections.abc import Callable

from tests.queue.conftest import Desk
from tests.services import Worker

Start = Callable[..., Worker]
Steps = Callable[[], list[int]]


def test_three_waiting_jobs_cause_one_engine_step(desk: Desk, start_worker: Start, steps: Steps):
    jobs = [desk.submit(f"news {i}") for i in range(3)]
    start_worker()
    assert [desk.ended(job).state for job in jobs] == ["succeeded"] * 3
    assert steps() == [3]


def test_ten_waiting_texts_take_four_steps_in_order(desk: Desk, start_worker: Start, steps: Steps):
    jobs = [desk.submit(f"news {i}") for i in range(10)]
    start_worker()
    started = [desk.ended(job).started for job in jobs]
    assert steps() == [3, 3, 3, 1]
    assert started == sorted(started)


def test_a_lone_job_at_an_idle_worker_runs_alone_at_once(desk: Desk, start_worker: Start, steps: Steps):
    start_worker()
    assert desk.ended(desk.submit("alone")).state == "succeeded"
    assert steps() == [1]


def test_clients_that_answer_each_result_with_the_next_request_fill_batches(
    desk: Desk, start_worker: Start, steps: Steps
):
    """Without the linger after a batch, three such clients fall into batches of 1 + 2."""
    start_worker(standin_seconds=0.1)

    def ask(client: int) -> None:
        for turn in range(10):
            desk.ended(desk.submit(f"paced {client} {turn}"))

    clients = [threading.Thread(target=ask, args=(n,)) for n in range(3)]
    for client in clients:
        client.start()
    for client in clients:
        client.join()
    sizes = steps()
    assert sum(sizes) == 30
    assert sizes.count(3) >= 8, sizes


def test_one_jobs_exception_fails_that_job_alone(desk: Desk, start_worker: Start, steps: Steps):
    jobs = [desk.submit(text) for text in ("good 1", "fail please", "good 2")]
    start_worker()
    ended = [desk.ended(job) for job in jobs]
    assert [job.state for job in ended] == ["succeeded", "failed", "succeeded"]
    assert ended[1].results[0].error_code == "engine_failure"
    assert steps() == [3, 1, 1, 1]


def test_a_failed_text_stands_in_its_place_among_those_that_succeed(desk: Desk, start_worker: Start):
    job = desk.submit("one", "fail here", "three")
    start_worker()
    ended = desk.ended(job)
    assert ended.state == "succeeded"
    assert [result.failed for result in ended.results] == [False, True, False]


def test_the_batch_size_is_a_setting(desk: Desk, start_worker: Start, steps: Steps):
    jobs = [desk.submit(f"news {i}") for i in range(5)]
    start_worker(batch_size=5)
    assert {desk.ended(job).state for job in jobs} == {"succeeded"}
    assert steps() == [5]


def test_no_news_text_reaches_the_workers_log(desk: Desk, start_worker: Start):
    worker = start_worker()
    desk.ended(desk.submit("good 机密新闻"))
    desk.ended(desk.submit("fail 机密新闻"))
    assert "机密" not in worker.output
    assert "cannot read" not in worker.output
