"""Every refusal has the right status and one body that names the field and the fix."""

import json

import pytest
from flask.testing import FlaskClient
from redis import Redis

from shared.redis_keys import Keys
from tests.services import free_port

CLASSIFY, CHAT, JOBS = "/v1/classify", "/v1/chat/completions", "/v1/jobs"
MODEL = "news-classifier"
SECRET = "机密新闻"


def said(role: str, content: str) -> list[dict]:
    return [{"role": role, "content": content}]


USER = said("user", "央行降准")


def assert_refused(response, status: int, code: str, param: str | None = None) -> dict:
    assert response.status_code == status, response.get_data(as_text=True)
    body = response.get_json(force=True)
    assert response.content_type == "application/problem+json"
    assert set(body) == {"type", "title", "status", "detail", "error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert (body["status"], body["error"]["code"], body["error"]["param"]) == (status, code, param)
    assert body["detail"] == body["error"]["message"]
    if param:
        assert f"'{param}'" in body["detail"]
    return body


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "param"),
    [
        (CLASSIFY, {}, 400, "missing_field", "input"),
        (CLASSIFY, {"input": None}, 400, "invalid_value", "input"),
        (CLASSIFY, {"input": ""}, 400, "empty_input", "input"),
        (CLASSIFY, {"input": " \n\t"}, 400, "empty_input", "input"),
        (CLASSIFY, {"input": []}, 400, "empty_input", "input"),
        (CLASSIFY, {"input": ["a", " "]}, 400, "empty_input", "input[1]"),
        (CLASSIFY, {"input": 5}, 400, "invalid_value", "input"),
        (CLASSIFY, {"input": ["a", 5]}, 400, "invalid_value", "input[1]"),
        (CLASSIFY, {"input": {"a": 1}}, 400, "invalid_value", "input"),
        (CLASSIFY, {"input": "a\ud800"}, 400, "invalid_value", "input"),
        (CLASSIFY, {"input": "a", "model": 3}, 400, "invalid_value", "model"),
        (CLASSIFY, {"input": "a", "model": "gpt-4"}, 404, "model_not_found", "model"),
        (CLASSIFY, {"input": "a", "label": "x"}, 400, "unknown_field", "label"),
        (CLASSIFY, {"input": "长" * 20_001}, 413, "text_too_long", "input"),
        (CLASSIFY, {"input": ["a", "长" * 20_001]}, 413, "text_too_long", "input[1]"),
        (CLASSIFY, {"input": ["a"] * 11}, 400, "too_many_texts", "input"),
        (CHAT, {"messages": USER}, 400, "missing_field", "model"),
        (CHAT, {"model": MODEL}, 400, "missing_field", "messages"),
        (CHAT, {"model": MODEL, "messages": []}, 400, "empty_input", "messages"),
        (CHAT, {"model": "x", "messages": USER}, 404, "model_not_found", "model"),
        (CHAT, {"model": MODEL, "messages": said("system", "a")}, 400, "missing_field", "messages"),
        (CHAT, {"model": MODEL, "messages": said("pope", "a")}, 400, "invalid_value", "messages[0].role"),
        (CHAT, {"model": MODEL, "messages": said("user", "")}, 400, "empty_input", "messages"),
        (CHAT, {"model": MODEL, "messages": USER, "stream": 1}, 400, "invalid_value", "stream"),
        (CHAT, {"model": MODEL, "messages": USER, "n": 2}, 400, "invalid_value", "n"),
        (CHAT, {"model": MODEL, "messages": USER, "tools": [{}]}, 400, "invalid_value", "tools"),
        (CHAT, {"model": MODEL, "messages": USER, "temperature": "hot"}, 400, "invalid_value", "temperature"),
        (CHAT, {"model": MODEL, "messages": USER, "temperature": -1}, 400, "invalid_value", "temperature"),
        (JOBS, {"input": "a"}, 400, "missing_field", "endpoint"),
        (JOBS, {"endpoint": "/v1/embeddings", "input": "a"}, 400, "invalid_value", "endpoint"),
        (JOBS, {"endpoint": CLASSIFY}, 400, "missing_field", "input"),
        (JOBS, {"endpoint": ["x"], "input": "a"}, 400, "invalid_value", "endpoint"),
    ],
)  # fmt: skip
def test_bad_requests_name_the_field(
    client: FlaskClient, path: str, body: dict, status: int, code: str, param: str
):
    assert_refused(client.post(path, json=body), status, code, param)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"{",
        b"[1]",
        b'"a"',
        b"null",
        b'{"input": NaN}',
        b'{"input": "\xff"}',
        b"[" * 100_000,
        b'{"input": 1e999}x',
    ],
)
def test_what_is_no_json_object_is_refused(client: FlaskClient, data: bytes):
    assert_refused(client.post(CLASSIFY, data=data), 400, "invalid_json")


def test_too_large_a_body_is_refused(client: FlaskClient):
    assert_refused(client.post(CLASSIFY, data=b" " * 3_000_000), 413, "body_too_large")


def test_unknown_routes_and_methods_are_json_too(client: FlaskClient):
    assert_refused(client.get("/v2/classify"), 404, "unknown_route")
    assert_refused(client.get(CLASSIFY), 405, "method_not_allowed")
    assert client.get(CLASSIFY).headers["Allow"] == "OPTIONS, POST"


def test_a_refused_request_leaves_nothing_behind(client: FlaskClient, redis: Redis, keys: Keys):
    before = set(redis.scan_iter())
    client.post(CLASSIFY, json={"input": ["a"] * 11})
    client.post(CLASSIFY, json={"input": "a", "model": "gpt-4"})
    assert set(redis.scan_iter()) == before


def test_the_eleventh_text_in_a_minute_waits_for_the_window(make_client, client: FlaskClient):
    limited = make_client(rate_per_minute=10)
    codes = [limited.post(CLASSIFY, json={"input": f"{n}"}).status_code for n in range(11)]
    assert codes == [200] * 10 + [429]
    refused = limited.post(CLASSIFY, json={"input": "x"})
    body = assert_refused(refused, 429, "rate_limit_exceeded")
    assert body["error"]["type"] == "rate_limit_error"
    assert 0 < int(refused.headers["Retry-After"]) <= 60
    other = limited.post(CLASSIFY, json={"input": "x"}, environ_base={"REMOTE_ADDR": "192.0.2.9"})
    assert other.status_code == 200


def test_the_hourly_window_counts_all_clients(make_client, client: FlaskClient):
    limited = make_client(rate_per_hour=3)
    addresses = [f"192.0.2.{n}" for n in range(4)]
    responses = [
        limited.post(CLASSIFY, json={"input": "x"}, environ_base={"REMOTE_ADDR": address})
        for address in addresses
    ]
    assert [response.status_code for response in responses] == [200, 200, 200, 429]
    assert int(responses[-1].headers["Retry-After"]) > 3500
    assert responses[-1].headers["x-should-retry"] == "false"


def test_each_text_counts(make_client, client: FlaskClient):
    limited = make_client(rate_per_minute=10)
    assert limited.post(CLASSIFY, json={"input": ["a"] * 6}).status_code == 200
    assert limited.post(CLASSIFY, json={"input": ["a"] * 5}).status_code == 429
    assert limited.post(CLASSIFY, json={"input": ["a"] * 4}).status_code == 200


def test_a_bound_of_zero_refuses_all(make_client, client: FlaskClient):
    closed = make_client(max_waiting=0)
    refused = closed.post(CLASSIFY, json={"input": "x"})
    assert_refused(refused, 503, "queue_full")
    assert 1 <= int(refused.headers["Retry-After"]) <= 120


@pytest.mark.parametrize("path", [CLASSIFY, "/v1/models", "/stats", "/v1/jobs/job_x"])
def test_without_redis_everything_but_health_says_so(make_client, path: str):
    api = make_client(redis_url=f"redis://127.0.0.1:{free_port()}/0")
    response = api.post(path, json={"input": "x"}) if path == CLASSIFY else api.get(path)
    assert_refused(response, 503, "queue_unavailable")
    assert response.headers["Retry-After"] == "5"
    assert api.get("/health").status_code == 200
    ready = api.get("/ready")
    assert ready.status_code == 503
    assert ready.get_json()["missing"] == ["Redis does not answer"]


def test_an_unexpected_error_shows_and_logs_no_news(client: FlaskClient, monkeypatch, caplog):
    def broken(*_: object) -> None:
        raise RuntimeError(SECRET)

    monkeypatch.setattr("api.asking._check_texts", broken)
    client.application.testing = False
    response = client.post(CLASSIFY, json={"input": SECRET})
    body = assert_refused(response, 500, "internal_error")
    assert response.headers["x-request-id"].startswith("req_")
    assert SECRET not in json.dumps(body, ensure_ascii=False)
    assert SECRET not in caplog.text
    assert "RuntimeError" in caplog.text
