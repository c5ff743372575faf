"""What a worker publishes of the model that it serves, and the api reads."""

import hashlib
import json
from dataclasses import asdict, dataclass

from shared.questions import Question

ANSWERS_DEPEND_ON = (
    "name",
    "revision",
    "labels",
    "quantization",
    "item_tokens",
    "prompt_version",
    "int8_threshold",
)


@dataclass(frozen=True, kw_only=True)
class Description:
    """One served model: `memory_bytes` is what it takes, `item_tokens` the most that it reads of a text;
    `writes` when it also writes text, under its own name, `zero_shot` when a request may bring labels."""

    name: str
    revision: str
    labels: tuple[str, ...]
    device: str
    quantization: str
    memory_bytes: int
    item_tokens: int = 0
    prompt_version: str = ""
    int8_threshold: float = 0.0
    writes: bool = False
    zero_shot: bool = False

    @property
    def fingerprint(self) -> str:
        """The same for two workers whose answers can stand for each other's."""
        said = asdict(self)
        return _digest([said[name] for name in ANSWERS_DEPEND_ON])

    def digest(
        self,
        text: str,
        labels: tuple[str, ...] | None = None,
        questions: tuple[Question, ...] | None = None,
    ) -> str:
        """Names the answer to one text in the cache; `labels` and `questions` are those of the request."""
        asked = [asdict(question.unnamed) for question in questions] if questions else None
        return _digest([self.fingerprint, text, labels, asked])


def _digest(value: object) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()
