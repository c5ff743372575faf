"""Every status that /openapi.json promises is seen, route by route, with a body that keeps to it."""

import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import get_args

import pytest
from flask.testing import FlaskClient
from redis import Redis

from api.documented import CONNECTION
from shared.job import Endpoint
from shared.keys import new_key
from tests.api.batching import by_hand, create, jsonl, rows, upload
from tests.api.conftest import wait_until_ready
from tests.contract import CheckedClient
from tests.services import RedisServer, Worker, free_port, running
from tests.waiting import wait_until

Make = Callable[..., CheckedClient]
ELSEWHERE = {
    "408": "slow bodies: test_connections.py",
    "500": "the handler of all exceptions, and failures of texts: test_answers.py, test_jobs.py",
    "507": "a full disk",
}
ASKING: tuple[str, ...] = (*get_args(Endpoint), "/v1/jobs")
IDS = {
    "job_id": "job_x",
    "model_id": "nobody",
    "file_id": f"file-{'x' * 22}",
    "batch_id": "batch_x",
    "name": "x",
}


@pytest.fixture(scope="module")
def worker(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    folder = tmp_path_factory.mktemp("worker")
    with running(Worker(redis_server, folder, "tests.scripted_worker")) as process:
        yield process.wait_until_ready()


class Caller:
    """Sends the documented example of any route."""

    def __init__(self, api: CheckedClient):
        self.api = api
        self.operations = sorted(api.contract.operations)

    def all(self, headers: dict | None = None, query: str = "") -> None:
        for path, method in self.operations:
            self.send(path, method, headers, query)

    def send(self, path: str, method: str, headers: dict | None = None, query: str = "", **changes: object):
        path = path.format(**IDS) + query
        if (path, method) == ("/v1/files", "post"):
            return upload(self.api, jsonl(rows(1)), headers=headers)
        body = self.example(path) | changes if method == "post" else None
        return self.api.open(path, method=method.upper(), json=body or None, headers=headers)

    def ask(
        self, status: int, headers: dict | None = None, paths: tuple[str, ...] = ASKING, **changes: object
    ):
        for path in paths:
            answer = self.send(path, "post", headers, **changes)
            assert answer.status_code == status, (path, answer.get_data(as_text=True))

    def example(self, path: str) -> dict:
        document = self.api.contract.document
        request = document["paths"].get(path, {}).get("post", {}).get("requestBody")
        if not request:
            return {}
        schema = request["content"]["application/json"]["schema"]
        name = (schema.get("$ref") or schema["oneOf"][0]["$ref"]).rpartition("/")[2]
        example = document["components"]["schemas"][name]["examples"][0]
        return example | ({"model": "scripted"} if path == "/v1/completions" else {})


def promised(api: CheckedClient) -> set[tuple[str, str, str]]:
    """Without what the connection answers, before there is a route."""
    return {
        (path, method, status)
        for path, method in api.contract.operations
        for status, answer in api.contract.document["paths"][path][method]["responses"].items()
        if answer.get("$ref", "").rpartition("/")[2] not in CONNECTION
    }


def test_every_promised_status_is_seen(make_client: Make, worker: Worker, redis: Redis, tmp_path: Path):
    worker.republish()
    key = new_key(tmp_path / "keys", "bulk", priority="bulk")
    api, keyed = make_client(max_waiting=8), make_client(keys_file=tmp_path / "keys")
    wait_until_ready(api)
    answered(Caller(api))
    wrong(Caller(api))
    files_and_batches(Caller(api), make_client)
    failed = ended(api, "failed", ["fail", "fail too"])
    jobs(Caller(api), failed, make_client)
    keys(Caller(keyed), key)
    gone = f"redis://127.0.0.1:{free_port()}/0"
    Caller(make_client(redis_url=gone)).all()
    operators(tmp_path, make_client, gone)
    worker.signal(signal.SIGSTOP)
    try:
        unanswered(make_client)
    finally:
        worker.signal(signal.SIGCONT)
        redis.delete("written", "steps")  # of the scripted worker
    missing = (promised(api) | promised(keyed)) - api.contract.seen - keyed.contract.seen
    assert sorted(one for one in missing if one[2] not in ELSEWHERE) == []


def answered(caller: Caller) -> None:
    """And 304 where there is an ETag, 202 where the answer may come later."""
    for path, method in caller.operations:
        answer = caller.send(path, method)
        if tag := answer.headers.get("ETag"):
            caller.send(path, method, {"If-None-Match": tag})
    style = caller.api.get("/docs/start.js")
    caller.api.get("/docs/start.js", headers={"If-None-Match": style.headers["ETag"]})
    caller.api.get("/v1/models/scripted")


def wrong(caller: Caller) -> None:
    for path, method in caller.operations:
        if method == "post":
            where = path.format(**IDS)
            caller.api.post(where, data="{", content_type="application/json")
            caller.api.post(where, data="{}", content_type="text/plain")
    caller.all(query="?limit=0")
    caller.ask(404, model="nobody")
    key = {"Idempotency-Key": "one"}
    caller.send("/v1/classify", "post", key, input="first")
    caller.ask(422, key)


def files_and_batches(caller: Caller, make_client: Make) -> None:
    api, content = caller.api, jsonl(rows(2))
    batch = create(api, content).get_json()
    file = batch["input_file_id"]
    for path in (f"/v1/files/{file}", f"/v1/files/{file}/content", f"/v1/batches/{batch['id']}"):
        assert api.get(path).status_code == 200
    assert api.delete(f"/v1/files/{file}").status_code == 409
    assert create(make_client(max_open_rows=1), content).status_code == 429
    assert upload(make_client(max_file_bytes=1), content).status_code == 413
    assert api.post(f"/v1/batches/{batch['id']}/cancel").status_code == 200
    failed = create(api, b"no row\n").get_json()["id"]
    with by_hand(api) as feeder:
        feeder.ended(failed)
    assert api.post(f"/v1/batches/{failed}/cancel").status_code == 409
    other = upload(api, content).get_json()["id"]
    assert api.delete(f"/v1/files/{other}").status_code == 200


def jobs(caller: Caller, failed: str, make_client: Make) -> None:
    api = caller.api
    done = ended(api, "succeeded", "x")
    assert api.get(done).status_code == 200
    assert api.delete(done).status_code == 409
    assert api.post(f"{done}/retry").status_code == 409
    assert make_client(max_waiting=1).post(f"{failed}/retry").status_code == 400
    slow = make_client(rate_per_minute=2)
    slow.post("/v1/classify", json={"input": ["all of", "this minute"]})
    assert slow.post(f"{failed}/retry").status_code == 429
    Caller(slow).ask(429)
    assert api.post(f"{failed}/retry").status_code == 202
    small = make_client(max_characters=1, max_waiting=1)
    for path in (*ASKING, "/v1/batches"):
        assert small.post(path, data=b" " * 300_000, content_type="application/json").status_code == 413


def ended(api: FlaskClient, state: str, texts: object) -> str:
    location = api.post("/v1/jobs", json={"endpoint": "/v1/classify", "input": texts}).headers["Location"]
    wait_until(lambda: api.get(location).get_json()["status"] == state, f"it has {state}")
    return location


def keys(caller: Caller, key: str) -> None:
    """401; 403; and 429 once there were too many wrong ones."""
    caller.all()
    caller.ask(403, {"Authorization": f"Bearer {key}"}, priority="interactive")
    caller.send("/admin/drain", "post", {"Authorization": f"Bearer {key}"})
    for _ in range(11):
        caller.send("/v1/models", "get", {"Authorization": "Bearer wd_wrong"})
    caller.all({"Authorization": "Bearer wd_wrong"})


def operators(tmp_path: Path, make_client: Make, gone: str) -> None:
    headers = {"Authorization": f"Bearer {new_key(tmp_path / 'keys', 'ops', admin=True)}"}
    for settings, status in ({}, 200), ({"redis_url": gone}, 503):
        api = make_client(keys_file=tmp_path / "keys", **settings)
        for path in ("/admin/drain", "/admin/resume"):
            assert api.post(path, headers=headers).status_code == status


def unanswered(make_client: Make) -> None:
    """Nobody works: 202 to who wants it, 504 to who waits, 409 to who waits for what is cancelled."""
    caller = Caller(make_client(sync_timeout=0.05, max_waiting=20))
    fresh, waits = {"Cache-Control": "no-store"}, ASKING[:-1]
    caller.ask(504, fresh, waits)
    for path in waits:
        headers = fresh | {"Idempotency-Key": path, "Prefer": "respond-async"}
        later = caller.send(path, "post", headers)
        assert later.status_code == 202
        assert caller.api.delete(later.headers["Location"]).status_code == 200
        assert caller.send(path, "post", headers).status_code == 409
