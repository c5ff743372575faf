"""Prefer: respond-async and wait, as RFC 7240 has them, while no worker answers."""

import time

import pytest
from flask.testing import FlaskClient
from hypothesis import given
from hypothesis import strategies as st
from redis import Redis

from api.prefer import Preferences, read_preferences
from shared.redis_keys import Keys

CLASSIFY, CHAT, JOBS = "/v1/classify", "/v1/chat/completions", "/v1/jobs"


@pytest.mark.parametrize(
    ("header", "respond_async", "wait"),
    [
        ("", False, None),
        ("respond-async", True, None),
        ("Respond-Async, WAIT=10", True, 10),
        ("wait=10,respond-async", True, 10),
        (' respond-async ; x="a,b" , wait = "7" ', True, 7),
        ('respond-async=""', True, None),
        ("respond-async=no", False, None),
        ('foo="respond-async, wait=3", wait=4', False, 4),
        ('foo="a\\", wait=3", wait=4', False, 4),
        ("wait=1, wait=2", False, 1),
        ("wait=soon, wait=2", False, None),
        ("wait=-1", False, None),
        ("wait=1.5", False, None),
        ("wait=٣", False, None),
        ("wait=" + "9" * 400, False, None),
        ("wait", False, None),
        ('"wait=3', False, None),
        ('wait="3', False, None),
        ("return=minimal; foo=1; respond-async", False, None),
        (",,;,=,respond-async", True, None),
        ("wait=0", False, 0),
    ],
)
def test_preferences_are_read_and_what_is_malformed_is_ignored(header: str, respond_async: bool, wait: int):
    assert read_preferences(header) == Preferences(respond_async, wait)


@given(st.text(st.sampled_from('wait=respond-async,;"\\ 109x'), max_size=60))
def test_any_header_is_read_without_an_error(header: str):
    asked = read_preferences(header)
    assert asked.wait is None or asked.wait >= 0


@given(
    st.booleans(),
    st.none() | st.integers(0, 999_999_999),
    st.lists(st.sampled_from(["a", 'b="c, d"', "e=f;g"])),
)
def test_what_is_written_is_read_back(later: bool, wait: int | None, others: list[str]):
    header = [*others, *(["respond-async"] if later else []), *([f"wait={wait}"] if wait is not None else [])]
    assert read_preferences(", ".join(header)) == Preferences(later, wait)


def test_what_is_not_done_in_time_is_accepted_and_found_where_the_answer_says(idle: FlaskClient):
    chat = {"model": "news-classifier", "messages": [{"role": "user", "content": "a"}]}
    for path, body in ((CLASSIFY, {"input": ["a", "b"]}), (CHAT, chat)):
        response = idle.post(path, json=body, headers={"Prefer": "respond-async"})
        job = response.get_json()
        assert (response.status_code, job["status"], job["endpoint"]) == (202, "queued", path)
        assert response.headers["Location"] == f"{JOBS}/{job['id']}"
        assert response.headers["Preference-Applied"] == "respond-async"
        assert 1 <= int(response.headers["Retry-After"]) <= 120
        assert idle.get(response.headers["Location"]).get_json() == job
        idle.delete(response.headers["Location"])


def test_a_short_wait_ends_as_202_with_the_preference_and_as_504_without(idle: FlaskClient):
    later = idle.post(CLASSIFY, json={"input": "a"}, headers={"Prefer": "respond-async, wait=0"})
    assert (later.status_code, later.headers["Preference-Applied"]) == (202, "respond-async, wait=0")
    bounded = idle.post(CLASSIFY, json={"input": "b"}, headers={"Prefer": "wait=0"})
    assert (bounded.status_code, bounded.get_json()["error"]["code"]) == (504, "timeout")
    assert idle.get(f"{JOBS}/{bounded.get_json()['job_id']}").get_json()["status"] == "queued"


def test_without_a_wait_nothing_is_waited_for(idle: FlaskClient, redis: Redis):
    """Once it waited 10 ms all the same, so a quick model answered 200 where 202 was asked for at once."""

    def waits() -> int:
        return redis.info("commandstats").get("cmdstat_blmove", {"calls": 0})["calls"]

    before = waits()
    assert idle.post(CLASSIFY, json={"input": "a"}, headers={"Prefer": "respond-async"}).status_code == 202
    assert waits() == before
    assert idle.post(CLASSIFY, json={"input": "b"}, headers={"Prefer": "wait=1"}).status_code == 504
    assert waits() > before


def test_a_wait_is_bounded_by_the_servers_own(make_client, published: None):
    api = make_client(sync_timeout=0.1)
    response = api.post(CLASSIFY, json={"input": "a"}, headers={"Prefer": "respond-async, wait=9999"})
    assert (response.status_code, response.headers["Preference-Applied"]) == (202, "respond-async")
    began = time.monotonic()
    polled = api.get(response.headers["Location"], headers={"Prefer": "wait=9999"})
    assert (polled.status_code, polled.get_json()["status"]) == (200, "queued")
    assert "Preference-Applied" not in polled.headers
    assert time.monotonic() - began < 20


def test_a_job_goes_on_when_its_caller_was_told_to_come_back(idle: FlaskClient, redis: Redis, keys: Keys):
    job = idle.post(CLASSIFY, json={"input": "a"}, headers={"Prefer": "respond-async"}).get_json()["id"]
    assert redis.hget(keys.job(job), "kept") == "1"


def test_a_job_that_is_created_says_when_to_come_back(idle: FlaskClient):
    response = idle.post(JOBS, json={"endpoint": CLASSIFY, "input": "a"})
    assert 1 <= int(response.headers["Retry-After"]) <= 120
