"""An answer later is the same answer: 202 or 200 by preference, long polls, results equal to the bodies."""

import json
import re
import signal

import pytest
from flask.testing import FlaskClient

from tests.api.conftest import wait_until_ready

CLASSIFY, CHAT, COMPLETIONS, JOBS = "/v1/classify", "/v1/chat/completions", "/v1/completions", "/v1/jobs"
NEWS = "央行宣布下调存款准备金率0.5个百分点"


def said(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


BODIES = [
    (CLASSIFY, {"input": NEWS}),
    (CLASSIFY, {"input": [NEWS, "b", "c"], "abstain_below": 0.99}),
    (CLASSIFY, {"input": NEWS, "labels": ["利好", "利空"]}),
    (CHAT, {"model": "news-classifier", "messages": said(NEWS)}),
    (
        CHAT,
        {"model": "standin", "messages": said(NEWS), "max_tokens": 4, "logprobs": True, "top_logprobs": 1},
    ),
    (COMPLETIONS, {"model": "standin", "prompt": ["a", "b"], "max_tokens": 4, "logprobs": 1}),
    (COMPLETIONS, {"model": "standin", "prompt": "a", "temperature": 0}),
]


def test_without_the_preference_nothing_is_ever_202(client: FlaskClient):
    for path, body in BODIES:
        response = client.post(path, json=body, headers={"Prefer": "wait=30"})
        assert response.status_code == 200
        assert response.headers["Preference-Applied"] == "wait=30"
        assert "Prefer" in response.headers["Vary"]


@pytest.mark.parametrize("prefer", [["respond-async", "wait=20"], ["wait=20, respond-async"]])
def test_an_answer_in_time_is_the_ordinary_answer(client: FlaskClient, prefer: list[str]):
    response = client.post(CLASSIFY, json={"input": NEWS}, headers=[("Prefer", value) for value in prefer])
    assert (response.status_code, response.headers["Preference-Applied"]) == (200, "wait=20")
    assert response.get_json()["results"][0]["label"]


def test_a_stream_wins_over_a_later_answer(client: FlaskClient):
    body = {"model": "news-classifier", "messages": said(NEWS), "stream": True}
    response = client.post(CHAT, json=body, headers={"Prefer": "respond-async, wait=0"})
    assert (response.status_code, response.mimetype) == (200, "text/event-stream")
    assert "Preference-Applied" not in response.headers
    assert response.get_data(as_text=True).endswith("data: [DONE]\n\n")


@pytest.mark.parametrize(("path", "body"), BODIES)
def test_a_result_is_exactly_the_synchronous_body(make_client, client: FlaskClient, path: str, body: dict):
    """One job, asked for in three ways: the same key makes it one."""
    same = {"Idempotency-Key": f"{path}{json.dumps(body)}"[:200].encode("ascii", "replace").decode()}
    later = client.post(path, json=body, headers=same | {"Prefer": "respond-async"})
    polled = client.get(f"{JOBS}/{job_of(later)}", headers={"Prefer": "wait=30"}).get_json()
    assert polled["status"] == "succeeded"
    now = client.post(path, json=body, headers=same)
    assert now.headers["Idempotency-Replayed"] == "true"
    assert json.dumps(polled["result"]) == json.dumps(now.get_json())
    posted = client.post(JOBS, json=body | {"endpoint": path}, headers=same)
    assert (posted.status_code, posted.get_json()["result"]) == (202, now.get_json())


def job_of(response) -> str:
    """The id of the job behind a 202, or behind an answer that came at once."""
    return "job_" + re.sub("^(job_|chatcmpl-|cmpl-)", "", response.get_json()["id"])


def test_a_long_poll_ends_with_its_job(client: FlaskClient, worker):
    wait_until_ready(client)
    worker.signal(signal.SIGSTOP)
    try:
        job = client.post(JOBS, json={"endpoint": CLASSIFY, "input": "long poll"}).get_json()["id"]
        early = client.get(f"{JOBS}/{job}", headers={"Prefer": "wait=0"})
        assert early.get_json()["status"] == "queued"
    finally:
        worker.signal(signal.SIGCONT)
    ended = client.get(f"{JOBS}/{job}", headers={"Prefer": "wait=60"})
    assert (ended.get_json()["status"], ended.headers["Preference-Applied"]) == ("succeeded", "wait=60")
    assert "Prefer" in ended.headers["Vary"]
    again = client.get(f"{JOBS}/{job}", headers={"Prefer": "wait=60"})
    assert again.get_json() == ended.get_json()
