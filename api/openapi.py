"""The OpenAPI 3.1 document, made of what the routes say of themselves and of the schemas that they use."""

import re
from collections.abc import Iterator, Mapping, Sequence

from flask import Flask
from pydantic import TypeAdapter
from werkzeug.routing import Rule

from api.auth import OPEN
from api.documented import ATTRIBUTE, Documentation
from api.examples import EXAMPLES
from api.operation import Json, Kind, Operation, Untitled, error_answers, error_examples, header
from api.parameters import ANSWER_HEADERS
from api.schemas import Failed, Problem

VERSION = "1"  # of the contract, as in the paths; not of the program
ABOUT = """Labels and texts from the operator's own models, behind a queue.

Every answer that is no success has one body (`Problem`), readable as problem+json and by OpenAI's clients.
Times are Unix seconds, durations milliseconds."""
AUTOMATIC = {"HEAD", "OPTIONS"}  # of every route; HEAD is GET without its body


def openapi(app: Flask, *, keys: bool) -> Json:
    """The document of the app's routes; `keys`: requests need one."""
    said = list(_documented(app))
    schemas, components = _schemas([kind for _, _, about in said for kind in _kinds(about)])
    paths: dict[str, Json] = {}
    for rule, method, about in said:
        view = app.view_functions[rule.endpoint]
        operation = Operation(rule, view, about, schemas, keys and rule.endpoint not in OPEN).described()
        paths.setdefault(path_of(rule), {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Wiredesk", "version": VERSION, "description": ABOUT},
        "servers": [{"url": "/"}],
        "tags": [{"name": name} for name in app.blueprints],  # in this order on the page
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": components,
            "responses": error_answers(),
            "examples": error_examples(),
            "headers": {name: header(name) for name in ANSWER_HEADERS},
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer", "description": "A key `wd_…`."}},
        },
    }


def path_of(rule: Rule) -> str:
    """'/v1/models/<path:model_id>' -> '/v1/models/{model_id}'."""
    return re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)


def methods_of(rule: Rule) -> list[str]:
    return sorted((rule.methods or set()) - AUTOMATIC)


def _documented(app: Flask) -> Iterator[tuple[Rule, str, Documentation]]:
    for rule in app.url_map.iter_rules():
        about = getattr(app.view_functions[rule.endpoint], ATTRIBUTE, None)
        if about:
            for method in methods_of(rule):
                yield rule, method, about


def _kinds(about: Documentation) -> Iterator[Kind]:
    """The types of a route's bodies, each with the side that it stands for."""
    if about.request:
        yield about.request, "validation"
    for answer in about.answers.values():
        for kind in (answer.body, answer.events):
            if kind is not None:
                yield kind, "serialization"


def _schemas(kinds: Sequence[Kind]) -> tuple[Mapping[Kind, Json], Json]:
    """The JSON schema of each, and the components that these refer to."""
    asked: list[Kind] = [(Problem, "serialization"), (Failed, "serialization")]
    asked += [kind for kind in kinds if kind not in asked]
    inputs = [((mode, place), mode, TypeAdapter(kind)) for place, (kind, mode) in enumerate(asked)]
    made, extra = TypeAdapter.json_schemas(
        inputs, ref_template="#/components/schemas/{model}", schema_generator=Untitled
    )
    components = {name: _with_examples(name, schema) for name, schema in extra.get("$defs", {}).items()}
    schemas = {kind: made[(kind[1], place), kind[1]] for place, kind in enumerate(asked)}
    return schemas, dict(sorted(components.items()))


def _with_examples(name: str, schema: Json) -> Json:
    schema.pop("title", None)
    return schema | ({"examples": EXAMPLES[name]} if name in EXAMPLES else {})
