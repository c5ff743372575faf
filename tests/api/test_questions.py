"""Decisions and systemone: what is asked and refused, one slot for many questions, jobs, cache, joins."""

import pytest
from flask.testing import FlaskClient

from api.findings import confidence_of
from shared.job import ASKING, PLAIN, Request
from shared.questions import Option, Question

TEXT = "央行宣布下调存款准备金率0.5个百分点"
PREDICATE = {"type": "predicate", "name": "easing", "instructions": "货币政策放松了"}
CHOICE = {
    "type": "choice",
    "instructions": "这条新闻属于哪一类？",
    "choices": [{"value": "货币政策"}, {"value": "股市", "description": "股票和指数"}, {"value": True}],
}
SCORE = {
    "type": "score",
    "name": "urgency",
    "instructions": [
        {"type": "input_text", "text": "多急？"},
        {"type": "input_json", "data": {"unit": "day"}},
    ],
    "levels": [{"label": "low"}, {"label": "middle"}, {"label": "high", "description": "today"}],
}
ASKED = {"model": "news-classifier", "input": TEXT, "questions": [PREDICATE, CHOICE, SCORE]}
NAMED = {
    "model": "standin",
    "state": {"title": TEXT, "lang": "zh"},
    "questions": {
        "easing": {"type": "noul", "instructions": "货币政策放松了", "criteria": {"true": "any easing"}},
        "topic": {"type": "choice", "criteria": {"货币政策": None, "股市": {"about": "stocks"}}},
        "urgency": {"type": "score", "instructions": "多急？", "criteria": ["low", {"is": "middle"}, "high"]},
    },
}


def read_when_done(client: FlaskClient, job_id: str) -> dict:
    return client.get(f"/v1/jobs/{job_id}", headers={"Prefer": "wait=20"}).get_json()


def test_answers_come_in_order_with_names_and_probabilities(client: FlaskClient):
    body = client.post("/v1/decisions", json=ASKED).get_json()
    predicate, choice, score = body["answers"]
    assert (predicate["type"], predicate["name"]) == ("predicate", "easing")
    assert 0 <= predicate["probability"] <= 1
    assert (choice["type"], choice["name"]) == ("choice", None)
    assert [each["value"] for each in choice["probabilities"]] == ["货币政策", "股市", True]
    assert choice["confidence"] == max(each["probability"] for each in choice["probabilities"])
    best = max(choice["probabilities"], key=lambda each: each["probability"])
    assert choice["choice"] == best["value"]
    assert [each["value"] for each in score["probabilities"]] == [0, 1, 2]
    assert [each["label"] for each in score["probabilities"]] == ["low", "middle", "high"]
    expected = sum(each["value"] * each["probability"] for each in score["probabilities"])
    assert score["score"] == pytest.approx(expected)
    assert body["model"] == "news-classifier"
    assert body["usage"]["total_tokens"] == body["usage"]["input_tokens"] + body["usage"]["output_tokens"]


def test_systemone_answers_by_name(client: FlaskClient):
    response = client.post("/v1/systemone", json=NAMED)
    body = response.get_json()
    assert list(body["answers"]) == ["easing", "topic", "urgency"]
    assert 0 <= body["answers"]["easing"]["noul"] <= 1
    assert set(body["answers"]["topic"]["probabilities"]) == {"货币政策", "股市"}
    assert body["answers"]["urgency"]["legend"] == {"0": "low", "1": {"is": "middle"}, "2": "high"}
    assert response.headers["x-typesafe-request-id"] == response.headers["x-request-id"]


@pytest.mark.parametrize(
    ("chances", "confidence"),
    [((1.0,), 1), ((0, 1.0, 0), 1), ((0.5, 0, 0.5), 0), ((0.5, 0.5), 0), ((0, 0.5, 0.5, 0), 2 / 3)],
)
def test_the_confidence_of_a_score_says_how_far_it_spreads(chances, confidence: float):
    assert confidence_of(chances) == pytest.approx(confidence, abs=1e-6)


def test_a_polled_job_gets_the_same_body(client: FlaskClient):
    for endpoint, asked in (("/v1/decisions", ASKED), ("/v1/systemone", NAMED)):
        now = client.post(endpoint, json=asked).get_json()
        job = client.post("/v1/jobs", json={"endpoint": endpoint} | asked).get_json()
        later = read_when_done(client, job["id"])
        assert later["status"] == "succeeded"
        assert later["result"]["answers"] == now["answers"]
        assert later["result"].keys() == now.keys()


def test_the_same_questions_are_answered_from_the_cache_whatever_they_are_called(client: FlaskClient):
    first = client.post("/v1/decisions", json=ASKED)
    again = client.post("/v1/decisions", json=ASKED)
    assert "X-Cache" not in first.headers
    assert again.headers["X-Cache"] == "hit"
    assert again.get_json()["answers"] == first.get_json()["answers"]
    renamed = ASKED | {"questions": [PREDICATE | {"name": "other"}, CHOICE, SCORE]}
    third = client.post("/v1/decisions", json=renamed)
    assert third.headers["X-Cache"] == "hit"
    assert third.get_json()["answers"][0]["name"] == "other"
    reworded = ASKED | {"questions": [PREDICATE | {"instructions": "x"}]}
    assert "X-Cache" not in client.post("/v1/decisions", json=reworded).headers


def test_an_idempotency_key_names_the_job(client: FlaskClient):
    headers = {"Idempotency-Key": "once", "Cache-Control": "no-store"}
    first = client.post("/v1/decisions", json=ASKED, headers=headers).get_json()
    again = client.post("/v1/decisions", json=ASKED, headers=headers)
    assert again.headers["Idempotency-Replayed"] == "true"
    assert again.get_json() == first


def test_messages_tools_and_json_become_one_text(client: FlaskClient):
    messages = [
        {"role": "system", "content": "You read news."},
        {
            "role": "user",
            "content": [{"type": "input_text", "text": TEXT}, {"type": "input_json", "data": {"a": 1}}],
        },
        {"type": "function_call", "call_id": "c", "name": "rate", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c", "output": "0.5"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "type": "message"},
    ]
    said = [
        "system: You read news.",
        f'user: {TEXT}\n{{"a":1}}',
        "call: rate({})",
        "result: 0.5",
        "assistant: no",
    ]
    text = "\n\n".join(said)
    whole = client.post("/v1/decisions", json=ASKED | {"input": messages}).get_json()
    assert (
        whole["answers"] == client.post("/v1/decisions", json=ASKED | {"input": text}).get_json()["answers"]
    )
    alone = client.post("/v1/decisions", json=ASKED | {"input": [{"role": "user", "content": TEXT}]})
    assert alone.get_json()["answers"] == client.post("/v1/decisions", json=ASKED).get_json()["answers"]


def bad(**changes: object) -> dict:
    return ASKED | changes


@pytest.mark.parametrize(
    ("endpoint", "body", "status", "code", "param"),
    [
        ("/v1/decisions", bad(model=None), 400, "invalid_value", "model"),
        ("/v1/decisions", bad(model="gpt-6"), 404, "model_not_found", "model"),
        ("/v1/decisions", bad(input=" "), 400, "empty_input", "input"),
        ("/v1/decisions", bad(input=[]), 400, "empty_input", "input"),
        ("/v1/decisions", bad(input="x" * 20_001), 413, "text_too_long", "input"),
        (
            "/v1/decisions",
            bad(input=[{"role": "boss", "content": "x"}]),
            400,
            "invalid_value",
            "input[0].role",
        ),
        ("/v1/decisions", bad(questions=[]), 400, "empty_input", "questions"),
        ("/v1/decisions", bad(questions=[PREDICATE] * 401), 400, "invalid_value", "questions"),
        ("/v1/decisions", bad(questions=[{"type": "box"}]), 400, "invalid_value", "questions[0]"),
        ("/v1/decisions", bad(questions=[PREDICATE | {"x": 1}]), 400, "unknown_field", "questions[0].x"),
        (
            "/v1/decisions",
            bad(questions=[CHOICE | {"choices": [{"value": "a"}]}]),
            400,
            "empty_input",
            "questions[0].choices",
        ),
        (
            "/v1/decisions",
            bad(questions=[CHOICE | {"choices": [{"value": "a"}, {"value": "a"}]}]),
            400,
            "invalid_value",
            "questions[0]",
        ),
        (
            "/v1/decisions",
            bad(questions=[PREDICATE | {"instructions": "x" * 100_001}]),
            413,
            "text_too_long",
            "questions",
        ),
        ("/v1/decisions", bad(stream=True), 400, "unknown_field", "stream"),
        ("/v1/systemone", NAMED | {"state": ""}, 400, "empty_input", "state"),
        ("/v1/systemone", NAMED | {"state": 3}, 400, "invalid_value", "state"),
        ("/v1/systemone", NAMED | {"questions": {}}, 400, "empty_input", "questions"),
        (
            "/v1/systemone",
            NAMED | {"questions": {"a": {"type": "noul"}}},
            400,
            "invalid_value",
            "questions.a",
        ),
        ("/v1/systemone", NAMED | {"questions": {"a": {"type": "box"}}}, 400, "invalid_value", "questions.a"),
        ("/v1/systemone", NAMED | {"assets": {"i": {}}}, 400, "invalid_value", "assets"),
    ],
)
def test_what_is_wrong_is_named(
    client: FlaskClient, endpoint: str, body: dict, status: int, code: str, param: str
):
    response = client.post(endpoint, json=body)
    error = response.get_json()["error"]
    assert (response.status_code, error["code"], error["param"]) == (status, code, param), error


def test_images_are_refused_in_plain_words(client: FlaskClient):
    content = [{"type": "input_image", "image_url": "data:image/png;base64,AAAA"}]
    response = client.post("/v1/decisions", json=bad(input=[{"role": "user", "content": content}]))
    assert response.status_code == 400
    assert "images are not read here" in response.get_json()["error"]["message"]


def test_an_output_needs_its_call(client: FlaskClient):
    lone = [{"type": "function_call_output", "call_id": "c9", "output": "1"}]
    response = client.post("/v1/decisions", json=bad(input=lone))
    assert response.status_code == 400
    assert "no call 'c9'" in response.get_json()["error"]["message"]


def nested(depth: int) -> object:
    value: object = "x"
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize("state", [nested(40), [1e400], {"a": "\ud800"}, {"\udfff": 1}])
def test_json_that_is_no_text_is_refused(client: FlaskClient, state: object):
    """`1e400` is read as infinity, and half a character cannot be stored."""
    response = client.post("/v1/systemone", json=NAMED | {"state": state})
    assert response.status_code == 400
    assert response.get_json()["error"]["code"] in ("invalid_value", "invalid_json")


@pytest.mark.parametrize("field", ["instructions", "name"])
def test_half_a_character_is_refused_everywhere(client: FlaskClient, field: str):
    response = client.post("/v1/decisions", json=bad(questions=[PREDICATE | {field: "\ud800"}]))
    assert response.status_code == 400


def test_half_a_character_is_refused_in_names_of_questions_and_choices(client: FlaskClient):
    for questions in (
        {"\ud800": {"type": "noul", "instructions": "x"}},
        {"a": {"type": "choice", "criteria": {"\ud800": None, "b": None}}},
    ):
        assert client.post("/v1/systemone", json=NAMED | {"questions": questions}).status_code == 400


def test_only_jobs_with_questions_have_a_newer_version():
    assert Request(("x",), "m").version == PLAIN
    asked = Request(("x",), "m", questions=(Question("choice", "?", (Option("a"), Option(True, "b")), "n"),))
    assert asked.version == ASKING
    assert Request.from_json(asked.to_json()) == asked
