"""Bodies for models that answer in slots, or with any number of labels."""

import json

from api.answers import answer
from shared.job import JobRecord, PartResult

PROBABILITIES = {"国内、股市": 0.6, "国内、债券": 0.3, "国际、股市": 0.1}


def record(result: PartResult, **fields: str) -> JobRecord:
    """A finished job, as the worker stores it."""
    value = {
        "v": "1",
        "client": "a",
        "endpoint": "/v1/classify",
        "state": "succeeded",
        "attempts": "1",
        "created": "1000",
        "model": "news-classifier",
        "result": f"[{result.to_json()}]",
    }
    return JobRecord.from_hash("job_x", value | fields)


def test_slots_stand_beside_the_joined_label():
    slots = {"region": {"国内": 0.9, "国际": 0.1}, "topic": {"股市": 2 / 3, "债券": 1 / 3}}
    job = record(PartResult(label="国内、股市", probabilities=PROBABILITIES, slots=slots))
    (result,) = json.loads(answer(job).model_dump_json())["results"]
    assert (result["label"], result["slots"], result["probability"]) == ("国内、股市", slots, 0.6)
    assert "labels" not in result


def test_the_labels_that_apply_stand_beside_the_likeliest():
    chances = {"股市": 0.7, "公司": 0.6, "其他": 0.01}
    job = record(PartResult(label="股市", probabilities=chances, labels=["股市", "公司"]))
    (result,) = json.loads(answer(job).model_dump_json())["results"]
    assert (result["label"], result["labels"]) == ("股市", ["股市", "公司"])
    assert "slots" not in result


def test_an_uncertain_text_may_have_no_label_that_applies():
    job = record(PartResult(label="股市", probabilities={"股市": 0.2}, labels=[]), abstain_below="0.5")
    (result,) = json.loads(answer(job).model_dump_json())["results"]
    assert (result["status"], result["label"], result["labels"]) == ("uncertain", None, [])


def test_a_chat_carries_the_answer_in_words():
    job = record(
        PartResult(label="股市", answer="属于：股市、公司。", probabilities={"股市": 0.7}, labels=["股市"]),
        endpoint="/v1/chat/completions",
    )
    body = json.loads(answer(job).model_dump_json())
    assert body["choices"][0]["message"]["content"] == "属于：股市、公司。"
    assert body["classification"]["label"] == "股市"
