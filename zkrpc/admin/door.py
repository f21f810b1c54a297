"""The admin door of a process with a hub: listens, and answers with the process's pages."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_SOCKET, socket

from zkrpc.admin.guard import make_guard, read_token
from zkrpc.admin.http import (
    ANSWER_TIMEOUT,
    CHUNK,
    READ_TIMEOUT,
    TOO_SLOW,
    Request,
    RequestReader,
    Response,
    write_answer,
)
from zkrpc.admin.pages import Pages, process_pages
from zkrpc.belonging import Home, close_descriptor, keep, release
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError
from zkrpc.metrics.metrics import borrow, give_back

MOST_CONNECTIONS = 16
"""Requests that are answered at once; further ones wait in the kernel's backlog. Of so many again the request may be
to come."""


class Door:
    """A port that speaks HTTP, with connections of its own: what the admin door and the dashboard have in common.

    ``_serve`` answers one connection in a greenlet of its own, and ``_shut`` frees what a door has beside its port.
    Raises ConfigError if the address is taken.
    """

    def __init__(self, place: Endpoint, home: Home, *, what: str, most: int) -> None:
        """``most`` requests are answered at once; further ones wait in the kernel's backlog. Of so many connections the
        request may be to come: one more has the oldest closed, so that idle ones keep nobody away."""
        self._home = home
        listener = listen(place, what, most)
        self.endpoint = Endpoint(place.host, listener.getsockname()[1])
        """Where it listens."""
        self._server = StreamServer(listener, self._serve, spawn=Pool(2 * most))
        self._most = most
        self._reading: dict[Any, None] = {}
        """Those who wait for a request, the oldest first."""
        self._closed = False

    def __repr__(self) -> str:
        """The address."""
        return f"<{type(self).__name__} {self.endpoint}{' closed' if self._closed else ''}>"

    def __enter__(self) -> Self:
        """The door itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes."""
        if self._home.in_process:
            self.close()

    def close(self) -> None:
        """Closes the door and its connections. Again does no harm."""
        if self._closed:
            return
        self._home.require()
        self._closed = True
        self._server.stop(timeout=0)
        self._shut()
        release(self)

    def _open(self) -> None:
        """Answers from now on."""
        self._server.start()
        keep(self, self._home.hub)

    def _receive(self, sock: socket, max_body: int = 0) -> Request | Response | None:
        """A connection's request, the refusal of one that cannot be read or does not come, or None if the peer went."""
        me = gevent.getcurrent()
        if len(self._reading) >= self._most:
            oldest = next(iter(self._reading))
            del self._reading[oldest]
            oldest.kill(block=False)
        self._reading[me] = None
        reader, timer = RequestReader(max_body), gevent.Timeout(READ_TIMEOUT)
        try:
            with timer:
                while data := sock.recv(CHUNK):
                    found = reader.receive(data)
                    if found is not None:
                        return found
        except gevent.Timeout as expired:
            if expired is not timer:
                raise
            return TOO_SLOW
        finally:
            self._reading.pop(me, None)
        return None

    def _serve(self, sock: socket, address: object) -> None:
        raise NotImplementedError

    def _shut(self) -> None:
        raise NotImplementedError

    # -- forks, and the end of the program

    def forked(self) -> None:
        """In a forked child: closes what is shared with the parent."""
        self._closed = True
        self.cut()

    def cut(self) -> None:
        """At the end of the interpreter: closes the descriptor."""
        close_descriptor(self._server.socket)


class Admin(Door):
    """The admin door of this process, and what it shows measured from now on: make it before what is to be measured.

    ``with zkrpc.Admin("127.0.0.1:9464"): ...`` in a program that only calls; ``zkrpc.serve(..., admin=...)`` for one
    that serves; ``zkrpc serve`` has one for each worker.

    Args:
        bind: ``host:port``; port 0 takes any free one.
        token: what a request has to bring as ``Authorization: Bearer TOKEN``. It may only be left out on loopback.
        token_file: a file that holds the token.
        hosts: names of this host, beside addresses and ``localhost``, that requests may be for.
        serves: whether the process is there to serve: then it is ready only while it does.

    Raises ConfigError if the address needs a token and has none, or is taken.
    """

    def __init__(
        self,
        bind: str = "127.0.0.1:0",
        *,
        token: str = "",
        token_file: str | Path | None = None,
        hosts: tuple[str, ...] = (),
        serves: bool = False,
    ) -> None:
        place = Endpoint.parse(bind)
        guard = make_guard(place, read_token(token_file) if token_file is not None else token, hosts)
        home = Home(
            "an admin door", in_child="open one in the child", in_thread="leave it to the thread that opened it"
        )
        super().__init__(place, home, what="the admin door", most=MOST_CONNECTIONS)
        self._pages = Pages(guard, process_pages(borrow().write, serves=serves))
        self._open()

    def _shut(self) -> None:
        """What is made later is not measured."""
        give_back()

    def _serve(self, sock: socket, address: object) -> None:
        """In a greenlet of its own: answers one connection."""
        with contextlib.suppress(OSError, gevent.Timeout), contextlib.closing(sock):
            found = self._receive(sock)
            if found is not None:
                with gevent.Timeout(ANSWER_TIMEOUT):
                    sock.sendall(write_answer(found, lambda request: self._pages.answer(request, _pause)))


def listen(place: Endpoint, what: str, backlog: int) -> socket:
    """A socket that listens. Raises ConfigError, which calls it ``what``, if the address cannot be used."""
    listener = socket(AF_INET6 if ":" in place.host else AF_INET)
    try:
        listener.setsockopt(SOL_SOCKET, SO_REUSEADDR, 1)
        listener.bind((place.host, place.port))
        listener.listen(backlog)
    except OSError as error:
        listener.close()
        reason = error.strerror or error
        raise ConfigError(f"{what} cannot listen on {place}: {reason}; choose another address") from error
    return listener


def _pause() -> None:
    """Lets calls have their turn between the pieces of a long page."""
    gevent.sleep(0)
