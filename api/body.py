"""From the raw body of a request to a validated schema, or an error that names the field."""

import json
from collections.abc import Mapping
from typing import Any, NoReturn, TypeVar

from flask import request
from pydantic import BaseModel, ValidationError

from api.errors import ApiError

T = TypeVar("T", bound=BaseModel)


def read_json_object() -> dict[str, Any]:
    """The body as a JSON object.

    Raises:
        ApiError: 400, it is not one; 413, it is too large.
    """
    try:
        value = json.loads(request.get_data(), parse_constant=_not_json)
    except (ValueError, RecursionError) as error:
        where = (
            f" (line {error.lineno}, column {error.colno})" if isinstance(error, json.JSONDecodeError) else ""
        )
        message = f"The body is not valid JSON in UTF-8{where}. Send a JSON object."
        raise ApiError(400, "invalid_json", message) from None
    if not isinstance(value, dict):
        raise ApiError(400, "invalid_json", 'The body must be a JSON object such as {"input": "…"}.')
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
        return ApiError(400, "empty_input", f"'{param}' is empty; it must not be.", param)
    return ApiError(400, "invalid_value", f"'{param}': {_reason(problem)}.", param)


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
