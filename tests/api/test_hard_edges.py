"""Bodies that are no proper JSON, odd numbers and names, HEAD, OPTIONS, other origins: never a 5xx."""

import json

import pytest
from flask.testing import FlaskClient

from tests.api.test_refusals import CHAT, CLASSIFY, JOBS, MODEL, USER, assert_refused

COMPLETIONS = "/v1/completions"
HUGE = 10**400
HERE, THERE = "https://desk.example", "https://elsewhere.example"


@pytest.mark.parametrize(
    ("data", "code", "param"),
    [
        (b'{"input": "a", "input": "b"}', "duplicate_field", "input"),
        (b'{"input": "a", "x": {"y": 1, "z": 2, "y": 1}}', "duplicate_field", "y"),
        (b'{"input": "a", "\\ud800": 1, "\\ud800": 2}', "duplicate_field", "?"),
        (b'{"input": "a", "abstain_below": 1e999}', "invalid_json", None),
        (b'{"input": "a", "abstain_below": -1e999}', "invalid_json", None),
        (b'{"input": "a", "abstain_below": NaN}', "invalid_json", None),
        (b'{"input": "a", "abstain_below": -Infinity}', "invalid_json", None),
        (b'{"input": "a", "abstain_below": 1' + b"0" * 5000 + b"}", "invalid_json", None),
        (b'{"input": ' + b"[" * 40 + b"]" * 40 + b"}", "invalid_json", None),
        (b'{"a": ' * 900 + b"1" + b"}" * 900, "invalid_json", None),
        ('{"input": "a"}'.encode("utf-16"), "invalid_json", None),
        ('{"input": "a"}'.encode("utf-32-le"), "invalid_json", None),
        (b'{"input": "\xc3\x28"}', "invalid_json", None),
        (b'{"input": "\xed\xa0\x80"}', "invalid_json", None),
        (b'{"input": "a"}{"input": "b"}', "invalid_json", None),
        (b'{"input": "a\nb"}', "invalid_json", None),
        (b"{'input': 'a'}", "invalid_json", None),
        (b"\x00", "invalid_json", None),
    ],
)
def test_bodies_that_readers_would_read_differently_are_refused(
    client: FlaskClient, data: bytes, code: str, param: str | None
):
    assert_refused(client.post(CLASSIFY, data=data), 400, code, param)


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        (CLASSIFY, {"input": "a", "abstain_below": HUGE}, "abstain_below"),
        (CLASSIFY, {"input": "a", "expires_in": HUGE}, "expires_in"),
        (CLASSIFY, {"input": "a", "expires_in": -1}, "expires_in"),
        (CLASSIFY, {"input": "a", "abstain_below": True}, "abstain_below"),
        (COMPLETIONS, {"prompt": "a", "max_tokens": 0}, "max_tokens"),
        (COMPLETIONS, {"prompt": "a", "max_tokens": -5}, "max_tokens"),
        (COMPLETIONS, {"prompt": "a", "max_tokens": HUGE}, "max_tokens"),
        (COMPLETIONS, {"prompt": "a", "max_tokens": 1.5}, "max_tokens"),
        (COMPLETIONS, {"prompt": "a", "temperature": HUGE}, "temperature"),
        (COMPLETIONS, {"prompt": "a", "temperature": 2.1}, "temperature"),
        (COMPLETIONS, {"prompt": "a", "top_p": -0.1}, "top_p"),
        (COMPLETIONS, {"prompt": "a", "top_k": -1}, "top_k"),
        (COMPLETIONS, {"prompt": "a", "top_k": HUGE}, "top_k"),
        (COMPLETIONS, {"prompt": "a", "seed": HUGE}, "seed"),
        (COMPLETIONS, {"prompt": "a", "frequency_penalty": HUGE}, "frequency_penalty"),
        (COMPLETIONS, {"prompt": "a", "logit_bias": {"1": HUGE}}, "logit_bias"),
        (COMPLETIONS, {"prompt": "a", "logprobs": HUGE}, "logprobs"),
        (COMPLETIONS, {"prompt": "a", "stop": ["x"] * 17}, "stop"),
        (COMPLETIONS, {"prompt": "a", "stop": ""}, "stop"),
    ],
)
def test_absurd_values_name_their_field(client: FlaskClient, path: str, body: dict, param: str):
    model = {"model": "standin"} if path == COMPLETIONS else {}
    response = client.post(path, json=body | model)
    assert response.status_code == 400, response.get_data(as_text=True)
    assert response.get_json()["error"]["param"].startswith(param)


def test_null_means_not_given(client: FlaskClient):
    body = {"input": "a", "model": None, "priority": None, "expires_in": None, "abstain_below": None}
    assert client.post(CLASSIFY, json=body | {"labels": None}).status_code == 200


@pytest.mark.parametrize("model", ["news\nclassifier", "a\r\nx-evil: 1", "", "\x00", "中" * 5000, "\ud800"])
def test_odd_model_names_are_unknown_models(client: FlaskClient, model: str):
    response = client.post(CLASSIFY, json={"input": "a", "model": model})
    assert response.status_code in (400, 404)
    assert response.get_json()["error"]["param"] == "model"
    assert "x-evil" not in response.headers


@pytest.mark.parametrize(
    "path", ["/v1/models/a%0Ab", "/v1/jobs/%00", "/v1/jobs/%ff%fe", "/v1/%F0%9F", "/%0d%0aX:1"]
)
def test_odd_paths_are_not_found(client: FlaskClient, path: str):
    assert client.get(path).status_code == 404


def test_a_job_cannot_be_streamed(client: FlaskClient):
    body = {"endpoint": CHAT, "model": MODEL, "messages": USER, "stream": True}
    assert_refused(client.post(JOBS, json=body), 400, "invalid_value", "stream")


@pytest.mark.parametrize(
    ("kind", "status"),
    [
        (None, 200),
        ("application/json", 200),
        ("Application/JSON; charset=UTF-8", 200),
        ("application/vnd.desk+json", 200),
        ("text/plain", 415),
        ("application/x-www-form-urlencoded", 415),
        ("application/json; charset=gbk", 415),
        ("multipart/form-data; boundary=x", 415),
        ("nonsense", 415),
    ],
)
def test_the_content_type_is_json_or_left_out(client: FlaskClient, kind: str | None, status: int):
    response = client.post(CLASSIFY, data=b'{"input": "a"}', content_type=kind)
    assert response.status_code == status
    if status == 415:
        assert_refused(response, 415, "unsupported_media_type", "Content-Type")
        assert repr(kind) in response.json["error"]["message"]


def test_a_compressed_body_is_refused_and_a_byte_order_mark_is_not(client: FlaskClient):
    packed = client.post(CLASSIFY, data=b'{"input": "a"}', headers={"Content-Encoding": "gzip"})
    assert_refused(packed, 415, "unsupported_media_type", "Content-Encoding")
    assert client.post(CLASSIFY, data=b'\xef\xbb\xbf{"input": "a"}').status_code == 200


def test_head_is_get_without_its_body_and_options_says_what_is_allowed(client: FlaskClient):
    head = client.head("/health")
    assert (head.status_code, head.data, head.content_length) == (200, b"", len(client.get("/health").data))
    options = client.options(CLASSIFY)
    assert (options.status_code, options.data, options.headers["Allow"]) == (204, b"", "OPTIONS, POST")
    assert client.options("/nothing").status_code == 404


@pytest.mark.parametrize("path", ["/health", "/nothing", CLASSIFY, "/v1/models", "/stats"])
def test_every_answer_is_safe_to_show(client: FlaskClient, path: str):
    headers = client.get(path).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert headers["Content-Security-Policy"].startswith("default-src 'none'")


def test_other_origins_may_not_call_by_default(client: FlaskClient):
    for response in (client.get("/health", headers={"Origin": HERE}), client.options(CLASSIFY)):
        assert not [name for name, _ in response.headers if name.startswith("Access-Control")]


def test_listed_origins_may_call_and_others_may_not(make_client, client: FlaskClient):
    api = make_client(cors_origins=f"{HERE}, http://localhost:5173")
    asks = {
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization, prefer",
    }
    preflight = api.options(CLASSIFY, headers=asks | {"Origin": HERE})
    assert preflight.status_code == 204
    assert preflight.headers["Access-Control-Allow-Origin"] == HERE
    assert "POST" in preflight.headers["Access-Control-Allow-Methods"]
    assert preflight.headers["Access-Control-Allow-Headers"] == "authorization, prefer"
    answer = api.post(CLASSIFY, json={"input": "a"}, headers={"Origin": HERE})
    assert answer.headers["Access-Control-Allow-Origin"] == HERE
    assert "x-request-id" in answer.headers["Access-Control-Expose-Headers"]
    assert {"Origin", "Prefer"} <= set(answer.vary)
    assert "Access-Control-Allow-Credentials" not in answer.headers
    stranger = api.post(CLASSIFY, json={"input": "a"}, headers={"Origin": THERE})
    assert "Access-Control-Allow-Origin" not in stranger.headers
    assert "Origin" in stranger.vary
    anybody = make_client(cors_origins="*").get("/health", headers={"Origin": THERE})
    assert anybody.headers["Access-Control-Allow-Origin"] == "*"


def test_a_refusal_keeps_what_other_origins_need_to_read_it(make_client, client: FlaskClient):
    refused = make_client(cors_origins=HERE).post(CLASSIFY, json={}, headers={"Origin": HERE})
    assert (refused.status_code, refused.headers["Access-Control-Allow-Origin"]) == (400, HERE)
    assert json.loads(refused.data)["error"]["param"] == "input"


def test_one_label_is_not_said_to_be_none(client: FlaskClient):
    told = [
        client.post(CLASSIFY, json={"input": "央行", "labels": labels}).get_json()["error"]["message"]
        for labels in ([], ["a"])
    ]
    assert told == ["'labels' is empty; it must not be.", "'labels' has 1; at least 2 are needed."]
