"""A restart of api and worker under load loses nothing, and a client's retry does no work twice."""

import signal
import threading
from pathlib import Path

import httpx2 as httpx
from redis import Redis

from shared.redis_keys import Keys
from tests.services import Api, RedisServer, Worker, running
from tests.waiting import wait_until

CLIENTS, TEXTS = 6, 15


def test_a_rolling_restart_loses_nothing(redis_server: RedisServer, redis: Redis, keys: Keys, tmp_path: Path):
    with (
        running(Worker(redis_server, tmp_path, standin_seconds=0.05)) as worker,
        running(Api(redis_server, tmp_path, api_processes=2)) as api,
    ):
        worker.wait_until_ready()
        answers: list[dict] = []
        clients = [threading.Thread(target=keep_asking, args=(api.url, n, answers)) for n in range(CLIENTS)]
        for client in clients:
            client.start()
        for process in (worker, api, worker, api):
            answered = len(answers)
            wait_until(lambda answered=answered: len(answers) > answered + 5, "work goes on", 60)
            process.signal(signal.SIGTERM)
            assert process.process.wait(60) == 0
            process.start()
        for client in clients:
            client.join()
        stats = redis.hgetall(keys.stats)
    assert len(answers) == CLIENTS * TEXTS
    assert len({answer["id"] for answer in answers}) == CLIENTS * TEXTS
    assert int(stats["succeeded"]) == CLIENTS * TEXTS
    assert {redis.hget(keys.job(answer["id"]), "attempts") for answer in answers} == {"1"}


def keep_asking(url: str, client: int, answers: list[dict]) -> None:
    """As an ordinary client: each text until it is answered, again after a refusal or a lost connection."""
    for n in range(TEXTS):
        body = {"input": f"client {client} text {n}"}
        answers.append(wait_until(lambda body=body: ask(url, body), "an answer", 60))


def ask(url: str, body: dict) -> dict | None:
    try:
        response = httpx.post(
            f"{url}/v1/classify", json=body, headers={"Cache-Control": "no-store"}, timeout=60
        )
    except httpx.TransportError:
        return None
    assert response.status_code in (200, 503), response.text
    return response.json() if response.status_code == 200 else None
