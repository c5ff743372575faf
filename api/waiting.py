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
        look = select.poll()  # select() knows no more than 1,024 connections
        look.register(client_socket, select.POLLIN)
        return bool(look.poll(0)) and client_socket.recv(1, socket.MSG_PEEK) == b""
    except (OSError, ValueError):
        return True
