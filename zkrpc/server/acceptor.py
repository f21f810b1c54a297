"""Accepts connections in the hub, and pauses while it cannot; :mod:`~zkrpc.server.accepting` says when.

gevent's own server writes a traceback for each failure, and makes cooperative sockets that block the greenlet; the
server's connections need non-blocking ones.
"""

from __future__ import annotations

import logging
import socket
from collections.abc import Callable
from typing import Any

from gevent import get_hub
from gevent.monkey import get_original

from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError
from zkrpc.server.accepting import Accepting
from zkrpc.server.port import bind_socket
from zkrpc.server.turns import SLICE

log = logging.getLogger(__name__)

PlainSocket: type[socket.socket] = get_original("socket", "socket")

_READ = 1
OnAccept = Callable[[socket.socket, Any], None]


class Acceptor:
    """Owns a listening socket, and calls ``on_accept`` with each accepted socket and the peer's address."""

    def __init__(self, listener: socket.socket, on_accept: OnAccept, clock: Callable[[], float]) -> None:
        self.socket = listener
        self._on_accept = on_accept
        self._clock = clock
        self._machine = Accepting()
        loop = get_hub().loop
        self._readable = loop.io(listener.fileno(), _READ)
        self._timer = loop.timer(0.0)
        self._closed = False

    def __repr__(self) -> str:
        """Whether it accepts."""
        return f"<Acceptor {'closed' if self._closed else self._machine}>"

    def start(self) -> None:
        """Accepts from now on."""
        if not self._closed:
            self._readable.start(self._on_readable)

    def close(self) -> None:
        """Accepts no more, and frees the socket."""
        if not self._closed:
            self._closed = True
            for watcher in (self._readable, self._timer):
                watcher.stop()
                watcher.close()
            self.socket.close()

    def _on_readable(self) -> None:
        if self.socket.fileno() < 0:
            # A forked child has closed it without us: it is the parent that accepts.
            self._readable.stop()
            return
        # A crowd of connections comes in as many rounds of the loop as it takes, two or three in each: callers that are
        # there go between.
        ends = self._clock() + SLICE / 5
        while not self._closed and self._accept() and self._clock() < ends:
            pass

    def _accept(self) -> bool:
        """Accepts one; False if there is none, or none can be accepted now."""
        try:
            # Not accept(), which makes a socket of gevent's where the standard library is patched.
            descriptor, address = self.socket._accept()  # type: ignore[attr-defined]
        except (BlockingIOError, InterruptedError):
            return False
        except OSError as error:
            return self._fail(error)
        seconds = self._machine.receive_accepted(self._clock())
        if seconds is not None:
            log.warning("accepting connections again, after %.1f s", seconds)
        family, kind, protocol = self.socket.family, self.socket.type, self.socket.proto
        self._on_accept(PlainSocket(family, kind, protocol, fileno=descriptor), address)
        return True

    def _fail(self, error: OSError) -> bool:
        known = self._machine.paused
        pause = self._machine.receive_failure(error.errno, self._clock())
        if pause is None:
            return True
        if not known:
            log.error(
                "cannot accept connections: %s; trying again until it works, and serving those that there are",
                error.strerror or error,
            )
        self._readable.stop()
        self._timer.stop()
        self._timer.close()
        self._timer = get_hub().loop.timer(pause)
        self._timer.start(self.start)
        return False


def listen(endpoint: Endpoint, backlog: int, bound: int | None) -> socket.socket:
    """A socket that listens there: a new one, or the one of the descriptor ``bound``. Raises ConfigError."""
    # Plain ones: they never wait, and each call of gevent's costs a microsecond more (measured).
    listener: socket.socket | None = None
    try:
        listener = bind_socket(endpoint, PlainSocket) if bound is None else PlainSocket(fileno=bound)
        listener.listen(backlog)
        listener.setblocking(False)
    except OSError as error:
        if listener is not None:
            listener.close()
        reason = error.strerror or error
        raise ConfigError(f"cannot listen on {endpoint}: {reason}; choose another --bind") from error
    return listener


def tune(sock: socket.socket) -> bool:
    """Sets the options of an accepted connection; False if the peer is gone already, and the socket closed."""
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        # For peers that understand no ping of ours: the system finds out within hours, not never.
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    except OSError:
        sock.close()
        return False
    return True
