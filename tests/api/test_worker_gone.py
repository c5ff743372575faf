"""While no worker is there: exactly the bound is accepted, and all of it is answered later."""

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx2 as httpx
from flask.testing import FlaskClient

from tests.api.conftest import wait_until_ready
from tests.services import Api, RedisServer, Worker, running
from tests.waiting import wait_until


def test_jobs_wait_for_a_worker_that_is_down_and_tell_their_position(
    make_client, redis_server: RedisServer, tmp_path: Path
):
    api = make_client()
    with running(Worker(redis_server, tmp_path, worker_name="other@here")) as worker:
        wait_until_ready(api)
        worker.process.terminate()
        worker.process.wait()
        first, second = (
            api.post("/v1/jobs", json={"endpoint": "/v1/classify", "input": [f"{n}", "b", "c"]}).get_json()
            for n in "12"
        )
        assert (first["position"], second["position"]) == (0, 3)
        assert api.get(f"/v1/jobs/{second['id']}").get_json()["position"] == 3
        worker.restart()
        for job in (first, second):
            wait_until(lambda job=job: status(api, job["id"]) == "succeeded", "it ends")


def status(api: FlaskClient, job_id: str) -> str:
    return api.get(f"/v1/jobs/{job_id}").get_json()["status"]


def test_of_300_concurrent_posts_exactly_ten_are_accepted_and_answered(
    redis_server: RedisServer, redis: object, tmp_path: Path
):
    with (
        running(Worker(redis_server, tmp_path, worker_name="gone@here")) as worker,
        running(Api(redis_server, tmp_path, api_processes=2)) as api,
    ):
        worker.wait_until_ready()
        worker.process.terminate()
        worker.process.wait()

        def post(number: int) -> httpx.Response:
            return httpx.post(f"{api.url}/v1/classify", json={"input": f"新闻 {number}"}, timeout=60)

        with ThreadPoolExecutor(300) as pool:
            asked = [pool.submit(post, number) for number in range(300)]
            wait_until(
                lambda: sum(one.done() for one in asked) == 290, "all but the accepted are refused", 60
            )
            worker.restart()
            answers = [one.result() for one in asked]
        assert Counter(answer.status_code for answer in answers) == {200: 10, 503: 290}
        refused = [answer for answer in answers if answer.status_code == 503]
        assert all(1 <= int(answer.headers["Retry-After"]) <= 120 for answer in refused)
