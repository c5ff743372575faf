"""Some hundred generated requests, the same in each run; `python -m bench.fuzz` sends ten thousand."""

from pathlib import Path

from redis import Redis

from bench.fuzz import fuzz
from shared.keys import new_key
from tests.services import Api, RedisServer, Worker, running


def test_generated_requests_are_answered_as_documented(
    redis_server: RedisServer, redis: Redis, worker: Worker, tmp_path: Path
):
    """A key of a client without limits; admission is full in other tests, and drained by nobody."""
    path = tmp_path / "keys"
    key = new_key(path, "fuzz")
    limits = {"keys_file": path, "max_waiting": 1000, "max_new_tokens": 4, "data": tmp_path}
    with running(Api(redis_server, tmp_path, **limits)) as api:
        worker.republish()
        found = fuzz(api.url, key, cases=300, seed=1, phases=("examples", "fuzzing"))
    assert found.failures == {}
    assert found.cases >= 300
    assert {200, 202, 400, 404} <= set(found.statuses)
