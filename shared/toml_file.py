"""A TOML file as a checked model."""

import tomllib
from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails, to_json

from shared.errors import WiredeskError

Model = TypeVar("Model", bound=BaseModel)


def read_toml(
    model: type[Model], path: Path, what: str, error: type[WiredeskError], holds: str = ""
) -> Model:
    """The file at `path`.

    Args:
        what: the file is, for errors; `holds` is added to one that says it is missing.

    Raises:
        error: the file is missing, is not TOML or breaks a rule of the model.
    """
    try:
        value = tomllib.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        raise error(f"{path} is missing{holds}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise error(f"{path} is not a valid {what}: {problem}") from None
    try:
        # as JSON, whose strict mode takes an array for a tuple, but no "yes" for true
        return model.model_validate_json(to_json(value), strict=True)
    except ValidationError as problem:
        faults = (_told(one, model, value) for one in _causes(problem.errors(include_url=False)))
        raise error(f"{path} is not a valid {what}: {'; '.join(faults)}") from None


def _causes(faults: list[ErrorDetails]) -> list[ErrorDetails]:
    """Without what only follows from others: a list whose entries are wrong counts as too short as well."""
    return [
        one
        for one in faults
        if one["type"] != "too_short"
        or not any(other["loc"][: len(one["loc"])] == one["loc"] for other in faults if other is not one)
    ]


def _told(fault: ErrorDetails, model: type[BaseModel], value: Any) -> str:
    """A wrong field, and what is wrong with it."""
    field, told = _way(fault["loc"], value), fault["msg"].removeprefix("Value error, ")
    if fault["type"] == "extra_forbidden":
        near = get_close_matches(str(fault["loc"][-1]), _fields(model, fault["loc"][:-1]), n=1)
        told = "there is no such field" + (f"; is {near[0]!r} meant?" if near else "")
    return f"{field}: {told}" if field else told


def _way(loc: Sequence[int | str], value: Any) -> str:
    """Where a field is: `sources[FinNL].repeat`; an entry without a name by its number, from 1."""
    way = ""
    for step in loc:
        if isinstance(step, str):
            way += f".{step}"
            value = value.get(step) if isinstance(value, dict) else None
        else:
            value = value[step]
            way += f"[{(isinstance(value, dict) and value.get('name')) or step + 1}]"
    return way.removeprefix(".")


def _fields(model: Any, loc: Sequence[int | str]) -> list[str]:
    """The names of the fields of the model that lies at `loc` within `model`."""
    for step in loc:
        if isinstance(step, str) and model is not None:
            model = _model_in(model.model_fields[step].annotation)
    return list(model.model_fields) if model is not None else []


def _model_in(annotation: Any) -> Any:
    """The model within an annotation like `tuple[Source, ...]` or `Teacher | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for one in get_args(annotation) if (found := _model_in(one))), None)
