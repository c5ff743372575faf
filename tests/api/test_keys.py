"""With a key file every request needs a key; a key's holder sees its own jobs and has its own limits."""

from collections.abc import Callable
from pathlib import Path

import openai
import pytest
from flask.testing import FlaskClient
from redis import Redis

from shared.keys import new_key, revoke
from shared.redis_keys import Keys
from tests.services import Api, RedisServer, running
from tests.waiting import wait_until
from worker.engine.standin import StandIn
from worker.presence import Presence

JOBS = "/v1/jobs"
Make = Callable[..., FlaskClient]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "keys.jsonl"


@pytest.fixture(autouse=True)
def published(redis: Redis, keys: Keys) -> None:
    """What a worker has published that is not there any more: jobs wait."""
    Presence(redis, keys, "gone@here").publish(StandIn(0).describe())


def bearer(secret: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {secret}"}


def create(api: FlaskClient, secret: str, text: str = "a", **fields: object):
    return api.post(JOBS, json={"endpoint": "/v1/classify", "input": text} | fields, headers=bearer(secret))


def code(response) -> str:
    return response.get_json()["error"]["code"]


@pytest.mark.parametrize("route", [JOBS, "/v1/models", "/stats", f"{JOBS}/job_x"])
@pytest.mark.parametrize("headers", [{}, {"Authorization": "Basic x"}, bearer("wd_wrong"), bearer("")])
def test_without_a_right_key_nothing_is_told(make_client: Make, path: Path, route: str, headers: dict):
    new_key(path, "a")
    response = make_client(keys_file=path).get(route, headers=headers)
    assert (response.status_code, code(response)) == (401, "invalid_api_key")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_probes_need_no_key(make_client: Make, path: Path):
    new_key(path, "a")
    api = make_client(keys_file=path)
    assert api.get("/health").status_code == 200
    assert api.get("/ready").status_code in (200, 503)


def test_without_a_key_file_a_key_is_not_looked_at(make_client: Make):
    assert create(make_client(), "anything").status_code == 202


def test_a_client_sees_and_changes_its_own_jobs_only(make_client: Make, path: Path):
    mine, theirs = new_key(path, "mine"), new_key(path, "theirs")
    api = make_client(keys_file=path)
    job = create(api, mine).headers["Location"]
    assert api.get(job, headers=bearer(mine)).status_code == 200
    for response in (
        api.get(job, headers=bearer(theirs)),
        api.delete(job, headers=bearer(theirs)),
        api.post(f"{job}/retry", headers=bearer(theirs)),
    ):
        assert (response.status_code, code(response)) == (404, "job_not_found")
    assert api.get(JOBS, headers=bearer(theirs)).get_json()["data"] == []
    assert create(api, theirs).headers["Location"] != job


def test_a_key_has_its_own_rates(make_client: Make, path: Path):
    slow, fast = new_key(path, "slow", rate_per_minute=1), new_key(path, "fast", rate_per_hour=2)
    api = make_client(keys_file=path, rate_per_minute=0)
    assert [create(api, slow, f"{n}").status_code for n in range(2)] == [202, 429]
    codes = [create(api, fast, f"{n}") for n in range(3)]
    assert [response.status_code for response in codes] == [202, 202, 429]
    assert "an hour" in codes[-1].get_json()["detail"]


def test_a_bulk_key_runs_at_bulk_priority_only(make_client: Make, path: Path):
    bulk = new_key(path, "night", priority="bulk")
    api = make_client(keys_file=path)
    assert create(api, bulk).get_json()["priority"] == "bulk"
    refused = create(api, bulk, "b", priority="interactive")
    assert (refused.status_code, code(refused)) == (403, "priority_not_allowed")


def test_wrong_keys_are_rate_limited_and_right_ones_are_not(make_client: Make, path: Path):
    right = new_key(path, "a")
    api = make_client(keys_file=path)
    answers = [api.get(JOBS, headers=bearer(f"wd_{n}")) for n in range(11)]
    assert [response.status_code for response in answers] == [401] * 10 + [429]
    assert code(answers[-1]) == "too_many_wrong_keys"
    assert 0 < int(answers[-1].headers["Retry-After"]) <= 60
    assert api.get(JOBS, headers=bearer(right)).status_code == 200
    other = api.get(JOBS, headers=bearer("wd_x"), environ_base={"REMOTE_ADDR": "192.0.2.9"})
    assert other.status_code == 401


def test_keys_come_and_go_without_a_restart(make_client: Make, path: Path):
    first = new_key(path, "first")
    api = make_client(keys_file=path)
    second = new_key(path, "second")
    wait_until(lambda: api.get(JOBS, headers=bearer(second)).status_code == 200, "the new key works")
    revoke(path, "first")
    wait_until(lambda: api.get(JOBS, headers=bearer(first)).status_code in (401, 429), "the old one does not")


def test_a_file_that_is_broken_later_keeps_the_good_keys(make_client: Make, path: Path, caplog):
    good = new_key(path, "good")
    api = make_client(keys_file=path)
    path.write_text("broken")

    def noticed() -> bool:
        assert api.get(JOBS, headers=bearer(good)).status_code == 200
        return "line 1" in caplog.text

    wait_until(noticed, "it is logged")


def test_an_operator_drains_and_resumes(make_client: Make, path: Path):
    ops, desk = new_key(path, "ops", admin=True), new_key(path, "desk")
    api = make_client(keys_file=path)
    refused = api.post("/admin/drain", headers=bearer(desk))
    assert (refused.status_code, code(refused)) == (403, "admin_key_needed")
    assert api.post("/admin/drain", headers=bearer(ops)).get_json() == {"status": "draining"}
    assert code(create(api, desk)) == "draining"
    assert "stopped admission" in api.get("/ready").get_json()["missing"][0]
    assert api.post("/admin/resume", headers=bearer(ops)).get_json() == {"status": "accepting"}
    assert create(api, desk).status_code == 202


def test_without_keys_nobody_is_an_operator(make_client: Make):
    refused = make_client().post("/admin/drain")
    assert (refused.status_code, code(refused)) == (403, "admin_key_needed")
    assert "python -m shared.keys" in refused.get_json()["detail"]


def test_the_openai_client_sends_its_key(redis_server: RedisServer, tmp_path: Path, path: Path):
    secret = new_key(path, "sdk")
    with running(Api(redis_server, tmp_path, keys_file=path)) as api:
        with openai.OpenAI(base_url=f"{api.url}/v1", api_key=secret) as client:
            assert [model.id for model in client.models.list()] == ["news-classifier", "standin"]
        unknown = pytest.raises(openai.AuthenticationError, match="unknown or was revoked")
        with openai.OpenAI(base_url=f"{api.url}/v1", api_key="wd_wrong") as client, unknown:
            client.models.list()
        assert secret not in api.output


def test_an_api_with_a_bad_key_file_does_not_start(redis_server: RedisServer, tmp_path: Path, path: Path):
    path.write_text("broken\n")
    with pytest.raises(AssertionError, match="line 1"):
        Api(redis_server, tmp_path, keys_file=path)
