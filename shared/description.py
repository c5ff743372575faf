"""What a worker publishes of the model that it serves, and the api reads."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Description:
    """One served model; `memory_bytes` is what it takes on its device."""

    name: str
    revision: str
    labels: tuple[str, ...]
    device: str
    quantization: str
    memory_bytes: int
