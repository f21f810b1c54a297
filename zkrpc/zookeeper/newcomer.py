"""Finds out whether a ZooKeeper server takes somebody who has seen nothing of it, by being that for a moment."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import Any

import gevent.socket

from zkrpc.dialling import open_socket
from zkrpc.endpoint import Endpoint
from zkrpc.errors import RemoteProtocolError
from zkrpc.zookeeper.handshake import LENGTH_SIZE, close, connect_request, is_granted, read_length

_SESSION_MS = 1_000
"""What is left behind if the closing fails ends as soon as the server lets it."""


def takes_newcomers(server: Endpoint, timeout: float) -> bool:
    """Whether the server grants a new session, which is closed at once. False also if it cannot be asked in time."""
    give_up_at = time.monotonic() + timeout
    try:
        with contextlib.closing(_connect(server, timeout)) as sock:
            _send(sock, connect_request(timeout_ms=_SESSION_MS), give_up_at)
            granted = is_granted(_receive(sock, give_up_at))
            if granted:
                with contextlib.suppress(OSError, RemoteProtocolError):
                    _send(sock, close(), give_up_at)
                    _receive(sock, give_up_at)
            return granted
    except (OSError, RemoteProtocolError):
        return False


def _connect(server: Endpoint, timeout: float) -> Any:
    return cooperative(open_socket(server, timeout))


def cooperative(sock: Any) -> Any:
    """The same connection as a socket whose waiting lets other greenlets run."""
    return gevent.socket.socket(sock.family, socket.SOCK_STREAM, fileno=sock.detach())


def _send(sock: Any, frame: bytes, give_up_at: float) -> None:
    sock.settimeout(max(0.001, give_up_at - time.monotonic()))
    sock.sendall(frame)


def _receive(sock: Any, give_up_at: float) -> bytes:
    return _read(sock, read_length(_read(sock, LENGTH_SIZE, give_up_at)), give_up_at)


def _read(sock: Any, size: int, give_up_at: float) -> bytes:
    received = b""
    while len(received) < size:
        sock.settimeout(max(0.001, give_up_at - time.monotonic()))
        chunk = sock.recv(size - len(received))
        if not chunk:
            raise ConnectionError("the ZooKeeper server hung up")
        received += chunk
    return received
