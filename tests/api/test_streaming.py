"""Streams of text end to end: as it is written, with its reader gone, its worker killed, its step failing."""

from collections.abc import Iterator

import pytest
from openai import APIError, OpenAI
from redis import Redis

from tests.services import KEYS, Api, RedisServer, Worker
from tests.waiting import wait_until


@pytest.fixture
def scripted(redis_server: RedisServer, redis: Redis, tmp_path) -> Iterator[tuple[OpenAI, Worker]]:
    """An api and a worker whose steps the test lets happen."""
    api = Api(redis_server, tmp_path)
    worker = Worker(redis_server, tmp_path, "tests.scripted_worker", worker_name="script@here")
    worker.wait_until_ready()
    with OpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=0) as client:
        yield client, worker
    redis.rpush("ticks", *["go"] * 1000)
    if worker.process.poll() is None:
        worker.stop()
    api.stop()
    redis.delete("ticks", "written", "steps")


def test_a_text_arrives_as_it_is_written(scripted, redis: Redis):
    client, _ = scripted
    stream = client.completions.create(model="scripted", prompt="ticked", max_tokens=4, stream=True)
    assert next(stream).choices[0].text == "1"
    redis.rpush("ticks", "go")
    assert next(stream).choices[0].text == " 2"
    redis.rpush("ticks", "go", "go")
    assert "".join(chunk.choices[0].text for chunk in stream) == " 3 4"


def test_a_text_stops_when_its_reader_goes_away(scripted, redis: Redis):
    client, _ = scripted
    stream = client.completions.create(model="scripted", prompt="ticked", max_tokens=512, stream=True)
    next(stream)
    stream.close()
    wait_until(lambda: redis.hget(KEYS.stats, "cancelled") == "1", "its job is cancelled")
    redis.rpush("ticks", "go", "go")
    wait_until(lambda: not redis.hlen(KEYS.unacked("script@here")), "the worker has dropped it")
    assert redis.llen("written") <= 2


def test_a_stream_goes_on_after_its_worker_was_killed(scripted, redis: Redis):
    client, worker = scripted
    stream = client.completions.create(model="scripted", prompt="ticked", max_tokens=6, stream=True)
    redis.rpush("ticks", "go", "go")
    seen = [next(stream).choices[0].text for _ in range(3)]
    worker.kill()
    worker.restart()
    redis.rpush("ticks", *["go"] * 10)
    assert "".join(seen + [chunk.choices[0].text for chunk in stream]) == "1 2 3 4 5 6"


def test_a_text_that_fails_is_an_error_of_the_stream(scripted):
    client, _ = scripted
    stream = client.completions.create(model="scripted", prompt="fail", max_tokens=4, stream=True)
    with pytest.raises(APIError) as failed:
        list(stream)
    assert failed.value.code == "engine_failure"


def test_a_text_that_fails_is_an_error(scripted):
    client, _ = scripted
    with pytest.raises(APIError) as failed:
        client.completions.create(model="scripted", prompt=["good", "fail"], max_tokens=4)
    assert failed.value.code == "engine_failure"
