"""What is left is told on successes and refusals, and Retry-After is when it really fits."""

import re

from flask.testing import FlaskClient
from redis import Redis

from shared.redis_keys import Keys

CLASSIFY = "/v1/classify"
CHAT = {"model": "news-classifier", "messages": [{"role": "user", "content": "chat"}], "stream": True}


def listed(header: str) -> dict[str, dict[str, int | str]]:
    """A list of strings with parameters, as the structured fields of RFC 9651 have it."""
    found = {}
    for item in header.split(", "):
        name, *parameters = item.split(";")
        assert re.fullmatch(r'"[a-z-]+"', name)
        pairs = [parameter.partition("=") for parameter in parameters]
        found[name.strip('"')] = {k: v.strip('"') if '"' in v else int(v) for k, _, v in pairs}
    return found


def left(response) -> dict:
    return listed(response.headers["RateLimit"])


def test_answers_say_what_is_left_of_every_limit(make_client, client: FlaskClient):
    limited = make_client(rate_per_minute=10, rate_per_hour=100, max_waiting=7)
    response = limited.post(CLASSIFY, json={"input": ["a", "b", "c"]})
    assert listed(response.headers["RateLimit-Policy"]) == {
        "minute": {"q": 10, "w": 60},
        "hour-all": {"q": 100, "w": 3600},
        "queue": {"q": 7, "qu": "concurrent-requests"},
    }
    now = left(response)
    assert (now["minute"]["r"], now["hour-all"]["r"]) == (7, 97)
    assert 55 <= now["minute"]["t"] <= 60
    assert now["queue"]["r"] == 4  # the three took their places
    openai = {
        name: response.headers[f"x-ratelimit-{name}-requests"] for name in ("limit", "remaining", "reset")
    }
    assert openai == {"limit": "10", "remaining": "7", "reset": f"{now['minute']['t']}s"}


def test_cached_repeated_and_streamed_answers_say_it_too(make_client, client: FlaskClient):
    limited = make_client(rate_per_minute=10)
    key = {"Idempotency-Key": "k"}
    assert left(limited.post(CLASSIFY, json={"input": "a"}, headers=key))["minute"]["r"] == 9
    assert left(limited.post(CLASSIFY, json={"input": "a"}))["minute"]["r"] == 8  # from the cache
    assert left(limited.post(CLASSIFY, json={"input": "a"}, headers=key))["minute"]["r"] == 8  # costs nothing
    streamed = limited.post("/v1/chat/completions", json=CHAT)
    assert (streamed.mimetype, left(streamed)["minute"]["r"]) == ("text/event-stream", 7)
    assert "RateLimit" not in limited.get("/v1/models").headers


def test_without_windows_only_the_queue_is_told(client: FlaskClient):
    response = client.post(CLASSIFY, json={"input": "a"})
    assert set(left(response)) == {"queue"}
    assert not [name for name, _ in response.headers if name.startswith("x-ratelimit")]


def test_a_refusal_by_windows_names_when_the_last_of_them_opens(
    make_client, client: FlaskClient, redis: Redis, keys: Keys
):
    limited = make_client(rate_per_minute=3, rate_per_hour=4)
    for text in "abc":
        limited.post(CLASSIFY, json={"input": text})
    age(redis, keys.window_client("127.0.0.1"), 50_000)
    both = limited.post(CLASSIFY, json={"input": ["d", "e"]})
    assert (both.status_code, both.headers["x-should-retry"]) == (429, "false")
    assert int(both.headers["Retry-After"]) == left(both)["hour-all"]["t"] > 3500
    one = limited.post(CLASSIFY, json={"input": "d"})
    assert int(one.headers["Retry-After"]) == left(one)["minute"]["t"] <= 10
    assert "x-should-retry" not in one.headers
    age(redis, keys.window_client("127.0.0.1"), 10_000)
    assert limited.post(CLASSIFY, json={"input": "d"}).status_code == 200


def age(redis: Redis, window: str, milliseconds: int) -> None:
    for member, score in redis.zrange(window, 0, -1, withscores=True):
        redis.zadd(window, {member: score - milliseconds})
