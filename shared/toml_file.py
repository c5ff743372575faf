"""A TOML file as a checked model."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import to_json

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
        # as JSON, whose strict mode takes an array for a tuple, but no "yes" for true
        return model.model_validate_json(to_json(tomllib.loads(path.read_text("utf-8"))), strict=True)
    except FileNotFoundError:
        raise error(f"{path} is missing{holds}") from None
    except ValidationError as problem:
        raise error(f"{path} is not a valid {what}: {_told(problem)}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
        raise error(f"{path} is not a valid {what}: {problem}") from None


def _told(problem: ValidationError) -> str:
    """Each wrong field and what is wrong with it."""
    faults = []
    for one in problem.errors(include_url=False):
        field, fault = ".".join(map(str, one["loc"])), one["msg"].removeprefix("Value error, ")
        faults.append(f"{field}: {fault}" if field else fault)
    return "; ".join(faults)
