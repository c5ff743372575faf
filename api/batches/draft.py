"""An upload on its way to the disk: written by gevent's threads, so that no disk stops the event loop."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import gevent

from api.errors import ApiError
from shared.settings import Settings

CHECK_EVERY = 8_000_000  # bytes between two looks at the room that is left
T = TypeVar("T")


def off_loop(work: Callable[..., T], *arguments: Any) -> T:
    """Run this in a thread of gevent's while other requests go on."""
    return gevent.get_hub().threadpool.apply(work, arguments)


class Draft:
    """Where werkzeug's parser writes a file, piece by piece.

    Args:
        path: where it lies until it is complete.
        used: bytes of all files, this one too.
    """

    def __init__(self, path: Path, config: Settings, used: Callable[[], int]):
        self.path = path
        self.size = self.lines = 0
        self._config = config
        self._used = used
        self._ends_with_line = True
        self._checked_at = -CHECK_EVERY
        self._handle: int | None = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)

    def write(self, data: bytes) -> None:
        """Raises ApiError: 413, the file is too large; 507, there is no room."""
        self.size += len(data)
        self._check_size()
        self.lines += data.count(b"\n")
        if data:
            self._ends_with_line = data.endswith(b"\n")
        try:
            off_loop(self._write_all, data)
        except OSError:
            raise no_room() from None

    def seek(self, place: int) -> None:
        """The parser rewinds a file that it has written; nobody reads it here."""
        assert place == 0

    def finish(self) -> None:
        """Nothing more comes; returns when the bytes are on disk."""
        self.lines += not self._ends_with_line
        assert self._handle is not None
        off_loop(os.fsync, self._handle)
        self.close()

    def discard(self) -> None:
        self.close()
        self.path.unlink(missing_ok=True)

    def close(self) -> None:
        if self._handle is not None:
            os.close(self._handle)
            self._handle = None

    def _write_all(self, data: bytes) -> None:
        assert self._handle is not None
        while data:
            data = data[os.write(self._handle, data) :]

    def _check_size(self) -> None:
        most = self._config.max_file_bytes
        if self.size > most:
            raise file_too_large(most)
        if self.size - self._checked_at >= CHECK_EVERY:
            self._checked_at = self.size
            if off_loop(self._used) > self._config.files_bytes:
                raise no_room()


def file_too_large(most: int) -> ApiError:
    return ApiError(413, "file_too_large", f"The file is larger than {most} bytes; send it in parts.", "file")


def no_room() -> ApiError:
    message = "There is no room for more files; delete some (DELETE /v1/files/<id>), or ask your operator."
    return ApiError(507, "storage_full", message, "file", {"x-should-retry": "false"})
