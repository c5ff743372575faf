"""The official clients, unmodified, against a real api and a worker whose model can be asked questions."""

import asyncio
from collections.abc import Iterator

import pytest
from openai import AsyncOpenAI, BadRequestError, InternalServerError, OpenAI
from redis import Redis
from typesafe_sdk import AsyncTypeSafeClient, Choice, Noul, RetryPolicy, Score, TypeSafeClient
from typesafe_sdk import TypeSafeAPIError as TypeSafeError

from tests.engine.asking import write_asking_artifact
from tests.services import Api, RedisServer, Worker, running

TEXT = "央行下调利率，股市上涨。"
QUESTIONS = [
    {"type": "predicate", "name": "easing", "instructions": "央行"},
    {
        "type": "choice",
        "name": "topic",
        "instructions": "什么",
        "choices": [{"value": "股市"}, {"value": True}, {"value": "利率", "description": "央行"}],
    },
    {"type": "score", "instructions": "利率", "levels": [{"label": "Oil"}, {"label": "cut"}]},
    {"type": "choice", "name": "twins", "instructions": "?", "choices": [{"value": True}, {"value": "true"}]},
]
NAMED = {
    "easing": Noul(instructions="央行", criteria={"true": "下调"}),
    "topic": Choice(instructions="什么", criteria={"股市": None, "利率": {"of": "央行"}}),
    "level": Score(instructions="利率", criteria=["Oil", "cut", "下调"]),
}


@pytest.fixture(scope="module")
def worker(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("worker")
    model = write_asking_artifact(folder / "artifact")
    with running(Worker(redis_server, folder, model=model, quantization="fp32", torch_threads=1)) as process:
        yield process.wait_until_ready(seconds=90)  # it loads the model library


@pytest.fixture(scope="module")
def api(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Api]:
    with running(Api(redis_server, tmp_path_factory.mktemp("api"))) as process:
        yield process


@pytest.fixture
def url(api: Api, worker: Worker, redis: Redis) -> str:
    worker.republish()
    return api.url


def test_the_openai_client_reads_every_kind_of_answer(url: str):
    with OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        decision = client.decisions.create(model="news-classifier", input=TEXT, questions=QUESTIONS)
    assert [answer.type for answer in decision.answers] == ["predicate", "choice", "score", "refusal"]
    predicate, choice, score, refusal = decision.answers
    assert (predicate.name, score.name, refusal.name) == ("easing", None, "twins")
    assert 0 <= predicate.probability <= 1
    assert sum(each.probability for each in choice.probabilities) == pytest.approx(1, abs=1e-4)
    assert [each.value for each in choice.probabilities] == ["股市", True, "利率"]
    assert choice.choice in ("股市", True, "利率")
    assert (0 <= score.score <= 1, 0 <= score.confidence <= 1) == (True, True)
    assert [each.label for each in score.probabilities] == ["Oil", "cut"]
    assert choice.model_extra["label_mass"] <= 1
    assert "read alike" in refusal.model_extra["reason"]
    assert decision.usage.total_tokens == decision.usage.input_tokens + decision.usage.output_tokens


def test_the_async_client_asks_many_at_once(url: str):
    async def ask() -> list:
        async with AsyncOpenAI(base_url=f"{url}/v1", api_key="none") as client:
            one = {"role": "user", "content": [{"type": "input_text", "text": TEXT}]}
            return await asyncio.gather(
                *(
                    client.decisions.create(model="tiny", input=[one], questions=QUESTIONS[:n])
                    for n in (1, 2, 3)
                )
            )

    assert [len(decision.answers) for decision in asyncio.run(ask())] == [1, 2, 3]


def test_the_openai_client_raises_its_own_errors(url: str, redis_server: RedisServer, tmp_path):
    with OpenAI(base_url=f"{url}/v1", api_key="none") as client, pytest.raises(BadRequestError) as bad:
        client.decisions.create(model="news-classifier", input=TEXT, questions=[])
    assert (bad.value.code, bad.value.param) == ("empty_input", "questions")
    with running(Api(redis_server, tmp_path, max_waiting=0)) as full:
        client = OpenAI(base_url=f"{full.url}/v1", api_key="none", max_retries=0)
        with client, pytest.raises(InternalServerError) as refused:
            client.decisions.create(model="news-classifier", input=TEXT, questions=QUESTIONS)
        assert (refused.value.status_code, refused.value.code) == (503, "queue_full")
        typesafe = TypeSafeClient(api_key="none", base_url=full.url, retry=RetryPolicy(max_retries=0))
        with typesafe, pytest.raises(TypeSafeError) as also:
            typesafe.system_one(state=TEXT, questions=NAMED, model="tiny")
        assert also.value.status == 503
        assert also.value.request_id in str(also.value)


def test_the_typesafe_client_reads_every_kind_of_answer(url: str):
    with TypeSafeClient(api_key="none", base_url=url, model="tiny") as client:
        said = client.system_one(state={"text": TEXT, "tags": ["a", None, 1.5]}, questions=NAMED)
        names = [model.name for model in client.models.list().models]
    assert (list(said.nouls), list(said.choices), list(said.scores)) == (["easing"], ["topic"], ["level"])
    assert 0 <= said.nouls["easing"].noul <= 1
    assert said.choices["topic"].choice in ("股市", "利率")
    assert said.scores["level"].legend == {0: "Oil", 1: "cut", 2: "下调"}
    assert sum(said.scores["level"].probabilities.values()) == pytest.approx(1, abs=1e-4)
    assert said.usage.input_tokens > 0
    assert names == ["news-classifier", "tiny"]


def test_the_typesafe_client_leaves_a_refusal_out_and_keeps_the_rest(url: str):
    twins = Choice(criteria={"a": None, " a": None})
    with TypeSafeClient(api_key="none", base_url=url, model="tiny") as client:
        said = client.system_one(state=TEXT, questions=NAMED | {"twins": twins})
        with pytest.raises(TypeSafeError, match="no such model"):
            client.system_one(state=TEXT, questions=NAMED, model="jev-latest")
    assert set(said.answers) == set(NAMED)


def test_the_async_typesafe_client_works(url: str):
    async def ask() -> object:
        async with AsyncTypeSafeClient(api_key="none", base_url=url, model="news-classifier") as client:
            return await client.system_one(state=TEXT, questions=NAMED)

    assert set(asyncio.run(ask()).answers) == set(NAMED)


def test_both_apis_find_the_same(url: str):
    with OpenAI(base_url=f"{url}/v1", api_key="none") as client:
        one = client.decisions.create(model="tiny", input=TEXT, questions=QUESTIONS[:1]).answers[0]
    with TypeSafeClient(api_key="none", base_url=url, model="tiny") as client:
        other = client.system_one(state=TEXT, questions={"easing": Noul(instructions="央行")})
    assert other.nouls["easing"].noul == pytest.approx(one.probability, abs=1e-5)
