"""One route and method of the OpenAPI document (the whole: api/openapi.py)."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode
from werkzeug.routing import Rule

from api.codes import MEANINGS, Code
from api.documented import CONNECTION, JSON, Answer, Documentation
from api.errors import ApiError, problem_of
from api.examples import PATHS
from api.parameters import ANSWER_HEADERS
from api.schemas import Failed

KEYS: tuple[Code, ...] = ("invalid_api_key", "too_many_wrong_keys", "queue_unavailable")
EVENTS = "text/event-stream"
COMMON_HEADERS = ("x-request-id",)
STATUS_HEADERS = {
    401: ("WWW-Authenticate",),
    429: ("Retry-After", "x-should-retry"),
    503: ("Retry-After", "x-should-retry"),
}
Json = dict[str, Any]
Kind = tuple[Any, JsonSchemaMode]


class Untitled(GenerateJsonSchema):
    """Without a title made of each field's name."""

    def field_title_should_be_set(self, schema: Any) -> bool:  # noqa: ARG002 (pydantic's signature)
        return False


def error_examples() -> Json:
    return {
        example_name(code, status): {
            "summary": meaning.when,
            "value": problem_of(ApiError(status, code, meaning.when)).model_dump(exclude_unset=True),
        }
        for code, meaning in MEANINGS.items()
        for status in meaning.statuses
    }


def example_name(code: Code, status: int) -> str:
    return code if status == MEANINGS[code].status else f"{code}_{status}"


def header(name: str) -> Json:
    kind, text = ANSWER_HEADERS[name]
    return {"description": text, "schema": {"type": "integer" if kind is int else "string"}}


class Operation:
    """One method of one path."""

    def __init__(
        self, rule: Rule, view: Any, about: Documentation, schemas: Mapping[Kind, Json], keyed: bool
    ):
        self._rule, self._view, self._about = rule, view, about
        self._schemas, self._keyed = schemas, keyed

    def described(self) -> Json:
        about, text = self._about, (self._view.__doc__ or "").strip()
        operation: Json = {
            "operationId": self._view.__name__,
            "summary": about.summary,
            "description": re.sub(r"\n +", "\n", text) or about.summary,
            "tags": [self._rule.endpoint.partition(".")[0]],
            "parameters": self._parameters(),
            "responses": self._answers() | self._errors(),
        }
        if about.request:
            body = {"schema": self._schemas[about.request, "validation"]}
            operation["requestBody"] = {"required": True, "content": {about.media: body}}
        operation["security"] = [{"key": []}] if self._keyed else [{}]
        return operation

    def _parameters(self) -> list[Json]:
        found = [
            {"name": name, "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
            | PATHS[name]
            for name in re.findall(r"<(?:\w+:)?(\w+)>", self._rule.rule)
        ]
        for place, model in (("query", self._about.query), ("header", self._about.headers)):
            found += _from_model(place, model) if model else []
        return found

    def _answers(self) -> Json:
        return {str(status): self._answer(answer) for status, answer in self._about.answers.items()}

    def _answer(self, answer: Answer) -> Json:
        content: Json = {}
        if answer.body is not None:
            content[answer.media] = {"schema": self._schemas[answer.body, "serialization"]}
        elif answer.media != JSON:
            content[answer.media] = {"schema": {"type": "string"}}
        if answer.events is not None:
            content[EVENTS] = self._events(answer.events)
        described: Json = {"description": answer.text, "headers": _headers(answer.headers)}
        return described | ({"content": content} if content else {})

    def _events(self, events: Any) -> Json:
        """Before OpenAPI 3.2 the schema of a stream is that of each event."""
        kinds = [self._schemas[events, "serialization"], self._schemas[Failed, "serialization"]]
        data = {
            "description": "A chunk or an error; the last event is `[DONE]`.",
            "anyOf": [
                {"type": "string", "contentMediaType": JSON, "contentSchema": {"anyOf": kinds}},
                {"const": "[DONE]"},
            ],
        }
        return {"schema": {"type": "object", "properties": {"data": data}, "required": ["data"]}}

    def _errors(self) -> Json:
        ids: tuple[Code, ...] = ("unknown_route",) if self._rule.arguments else ()  # an empty id, say
        keys = KEYS if self._keyed else ()
        codes = dict.fromkeys((*self._about.errors, *ids, *keys, *CONNECTION))
        by_status: dict[int, list[Code]] = {}
        for code in codes:
            for status in MEANINGS[code].statuses:
                by_status.setdefault(status, []).append(code)
        return {str(status): _error(status, by_status[status]) for status in sorted(by_status)}


def error_answers() -> Json:
    """The answers that many routes share: those with one code."""
    return {
        example_name(code, status): _described_error(status, [code])
        for code, meaning in MEANINGS.items()
        for status in meaning.statuses
    }


def _error(status: int, codes: Sequence[Code]) -> Json:
    if len(codes) == 1:
        return {"$ref": f"#/components/responses/{example_name(codes[0], status)}"}
    return _described_error(status, codes)


def _described_error(status: int, codes: Sequence[Code]) -> Json:
    narrowed = {
        "status": {"const": status},
        "error": {"type": "object", "properties": {"code": {"enum": list(codes)}}},
    }
    problem = {"$ref": "#/components/schemas/Problem"}
    body = {
        "schema": {"allOf": [problem, {"type": "object", "properties": narrowed}]},
        "examples": {code: {"$ref": f"#/components/examples/{example_name(code, status)}"} for code in codes},
    }
    return {
        "description": " ".join(f"`{code}`: {MEANINGS[code].when}" for code in codes),
        "headers": _headers(STATUS_HEADERS.get(status, ())),
        "content": {"application/problem+json": body},
    }


def _headers(names: Sequence[str]) -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in (*COMMON_HEADERS, *names)}


def _from_model(place: str, model: type[BaseModel]) -> list[Json]:
    """Each field as a parameter; one that is left out is not null there."""
    schema = model.model_json_schema(by_alias=True, schema_generator=Untitled)
    found = []
    for name, field in schema["properties"].items():
        about = {key: field.pop(key) for key in ("description", "examples") if key in field}
        kinds = [kind for kind in field.pop("anyOf", []) if kind != {"type": "null"}]
        if field.get("default", 0) is None:
            del field["default"]
        parameter = {"name": name, "in": place, "required": name in schema.get("required", ())}
        parameter |= {"description": about["description"], "schema": field | (kinds[0] if kinds else {})}
        if "examples" in about:
            parameter["example"] = about["examples"][0]
        found.append(parameter)
    return found
