"""API keys: who may ask, how fast, and how a key is made (python -m shared.keys new --name desk-a).

The file holds one JSON object a line, with the hash of each key and never the key itself. SHA-256 is
enough: a key is 192 random bits, which no dictionary holds and nobody can try out.
"""

import argparse
import hashlib
import json
import os
import secrets
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from shared.errors import SettingsError, WiredeskError
from shared.job import Priority
from shared.settings import settings

MARK = "wd_"  # lets secret scanners and people recognise a key


class Key(BaseModel):
    """One line of the key file. A rate of 0 is no limit; no rate of a minute means the setting's."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,64}$")]
    hash: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
    created: str
    rate_per_minute: Annotated[int, Field(ge=0)] | None = None
    rate_per_hour: Annotated[int, Field(ge=0)] = 0
    priority: Priority = "interactive"
    admin: bool = False


def hash_of(key: str) -> str:
    return hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()


def read_keys(path: Path) -> tuple[Key, ...]:
    """The keys of the file.

    Raises:
        SettingsError: it cannot be read, or a line is wrong; says which.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(
            f"WIREDESK_KEYS_FILE={path} cannot be read ({type(error).__name__}); "
            "make a key with: python -m shared.keys new --name NAME"
        ) from None
    keys = tuple(_read_line(path, number, line) for number, line in enumerate(lines, 1) if line.strip())
    names = [key.name for key in keys]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise SettingsError(f"{path}: the name {twice[0]!r} stands there twice; revoke it and make it anew")
    return keys


def new_key(path: Path, name: str, **terms: object) -> str:
    """Make a key, write down its hash, return the key: the only time that it is seen.

    Raises:
        SettingsError: the name is taken or not allowed, or the file is wrong.
    """
    known = read_keys(path) if path.exists() else ()
    if name in [key.name for key in known]:
        raise SettingsError(f"{path} has a key named {name!r} already; choose another, or revoke it first")
    secret = MARK + secrets.token_urlsafe(24)
    created = datetime.now(UTC).isoformat(timespec="seconds")
    try:
        key = Key.model_validate({"name": name, "hash": hash_of(secret), "created": created, **terms})
    except ValidationError as error:
        raise SettingsError(_explain(error)) from None
    _write(path, (*known, key))
    return secret


def revoke(path: Path, name: str) -> None:
    """Raises SettingsError when there is no such key."""
    known = read_keys(path)
    if name not in [key.name for key in known]:
        raise SettingsError(f"{path} has no key named {name!r}")
    _write(path, tuple(key for key in known if key.name != name))


def _read_line(path: Path, number: int, line: str) -> Key:
    try:
        return Key.model_validate_json(line)
    except ValidationError as error:
        raise SettingsError(f"{path}, line {number}: {_explain(error)}") from None


def _explain(error: ValidationError) -> str:
    problem = error.errors(include_input=False, include_url=False)[0]
    return f"{'.'.join(map(str, problem['loc'])) or 'line'}: {problem['msg']}"


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    """In one move, so that a reader never sees half a file; readable by its owner only."""
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=path.name)  # mode 0600
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        file.writelines(json.dumps(key.model_dump(exclude_none=True)) + "\n" for key in keys)
    if path.exists():
        Path(draft).chmod(path.stat().st_mode & 0o777)  # the api may run as a user of the file's group
    Path(draft).replace(path)


def main(arguments: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m shared.keys", description="API keys of Wiredesk.")
    parser.add_argument("--file", type=Path, help="key file; default: WIREDESK_KEYS_FILE")
    commands = parser.add_subparsers(dest="command", required=True)
    new = commands.add_parser("new", help="make a key and print it once")
    new.add_argument("--name", required=True)
    new.add_argument("--rate-per-minute", type=int, help="texts a minute; default: WIREDESK_RATE_PER_MINUTE")
    new.add_argument("--rate-per-hour", type=int, default=0, help="texts an hour; 0: no limit of its own")
    new.add_argument("--priority", choices=["interactive", "bulk"], default="interactive", help="the highest")
    new.add_argument("--admin", action="store_true", help="may drain and resume")
    commands.add_parser("list", help="names and terms of all keys")
    commands.add_parser("revoke", help="a key stops working at once").add_argument("--name", required=True)
    asked = vars(parser.parse_args(arguments))
    try:
        _run(asked.pop("command"), asked.pop("file") or settings().keys_file, asked)
    except WiredeskError as error:
        sys.exit(f"keys: {error}")


def _run(command: str, path: Path | None, asked: dict) -> None:
    if path is None:
        raise SettingsError("set WIREDESK_KEYS_FILE (the api reads it too), or say --file")
    if command == "new":
        print(new_key(path, **asked))
        print(f"written to {path}; it is not shown again", file=sys.stderr)
    elif command == "revoke":
        revoke(path, **asked)
    else:
        for key in read_keys(path):
            print(json.dumps(key.model_dump(exclude={"hash"})))


if __name__ == "__main__":
    main()
