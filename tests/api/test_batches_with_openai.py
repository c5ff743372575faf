"""The official client, unmodified, drives batches through real processes, which are killed meanwhile."""

import io
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from openai import BadRequestError, NotFoundError, OpenAI, RateLimitError
from redis import Redis

from shared.redis_keys import Keys
from tests.api.batching import CLASSIFY, ENDED, jsonl, row, rows
from tests.services import ROOT, Api, Feeder, RedisServer, Worker, running
from tests.waiting import wait_until


@dataclass
class Desk:
    """Everything that runs, and a client."""

    client: OpenAI
    worker: Worker
    feeder: Feeder
    data: Path

    def start(self, content: bytes, **fields: object):
        file = self.client.files.create(file=("in.jsonl", io.BytesIO(content)), purpose="batch")
        asked = {"endpoint": CLASSIFY, "completion_window": "24h"} | fields
        return self.client.batches.create(input_file_id=file.id, **asked)

    def completed(self, batch_id: str) -> int:
        return self.client.batches.retrieve(batch_id).request_counts.completed

    def ended(self, batch_id: str):
        wait_until(lambda: self.client.batches.retrieve(batch_id).status in ENDED, "it has ended", 60)
        return self.client.batches.retrieve(batch_id)

    def lines(self, file_id: str) -> list[dict]:
        return [json.loads(line) for line in self.client.files.content(file_id).text.splitlines()]


@pytest.fixture(scope="module")
def processes(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("batches")
    ours = {"data": folder, "max_file_bytes": 1_000_000, "max_open_rows": 500}
    with (
        running(Worker(redis_server, folder, standin_seconds=0.03)) as worker,
        running(Feeder(redis_server, folder, data=folder)) as feeder,
        running(Api(redis_server, folder, **ours)) as api,
        OpenAI(base_url=f"{api.url}/v1", api_key="none", max_retries=0) as client,
    ):
        worker.wait_until_ready()
        feeder.wait_until_ready()
        yield Desk(client, worker, feeder, folder)


@pytest.fixture
def desk(processes: Desk, redis: Redis) -> Desk:
    """The processes on an emptied Redis."""
    processes.worker.republish()
    models = processes.client.models
    wait_until(lambda: [model.id for model in models.list()], "the worker has published itself")
    return processes


def test_the_whole_way(desk: Desk):
    batch = desk.start(jsonl([*rows(5), row("bad", {"input": ""})]), metadata={"run": "7"})
    assert (batch.status, batch.metadata) == ("validating", {"run": "7"})
    ended = desk.ended(batch.id)
    assert (ended.status, ended.request_counts.total, ended.request_counts.failed) == ("completed", 6, 1)
    assert {line["custom_id"] for line in desk.lines(ended.output_file_id)} == {f"r{n}" for n in range(5)}
    (line,) = desk.lines(ended.error_file_id)
    assert (line["custom_id"], line["response"]["status_code"]) == ("bad", 400)
    assert [one.id for one in desk.client.batches.list(limit=1)] == [batch.id]
    files = [file.id for file in desk.client.files.list(limit=2)]  # page after page
    assert set(files) == {ended.input_file_id, ended.output_file_id, ended.error_file_id}
    assert desk.client.files.delete(files[0]).deleted
    with pytest.raises(NotFoundError):
        desk.client.files.retrieve(files[0])


def test_the_example_of_the_documentation_runs(desk: Desk):
    section = (ROOT / "docs" / "api.md").read_text(encoding="utf-8").partition("## Batches\n")[2]
    code = section.partition("```python\n")[2].partition("```")[0]
    here = code.replace("http://127.0.0.1:8000/v1", str(desk.client.base_url))
    ran = subprocess.run([sys.executable, "-c", here], capture_output=True, text=True, check=True, timeout=60)
    assert sorted(line.split()[0] for line in ran.stdout.splitlines()) == ["item-0", "item-1"]


def test_its_own_exceptions(desk: Desk):
    with pytest.raises(BadRequestError) as purpose:
        desk.client.files.create(file=("x", b"x"), purpose="fine-tune")
    assert purpose.value.param == "purpose"
    with pytest.raises(Exception, match="larger than 1000000 bytes"):
        desk.client.files.create(file=("x", b"x" * 4_000_000), purpose="batch")
    with pytest.raises(RateLimitError) as many:
        desk.start(jsonl(rows(501)))
    assert many.value.code == "too_many_open_rows"


def test_a_cancelled_batch(desk: Desk):
    batch = desk.start(jsonl(rows(200)))
    wait_until(lambda: desk.completed(batch.id) > 3, "some have run")
    assert desk.client.batches.cancel(batch.id).status == "cancelling"
    ended = desk.ended(batch.id)
    assert ended.status == "cancelled"
    lines = desk.lines(ended.output_file_id) + desk.lines(ended.error_file_id)
    assert sorted(line["custom_id"] for line in lines) == sorted(f"r{n}" for n in range(200))


def test_others_are_answered_while_a_batch_runs(desk: Desk, redis: Redis, keys: Keys):
    batch = desk.start(jsonl(rows(200)))
    wait_until(lambda: desk.completed(batch.id) > 3 and redis.llen(keys.bulk) > 1, "rows wait")
    chat = desk.client.chat.completions.create
    answer = chat(model="news-classifier", messages=[{"role": "user", "content": "央行降准"}])
    assert answer.choices[0].message.content.startswith("这条新闻属于：")
    full = desk.client.post("/classify", cast_to=object, body={"input": [f"news {n}" for n in range(10)]})
    assert len(full["results"]) == 10
    assert desk.client.batches.retrieve(batch.id).status == "in_progress"
    desk.client.batches.cancel(batch.id)
    desk.ended(batch.id)


def test_whatever_is_killed_every_row_is_answered_once(desk: Desk, redis_server: RedisServer):
    """kill -9 of the feeder, the worker and Redis, in the middle of a batch."""
    batch = desk.start(jsonl(rows(150)))
    for kills, victim in enumerate((desk.feeder, desk.worker, desk.feeder, redis_server), 1):
        wait_until(lambda kills=kills: desk.completed(batch.id) >= 15 * kills, "some more have run", 30)
        victim.kill()
        victim.restart() if isinstance(victim, Worker) else victim.start()
        if victim is redis_server:
            redis_server.wait_until_up()
    ended = desk.ended(batch.id)
    counted = Counter(line["custom_id"] for line in desk.lines(ended.output_file_id))
    assert counted == {f"r{n}": 1 for n in range(150)}
    assert (ended.request_counts.completed, ended.error_file_id) == (150, None)


def test_a_second_feeder_waits_for_the_first(desk: Desk, redis_server: RedisServer, tmp_path: Path):
    folder = tmp_path / "second"
    folder.mkdir()
    with running(Feeder(redis_server, folder, data=desk.data)) as second:
        wait_until(lambda: "waiting for the feeder" in second.output, "it waits")
        batch = desk.start(jsonl(rows(5)))
        assert desk.ended(batch.id).status == "completed"
        desk.feeder.kill()
        second.wait_until_ready()
        assert desk.ended(desk.start(jsonl(rows(5))).id).status == "completed"
    desk.feeder.start()
