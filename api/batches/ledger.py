"""The output and the error file of a batch while they grow: the one truth of which rows are done.

A line is written whole or taken back, and only then is the row's job forgotten; so after any crash a
row stands in one of the files, or it is asked again. A torn last line (a power loss) is cut off.
"""

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import ValidationError

from api.batches.outcomes import tokens
from api.batches.rows import digest_of
from api.batches.schemas import RowResult


@dataclass
class Counts:
    """Rows in the output and in the error file, and tokens of those in the output."""

    completed: int = 0
    failed: int = 0
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass
class Part:
    """One of the two files."""

    path: Path
    handle: int = -1
    size: int = 0
    lines: int = 0

    @property
    def growing(self) -> Path:
        return self.path.with_name(f"{self.path.name}.part")

    def open(self) -> None:
        if self.path.exists():  # it was complete when the feeder died
            self.path.rename(self.growing)
        self.handle = os.open(self.growing, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600)

    def results(self) -> Iterator[RowResult]:
        """What stands in whole lines; whatever follows the last of them is cut off."""
        with self.growing.open("rb") as file:
            for line in file:
                result = _whole(line)
                if result is None:
                    break
                self.size += len(line)
                self.lines += 1
                yield result
        os.ftruncate(self.handle, self.size)

    def append(self, line: bytes) -> None:
        """Raises OSError: it does not fit on the disk; nothing of it stays."""
        try:
            written = 0
            while written < len(line):
                written += os.write(self.handle, line[written:])
        except OSError:
            os.ftruncate(self.handle, self.size)
            raise
        self.size += len(line)
        self.lines += 1

    def close(self) -> None:
        if self.handle >= 0:
            os.close(self.handle)
            self.handle = -1

    def finish(self) -> None:
        """On disk, under its own name; an empty one is no file."""
        os.fsync(self.handle)
        self.close()
        if self.lines:
            self.growing.rename(self.path)
        else:
            self.growing.unlink()


@dataclass
class Ledger:
    """Both files of one batch."""

    output: Part
    errors: Part
    counts: Counts = field(default_factory=Counts)
    _done: set[bytes] = field(default_factory=set)

    @classmethod
    def at(cls, output: Path, errors: Path) -> "Ledger":
        return cls(Part(output), Part(errors))

    def load(self) -> Iterator[None]:
        """Reads what an earlier life has written; gives back control after each line."""
        for part in (self.output, self.errors):
            part.open()
            for result in part.results():
                self._count(result, part is self.output)
                yield

    def __contains__(self, custom_id: str) -> bool:
        return digest_of(custom_id) in self._done

    def write(self, result: RowResult) -> None:
        """Raises OSError: the disk is full; the row is not done."""
        good = result.response is not None and result.response.status_code == 200
        line = json.dumps(result.model_dump(), ensure_ascii=False).encode("utf-8", "replace") + b"\n"
        (self.output if good else self.errors).append(line)
        self._count(result, good)

    def finish(self) -> list[Part]:
        """The files that are not empty, safe on disk."""
        for part in (self.output, self.errors):
            part.finish()
        return [part for part in (self.output, self.errors) if part.lines]

    def close(self) -> None:
        for part in (self.output, self.errors):
            part.close()

    def _count(self, result: RowResult, good: bool) -> None:
        self._done.add(digest_of(result.custom_id))
        if good and result.response:
            read, written = tokens(result.response.body)
            self.counts.completed += 1
            self.counts.input_tokens += read
            self.counts.output_tokens += written
        else:
            self.counts.failed += 1


def _whole(line: bytes) -> RowResult | None:
    try:
        return RowResult.model_validate_json(line) if line.endswith(b"\n") else None
    except ValidationError:
        return None
