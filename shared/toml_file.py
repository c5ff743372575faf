"""A TOML file as a checked model."""

import tomllib
from pathlib import Path
from typing import TypeVar

from pydantic import BaseModel, ValidationError

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
        return model.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except FileNotFoundError:
        raise error(f"{path} is missing{holds}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, ValidationError) as problem:
        raise error(f"{path} is not a valid {what}: {problem}") from None
