"""The official clients, unmodified, against a full queue: they wait as told, succeed or give up."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx2 as httpx
import openai
import pytest
from openai import AsyncOpenAI, DefaultAsyncHttpxClient, DefaultHttpxClient, OpenAI
from redis import Redis

from shared.keys import new_key
from tests.services import KEYS, Api, RedisServer, Worker, running
from tests.waiting import wait_until

MODEL = "news-classifier"


def said(text: str) -> list[dict]:
    return [{"role": "user", "content": text}]


@dataclass
class Seen:
    """The answers that a client got, its own retries included, and when."""

    answers: list[httpx.Response] = field(default_factory=list)
    times: list[float] = field(default_factory=list)

    def note(self, response: httpx.Response) -> None:
        self.answers.append(response)
        self.times.append(time.monotonic())

    async def note_async(self, response: httpx.Response) -> None:
        self.note(response)

    @property
    def statuses(self) -> list[int]:
        return [answer.status_code for answer in self.answers]


@pytest.fixture
def scripted(redis_server: RedisServer, redis: Redis, tmp_path: Path) -> Iterator[Worker]:
    """A worker whose steps on texts that begin with `gate` last until the gate opens."""
    with running(
        Worker(redis_server, tmp_path, "tests.scripted_worker", worker_name="script@here")
    ) as worker:
        yield worker.wait_until_ready()
        redis.lpush("gate", "open")
    redis.delete("gate", "steps")


@pytest.fixture
def full(redis_server: RedisServer, redis: Redis, tmp_path: Path, scripted: Worker) -> Iterator[Api]:
    """An api whose only place in the queue is taken, behind a step that lasts until the gate opens."""
    with running(Api(redis_server, tmp_path, max_waiting=1, max_waiting_bulk=1)) as api:
        quick = httpx.post(
            f"{api.url}/v1/classify", json={"input": "from which the pace is known"}, timeout=30
        )
        assert quick.status_code == 200
        for text in ("gate 1", "gate 2"):
            wait_until(lambda: redis.llen(KEYS.queue) == 0, "the worker has taken what came before")
            assert httpx.post(
                f"{api.url}/v1/jobs", json={"endpoint": "/v1/classify", "input": text}
            ).is_success
        wait_until(lambda: redis.llen(KEYS.queue) == 1, "one text waits")
        yield api


def assert_waited_as_told(seen: Seen) -> None:
    assert seen.statuses[0] == 503
    assert seen.statuses[-1] == 200
    waits = [later - before for before, later in zip(seen.times, seen.times[1:], strict=False)]
    told = [float(answer.headers["retry-after"]) for answer in seen.answers[:-1]]
    assert all(wait >= least for wait, least in zip(waits, told, strict=True))
    assert max(told) <= 3


def test_the_client_comes_back_when_told_and_succeeds_once_the_queue_has_room(full: Api, redis: Redis):
    seen = Seen()
    opened = DefaultHttpxClient(event_hooks={"response": [seen.note, lambda _: redis.lpush("gate", "open")]})
    with OpenAI(base_url=f"{full.url}/v1", api_key="none", http_client=opened, max_retries=5) as client:
        answer = client.chat.completions.create(model=MODEL, messages=said("late"))
    assert answer.choices[0].message.content.startswith("这条新闻属于：")
    assert_waited_as_told(seen)


def test_the_asynchronous_client_does_too_and_several_share_the_room(full: Api, redis: Redis):
    seen = Seen()

    async def open_gate(_: httpx.Response) -> None:
        redis.lpush("gate", "open")

    async def ask() -> list:
        hooks = {"response": [seen.note_async, open_gate]}
        http_client = DefaultAsyncHttpxClient(event_hooks=hooks)
        async with AsyncOpenAI(
            base_url=f"{full.url}/v1", api_key="none", http_client=http_client, max_retries=20
        ) as client:
            asks = [client.chat.completions.create(model=MODEL, messages=said(f"late {n}")) for n in range(3)]
            return await asyncio.gather(*asks)

    assert len({answer.id for answer in asyncio.run(ask())}) == 3
    assert seen.statuses.count(200) == 3
    assert set(seen.statuses) == {200, 503}


def test_the_client_gives_up_after_its_retries_with_the_reason(full: Api):
    seen = Seen()
    http_client = DefaultHttpxClient(event_hooks={"response": [seen.note]})
    with (
        OpenAI(base_url=f"{full.url}/v1", api_key="none", http_client=http_client, max_retries=1) as client,
        pytest.raises(openai.InternalServerError) as refused,
    ):
        client.chat.completions.create(model=MODEL, messages=said("x"))
    assert seen.statuses == [503, 503]
    assert (refused.value.code, refused.value.type) == ("queue_full", "service_unavailable_error")
    assert refused.value.request_id == seen.answers[-1].headers["x-request-id"]
    assert set(refused.value.body) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    ("settings", "error", "code"),
    [
        ({"max_waiting": 0}, openai.InternalServerError, "queue_full"),
        ({"max_waiting": 0, "overload_status": 429}, openai.RateLimitError, "queue_full"),
        ({"rate_per_hour": 1}, openai.RateLimitError, "rate_limit_exceeded"),
    ],
)
def test_where_nothing_will_change_soon_it_gives_up_at_once(
    redis_server: RedisServer, tmp_path: Path, scripted: Worker, settings: dict, error: type, code: str
):
    seen = Seen()
    http_client = DefaultHttpxClient(event_hooks={"response": [seen.note]})
    with (
        running(Api(redis_server, tmp_path, **settings)) as api,
        OpenAI(base_url=f"{api.url}/v1", api_key="none", http_client=http_client, max_retries=5) as client,
    ):
        if code == "rate_limit_exceeded":
            client.chat.completions.create(model=MODEL, messages=said("the only one of this hour"))
        with pytest.raises(error) as refused:
            client.chat.completions.create(model=MODEL, messages=said("x"))
    assert seen.statuses[-1] == refused.value.status_code
    assert sum(status != 200 for status in seen.statuses) == 1
    assert refused.value.response.headers["x-should-retry"] == "false"
    assert (refused.value.code, refused.value.request_id) == (code, seen.answers[-1].headers["x-request-id"])


def test_each_refusal_is_the_exception_that_its_caller_expects(
    redis_server: RedisServer, redis: Redis, tmp_path: Path, scripted: Worker
):
    key = new_key(tmp_path / "keys", "slow", priority="bulk")
    with running(Api(redis_server, tmp_path, keys_file=tmp_path / "keys")) as api:
        client = OpenAI(base_url=f"{api.url}/v1", api_key=key, max_retries=0)
        stranger = client.with_options(api_key="wd_unknown")
        hello = {"model": MODEL, "messages": said("hello")}
        once = {"extra_headers": {"Idempotency-Key": "once"}}
        as_text = {"extra_headers": {"Content-Type": "text/plain"}}
        impatient = {"extra_headers": {"Prefer": "wait=0"}}
        client.chat.completions.create(**hello, **once)
        cases = [
            (openai.AuthenticationError, 401, stranger, hello),
            (openai.PermissionDeniedError, 403, client, hello | {"extra_body": {"priority": "interactive"}}),
            (openai.NotFoundError, 404, client, hello | {"model": "gpt-4"}),
            (openai.BadRequestError, 400, client, hello | {"n": 2}),
            (openai.UnprocessableEntityError, 422, client, hello | {"messages": said("y")} | once),
            (openai.APIStatusError, 415, client, hello | as_text),
            (openai.InternalServerError, 504, client, hello | {"messages": said("gate")} | impatient),
            (openai.InternalServerError, 500, client, hello | {"messages": said("fail")}),
        ]
        for kind, status, who, asked in cases:
            if status == 500:
                redis.lpush("gate", "open")
            with pytest.raises(kind) as refused:
                who.chat.completions.create(**asked)
            assert refused.value.status_code == status
            assert refused.value.request_id.startswith("req_")
            assert set(refused.value.body) == {"message", "type", "param", "code"}
        client.close()
