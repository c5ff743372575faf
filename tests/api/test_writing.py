"""Text from the model's own id: completions and chat, whole and streamed, by the official client."""

import json
from collections.abc import Iterator

import pytest
from flask.testing import FlaskClient
from openai import NotFoundError, OpenAI
from redis import Redis

from tests.services import KEYS, Api, RedisServer, Worker
from tests.waiting import wait_until

TALK = [{"role": "system", "content": "简短"}, {"role": "user", "content": "写一句"}]
SENTENCE = "这是替身写的一句话。"  # what the stand-in writes, over and over


@pytest.fixture
def official(redis_server: RedisServer, redis: Redis, worker: Worker, tmp_path) -> Iterator[OpenAI]:
    api = Api(redis_server, tmp_path)
    worker.republish()
    with OpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=0) as client:
        yield client
    api.stop()


def events(answer) -> list[dict]:
    """The data of a stream's events; the last one says that it is done."""
    lines = answer.get_data(as_text=True).strip().split("\n\n")
    assert lines[-1] == "data: [DONE]"
    return [json.loads(line.removeprefix("data: ")) for line in lines[:-1]]


def test_the_models_own_id_is_listed_beside_the_classifier(official: OpenAI):
    assert [model.id for model in official.models.list()] == ["news-classifier", "standin"]


def test_a_chat_is_answered_with_text(official: OpenAI):
    answer = official.chat.completions.create(model="standin", messages=TALK, max_tokens=4)
    assert answer.choices[0].message.content == SENTENCE[:4]
    assert answer.choices[0].finish_reason == "length"
    assert (answer.usage.completion_tokens, answer.model) == (4, "standin")
    assert "classification" not in answer.model_extra


def test_a_completion_is_text_after_each_prompt(official: OpenAI):
    answer = official.completions.create(model="standin", prompt=["a", "bb"], max_tokens=3, stop=["替"])
    assert [(c.index, c.text, c.finish_reason) for c in answer.choices] == [
        (0, SENTENCE[:2], "stop"),
        (1, SENTENCE[:2], "stop"),
    ]
    assert answer.usage.prompt_tokens == 3
    assert answer.id.startswith("cmpl-")


def test_a_completion_has_sixteen_tokens_unless_asked_otherwise(official: OpenAI):
    assert official.completions.create(model="standin", prompt="x").usage.completion_tokens == 16


@pytest.mark.parametrize("max_tokens", [1, 7])
def test_a_streamed_chat_equals_the_whole_one(official: OpenAI, max_tokens: int):
    asked = {"model": "standin", "messages": TALK, "max_tokens": max_tokens, "logprobs": True}
    whole = official.chat.completions.create(**asked)
    chunks = list(
        official.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True})
    )
    assert chunks[0].choices[0].delta.role == "assistant"
    choices = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(choice.delta.content for choice in choices) == whole.choices[0].message.content
    assert [choice.finish_reason for choice in choices] == [None] * (len(choices) - 1) + ["length"]
    tokens = [token for choice in choices if choice.logprobs for token in choice.logprobs.content]
    assert tokens == whole.choices[0].logprobs.content
    assert chunks[-1].usage == whole.usage
    assert len({chunk.id for chunk in chunks}) == 1


def test_the_official_helper_accumulates_a_stream(official: OpenAI):
    with official.chat.completions.stream(model="standin", messages=TALK, stop="替") as stream:
        for _ in stream:
            pass
        message = stream.get_final_completion().choices[0].message
    assert (message.role, message.content) == ("assistant", SENTENCE[:2])


def test_a_streamed_completion_equals_the_whole_one(official: OpenAI):
    asked = {"model": "standin", "prompt": ["a", "b"], "max_tokens": 5, "logprobs": 1}
    whole = official.completions.create(**asked)
    texts, offsets = {0: "", 1: ""}, {0: [], 1: []}
    for chunk in official.completions.create(**asked, stream=True):
        (choice,) = chunk.choices
        texts[choice.index] += choice.text
        offsets[choice.index] += choice.logprobs.text_offset if choice.logprobs else []
    assert texts == {choice.index: choice.text for choice in whole.choices}
    assert offsets == {choice.index: choice.logprobs.text_offset for choice in whole.choices}


def test_a_label_is_streamed_in_one_chunk(client: FlaskClient):
    asked = {"model": "news-classifier", "messages": TALK}
    whole = client.post("/v1/chat/completions", json=asked).get_json()
    answer = client.post("/v1/chat/completions", json=asked | {"stream": True})
    assert answer.headers["Content-Type"].startswith("text/event-stream")
    first, label = events(answer)
    assert first["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert label["choices"][0]["delta"]["content"] == whole["choices"][0]["message"]["content"]
    assert label["choices"][0]["finish_reason"] == "stop"
    assert label["classification"] == whole["classification"]


def test_a_seed_repeats_and_its_absence_does_not_join(client: FlaskClient, redis: Redis):
    for _ in range(2):
        client.post("/v1/completions", json={"model": "standin", "prompt": "x", "max_tokens": 2})
    assert not redis.hget(KEYS.stats, "cached")
    assert redis.hget(KEYS.stats, "texts") == "2"


def test_a_text_can_be_polled(client: FlaskClient):
    body = {"endpoint": "/v1/completions", "model": "standin", "prompt": "x", "max_tokens": 3}
    place = client.post("/v1/jobs", json=body).headers["Location"]
    job = wait_until(lambda: (j := client.get(place).get_json())["status"] == "succeeded" and j, "it ends")
    assert job["result"]["choices"][0]["text"] == SENTENCE[:3]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("completions", {"model": "standin", "prompt": "x", "max_tokens": 513}, "max_tokens"),
        ("completions", {"model": "standin", "prompt": "x", "max_tokens": 0}, "max_tokens"),
        ("completions", {"model": "standin", "prompt": "x", "temperature": 2.1}, "temperature"),
        ("completions", {"model": "standin", "prompt": "x", "top_p": -0.1}, "top_p"),
        ("completions", {"model": "standin", "prompt": "x", "top_k": -1}, "top_k"),
        ("completions", {"model": "standin", "prompt": "x", "seed": 2**63}, "seed"),
        ("completions", {"model": "standin", "prompt": "x", "stop": ""}, "stop"),
        ("completions", {"model": "standin", "prompt": "x", "n": 2}, "n"),
        ("completions", {"model": "standin", "prompt": "x", "echo": True}, "echo"),
        ("completions", {"model": "standin", "prompt": "x", "suffix": "y"}, "suffix"),
        ("completions", {"model": "standin", "prompt": "x", "logit_bias": {"1": 2}}, "logit_bias"),
        ("completions", {"model": "standin", "prompt": []}, "prompt"),
        ("completions", {"model": "standin", "prompt": [1, 2]}, "prompt[0]"),
        ("completions", {"model": "standin"}, "prompt"),
        ("completions", {"model": "news-classifier", "prompt": "x"}, "model"),
        ("classify", {"model": "standin", "input": "x"}, "model"),
        ("chat/completions", {"model": "standin", "messages": TALK, "max_tokens": 600}, "max_tokens"),
        ("chat/completions", {"model": "standin", "messages": TALK, "top_logprobs": 2}, "top_logprobs"),
        (
            "chat/completions",
            {"model": "standin", "messages": TALK, "presence_penalty": 1},
            "presence_penalty",
        ),
        ("chat/completions", {"model": "news-classifier", "messages": TALK, "logprobs": True}, "logprobs"),
        (
            "chat/completions",
            {"model": "standin", "messages": [{"role": "tool", "content": "x"}]},
            "messages[0].role",
        ),
        (
            "jobs",
            {"endpoint": "/v1/completions", "model": "standin", "prompt": "x", "stream": True},
            "stream",
        ),
    ],
)
def test_what_cannot_be_written_is_refused_by_name(client: FlaskClient, path: str, body: dict, param: str):
    answer = client.post(f"/v1/{path}", json=body)
    assert (answer.status_code, answer.get_json()["error"]["param"]) == (400, param)


def test_an_unknown_model_is_not_found(official: OpenAI):
    with pytest.raises(NotFoundError):
        official.completions.create(model="gpt", prompt="x")


def test_too_long_a_prompt_is_refused(client: FlaskClient):
    answer = client.post("/v1/completions", json={"model": "standin", "prompt": "x" * 20_001})
    assert (answer.status_code, answer.get_json()["error"]["code"]) == (413, "text_too_long")
