"""A job: what the api writes, the worker finishes and the api reads back.

queued ──begin──> running ──finish──> succeeded | failed
 │ ^ ^               │ │                          │
 │ │ └──worker lost──┘ └──cancel──> cancelled     │
 │ └────────────────────retry─────────────────────┘
 └──cancel──> cancelled,  ──deadline──> expired

One request is one job; each of its texts is one part, and one message in the queue.
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from shared.errors import UnknownVersion

VERSION = 1
TASK = "wiredesk.classify"
Endpoint = Literal["/v1/classify", "/v1/chat/completions"]
Priority = Literal["interactive", "bulk"]
State = Literal["queued", "running", "succeeded", "failed", "cancelled", "expired"]
ENDED: frozenset[str] = frozenset({"succeeded", "failed", "cancelled", "expired"})


def new_job_id() -> str:
    """`job_` and 128 random bits: without keys the id is the secret."""
    return f"job_{secrets.token_urlsafe(16)}"


def part_id(job_id: str, index: int) -> str:
    """The id of one text's message and Celery task."""
    return f"{job_id}.{index}"


def split_part_id(part: str) -> tuple[str, int]:
    job_id, _, index = part.rpartition(".")
    return job_id, int(index)


@dataclass(frozen=True)
class Request:
    """What is asked of the engine, and below which probability no label is wanted."""

    texts: tuple[str, ...]
    model: str
    abstain_below: float | None = None

    def to_json(self) -> str:
        return json.dumps({k: v for k, v in asdict(self).items() if v is not None}, ensure_ascii=False)

    @classmethod
    def from_json(cls, data: str) -> "Request":
        value = json.loads(data)
        return cls(tuple(value["texts"]), value["model"], value.get("abstain_below"))


@dataclass(frozen=True)
class PartResult:
    """The outcome of one text: either the classification's fields or an error's code and message."""

    label: str | None = None
    answer: str = ""
    probabilities: dict[str, float] = field(default_factory=dict)
    label_mass: float = 0.0
    truncated: bool = False
    prompt_tokens: int = 0
    completion_tokens: int = 0
    error_code: str | None = None
    error_message: str | None = None

    def to_json(self) -> str:
        return json.dumps({k: v for k, v in asdict(self).items() if v is not None}, ensure_ascii=False)

    @property
    def failed(self) -> bool:
        return self.error_code is not None


@dataclass(frozen=True)
class JobRecord:
    """The hash job:<id>, read. Times are integer milliseconds of Redis's clock."""

    id: str
    client: str
    endpoint: Endpoint
    state: State
    attempts: int
    created: int
    started: int | None
    finished: int | None
    inference_ms: float
    model: str
    priority: Priority
    deadline: int | None
    results: tuple[PartResult, ...]
    request: str | None
    abstain_below: float | None

    @classmethod
    def from_hash(cls, job_id: str, value: Mapping[str, Any]) -> "JobRecord":
        """Raises UnknownVersion for a record that another version of Wiredesk has written."""
        if int(value["v"]) != VERSION:
            raise UnknownVersion(f"job record has version {value['v']}, this Wiredesk reads {VERSION}")
        return cls(
            id=job_id,
            client=value["client"],
            endpoint=value["endpoint"],
            state=value["state"],
            attempts=int(value["attempts"]),
            created=int(value["created"]),
            started=int(value["started"]) if "started" in value else None,
            finished=int(value["finished"]) if "finished" in value else None,
            inference_ms=float(value.get("inference_ms", 0)),
            model=value["model"],
            priority=value.get("priority", "interactive"),
            deadline=int(value["deadline"]) if "deadline" in value else None,
            results=tuple(PartResult(**part) for part in json.loads(value.get("result", "[]"))),
            request=value.get("request"),
            abstain_below=float(value["abstain_below"]) if "abstain_below" in value else None,
        )

    @property
    def ended(self) -> bool:
        return self.state in ENDED

    @property
    def queue_ms(self) -> int:
        return max(0, (self.started or self.created) - self.created)
