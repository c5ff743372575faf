"""Batches from validation to their end, with a feeder that the test steps and a stand-in worker."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask.testing import FlaskClient
from redis import Redis

from api.batches.rows import row_name
from shared.redis_keys import Keys
from tests.api.batching import (
    CLASSIFY,
    ByHand,
    by_hand,
    create,
    jsonl,
    once_each,
    results,
    row,
    rows,
)
from tests.waiting import wait_until

BATCHES, CHAT, COMPLETIONS = "/v1/batches", "/v1/chat/completions", "/v1/completions"


@pytest.fixture
def served(client: FlaskClient) -> Iterator[ByHand]:
    """A feeder by hand, and a worker."""
    with by_hand(client) as feeder:
        yield feeder


def test_every_row_gets_the_body_of_the_synchronous_call(served: ByHand):
    batch = served.ended(create(served.api, jsonl(rows(12)), metadata={"run": "7"}).get_json()["id"])
    assert (batch["status"], batch["metadata"], batch["error_file_id"]) == ("completed", {"run": "7"}, None)
    assert batch["request_counts"] == {"total": 12, "completed": 12, "failed": 0}
    assert batch["created_at"] <= batch["in_progress_at"] <= batch["finalizing_at"] <= batch["completed_at"]
    output, _ = results(served.api, batch)
    assert once_each(output, []) == {f"r{n}" for n in range(12)}
    for line in output:
        asked = {"input": f"text {line['custom_id']}"}
        now = served.api.post(CLASSIFY, json=asked).get_json()
        assert (line["response"]["status_code"], line["error"]) == (200, None)
        assert line["response"]["body"]["results"] == now["results"]
    spent = sum(line["response"]["body"]["results"][0]["usage"]["total_tokens"] for line in output)
    assert batch["usage"]["total_tokens"] == spent


def test_output_files_belong_to_the_client_and_expire(served: ByHand):
    asked = {"output_expires_after": {"anchor": "created_at", "seconds": 3600}}
    batch = served.ended(create(served.api, jsonl(rows(1)), **asked).get_json()["id"])
    file = served.api.get(f"/v1/files/{batch['output_file_id']}").get_json()
    assert (file["purpose"], file["filename"]) == ("batch_output", f"{batch['id']}_output.jsonl")
    assert file["expires_at"] - file["created_at"] == 3600
    again = {"input_file_id": file["id"], "endpoint": CLASSIFY, "completion_window": "24h"}
    assert served.api.post(BATCHES, json=again).status_code == 400


def test_chat_and_text_run_in_batches_too(served: ByHand):
    asked = {"model": "news-classifier", "messages": [{"role": "user", "content": "国际油价大涨"}]}
    batch = served.ended(create(served.api, jsonl([row("a", asked, CHAT)]), CHAT).get_json()["id"])
    ((line,), _) = results(served.api, batch)
    assert line["response"]["body"]["choices"][0]["message"]["content"].startswith("这条新闻属于：")
    texts = [
        row(f"t{n}", {"model": "standin", "prompt": "x", "max_tokens": 3}, COMPLETIONS) for n in range(5)
    ]
    batch = served.ended(create(served.api, jsonl(texts), COMPLETIONS).get_json()["id"])
    output, _ = results(served.api, batch)
    assert {line["response"]["body"]["usage"]["completion_tokens"] for line in output} == {3}
    assert batch["usage"]["output_tokens"] == 15


@pytest.mark.parametrize(
    "endpoint, asked",
    [
        ("/v1/decisions", {"input": "x", "questions": [{"type": "predicate", "instructions": "q"}]}),
        ("/v1/systemone", {"state": "x", "questions": {"q": {"type": "noul", "instructions": "q"}}}),
    ],
)
def test_questions_run_in_batches_too(served: ByHand, endpoint: str, asked: dict):
    asked["model"] = "news-classifier"
    batch = served.ended(create(served.api, jsonl([row("a", asked, endpoint)]), endpoint).get_json()["id"])
    ((line,), _) = results(served.api, batch)
    now = served.api.post(endpoint, json=asked).get_json()
    assert line["response"]["body"]["answers"] == now["answers"]
    assert batch["usage"]["input_tokens"] == now["usage"]["input_tokens"] > 0


def test_a_row_that_is_wrong_is_a_line_in_the_error_file(served: ByHand):
    bad = {
        "empty": {"input": " "},
        "unknown": {"input": "x", "colour": "red"},
        "model": {"input": "x", "model": "gpt"},
        "many": {"input": ["x"] * 6},  # more than ever may wait at bulk priority
    }
    lines = [row("good"), *(row(name, body) for name, body in bad.items())]
    batch = served.ended(create(served.api, jsonl(lines)).get_json()["id"])
    assert batch["request_counts"] == {"total": 5, "completed": 1, "failed": 4}
    output, errors = results(served.api, batch)
    assert [line["custom_id"] for line in output] == ["good"]
    found = {line["custom_id"]: line["response"] for line in errors}
    codes = {name: answer["body"]["error"]["code"] for name, answer in found.items()}
    assert codes == {
        "empty": "empty_input",
        "unknown": "unknown_field",
        "model": "model_not_found",
        "many": "too_many_texts",
    }
    assert found["model"]["status_code"] == 404


def test_streaming_in_a_row_is_refused(served: ByHand):
    asked = {"model": "news-classifier", "messages": [{"role": "user", "content": "x"}], "stream": True}
    batch = served.ended(create(served.api, jsonl([row("a", asked, CHAT)]), CHAT).get_json()["id"])
    _, (line,) = results(served.api, batch)
    assert (batch["output_file_id"], line["response"]["body"]["error"]["param"]) == (None, "stream")


def test_a_text_that_fails_in_the_engine_fails_alone_and_is_no_dead_letter(
    served: ByHand, redis: Redis, keys: Keys
):
    """A label that no model can be asked for: the item's error comes from the worker."""
    lines = [row("a"), row("b", {"input": "x", "labels": ["a", "b"]})]
    batch = create(served.api, jsonl(lines)).get_json()["id"]
    served.turn()
    served.turn()
    record = {"error_code": "engine_failure", "error_message": "The engine failed."}
    wait_until(lambda: redis.zcard(keys.open_jobs) == 0, "both have run")
    redis.hset(
        keys.job(f"job_{row_name(batch, 2)}"), mapping={"state": "failed", "result": json.dumps([record])}
    )
    ended = served.ended(batch)
    output, (line,) = results(served.api, ended)
    assert [one["custom_id"] for one in output] == ["a"]
    assert (line["response"]["status_code"], line["custom_id"]) == (500, "b")


def test_a_feeder_that_died_while_it_finished_is_followed_by_one_that_does(served: ByHand, tmp_path: Path):
    """The output has its name already, the batch has not ended."""
    batch = create(served.api, jsonl(rows(3))).get_json()["id"]
    wait_until(lambda: served.batch(batch)["request_counts"]["completed"] == 3, "all have run")
    (run,) = served.feeder._runs.values()
    if run.state != "ended":
        served.feeder.forget()
        growing = next((tmp_path / "files").glob("*.part"))
        for part in (tmp_path / "files").glob("*.part"):
            growing = part if part.stat().st_size else growing
        growing.rename(growing.with_suffix(""))
    assert len(results(served.api, served.ended(batch))[0]) == 3


def test_a_torn_line_is_cut_off_and_its_row_is_asked_again(served: ByHand, tmp_path: Path):
    batch = create(served.api, jsonl(rows(3))).get_json()["id"]
    record = served.api.application.extensions["wiredesk"].batches.read("127.0.0.1", batch)
    whole = {
        "id": "batch_req_x",
        "custom_id": "r1",
        "response": {"status_code": 200, "request_id": "req_x", "body": {"kept": True}},
        "error": None,
    }
    torn = json.dumps(whole | {"custom_id": "r2"})[:-5]
    (tmp_path / "files" / f"{record.output}.part").write_text(json.dumps(whole) + "\n" + torn)
    output, _ = results(served.api, served.ended(batch))
    assert once_each(output, []) == {"r0", "r1", "r2"}
    assert output[0]["response"]["body"] == {"kept": True}
