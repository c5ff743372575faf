"""Files of batches: bytes in WIREDESK_DATA/files under ids of our own, what is known of them in Redis.

A file exists for clients while its record file:<id> does. Its bytes are written first and taken away
last, by the feeder's sweep; names that clients give are shown and never used as paths.
"""

import re
import secrets
import time
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from redis import Redis

from api.batches.draft import Draft, no_room
from api.batches.paging import page
from api.batches.schemas import FileObject
from api.errors import ApiError
from shared.redis_keys import Keys
from shared.scripts import job_script
from shared.settings import Settings

FILE_ID = re.compile(r"file-[A-Za-z0-9_-]{22}")
MOST_FILES = 10_000  # of one client: each takes memory of Redis
UNCLAIMED = 600  # seconds after which bytes without a record are taken away


def new_file_id() -> str:
    return f"file-{secrets.token_urlsafe(16)}"


@dataclass(frozen=True)
class StoredFile:
    """What is known of a file; `lines` counts those of an upload."""

    id: str
    client: str
    filename: str
    purpose: str
    bytes: int
    lines: int
    created: int
    expires: int

    @classmethod
    def from_hash(cls, file_id: str, value: Mapping[str, str]) -> "StoredFile":
        numbers = {name: int(value[name]) for name in ("bytes", "lines", "created", "expires")}
        return cls(file_id, value["client"], value["filename"], value["purpose"], **numbers)

    def shown(self) -> FileObject:
        return FileObject.model_validate(
            {
                "id": self.id,
                "bytes": self.bytes,
                "created_at": self.created,
                "expires_at": self.expires,
                "filename": self.filename,
                "purpose": self.purpose,
            }
        )


class Files:
    """Keeps, lists and deletes files; a client sees its own only."""

    def __init__(self, redis: Redis, keys: Keys, config: Settings):
        self._redis = redis
        self._keys = keys
        self._config = config
        self._delete = job_script(redis, config, __file__, "delete.lua")
        self.folder = config.data / "files"

    def draft(self, client: str) -> Draft:
        """A file to be written; `keep` makes it one that its client sees.

        Raises:
            ApiError: 507, the client has too many.
        """
        names = self._keys.client_files(client)
        if self._redis.zcard(names) >= MOST_FILES:
            self._redis.zremrangebyscore(names, "-inf", time.time() - self._config.file_ttl)
            if self._redis.zcard(names) >= MOST_FILES:
                raise no_room()
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Draft(self.folder / f"{new_file_id()}.upload", self._config, self.used)

    def keep(self, draft: Draft, client: str, filename: str, seconds: int | None) -> StoredFile:
        """The draft is complete: its bytes reach the disk, then it gets a record."""
        draft.finish()
        now = int(time.time())
        lifetime = min(seconds or self._config.file_ttl, self._config.file_ttl)
        path = draft.path.with_suffix("")
        file = StoredFile(path.name, client, filename, "batch", draft.size, draft.lines, now, now + lifetime)
        draft.path.rename(path)
        names, record = self._keys.client_files(client), self._keys.file(file.id)
        pipe = self._redis.pipeline()
        known = ("client", "filename", "purpose", "bytes", "lines", "created", "expires")
        pipe.hset(record, mapping={name: getattr(file, name) for name in known})
        pipe.expireat(record, file.expires)
        pipe.zadd(names, {file.id: time.time()})
        pipe.expire(names, self._config.file_ttl)
        pipe.execute()
        return file

    def read(self, client: str, file_id: str, param: str = "id") -> StoredFile:
        """The client's file; `param` names the field that asked for it.

        Raises:
            ApiError: 404, it has none of this id.
        """
        value = self._redis.hgetall(self._keys.file(file_id)) if FILE_ID.fullmatch(file_id) else None
        if not value or value["client"] != client:
            raise ApiError(404, "file_not_found", "There is no such file, or it has expired.", param)
        return StoredFile.from_hash(file_id, value)

    def listed(
        self, client: str, *, purpose: str | None, after: str | None, limit: int, oldest_first: bool
    ) -> tuple[list[StoredFile], bool]:
        """One page of the client's files, and whether there are more."""
        found, more = page(
            self._redis,
            self._keys.client_files(client),
            self._keys.file,
            limit=limit,
            after=after,
            oldest_first=oldest_first,
            wanted=lambda record: purpose in (None, record["purpose"]),
        )
        return [StoredFile.from_hash(file_id, record) for file_id, record in found], more

    def delete(self, client: str, file_id: str) -> None:
        """Raises ApiError: 404, the client has no such file; 409, an open batch reads it."""
        self.read(client, file_id)
        if self._delete(file_id, client) == "used":
            message = "A batch that has not ended reads this file; cancel it first."
            raise ApiError(409, "file_in_use", message, "id", {"x-should-retry": "false"})
        self.path(file_id).unlink(missing_ok=True)

    def path(self, file_id: str) -> Path:
        assert FILE_ID.fullmatch(file_id)
        return self.folder / file_id

    def used(self) -> int:
        """Bytes of all files on disk, those of uploads under way too."""
        total = 0
        for path in self.folder.glob("file-*"):
            with suppress(FileNotFoundError):
                total += path.stat().st_size
        return total

    def sweep(self, needed: Collection[str]) -> None:
        """Take away bytes of expired files and of uploads that never ended; `needed` ids stay."""
        for path in self.folder.glob("file-*"):
            file_id = path.name.partition(".")[0]
            with suppress(FileNotFoundError):
                old = time.time() - path.stat().st_mtime > UNCLAIMED
                if old and file_id not in needed and not self._redis.exists(self._keys.file(file_id)):
                    path.unlink()
