"""docs/api.md says what the code does: every field of chat, every error code."""

import re

from openai.types.chat import completion_create_params

from api.requests import ChatRequest
from tests.services import ROOT

API = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
SAMPLES = {
    "audio": {},
    "function_call": "auto",
    "functions": [{}],
    "logprobs": True,
    "modalities": ["audio"],
    "moderation": {},
    "n": 2,
    "prediction": {},
    "response_format": {"type": "json_object"},
    "stream": True,
    "tool_choice": "auto",
    "tools": [{}],
    "top_logprobs": 1,
    "web_search_options": {},
}
"""A value that asks for another kind of answer, for each field that is refused."""


def documented() -> dict[str, str]:
    table = API.partition("So each field of OpenAI's API is one of:")[2].partition("Ignored fields")[0]
    return dict(re.findall(r"^\| `(\w+)` \| (\w+)", table, flags=re.MULTILINE))


def accepts(**fields: object) -> bool:
    body = {"model": "m", "messages": [{"role": "user", "content": "x"}]} | fields
    try:
        ChatRequest.model_validate(body, strict=True)
    except ValueError:
        return False
    return True


def test_every_field_of_openais_api_is_in_the_table():
    theirs = set(completion_create_params.CompletionCreateParamsBase.__annotations__) | {"stream"}
    ours = {"priority", "expires_in"}
    assert set(documented()) == set(ChatRequest.model_fields) == theirs | ours


def test_refused_fields_are_refused_and_the_others_are_not():
    refused = {name for name, verdict in documented().items() if verdict == "refused"}
    assert refused == set(SAMPLES)
    for name, value in SAMPLES.items():
        assert not accepts(**{name: value}), name
    for name in set(documented()) - {"model", "messages"}:
        assert accepts(**{name: None}), name


def test_harmless_values_of_refused_fields_are_accepted():
    assert accepts(n=1, stream=False, tools=[], tool_choice="none", logprobs=False, top_logprobs=0)
    assert accepts(
        response_format={"type": "text"}, modalities=["text"], temperature=0, top_p=1.0, stop=["。"]
    )


def test_every_error_code_is_documented():
    source = "".join(path.read_text(encoding="utf-8") for path in (ROOT / "api").glob("*.py"))
    codes = set(re.findall(r"ApiError\(\s*\d{3},\s*\"(\w+)\"", source)) - {"http_error"}
    assert codes
    assert codes <= set(re.findall(r"`(\w+)`", API))
