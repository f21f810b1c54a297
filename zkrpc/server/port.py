"""A fixed address that a supervisor holds for the workers that listen there, one after another or side by side."""

from __future__ import annotations

import socket

from zkrpc.endpoint import Endpoint


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
        if self._socket is not None:
            return
        family = socket.AF_INET6 if ":" in self.endpoint.host else socket.AF_INET
        bound = socket.socket(family, socket.SOCK_STREAM)
        try:
            bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            bound.bind((self.endpoint.host, self.endpoint.port))
        except OSError:
            bound.close()
            raise
        self._socket, self.awaited = bound, False

    def close(self) -> None:
        """Closes the socket."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
