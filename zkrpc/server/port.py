"""A fixed address that a supervisor holds for the workers that listen there, one after another or side by side."""

from __future__ import annotations

import socket

from zkrpc.endpoint import Endpoint


class Port:
    """A fixed address. Its socket is kept while a worker listens there, so that a successor can do so beside it."""

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.awaited = False
        """Somebody else had it when it was wanted."""
        self._socket: socket.socket | None = None

    @property
    def descriptor(self) -> int:
        """For a worker to inherit."""
        assert self._socket is not None
        return self._socket.fileno()

    def open(self) -> None:
        """Binds, unless that is done; whoever inherits it listens. Raises OSError."""
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
        """Gives it up."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
