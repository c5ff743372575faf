"""Input files are looked at line by line before anything runs; output lines are written whole."""

import resource
from collections.abc import Callable
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from redis import Redis

from api.batches.ledger import Ledger
from shared.redis_keys import Keys
from tests.api.batching import CLASSIFY, ByHand, by_hand, create, failed, jsonl, row, rows
from tests.waiting import wait_until

BATCHES, CHAT, COMPLETIONS = "/v1/batches", "/v1/chat/completions", "/v1/completions"


@pytest.mark.parametrize(
    "line, code, param",
    [
        ("{not json", "invalid_json_line", None),
        ("[]", "invalid_json_line", None),
        (b"\xff\xfe", "invalid_json_line", None),
        ('{"a": NaN}', "invalid_json_line", None),
        ("[" * 100_000, "invalid_json_line", None),
        ({"method": "POST", "url": CLASSIFY, "body": {}}, "missing_field", "custom_id"),
        (row("") | {"custom_id": ""}, "empty_input", "custom_id"),
        (row("x" * 513), "invalid_value", "custom_id"),
        (row("\ud800"), "invalid_value", "custom_id"),
        (row("a") | {"custom_id": 7}, "invalid_value", "custom_id"),
        (row("a") | {"method": "GET"}, "invalid_value", "method"),
        (row("a", url=CHAT), "invalid_url", "url"),
        (row("a") | {"body": "text"}, "invalid_value", "body"),
        (row("a") | {"extra": 1}, "unknown_field", "extra"),
        (row("a") | {"extra": "x" * 3_000_000}, "line_too_long", None),
    ],
)
def test_a_bad_line_fails_the_batch_and_is_named(idle_feeder: ByHand, line, code: str, param: str | None):
    (problem,) = failed(idle_feeder, jsonl([row("before"), b"", line, row("after")]))
    assert (problem["code"], problem["param"], problem["line"]) == (code, param, 3)


def test_a_custom_id_that_stands_twice_fails_the_batch(idle_feeder: ByHand):
    (problem,) = failed(idle_feeder, jsonl([row("a"), row("b"), row("a")]))
    assert (problem["code"], problem["line"]) == ("duplicate_custom_id", 3)
    assert "line 1" in problem["message"]


def test_a_file_without_requests_fails(idle_feeder: ByHand):
    (problem,) = failed(idle_feeder, b"\n \n\n")
    assert (problem["code"], problem["line"]) == ("empty_file", None)


def test_a_file_with_too_many_requests_fails(make_client: Callable[..., FlaskClient]):
    with by_hand(make_client(max_batch_rows=3)) as feeder:
        (problem,) = failed(feeder, jsonl(rows(4)))
    assert problem["code"] == "too_many_rows"


def test_of_very_many_errors_the_first_hundred_are_told(make_client: Callable[..., FlaskClient]):
    with by_hand(make_client()) as feeder:
        problems = failed(feeder, b"x\n" * 500)
    assert [problem["line"] for problem in problems] == list(range(1, 101))


def test_a_line_that_does_not_fit_on_the_disk_leaves_nothing(tmp_path: Path):
    ledger = Ledger.at(tmp_path / "out", tmp_path / "err")
    list(ledger.load())
    ledger.output.append(b"line\n")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (8, before[1]))
    try:
        with pytest.raises(OSError, match="too large"):
            ledger.output.append(b"longer line\n")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert ledger.output.growing.read_bytes() == b"line\n"
    ledger.output.append(b"next\n")
    ledger.close()
    assert ledger.output.growing.read_bytes() == b"line\nnext\n"


def test_a_file_that_changes_while_it_runs_ends_its_batch_and_no_other(
    idle_feeder: ByHand, redis: Redis, keys: Keys, tmp_path: Path
):
    broken = create(idle_feeder.api, jsonl(rows(3))).get_json()
    redis.set(keys.draining, "until it is validated")
    wait_until(lambda: idle_feeder.batch(broken["id"])["status"] == "in_progress", "it is validated")
    (tmp_path / "files" / broken["input_file_id"]).write_text("nonsense\n")
    redis.delete(keys.draining)
    other = create(idle_feeder.api, jsonl(rows(3))).get_json()["id"]
    idle_feeder.feeder.forget()
    ended = idle_feeder.ended(broken["id"])
    assert (ended["status"], ended["errors"]["data"][0]["code"]) == ("failed", "internal_error")
    wait_until(lambda: idle_feeder.turn() or redis.llen(keys.bulk) == 3, "the other one runs")
    assert idle_feeder.batch(other)["status"] == "in_progress"
