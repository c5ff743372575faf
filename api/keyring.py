"""The keys of the key file, read again when the file changes."""

import hmac
import logging
import time
from pathlib import Path

from shared.errors import SettingsError
from shared.keys import Key, hash_of, read_keys

log = logging.getLogger(__name__)
LOOK_AGAIN = 0.5  # seconds between two looks at the file


class Keyring:
    """Who holds which key.

    Raises:
        SettingsError: the file cannot be read, or a line is wrong.
    """

    def __init__(self, path: Path):
        self._path = path
        self._keys = read_keys(path)
        self._version = self._file_version()
        self._looked_at = time.monotonic()

    def holder(self, secret: str) -> Key | None:
        """Compares with every key in the same time, whichever it is."""
        self._read_again()
        asked, found = hash_of(secret), None
        for key in self._keys:
            if hmac.compare_digest(asked, key.hash):
                found = key
        return found

    def _read_again(self) -> None:
        """A file that has become unreadable keeps the keys that were good."""
        if time.monotonic() - self._looked_at < LOOK_AGAIN:
            return
        self._looked_at = time.monotonic()
        version = self._file_version()
        if version == self._version:
            return
        self._version = version
        try:
            self._keys = read_keys(self._path)
        except SettingsError as error:
            log.error("the keys stay as they were: %s", error)

    def _file_version(self) -> tuple[int, int, int]:
        try:
            found = self._path.stat()
        except OSError:
            return (0, 0, 0)
        return found.st_mtime_ns, found.st_ino, found.st_size
