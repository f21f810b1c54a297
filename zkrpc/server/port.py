"""Addresses that are listened on: bound for a server, or held by a supervisor for workers that listen there in turn."""

from __future__ import annotations

import socket
from typing import TypeVar

from zkrpc.endpoint import Endpoint

SocketT = TypeVar("SocketT", bound=socket.socket)


def bind_socket(endpoint: Endpoint, kind: type[SocketT]) -> SocketT:
    """A stream socket that has the address. A name that has addresses of both families stands for the IPv4 ones.

    Raises OSError.
    """
    if ":" in endpoint.host:
        return _bind(endpoint, kind(socket.AF_INET6, socket.SOCK_STREAM))
    try:
        return _bind(endpoint, kind(socket.AF_INET, socket.SOCK_STREAM))
    except socket.gaierror as refusal:  # it has none, but perhaps others
        try:
            return _bind(endpoint, kind(socket.AF_INET6, socket.SOCK_STREAM))
        except socket.gaierror:
            raise refusal from None


def _bind(endpoint: Endpoint, bound: SocketT) -> SocketT:
    try:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((endpoint.host, endpoint.port))
    except BaseException:
        bound.close()
        raise
    return bound


class Port:
    """A fixed address. The supervisor keeps its socket while a worker listens there, so that a successor can listen
    beside it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.awaited = False
        """True if another process had the address when it was wanted."""
        self._socket: socket.socket | None = None

    @property
    def descriptor(self) -> int:
        """The socket's descriptor, for a worker to inherit."""
        assert self._socket is not None
        return self._socket.fileno()

    def open(self) -> None:
        """Binds the socket, unless that is done; the worker that inherits it listens. Raises OSError."""
        if self._socket is None:
            self._socket, self.awaited = bind_socket(self.endpoint, socket.socket), False

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
