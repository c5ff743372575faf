"""What a run keeps, so that one that was killed goes on: files with a key of what they were made from."""

import hashlib
import json
from pathlib import Path
from typing import Any

import torch


def fingerprint(*parts: Any) -> str:
    """Tells whether something was made from the same things."""
    return hashlib.sha256(json.dumps(parts, ensure_ascii=False, sort_keys=True).encode()).hexdigest()[:16]


def keep(path: Path, key: str, value: dict[str, Any]) -> None:
    """All at once: a kill leaves the old file or the new one."""
    unfinished = path.with_suffix(".tmp")
    torch.save(value | {"key": key}, unfinished)
    unfinished.replace(path)


def kept(path: Path, key: str) -> dict[str, Any] | None:
    """The value, or None where there is none or one with another key."""
    if not path.is_file():
        return None
    value: dict[str, Any] = torch.load(path, weights_only=True)
    return value if value["key"] == key else None
