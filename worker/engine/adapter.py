"""A LoRA adapter on top of loaded weights."""

import math
from pathlib import Path
from typing import Any

from peft import PeftModel, get_peft_model_state_dict
from safetensors import SafetensorError, safe_open

from shared.errors import ArtifactError

UNFIT = (OSError, ValueError, KeyError, TypeError, RuntimeError, SafetensorError)


def add_adapter(model: Any, folder: Path, merge: bool) -> Any:
    """The model with the adapter.

    Args:
        merge: fold it into the weights, which costs nothing later. Not for quantised weights, where the
            rounding moves log P by tenths: there it stays beside them.

    Raises:
        ArtifactError: the adapter was trained for a model of another shape.
    """
    other = f"{folder}: the adapter does not belong to these weights; it was trained for another base"
    try:
        adapted = PeftModel.from_pretrained(model, folder, local_files_only=True)
        stored = _shapes(folder)
    except UNFIT as error:
        raise ArtifactError(f"{other} ({_first_line(error)})") from error
    known = set(get_peft_model_state_dict(adapted))
    if stray := sorted(set(stored) - known):  # peft leaves them out without a word
        raise ArtifactError(f"{other} ({len(stray)} matrices have no place, like {stray[0]})")
    return adapted.merge_and_unload() if merge else adapted.get_base_model()


def count_numbers(folder: Path) -> int:
    """How many numbers the adapter holds."""
    try:
        return sum(math.prod(shape) for shape in _shapes(folder).values())
    except (OSError, SafetensorError) as error:
        raise ArtifactError(f"{folder}: the adapter cannot be read: {error}") from error


def _shapes(folder: Path) -> dict[str, list[int]]:
    with safe_open(folder / "adapter_model.safetensors", framework="pt") as file:
        return {name: file.get_slice(name).get_shape() for name in file.keys()}  # noqa: SIM118 - no mapping


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n")[0][:200]
