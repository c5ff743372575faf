"""docs/api.md says what the code does: every field of chat and completions, every error code."""

import re

import pytest
from openai.types import completion_create_params as completion_params
from openai.types.chat import completion_create_params

from api.codes import CODES, MEANINGS, code_named
from api.errors import ApiError
from api.requests import ChatRequest, CompletionRequest
from api.writing import chat, refuse_what_labels_have_not
from tests.services import ROOT

API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SAMPLES = {
    "audio": {},
    "function_call": "auto",
    "functions": [{}],
    "modalities": ["audio"],
    "moderation": {},
    "n": 2,
    "prediction": {},
    "response_format": {"type": "json_object"},
    "tool_choice": "auto",
    "tools": [{}],
    "web_search_options": {},
}
"""A value that asks for another kind of answer, for each field that is refused."""


def documented() -> dict[str, tuple[str, str]]:
    """Field -> what becomes of it for the classifier, and for the model's own id."""
    table = API.partition("So each field of OpenAI's API is one of:")[2].partition("Ignored fields")[0]
    rows = re.findall(r"^\| `(\w+)` \| (\w+).*? \| (\w+)", table, flags=re.MULTILINE)
    return {name: (labels, text) for name, labels, text in rows}


def accepts(**fields: object) -> bool:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]} | fields
    try:
        ChatRequest.model_validate(body, strict=True)
    except ValueError:
        return False
    return True


def test_every_field_of_openais_api_is_in_the_table():
    theirs = set(completion_create_params.CompletionCreateParamsBase.__annotations__) | {"stream"}
    ours = {"priority", "expires_in", "top_k"}
    assert set(documented()) == set(ChatRequest.model_fields) == theirs | ours


def test_refused_fields_are_refused_and_the_others_are_not():
    refused = {name for name, verdicts in documented().items() if verdicts == ("refused", "refused")}
    assert refused == set(SAMPLES)
    for name, value in SAMPLES.items():
        assert not accepts(**{name: value}), name
    for name in set(documented()) - {"model", "messages"}:
        assert accepts(**{name: None}), name


def asked(model: str, **fields: object) -> ChatRequest:
    body = {"model": model, "messages": [{"role": "user", "content": "x"}]} | fields
    return ChatRequest.model_validate(body, strict=True)


def test_what_only_labels_or_only_text_refuses_is_refused():
    by_labels = {name for name, verdicts in documented().items() if verdicts == ("refused", "used")}
    by_text = {name for name, verdicts in documented().items() if verdicts == ("ignored", "refused")}
    samples = {"logprobs": True, "top_logprobs": 1, "logit_bias": {"1": 1.0}}
    for name in by_labels:
        with pytest.raises(ApiError, match=name):
            refuse_what_labels_have_not(asked("m", **{name: samples[name]}))
    for name in by_text:
        with pytest.raises(ApiError, match=name):
            chat(asked("m", **{name: samples.get(name, 0.5)}), "m", 512)
    assert by_labels
    assert by_text


def test_harmless_values_of_refused_fields_are_accepted():
    assert accepts(n=1, stream=False, tools=[], tool_choice="none", logprobs=False, top_logprobs=0)
    assert accepts(
        response_format={"type": "text"}, modalities=["text"], temperature=0, top_p=1.0, stop=["。"]
    )


def test_every_field_of_completions_is_documented():
    theirs = set(completion_params.CompletionCreateParamsBase.__annotations__) | {"stream"}
    ours = {"priority", "expires_in", "top_k"}
    assert set(CompletionRequest.model_fields) == theirs | ours
    section = API.partition("| field of `/v1/completions`")[2].partition("```json")[0]
    assert theirs <= set(re.findall(r"`(\w+)`", section))


def test_every_error_code_is_documented_with_its_status():
    rows = re.findall(r"^\| (\d{3}) \| ((?:`\w+`(?:, )?)+) \|", API, flags=re.MULTILINE)
    documented = {(code, int(status)) for status, codes in rows for code in re.findall(r"`(\w+)`", codes)}
    assert documented == {(code, meaning.status) for code, meaning in MEANINGS.items()}
    assert tuple(MEANINGS) == CODES


def test_every_error_of_the_api_has_the_status_of_its_code():
    """That no other code is sent is proved by the type checker: ApiError takes a Code."""
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "api").rglob("*.py"))
    sent = set(re.findall(r"ApiError\(\s*(\d{3}),\s*\"(\w+)\"", source))
    assert len(sent) > 30
    assert {
        (code, int(status)) for status, code in sent if int(status) not in MEANINGS[code].statuses
    } == set()


def test_every_error_of_a_worker_has_a_code_of_the_api():
    files = [path for part in ("worker", "shared") for path in (ROOT / part).rglob("*.py")]
    source = "".join(path.read_text(encoding="utf-8") for path in files)
    sent = set(re.findall(r"(?:^    code|error_code) ?= ?\"(\w+)\"", source, flags=re.MULTILINE))
    assert {"engine_failure", "worker_lost", "time_limit"} <= sent <= set(CODES)
    assert code_named("of a newer worker") == code_named(None) == "item_failed"
