"""/openapi.json is valid, complete and true; /docs shows it."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import validate

from api.openapi import methods_of, path_of
from tests.contract import CheckedClient, Contract

OPEN = {"/health", "/ready", "/openapi.json", "/docs", "/docs/{name}"}


@pytest.fixture
def api(make_client: Callable[..., CheckedClient]) -> CheckedClient:
    return make_client()


@pytest.fixture
def document(api: CheckedClient) -> dict[str, Any]:
    return api.get("/openapi.json").get_json()


@pytest.fixture
def keyed(make_client: Callable[..., CheckedClient], tmp_path: Path) -> dict[str, Any]:
    """Of an api that wants keys; fetched without one."""
    keys = tmp_path / "keys"
    keys.touch(mode=0o600)
    return make_client(keys_file=keys).get("/openapi.json").get_json()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answers = {s: Contract(document).answer_of(path, method, s) for s in operation["responses"]}
            yield f"{method.upper()} {path}", operation | {"responses": answers}


def test_the_document_is_valid_openapi_3_1(document: dict):
    assert document["openapi"].startswith("3.1")
    validate(document)


def test_what_is_documented_is_what_there_is(api: CheckedClient, document: dict):
    there = {
        (path_of(rule), method.lower())
        for rule in api.application.url_map.iter_rules()
        for method in methods_of(rule)
    }
    assert Contract(document).operations == there
    names = [operation["operationId"] for _, operation in operations(document)]
    assert len(names) == len(set(names))


def test_every_parameter_and_field_is_described(document: dict):
    missing = [
        name for name, schema in document["components"]["schemas"].items() if not schema.get("description")
    ]
    for name, schema in document["components"]["schemas"].items():
        for field, about in schema.get("properties", {}).items():
            if not (about.get("description") or "$ref" in about or "allOf" in about):
                missing.append(f"{name}.{field}")
    for name, operation in operations(document):
        assert operation["summary"]
        assert operation["description"]
        missing += [f"{name} {p['name']}" for p in operation["parameters"] if not p.get("description")]
    assert missing == []


def test_every_request_and_answer_has_an_example_that_is_valid(document: dict):
    """Schemas of the routes, or those that a union lists; small ones within them need none."""
    contract, schemas = Contract(document), document["components"]["schemas"]
    for name, operation in operations(document):
        said = [operation.get("requestBody", {}), *operation["responses"].values()]
        for media in (media for one in said for media in one.get("content", {}).values()):
            for ref in references(media["schema"]):
                found = ref.rpartition("/")[2]
                assert found == "Problem" or schemas[found].get("examples") or tiny(schemas[found]), (
                    f"{name}: {found}"
                )
    for name, schema in schemas.items():
        for example in schema.get("examples", ()):
            contract.validate(example, f"/components/schemas/{name}", name)
    for name, example in document["components"]["examples"].items():
        contract.validate(example["value"], "/components/schemas/Problem", name)


def references(schema: dict[str, Any]) -> list[str]:
    """The components that a body may be."""
    parts = [schema, *schema.get("anyOf", ()), *schema.get("oneOf", ()), *schema.get("allOf", ())]
    return [part["$ref"] for part in parts if "$ref" in part]


def tiny(schema: dict[str, Any]) -> bool:
    """Each value stands in the schema."""
    return all("const" in field or "enum" in field for field in schema["properties"].values())


def test_errors_say_their_codes(keyed: dict):
    codes = set(keyed["components"]["schemas"]["ErrorDetail"]["properties"]["code"]["enum"])
    told = {ref for _, o in operations(keyed) for r in o["responses"].values() for ref in named(r)}
    assert told <= codes
    assert codes - told == {"method_not_allowed", "text_changed"}  # of no route; only within a stream


def named(response: dict[str, Any]) -> set[str]:
    problem = response.get("content", {}).get("application/problem+json")
    return (
        set(problem["schema"]["allOf"][1]["properties"]["error"]["properties"]["code"]["enum"])
        if problem
        else set()
    )


def test_keys_are_documented_where_they_are_needed(keyed: dict):
    assert {
        path for path, methods in keyed["paths"].items() for o in methods.values() if o["security"] == [{}]
    } == OPEN
    for name, operation in operations(keyed):
        assert ("401" in operation["responses"]) == (name.partition(" ")[2] not in OPEN)


def test_the_document_and_the_page_are_cached_by_their_etag(api: CheckedClient):
    for path in ("/openapi.json", "/docs", "/docs/swagger-ui.css"):
        first = api.get(path)
        again = api.get(path, headers={"If-None-Match": first.headers["ETag"]})
        assert (first.status_code, again.status_code, again.data) == (200, 304, b"")
        assert again.headers["ETag"] == first.headers["ETag"]
        assert first.headers["Cache-Control"] == "no-cache"


def test_nothing_of_this_installation_is_in_the_document(
    make_client: Callable[..., CheckedClient], redis_server, tmp_path: Path
):
    text = make_client(data=tmp_path).get("/openapi.json").get_data(as_text=True)
    for secret in (str(tmp_path), str(Path.cwd()), redis_server.url, "127.0.0.1", "localhost", "Traceback"):
        assert secret not in text
    assert "货币政策" in text
    assert json.loads(text)["servers"] == [{"url": "/"}]


def test_the_page_has_no_other_files(api: CheckedClient):
    for name in ("swagger-ui.js", "..%2fapp.py", "docs.html"):
        assert api.get(f"/docs/{name}").status_code == 404


def test_an_answer_that_is_not_as_documented_fails_its_test(document: dict):
    contract = Contract(document)
    contract.check("GET", "/health", 200, "application/json", b'{"status":"ok"}')
    for status, kind, body in (
        (201, "application/json", b'{"status":"ok"}'),
        (200, "text/html", b'{"status":"ok"}'),
        (200, "application/json", b'{"status":"well"}'),
        (200, "application/json", b'{"status":"ok","more":1}'),
        (404, "application/problem+json", b"{}"),
    ):
        with pytest.raises(AssertionError):
            contract.check("GET", "/health", status, kind, body)
    escaped = json.dumps({"object": "list", "data": [], "has_more": False, "中": 1}).encode()
    with pytest.raises(AssertionError, match="escaped"):
        contract.check("GET", "/v1/jobs", 200, "application/json", escaped)
