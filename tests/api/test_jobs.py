"""Jobs over HTTP: cancel, list, retry, expire, idempotency, draining."""

import json
import socket
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from redis import Redis

from shared.redis_keys import Keys
from tests.services import Api, RedisServer, running
from tests.waiting import wait_until

CLASSIFY, JOBS = "/v1/classify", "/v1/jobs"


def create(api: FlaskClient, text: str = "a", headers: dict | None = None, **fields: object):
    return api.post(JOBS, json={"endpoint": CLASSIFY, "input": text} | fields, headers=headers)


def code(response) -> str:
    return response.get_json()["error"]["code"]


def test_a_queued_job_is_cancelled_once(idle: FlaskClient):
    location = create(idle).headers["Location"]
    cancelled = idle.delete(location)
    assert (cancelled.status_code, cancelled.get_json()["status"]) == (200, "cancelled")
    assert idle.get(location).get_json()["error"]["code"] == "job_cancelled"
    again = idle.delete(location)
    assert (again.status_code, code(again)) == (409, "job_ended")


def test_nobody_sees_or_changes_the_jobs_of_another(idle: FlaskClient, redis: Redis, keys: Keys):
    job = create(idle).get_json()["id"]
    redis.hset(keys.job(job), "client", "somebody else")
    for response in (
        idle.get(f"{JOBS}/{job}"),
        idle.delete(f"{JOBS}/{job}"),
        idle.post(f"{JOBS}/{job}/retry"),
    ):
        assert (response.status_code, code(response)) == (404, "job_not_found")
    assert idle.get(JOBS).get_json()["data"] == []


def test_own_jobs_are_listed_newest_first_by_page_and_status(idle: FlaskClient):
    jobs = [create(idle, f"{n}").get_json()["id"] for n in range(4)]
    idle.delete(f"{JOBS}/{jobs[1]}")
    first = idle.get(f"{JOBS}?limit=3").get_json()
    assert ([job["id"] for job in first["data"]], first["has_more"]) == (jobs[:0:-1], True)
    rest = idle.get(f"{JOBS}?limit=3&after={first['data'][-1]['id']}").get_json()
    assert ([job["id"] for job in rest["data"]], rest["has_more"]) == (jobs[:1], False)
    cancelled = idle.get(f"{JOBS}?status=cancelled").get_json()["data"]
    assert [job["id"] for job in cancelled] == [jobs[1]]


def test_pages_are_linked_to_their_end(idle: FlaskClient):
    jobs = [create(idle, f"{n}").get_json()["id"] for n in range(4)]
    idle.delete(f"{JOBS}/{jobs[0]}")
    page, seen = idle.get(f"{JOBS}?limit=1&status=queued"), []
    while True:
        seen += [job["id"] for job in page.get_json()["data"]]
        if "Link" not in page.headers:
            break
        target, _, relation = page.headers["Link"].partition("; ")
        assert relation == 'rel="next"'
        page = idle.get(target.strip("<>"))
    assert seen == jobs[:0:-1]


def test_a_page_behind_no_job_of_the_list_is_refused(idle: FlaskClient, redis: Redis, keys: Keys):
    job = create(idle).get_json()["id"]
    redis.hset(keys.job(job), "client", "somebody else")
    redis.zadd(keys.failed_jobs, {job: 1})
    for query in ("after=job_nothing", "after=", f"status=failed&after={job}"):
        response = idle.get(f"{JOBS}?{query}")
        assert (response.status_code, response.get_json()["error"]["param"]) == (400, "after")


def test_the_list_forgets_jobs_whose_results_have_expired(idle: FlaskClient, redis: Redis, keys: Keys):
    """Two hundred jobs that came and went: the list holds few more than those that can be read."""
    for n in range(200):
        job = create(idle, f"{n}").get_json()["id"]
        idle.delete(f"{JOBS}/{job}")
        redis.delete(keys.job(job))
    assert redis.zcard(keys.client_jobs("127.0.0.1")) < 50
    assert idle.get(JOBS).get_json() == {"object": "list", "data": [], "has_more": False}


@pytest.mark.parametrize("query", ["limit=0", "limit=101", "limit=x", "limit=٣", "status=done"])
def test_a_bad_query_names_its_field(idle: FlaskClient, query: str):
    response = idle.get(f"{JOBS}?{query}")
    assert (response.status_code, response.get_json()["error"]["param"]) == (400, query.partition("=")[0])


def test_bulk_has_its_own_part_of_the_bound(idle: FlaskClient):
    assert create(idle, ["a", "b"], priority="bulk").get_json()["priority"] == "bulk"
    refused = create(idle, "c", priority="bulk")
    assert (refused.status_code, code(refused)) == (503, "queue_full")
    assert create(idle, "c").status_code == 202


@pytest.mark.parametrize("fields", [{"priority": "urgent"}, {"expires_in": 0}, {"expires_in": "5"}])
def test_a_bad_priority_or_expiry_is_refused(idle: FlaskClient, fields: dict):
    response = create(idle, **fields)
    assert (response.status_code, response.get_json()["error"]["param"]) == (400, *fields)


def test_a_job_that_nobody_began_in_time_expires(idle: FlaskClient, redis: Redis, keys: Keys):
    """Here no worker sweeps; the one who reads is told all the same."""
    location = create(idle, expires_in=0.001).headers["Location"]
    wait_until(lambda: idle.get(location).get_json()["status"] == "expired", "it expires")
    assert idle.get(location).get_json()["error"]["code"] == "job_expired"
    assert redis.llen(keys.queue) == 0


def test_an_idempotency_key_repeats_the_answer(idle: FlaskClient):
    first = create(idle, headers={"Idempotency-Key": "k1"})
    again = create(idle, headers={"Idempotency-Key": "k1"})
    assert again.get_json()["id"] == first.get_json()["id"]
    assert (again.status_code, again.headers["Idempotency-Replayed"]) == (202, "true")
    other = create(idle, "other", headers={"Idempotency-Key": "k1"})
    assert (other.status_code, code(other)) == (422, "idempotency_key_reused")


@pytest.mark.parametrize("key", ["", "x" * 256, "中"])
def test_a_bad_idempotency_key_is_refused(idle: FlaskClient, key: str):
    assert code(create(idle, headers={"Idempotency-Key": key})) == "invalid_idempotency_key"


def test_a_caller_that_goes_away_cancels_its_queued_job(
    redis_server: RedisServer, redis: Redis, keys: Keys, tmp_path: Path, published: None
):
    with running(Api(redis_server, tmp_path)) as api:
        body = json.dumps({"input": "never mind"}).encode()
        head = f"POST {CLASSIFY} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n".encode()
        with socket.create_connection(("127.0.0.1", api.port)) as caller:
            caller.sendall(head + body)
            wait_until(lambda: redis.llen(keys.queue) == 1, "it waits")
        wait_until(lambda: redis.llen(keys.queue) == 0, "it is cancelled")
        assert int(redis.hget(keys.stats, "cancelled")) == 1


def test_a_record_of_another_version_is_refused_clearly(idle: FlaskClient, redis: Redis, keys: Keys):
    job = create(idle).get_json()["id"]
    redis.hset(keys.job(job), "v", 99)
    response = idle.get(f"{JOBS}/{job}")
    assert (response.status_code, code(response)) == (500, "unknown_job_version")
    assert "99" in response.get_json()["detail"]


def test_a_draining_desk_accepts_nothing_new(idle: FlaskClient, redis: Redis, keys: Keys):
    first = create(idle)
    redis.set(keys.draining, "now")
    refused = create(idle, "b")
    assert (refused.status_code, code(refused)) == (503, "draining")
    assert refused.headers["Retry-After"]
    assert create(idle).get_json()["id"] == first.get_json()["id"]  # the same work is no new work
    redis.delete(keys.draining)
    assert create(idle, "b").status_code == 202


def test_many_questions_are_one_message(make_client, published: None, redis: Redis, keys: Keys):
    api = make_client(max_waiting=1)
    question = {"type": "predicate", "instructions": "x"}
    asked = {"model": "news-classifier", "input": "a", "questions": [question] * 400}
    later = api.post("/v1/decisions", json=asked, headers={"Prefer": "respond-async, wait=0"})
    assert (later.status_code, later.get_json()["endpoint"]) == (202, "/v1/decisions")
    assert redis.llen(keys.queue) == 1
    assert redis.hget(keys.job(later.get_json()["id"]), "v") == "2"  # which a worker of version 1 refuses
    assert code(create(api)) == "queue_full"
    joined = api.post(JOBS, json={"endpoint": "/v1/decisions"} | asked)
    assert joined.get_json()["id"] == later.get_json()["id"]
