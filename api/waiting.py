"""Waiting on a connection: how long one slice is, and whether the client is still there."""

import select
import socket

SLICE = 1.0  # seconds


class ClientGone(Exception):
    """The client closed the connection; nobody is left to answer."""


def hung_up(client_socket: socket.socket | None) -> bool:
    if client_socket is None:
        return False
    try:
        readable, _, _ = select.select([client_socket], [], [], 0)
        return bool(readable) and client_socket.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True
