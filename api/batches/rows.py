"""The lines of an input file: read one at a time, checked before anything runs, named for good."""

import base64
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from api.batches.schemas import BatchError, Row
from api.body import json_object, parse
from api.errors import ApiError
from shared.job import Endpoint

MOST_ERRORS = 100  # of one file; enough to see what is wrong with it


@dataclass(frozen=True)
class NumberedRow:
    """A request of a batch and its line, counted from 1."""

    line: int
    custom_id: str
    body: dict[str, Any]


def row_name(batch_id: str, line: int) -> str:
    """22 characters that follow from the batch's secret id: asked for again, a row is the same job."""
    digest = hashlib.sha256(f"{batch_id}.{line}".encode()).digest()[:16]
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")


def digest_of(custom_id: str) -> bytes:
    """What is remembered of a custom_id, so that 50,000 long ones take little memory."""
    return hashlib.blake2b(custom_id.encode(), digest_size=16).digest()


def read_lines(path: Path, longest: int) -> Iterator[tuple[int, bytes | None]]:
    """Lines that are not blank, with their numbers; None for one of more than `longest` bytes."""
    with path.open("rb") as file:
        number = 0
        while line := file.readline(longest + 1):
            number += 1
            if len(line) > longest:
                while line and not line.endswith(b"\n"):
                    line = file.readline(longest)
                yield number, None
            elif line.strip():
                yield number, line


def read_rows(path: Path, longest: int) -> Iterator[NumberedRow]:
    """The rows of a file that has been checked."""
    for number, line in read_lines(path, longest):
        value = json_object(line or b"{}")
        yield NumberedRow(number, value["custom_id"], value["body"])


class BadLine(Exception):
    """Why a file, or one of its lines, cannot be a batch."""

    def __init__(self, code: str, message: str, param: str | None = None):
        super().__init__(message)
        self.code, self.message, self.param = code, message, param


class Check:
    """Looks at every line before anything runs: `errors` say what is wrong, `total` counts the rows."""

    def __init__(self, endpoint: Endpoint, most: int, longest: int):
        self.errors: list[BatchError] = []
        self.total = 0
        self._endpoint = endpoint
        self._most = most
        self._longest = longest
        self._seen: dict[bytes, int] = {}

    def lines(self, path: Path) -> Iterator[None]:
        """Gives back control after each line; leaves early once there are enough errors."""
        for number, line in read_lines(path, self._longest):
            self.total += 1
            try:
                self._look_at(number, line)
            except BadLine as error:
                self._note(error, number)
            except ApiError as error:
                self._note(BadLine(error.detail.code, error.detail.message, error.detail.param), number)
            if len(self.errors) >= MOST_ERRORS or self.total > self._most:
                break
            yield
        if self.total > self._most:
            message = f"The file has more than {self._most} requests; send it in parts."
            self._note(BadLine("too_many_rows", message), None)
        if not self.total:
            self._note(BadLine("empty_file", "The file has no request; send one in each line."), None)

    def _look_at(self, number: int, line: bytes | None) -> None:
        if line is None:
            raise BadLine("line_too_long", f"The line is longer than {self._longest} bytes.")
        row = parse(Row, _object(line))
        if row.url != self._endpoint:
            raise BadLine("invalid_url", f"'url' must be the batch's endpoint, {self._endpoint}.", "url")
        before = self._seen.setdefault(digest_of(row.custom_id), number)
        if before != number:
            message = f"'custom_id' stands in line {before} already; each row needs its own."
            raise BadLine("duplicate_custom_id", message, "custom_id")

    def _note(self, error: BadLine, line: int | None) -> None:
        self.errors.append(BatchError(code=error.code, message=error.message, param=error.param, line=line))


def _object(line: bytes) -> dict[str, Any]:
    try:
        return json_object(line)
    except ApiError:
        message = "The line is no JSON object in UTF-8, or an object in it has two members of one name."
        raise BadLine("invalid_json_line", message) from None
