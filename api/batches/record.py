"""A batch as it stands in Redis (batch:<id>), and as its client sees it.

validating ──> in_progress ──> finalizing ──> completed
    │ │             │ └── its time is over ──> expired
    │ └─> failed    └──cancel──> cancelling ──> cancelled
    └──────────────────cancel────────┘
"""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

from api.batches.schemas import (
    Batch,
    BatchError,
    BatchErrors,
    BatchStatus,
    BatchUsage,
    RequestCounts,
)
from shared.job import Endpoint

WINDOW = 24 * 3600  # seconds: OpenAI's one completion window
OPEN: tuple[BatchStatus, ...] = ("validating", "in_progress", "finalizing", "cancelling")
MOMENTS = (
    "in_progress_at",
    "finalizing_at",
    "completed_at",
    "failed_at",
    "expired_at",
    "cancelling_at",
    "cancelled_at",
)


def new_batch_id() -> str:
    return f"batch_{secrets.token_urlsafe(16)}"


@dataclass(frozen=True, kw_only=True)
class BatchRecord:
    """`output` and `errors` name the files that it will have; `total` is unknown until it is validated."""

    id: str
    client: str
    endpoint: Endpoint
    status: BatchStatus
    input: str
    output: str
    errors: str
    created: int
    expires: int
    keep_output: int
    total: int | None
    counted: Mapping[str, int]
    moments: Mapping[str, int | None]
    problems: tuple[BatchError, ...]
    metadata: dict[str, str] | None

    @classmethod
    def from_hash(cls, batch_id: str, value: Mapping[str, str]) -> "BatchRecord":
        counts = ("completed", "failed", "input_tokens", "output_tokens")
        return cls(
            id=batch_id,
            client=value["client"],
            endpoint=cast(Endpoint, value["endpoint"]),
            status=cast(BatchStatus, value["status"]),
            input=value["input"],
            output=value["output"],
            errors=value["errors"],
            created=int(value["created_at"]),
            expires=int(value["expires_at"]),
            keep_output=int(value["keep_output"]),
            total=int(value["total"]) if "total" in value else None,
            counted={name: int(value.get(name, 0)) for name in counts},
            moments={name: int(value[name]) if name in value else None for name in MOMENTS},
            problems=tuple(BatchError(**problem) for problem in json.loads(value.get("problems", "[]"))),
            metadata=json.loads(value["metadata"]) if "metadata" in value else None,
        )

    def shown(self) -> Batch:
        ended = self.status in ("completed", "expired", "cancelled")
        read, written = self.counted["input_tokens"], self.counted["output_tokens"]
        completed, failed = self.counted["completed"], self.counted["failed"]
        return Batch(
            id=self.id,
            endpoint=self.endpoint,
            errors=BatchErrors(data=list(self.problems)) if self.problems else None,
            input_file_id=self.input,
            status=self.status,
            output_file_id=self.output if ended and completed else None,
            error_file_id=self.errors if ended and failed else None,
            created_at=self.created,
            expires_at=self.expires,
            request_counts=RequestCounts(total=self.total or 0, completed=completed, failed=failed),
            usage=BatchUsage(input_tokens=read, output_tokens=written, total_tokens=read + written),
            metadata=self.metadata,
            **self.moments,
        )
