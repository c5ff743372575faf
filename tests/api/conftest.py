"""The api in this process (Flask's test client) on a real Redis, and a real stand-in worker."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from redis import Redis

from api.app import create_app
from shared.redis_keys import Keys
from shared.settings import Settings
from tests.api.batching import ByHand, by_hand
from tests.contract import CheckedClient
from tests.services import PREFIX, RedisServer, Worker, running
from tests.waiting import wait_until
from worker.engine.standin import StandIn
from worker.presence import Presence


@pytest.fixture(scope="module")
def worker(redis_server: RedisServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """A stand-in worker that lives for the module; it survives the emptying of Redis between tests."""
    with running(Worker(redis_server, tmp_path_factory.mktemp("worker"))) as process:
        yield process.wait_until_ready()


@pytest.fixture
def make_client(redis_server: RedisServer, redis: Redis, tmp_path: Path) -> Callable[..., FlaskClient]:
    """A client of an api with these settings, which checks every answer against /openapi.json; no rate
    limits unless the test sets them."""

    def make(**settings: object) -> FlaskClient:
        base = {
            "redis_url": redis_server.url,
            "key_prefix": PREFIX,
            "data": tmp_path,
            "rate_per_minute": 0,
            "rate_per_hour": 0,
        }
        app = create_app(Settings(**base | settings))
        app.test_client_class = CheckedClient
        return app.test_client()

    return make


@pytest.fixture
def client(make_client: Callable[..., FlaskClient], worker: Worker) -> FlaskClient:
    """A client of an api that has a ready worker."""
    api = make_client()
    worker.republish()
    wait_until_ready(api)
    return api


def wait_until_ready(api: FlaskClient) -> None:
    wait_until(lambda: api.get("/ready").status_code == 200, "the worker has published itself")


@pytest.fixture
def published(redis: Redis, keys: Keys) -> None:
    """What a worker has published that is not there any more: jobs wait."""
    Presence(redis, keys, "gone@here").publish(StandIn(0).describe())


@pytest.fixture
def idle(make_client: Callable[..., FlaskClient], published: None) -> FlaskClient:
    return make_client(max_waiting=4, max_waiting_bulk=2)


@pytest.fixture
def idle_feeder(make_client: Callable[..., FlaskClient], published: None) -> Iterator[ByHand]:
    """A feeder by hand, and a worker that has gone: rows wait."""
    with by_hand(make_client(trusted_proxies="127.0.0.1", max_open_rows=50)) as feeder:
        yield feeder
