"""From the raw body of a request to a validated schema, or an error that names the field."""

import json
import math
import re
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError
from werkzeug.exceptions import ClientDisconnected

from api.errors import ApiError

T = TypeVar("T", bound=BaseModel)
JSON_KIND = re.compile(r"(application/([a-z0-9.-]+\+)?json)?")
DEEPEST = 32  # levels of nesting
LONGEST_NAME = 100  # characters of what a sender wrote, such as a field's name, that are repeated to it


def read_json_object() -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        ApiError: 400, it is not one; 408, it broke off; 413, it is too large; 415, it says that it is
            something else.
    """
    _check_kind()
    return json_object(_body())


def json_object(data: bytes) -> dict[str, Any]:
    """A JSON object of which no two readers think differently.

    Raises:
        ApiError: 400, it is not one.
    """
    try:
        text = data.decode("utf-8-sig")
        value = json.loads(text, parse_constant=_not_json, parse_float=_finite, object_pairs_hook=_distinct)
    except TwiceNamed as error:
        message = f"The body names {error.name!r} twice in one object; send each field once."
        raise ApiError(400, "duplicate_field", message, error.name) from None
    except (ValueError, RecursionError) as error:
        where = (
            f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        )
        message = f"The body is not valid JSON in UTF-8{where}. Send a JSON object."
        raise ApiError(400, "invalid_json", message) from None
    if not isinstance(value, dict):
        raise ApiError(400, "invalid_json", 'The body must be a JSON object such as {"input": "…"}.')
    if _deeper(value, DEEPEST):
        raise ApiError(400, "invalid_json", f"The body is nested deeper than {DEEPEST} levels.")
    return value


def parse(schema: type[T], value: Mapping[str, Any]) -> T:
    """Validate strictly: no type is converted.

    Raises:
        ApiError: 400, naming the first field that is wrong and what it takes.
    """
    try:
        return schema.model_validate(value, strict=True)
    except ValidationError as error:
        raise _explain(error) from None


class TwiceNamed(ValueError):
    """An object has two members of one name; readers differ in which of them they take."""

    def __init__(self, name: str):
        super().__init__("twice")
        self.name = name.encode("utf-8", "replace").decode()[:LONGEST_NAME]


def _body() -> bytes:
    data = request.get_data()
    if len(data) < (request.content_length or 0):
        raise ClientDisconnected
    return data


def _check_kind() -> None:
    """A body that says nothing about itself is taken for JSON."""
    kind, charset = request.mimetype, request.mimetype_params.get("charset", "utf-8")
    if not JSON_KIND.fullmatch(kind) or charset.lower() not in ("utf-8", "utf8"):
        said = (request.content_type or "")[:LONGEST_NAME]
        message = f"'Content-Type' is {said!r}; it must be application/json, in UTF-8, or be left out."
        raise ApiError(415, "unsupported_media_type", message, "Content-Type")
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        message = "The body must not be compressed; leave 'Content-Encoding' out."
        raise ApiError(415, "unsupported_media_type", message, "Content-Encoding")


def _distinct(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    value = dict(pairs)
    if len(value) < len(pairs):
        names = [name for name, _ in pairs]
        raise TwiceNamed(next(name for name in names if names.count(name) > 1))
    return value


def _finite(number: str) -> float:
    value = float(number)
    if math.isinf(value):
        raise ValueError("too large a number")
    return value


def _deeper(value: object, levels: int) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(_deeper(one, levels - 1) for one in inner)


def _not_json(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is not JSON")


def _explain(error: ValidationError) -> ApiError:
    problem = max(error.errors(include_url=False, include_input=False), key=_tellingness)
    param = _param(problem["loc"])
    if problem["type"] == "missing":
        return ApiError(400, "missing_field", f"'{param}' is missing; it is required.", param)
    if problem["type"] == "extra_forbidden":
        return ApiError(400, "unknown_field", f"'{param}' is not a field of this request; remove it.", param)
    if problem["type"] in ("string_too_short", "too_short"):
        return ApiError(400, "empty_input", f"'{param}' {_too_short(problem.get('ctx', {}))}", param)
    return ApiError(400, "invalid_value", f"'{param}': {_reason(problem)}.", param)


def _too_short(sizes: Mapping[str, Any]) -> str:
    if found := sizes.get("actual_length"):
        return f"has {found}; at least {sizes['min_length']} are needed."
    return "is empty; it must not be."


def _reason(problem: Mapping[str, Any]) -> str:
    if problem["type"] in ("none_required", "literal_error") or problem["type"] == "too_long":
        expected = problem.get("ctx", {}).get("expected", "null or left out")
        return f"this value is not supported here; it may be {expected}"
    message = problem["msg"].removeprefix("Value error, ")
    return message[0].lower() + message[1:]


def _tellingness(problem: Mapping[str, Any]) -> tuple[int, bool]:
    """Of the problems of a union's members, the deepest; then the one whose type fits at least."""
    return len(problem["loc"]), not problem["type"].endswith("_type")


def _param(location: tuple[int | str, ...]) -> str:
    """('messages', 0, 'role') -> messages[0].role, without the names of a union's members."""
    path = ""
    for step in location:
        if isinstance(step, int):
            path += f"[{step}]"
        elif step.isidentifier() and step not in _UNION_MEMBERS:
            path += f".{step}" if path else step
    return path


_UNION_MEMBERS = {"str", "list", "Text"}
