"""What must be true before anything starts; each failure is one line that says what to do."""

import fcntl
import socket
from pathlib import Path
from typing import IO

from redis import RedisError

from deploy.redis_server import find_server, socket_path
from shared.redis_client import connect
from shared.settings import Settings


class CannotStart(Exception):
    """One line for the terminal: what is wrong and what to do."""


def only_one(data: Path) -> IO[str]:
    """A lock on the data folder, held until this process ends."""
    data.mkdir(parents=True, exist_ok=True, mode=0o700)
    (data / "logs").mkdir(exist_ok=True)
    lock = (data / "run.lock").open("w")
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise CannotStart(
            f"Wiredesk already runs with WIREDESK_DATA={data}; stop it, or set another folder"
        ) from None
    return lock


def check_ports(config: Settings) -> None:
    for variable, host, port in (
        ("WIREDESK_PORT", config.host, config.port),
        ("WIREDESK_FLOWER_PORT", config.flower_host, config.flower_port),
    ):
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((host, port))
            except OSError as error:
                reason = error.strerror or "cannot be bound"
                raise CannotStart(f"port {port} on {host}: {reason}; set {variable} to a free one") from None


def redis_url(config: Settings) -> str:
    """Where the processes find Redis; one that was asked for must answer."""
    if not config.redis_url:
        find_server()
        return f"redis+socket://{socket_path(config.data)}"
    try:
        with connect(config.redis_url, timeout=3) as redis:
            redis.ping()
    except RedisError as error:
        reason = type(error).__name__
        raise CannotStart(
            f"Redis does not answer at {config.redis_host} ({reason}); check WIREDESK_REDIS_URL"
        ) from None
    return config.redis_url
