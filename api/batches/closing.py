"""How a batch ends: its files get their names, then one script ends it and makes them its client's."""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict
from typing import Literal

from api.batches.ledger import Ledger, Part
from api.batches.record import OPEN, BatchRecord
from api.batches.schemas import BatchError
from api.service import Service


def end(
    desk: Service, batch: BatchRecord, ledger: Ledger | None, early: Literal["cancelled", "expired"] | None
) -> None:
    """All rows are done, or `early` says why not. Without a ledger nothing was run: there are no files."""
    if ledger is None:
        desk.batches.move(batch.id, early or "completed", OPEN)
        return
    if not early and desk.batches.move(batch.id, "finalizing", ("in_progress", "finalizing")) == "cancelling":
        early = "cancelled"  # too late to change anything but the name
    parts = ledger.finish()
    files = [_file(batch, part, "output" if part is ledger.output else "errors") for part in parts]
    counts = asdict(ledger.counts)
    desk.batches.move(batch.id, early or "completed", OPEN, counts, files, batch.keep_output)


def fail(desk: Service, batch: BatchRecord, problems: Sequence[BatchError]) -> None:
    """Nothing was run: the file is wrong."""
    told = json.dumps([problem.model_dump() for problem in problems], ensure_ascii=False)
    desk.batches.move(batch.id, "failed", OPEN, {"problems": told})


def _file(batch: BatchRecord, part: Part, kind: str) -> dict[str, str | int]:
    now = int(time.time())
    return {
        "id": part.path.name,
        "client": batch.client,
        "filename": f"{batch.id}_{kind}.jsonl",
        "purpose": "batch_output",
        "bytes": part.size,
        "lines": part.lines,
        "created": now,
        "expires": now + batch.keep_output,
    }
