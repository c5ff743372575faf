"""What clients get: classifications, chat completions, jobs."""

import signal

import pytest
from flask.testing import FlaskClient

from tests.api.conftest import wait_until_ready
from tests.waiting import wait_until

NEWS = "央行宣布下调存款准备金率0.5个百分点"


def chat(news: str, **fields: object) -> dict:
    return {"model": "news-classifier", "messages": [{"role": "user", "content": news}]} | fields


def test_one_text_gets_one_result(client: FlaskClient):
    body = client.post("/v1/classify", json={"input": NEWS}).get_json()
    assert body["object"] == "classification"
    assert body["id"].startswith("job_")
    assert body["model"] == "news-classifier"
    (result,) = body["results"]
    assert (
        result["probability"]
        == result["probabilities"][result["label"]]
        == max(result["probabilities"].values())
    )
    assert len(result["probabilities"]) == 14
    assert sum(result["probabilities"].values()) == pytest.approx(1, abs=1e-4)
    assert result["usage"]["total_tokens"] == sum(
        result["usage"][f"{k}_tokens"] for k in ("prompt", "completion")
    )
    assert set(result) == {
        "label",
        "probability",
        "probabilities",
        "label_mass",
        "truncated",
        "usage",
        "status",
    }
    assert set(body["timing"]) == {"queue_ms", "inference_ms"}


def test_several_texts_get_results_in_their_order(client: FlaskClient):
    texts = [f"新闻 {n}" for n in range(7)]
    together = client.post("/v1/classify", json={"input": texts}).get_json()["results"]
    alone = [client.post("/v1/classify", json={"input": text}).get_json()["results"][0] for text in texts]
    assert together == alone


def test_below_the_asked_probability_there_is_no_label(client: FlaskClient):
    asked = {"input": [NEWS, "新闻"]}
    sure = client.post("/v1/classify", json=asked | {"abstain_below": 0.9}).get_json()["results"]
    unsure = client.post("/v1/classify", json=asked | {"abstain_below": 0.91}).get_json()["results"]
    assert [(r["status"], r["label"] in r["probabilities"]) for r in sure] == [("classified", True)] * 2
    assert [(r["status"], r["label"]) for r in unsure] == [("uncertain", None)] * 2
    assert [r["probabilities"] for r in unsure] == [r["probabilities"] for r in sure]
    assert unsure[0]["probability"] == 0.9


def test_a_polled_job_abstains_as_the_synchronous_call_does(client: FlaskClient):
    body = {"endpoint": "/v1/classify", "input": "抛光", "abstain_below": 1}
    job = client.post("/v1/jobs", json=body).get_json()["id"]
    ended = wait_until(
        lambda: (found := client.get(f"/v1/jobs/{job}").get_json())["status"] == "succeeded" and found,
        "it ends",
    )
    assert ended["result"]["results"][0]["status"] == "uncertain"


@pytest.mark.parametrize("value", [-0.1, 1.1, "half", float("nan")])
def test_a_threshold_is_a_probability(client: FlaskClient, value: object):
    refused = client.post("/v1/classify", json={"input": NEWS, "abstain_below": value})
    assert refused.status_code == 400
    assert "abstain_below" in refused.get_json()["error"]["message"] or value != value


def test_chat_answers_in_the_models_own_sentence(client: FlaskClient):
    body = client.post("/v1/chat/completions", json=chat(NEWS)).get_json()
    assert body["object"] == "chat.completion"
    assert body["id"].startswith("chatcmpl-")
    (choice,) = body["choices"]
    assert choice["finish_reason"] == "stop"
    assert choice["message"] == {
        "role": "assistant",
        "content": f"这条新闻属于：{body['classification']['label']}",
        "refusal": None,
    }
    assert body["usage"]["prompt_tokens"] > 0


def test_the_last_user_message_is_the_news(client: FlaskClient):
    talk = [
        {"role": "system", "content": "你是分类助手"},
        {"role": "user", "content": "别的新闻"},
        {"role": "assistant", "content": "这条新闻属于：其他"},
        {"role": "user", "content": [{"type": "text", "text": NEWS}]},
    ]
    body = {"model": "news-classifier", "messages": talk}
    answer = client.post("/v1/chat/completions", json=body).get_json()
    direct = client.post("/v1/classify", json={"input": NEWS}).get_json()
    assert answer["classification"]["probabilities"] == direct["results"][0]["probabilities"]


def test_chinese_is_sent_as_utf8(client: FlaskClient):
    assert "这条新闻属于" in client.post("/v1/chat/completions", json=chat(NEWS)).get_data(as_text=True)


@pytest.mark.parametrize(
    ("endpoint", "body"),
    [("/v1/classify", {"input": [NEWS, "b"]}), ("/v1/chat/completions", chat(NEWS))],
)
def test_a_job_ends_with_exactly_what_the_synchronous_call_returns(
    client: FlaskClient, endpoint: str, body: dict
):
    response = client.post("/v1/jobs", json=body | {"endpoint": endpoint})
    assert response.status_code == 202
    created = response.get_json()
    assert created["status"] == "queued"
    assert created["position"] == 0
    assert response.headers["Location"] == f"/v1/jobs/{created['id']}"

    def ended() -> dict:
        job = client.get(response.headers["Location"]).get_json()
        return job if job["status"] == "succeeded" else {}

    job = wait_until(ended, "the job ends")
    assert job["endpoint"] == endpoint
    assert job["created_at"] <= job["started_at"] <= job["finished_at"]
    now = client.post(endpoint, json=body).get_json()
    same = {k: v for k, v in now.items() if k not in ("id", "created", "timing")}
    assert {k: v for k, v in job["result"].items() if k in same} == same
    assert set(job["result"]) == set(now)


def test_unknown_jobs_and_those_of_other_clients_are_not_found(client: FlaskClient):
    job = client.post("/v1/jobs", json={"endpoint": "/v1/classify", "input": NEWS}).get_json()["id"]
    assert client.get(f"/v1/jobs/{job}").status_code == 200
    stranger = client.get(f"/v1/jobs/{job}", environ_base={"REMOTE_ADDR": "192.0.2.7"})
    unknown = client.get("/v1/jobs/job_nothing")
    assert stranger.status_code == unknown.status_code == 404
    assert stranger.get_json() == unknown.get_json()


def test_models_are_those_that_workers_serve(client: FlaskClient):
    model, writer = client.get("/v1/models").get_json()["data"]
    assert model["id"] == "news-classifier"
    assert "货币政策" in model["labels"]
    assert client.get("/v1/models/news-classifier").get_json() == model
    assert (writer["id"], writer["labels"]) == ("standin", [])
    assert client.get("/v1/models/gpt-4").status_code == 404


def test_stats_count_what_happened(client: FlaskClient):
    client.post("/v1/classify", json={"input": ["a", "b", "c"]})
    stats = client.get("/stats").get_json()
    assert (stats["requests"], stats["succeeded"], stats["failed"]) == (1, 1, 0)
    assert (stats["texts"], stats["batches"], stats["waiting"]) == (3, 1, 0)
    wait_until(lambda: client.get("/stats").get_json()["running"] == 0, "the texts are acknowledged")
    assert stats["inference_ms"]["count"] == 3
    (worker,) = stats["workers"]
    assert worker["ready"]
    assert worker["model"] == "standin"


def test_every_answer_has_a_request_id(client: FlaskClient):
    assert client.get("/health").headers["x-request-id"].startswith("req_")
    assert client.get("/health", headers={"x-request-id": "mine-1"}).headers["x-request-id"] == "mine-1"
    assert (
        client.get("/nothing", headers={"x-request-id": "bad id\x7f"})
        .headers["x-request-id"]
        .startswith("req_")
    )


@pytest.mark.parametrize(
    ("method", "path", "status", "body"),
    [
        ("GET", "/nothing", 404, None),
        ("GET", "/v1/classify", 405, None),
        ("POST", "/v1/classify", 400, {}),
        ("POST", "/v1/classify", 413, {"input": "长" * 20_001}),
        ("POST", "/v1/classify", 200, {"input": "a"}),
        ("POST", "/v1/chat/completions", 200, chat("a", stream=True)),
        ("POST", "/v1/jobs", 202, {"endpoint": "/v1/classify", "input": "a job"}),
    ],
)
def test_answers_of_every_kind_have_it(
    client: FlaskClient, method: str, path: str, status: int, body: dict | None
):
    response = client.open(path, method=method, json=body, headers={"x-request-id": "mine"})
    assert (response.status_code, response.headers["x-request-id"]) == (status, "mine")


def test_before_any_worker_came_the_api_says_so(make_client):
    api = make_client(key_prefix="elsewhere:")
    assert api.get("/v1/models").get_json()["data"] == []
    response = api.post("/v1/classify", json={"input": NEWS})
    assert response.status_code == 503
    assert response.get_json()["error"]["code"] == "no_worker"
    assert response.headers["Retry-After"] == "5"
    ready = api.get("/ready")
    assert ready.status_code == 503
    assert ready.get_json()["missing"] == ["no worker has its model loaded"]


def test_the_synchronous_wait_ends_with_the_jobs_id(make_client, client: FlaskClient, worker):
    impatient = make_client(sync_timeout=0.2)
    wait_until_ready(impatient)
    worker.signal(signal.SIGSTOP)
    try:
        response = impatient.post("/v1/classify", json={"input": NEWS})
    finally:
        worker.signal(signal.SIGCONT)
    assert response.status_code == 504
    assert response.headers["x-should-retry"] == "false"
    job = response.get_json()["job_id"]
    wait_until(
        lambda: impatient.get(f"/v1/jobs/{job}").get_json()["status"] == "succeeded", "the job goes on"
    )


def test_the_same_text_is_answered_from_the_cache(client: FlaskClient):
    first = client.post("/v1/classify", json={"input": "cached?"})
    second = client.post("/v1/classify", json={"input": "cached?"})
    assert "X-Cache" not in first.headers
    assert second.headers["X-Cache"] == "hit"
    assert second.get_json()["results"] == first.get_json()["results"]
    assert second.get_json()["id"] != first.get_json()["id"]
    fresh = client.post("/v1/classify", json={"input": "cached?"}, headers={"Cache-Control": "no-store"})
    assert "X-Cache" not in fresh.headers


def test_a_cached_answer_serves_another_route_and_many_texts(client: FlaskClient):
    client.post("/v1/classify", json={"input": ["one", "two"]})
    chat = {"model": "news-classifier", "messages": [{"role": "user", "content": "two"}]}
    assert client.post("/v1/chat/completions", json=chat).headers["X-Cache"] == "hit"
    assert "X-Cache" not in client.post("/v1/classify", json={"input": ["two", "three"]}).headers


def test_labels_of_the_request_are_the_ones_to_choose_from(client: FlaskClient):
    body = {"input": [NEWS, "新闻"], "labels": ["利好", " 利空 "]}
    for result in client.post("/v1/classify", json=body).get_json()["results"]:
        assert set(result["probabilities"]) == {"利好", "利空"}
        assert result["label"] in result["probabilities"]
    own = client.post("/v1/classify", json={"input": NEWS}).get_json()["results"][0]
    assert len(own["probabilities"]) == 14


@pytest.mark.parametrize(
    ("labels", "param"),
    [(["a"], "labels"), ([], "labels"), (["a", "a"], "labels"), (["a", " "], "labels[1]"), ("ab", "labels")],
)
def test_labels_that_are_no_choice_are_refused(client: FlaskClient, labels: object, param: str):
    answer = client.post("/v1/classify", json={"input": NEWS, "labels": labels})
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, param)
