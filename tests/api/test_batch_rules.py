"""Whose a batch is, what is refused, and how rows wait; with a feeder that the test steps and no worker."""

from pathlib import Path

import pytest
from redis import Redis

from shared.redis_keys import Keys
from tests.api.batching import CLASSIFY, ByHand, code, create, jsonl, once_each, results, rows, upload
from tests.waiting import wait_until

BATCHES, CHAT, COMPLETIONS = "/v1/batches", "/v1/chat/completions", "/v1/completions"


@pytest.mark.parametrize(
    "fields, param",
    [
        ({"endpoint": "/v1/embeddings"}, "endpoint"),
        ({"completion_window": "1h"}, "completion_window"),
        ({"metadata": {"k" * 65: "v"}}, "metadata"),
        ({"metadata": {f"{n}": "v" for n in range(17)}}, "metadata"),
        ({"metadata": {"k": 1}}, "metadata.k"),
        ({"output_expires_after": {"anchor": "created_at", "seconds": 5}}, "output_expires_after.seconds"),
        ({"input_file_id": "../secret"}, "input_file_id"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_bad_batch_names_its_field(idle_feeder: ByHand, fields: dict, param: str):
    response = create(idle_feeder.api, jsonl(rows(1)), **fields)
    assert response.status_code in (400, 404)
    assert response.get_json()["error"]["param"].startswith(param)


def test_nobody_sees_or_cancels_the_batches_of_another(idle_feeder: ByHand):
    batch = create(idle_feeder.api, jsonl(rows(1))).get_json()["id"]
    other = {"X-Forwarded-For": "10.0.0.9"}
    assert code(idle_feeder.api.get(f"{BATCHES}/{batch}", headers=other)) == "batch_not_found"
    assert code(idle_feeder.api.post(f"{BATCHES}/{batch}/cancel", headers=other)) == "batch_not_found"
    assert idle_feeder.api.get(BATCHES, headers=other).get_json()["data"] == []


def test_own_batches_are_listed_newest_first_by_page(idle_feeder: ByHand):
    batches = [create(idle_feeder.api, jsonl(rows(1))).get_json()["id"] for _ in range(3)]
    first = idle_feeder.api.get(f"{BATCHES}?limit=2").get_json()
    assert ([batch["id"] for batch in first["data"]], first["has_more"]) == (batches[:0:-1], True)
    rest = idle_feeder.api.get(f"{BATCHES}?limit=2&after={first['last_id']}").get_json()
    assert ([batch["id"] for batch in rest["data"]], rest["has_more"]) == (batches[:1], False)
    assert idle_feeder.api.get(f"{BATCHES}?limit=101").status_code == 400


def test_open_rows_of_a_client_have_a_bound(idle_feeder: ByHand, redis: Redis, keys: Keys):
    first = create(idle_feeder.api, jsonl(rows(40))).get_json()["id"]
    refused = create(idle_feeder.api, jsonl(rows(11)))
    assert (refused.status_code, code(refused)) == (429, "too_many_open_rows")
    assert refused.headers["x-should-retry"] == "false"
    assert create(idle_feeder.api, jsonl(rows(10))).status_code == 200
    idle_feeder.api.post(f"{BATCHES}/{first}/cancel")
    idle_feeder.ended(first)
    assert create(idle_feeder.api, jsonl(rows(11))).status_code == 200
    assert redis.hgetall(keys.open_rows) == {"127.0.0.1": "21"}


def test_no_batch_is_opened_while_admission_is_stopped(idle_feeder: ByHand, redis: Redis, keys: Keys):
    batch = create(idle_feeder.api, jsonl(rows(1))).get_json()["id"]
    redis.set(keys.draining, "now")
    assert code(create(idle_feeder.api, jsonl(rows(1)))) == "draining"
    wait_until(lambda: idle_feeder.batch(batch)["status"] == "in_progress", "it is validated")
    idle_feeder.turn()
    assert redis.llen(keys.bulk) == 0
    redis.delete(keys.draining)
    wait_until(lambda: idle_feeder.turn() or redis.llen(keys.bulk) == 1, "its row is asked")


def test_rows_wait_at_bulk_priority_within_its_bound_and_outside_every_window(
    idle_feeder: ByHand, redis: Redis, keys: Keys
):
    create(idle_feeder.api, jsonl(rows(20)))
    wait_until(lambda: idle_feeder.turn() or redis.llen(keys.bulk) == 5, "bulk is full")
    idle_feeder.turn()
    assert (redis.llen(keys.bulk), redis.llen(keys.queue)) == (5, 0)
    assert list(redis.scan_iter(f"{keys.prefix}window:*")) == []
    assert idle_feeder.api.get("/v1/jobs").get_json()["data"] == []
    assert redis.hget(keys.stats, "rejected:full_bulk") is None


def test_clients_take_turns(idle_feeder: ByHand, redis: Redis, keys: Keys):
    """The second client's rows do not wait for the end of the first one's batch."""
    first = create(idle_feeder.api, jsonl(rows(20))).get_json()["id"]
    headers = {"X-Forwarded-For": "10.0.0.9"}
    file = upload(idle_feeder.api, jsonl(rows(20)), headers=headers).get_json()["id"]
    body = {"input_file_id": file, "endpoint": CLASSIFY, "completion_window": "24h"}
    idle_feeder.api.post(BATCHES, json=body, headers=headers)
    redis.set(keys.draining, "until both are validated")
    runs = idle_feeder.feeder._runs
    wait_until(lambda: idle_feeder.turn() or [run.state for run in runs.values()] == ["fed"] * 2, "both")
    redis.delete(keys.draining)
    wait_until(lambda: idle_feeder.turn() or redis.llen(keys.bulk) == 5, "bulk is full")
    waiting = [len(run.in_hand) for run in runs.values()]
    assert sorted(waiting) == [2, 3], first


def test_a_batch_that_is_cancelled_before_it_was_looked_at_has_no_files(idle_feeder: ByHand):
    batch = create(idle_feeder.api, jsonl(rows(3))).get_json()["id"]
    idle_feeder.api.post(f"{BATCHES}/{batch}/cancel")
    ended = idle_feeder.ended(batch)
    assert (ended["status"], ended["output_file_id"], ended["error_file_id"]) == ("cancelled", None, None)


def test_a_feeder_that_takes_over_a_cancelled_batch_takes_back_its_rows(
    idle_feeder: ByHand, redis: Redis, keys: Keys
):
    """The old one died with rows in the queue, then the client cancelled."""
    batch = create(idle_feeder.api, jsonl(rows(20))).get_json()["id"]
    wait_until(lambda: idle_feeder.turn() or redis.llen(keys.bulk) == 5, "bulk is full")
    idle_feeder.feeder.forget()
    idle_feeder.api.post(f"{BATCHES}/{batch}/cancel")
    ended = idle_feeder.ended(batch)
    assert (ended["status"], redis.llen(keys.bulk)) == ("cancelled", 0)
    assert once_each(*results(idle_feeder.api, ended)) == {f"r{n}" for n in range(20)}


def test_a_lost_input_file_fails_the_batch(idle_feeder: ByHand, tmp_path: Path):
    batch = create(idle_feeder.api, jsonl(rows(1))).get_json()
    (tmp_path / "files" / batch["input_file_id"]).unlink()
    ended = idle_feeder.ended(batch["id"])
    assert (ended["status"], ended["errors"]["data"][0]["code"]) == ("failed", "file_gone")
