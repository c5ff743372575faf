"""The official client, unmodified, against real processes: answers, errors, and its own retries."""

from collections.abc import Iterator

import pytest
from openai import BadRequestError, InternalServerError, NotFoundError, OpenAI, RateLimitError
from redis import Redis

from tests.services import Api, RedisServer, Worker

NEWS = [{"role": "user", "content": "央行宣布下调存款准备金率0.5个百分点"}]


@pytest.fixture
def make_openai(redis_server: RedisServer, redis: Redis, worker: Worker, tmp_path) -> Iterator:
    """An official client of a real api with these settings."""
    started = []

    def make(max_retries: int = 2, **settings: object) -> OpenAI:
        api = Api(redis_server, tmp_path, **settings)
        client = OpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=max_retries)
        started.append((api, client))
        worker.republish()
        return client

    yield make
    for api, client in started:
        client.close()
        api.stop()


def test_the_official_client_works_unmodified(make_openai):
    client = make_openai()
    answer = client.chat.completions.create(model="news-classifier", messages=NEWS, temperature=0)
    assert answer.choices[0].message.content.startswith("这条新闻属于：")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.total_tokens == answer.usage.prompt_tokens + answer.usage.completion_tokens
    assert answer.model_extra["classification"]["label"] in answer.choices[0].message.content
    assert [model.id for model in client.models.list()] == ["news-classifier", "standin"]
    assert client.models.retrieve("news-classifier").owned_by == "wiredesk"


def test_the_official_client_reads_our_errors(make_openai):
    client = make_openai()
    with pytest.raises(NotFoundError) as unknown:
        client.chat.completions.create(model="gpt-4", messages=NEWS)
    assert (unknown.value.code, unknown.value.param) == ("model_not_found", "model")
    with pytest.raises(BadRequestError) as many:
        client.chat.completions.create(model="news-classifier", messages=NEWS, n=2)
    assert many.value.param == "n"


def test_a_full_queue_and_a_used_up_window_are_its_own_exceptions(make_openai):
    with pytest.raises(InternalServerError) as full:
        make_openai(max_retries=0, max_waiting=0).chat.completions.create(
            model="news-classifier", messages=NEWS
        )
    assert (full.value.status_code, full.value.code) == (503, "queue_full")
    limited = make_openai(rate_per_hour=1)
    limited.chat.completions.create(model="news-classifier", messages=NEWS)
    with pytest.raises(RateLimitError) as used_up:  # more than two minutes away: the client does not retry
        limited.chat.completions.create(model="news-classifier", messages=NEWS)
    assert used_up.value.code == "rate_limit_exceeded"
    assert int(used_up.value.response.headers["retry-after"]) > 3000
