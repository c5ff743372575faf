"""Does an answer keep to /openapi.json? Its status, content type and body, event by event in a stream."""

import json
import re
from collections.abc import Iterable, Iterator
from functools import cache
from typing import Any
from urllib.parse import quote, unquote

from flask import Flask
from flask.testing import FlaskClient
from jsonschema import Draft202012Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

JSON_KINDS = ("application/json", "application/problem+json")
EVENTS = "text/event-stream"
ESCAPED = re.compile(r"(?<!\\)(\\\\)*\\u(?!00[01]|d[89a-f])", re.IGNORECASE)
"""A character that JSON lets stand as it is: all but control characters and lone surrogates."""
OUTSIDE = {404: "unknown_route", 405: "method_not_allowed"}
"""What is answered where there is no such route or method; these have no place in the document."""


class Contract:
    """The document of one server."""

    def __init__(self, document: dict[str, Any]):
        self.document = document
        resource = Resource(contents=document, specification=DRAFT202012)
        self._registry = Registry().with_resource("urn:api", resource)
        self._validator = cache(self._made)
        self.seen: set[tuple[str, str, str]] = set()

    @property
    def operations(self) -> set[tuple[str, str]]:
        return {(path, method) for path, methods in self.document["paths"].items() for method in methods}

    def path_of(self, path: str) -> str | None:
        """The documented path of a real one; literal ones first."""
        for known in sorted(self.document["paths"], key=lambda known: known.count("{")):
            pattern = re.sub(r"\\{(\w+)\\}", _parameter, re.escape(known))
            if re.fullmatch(pattern, path):
                return known
        return None

    def at(self, pointer: str) -> dict[str, Any]:
        """What a JSON pointer points at."""
        found = self.document
        for step in pointer.split("/")[1:]:
            name = unquote(step).replace("~1", "/").replace("~0", "~")
            found = found[name]
        return found

    def answer_of(self, path: str, method: str, status: str) -> dict[str, Any]:
        answer = self.document["paths"][path][method]["responses"][status]
        return self.at(answer["$ref"][1:]) if "$ref" in answer else answer

    def check(self, method: str, path: str, status: int, kind: str, body: bytes | None) -> None:
        """Raises AssertionError: what is not as documented.

        Args:
            body: None where it is checked later (see `checked_events`).
        """
        media = kind.partition(";")[0]
        where = f"{method} {path} {status} {media}"
        known = self.path_of(path)
        if known is None or method.lower() not in self.document["paths"][known]:
            self._check_outside(status, body or b"", where)
            return
        said = self.document["paths"][known][method.lower()]["responses"]
        assert str(status) in said, f"undocumented: {where} {body!r}"
        self.seen.add((known, method.lower(), str(status)))
        here = _pointer("paths", known, method.lower(), "responses", str(status))
        pointer = said[str(status)].get("$ref", "#" + here)[1:]
        content = self.at(pointer).get("content", {})
        if not content:
            assert body in (b"", None), f"a body is not documented: {where}"
            return
        assert media in content or "*/*" in content, f"undocumented: {where}"
        if media in JSON_KINDS and body is not None:
            assert not ESCAPED.search(body.decode()), f"escaped: {where}"
            self.validate(json.loads(body), pointer + _pointer("content", media, "schema"), where)

    def _check_outside(self, status: int, body: bytes, where: str) -> None:
        problem = json.loads(body)
        self.validate(problem, "/components/schemas/Problem", where)
        assert problem["error"]["code"] == OUTSIDE.get(status), where

    def checked_events(self, method: str, path: str, pieces: Iterable[bytes]) -> Iterator[bytes]:
        """The pieces of a stream; at its end, each event has been compared with its schema."""
        whole = b""
        for piece in pieces:
            whole += piece
            yield piece
        known = self.path_of(path)
        assert known
        answer = _pointer("paths", known, method.lower(), "responses", "200")
        events = answer + _pointer(
            "content", EVENTS, "schema", "properties", "data", "anyOf", "0", "contentSchema"
        )
        for line in whole.decode().split("\n\n"):
            if line and line != "data: [DONE]":
                event = json.loads(line.removeprefix("data: "))
                self.validate(event, events, line)

    def validate(self, value: Any, pointer: str, where: str) -> None:
        problems = [
            f"{list(error.path)}: {error.message}" for error in self._validator(pointer).iter_errors(value)
        ]
        assert not problems, f"{where}: {problems} in {value}"

    def _made(self, pointer: str) -> Draft202012Validator:
        return Draft202012Validator({"$ref": f"urn:api#{pointer}"}, registry=self._registry)


def _parameter(match: re.Match[str]) -> str:
    return ".+" if match[1] == "model_id" else "[^/]+"


def _pointer(*steps: str) -> str:
    return "".join("/" + quote(step.replace("~", "~0").replace("/", "~1"), safe="~*") for step in steps)


@cache
def contract_of(text: str) -> Contract:
    """One for all servers with this document, so that its validators are made once."""
    return Contract(json.loads(text))


class CheckedClient(FlaskClient):
    """A test client that fails the test when an answer does not keep to the api's own document."""

    application: Flask

    @property
    def contract(self) -> Contract:
        return contract_of(self.application.extensions["openapi"]())

    def open(self, *args: Any, **kwargs: Any):
        response = super().open(*args, **kwargs)
        method, path = response.request.method, response.request.path
        if method in ("HEAD", "OPTIONS"):
            return response
        streamed = response.mimetype == EVENTS
        body = None if streamed else response.get_data()
        self.contract.check(
            method, path, response.status_code, response.headers.get("Content-Type", ""), body
        )
        if streamed:
            response.response = self.contract.checked_events(method, path, response.response)
        return response
