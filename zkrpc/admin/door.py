"""The admin door of a process with a hub: listens, and answers with the process's pages."""

from __future__ import annotations

import contextlib
from pathlib import Path
from types import TracebackType

import gevent
from gevent.pool import Pool
from gevent.server import StreamServer
from gevent.socket import AF_INET, AF_INET6, SO_REUSEADDR, SOL_SOCKET, socket

from zkrpc.admin.guard import make_guard, read_token
from zkrpc.admin.http import ANSWER_TIMEOUT, CHUNK, READ_TIMEOUT, TOO_SLOW, Request, Response, converse, write
from zkrpc.admin.pages import Pages, process_pages
from zkrpc.belonging import Home, close_descriptor, keep, release
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError
from zkrpc.metrics.metrics import borrow, give_back

MOST_CONNECTIONS = 16
"""Connections at once; further ones wait in the kernel's backlog until one of these is answered or too slow."""


class Admin:
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
        self._home = Home(
            "an admin door", in_child="open one in the child", in_thread="leave it to the thread that opened it"
        )
        listener = listen(place, "the admin door", MOST_CONNECTIONS)
        self.endpoint = Endpoint(place.host, listener.getsockname()[1])
        """Where it listens."""
        self._metrics = borrow()
        self._pages = Pages(guard, process_pages(self._metrics.write, serves=serves))
        self._connections = Pool(MOST_CONNECTIONS)
        self._server = StreamServer(listener, self._serve, spawn=self._connections)
        self._server.start()
        self._closed = False
        keep(self, self._home.hub)

    def __repr__(self) -> str:
        """The address."""
        return f"<Admin {self.endpoint}{' closed' if self._closed else ''}>"

    def __enter__(self) -> Admin:
        """The door itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Closes."""
        if self._home.in_process:
            self.close()

    def close(self) -> None:
        """Closes the door and its connections; what is made later is not measured. Again does no harm."""
        if self._closed:
            return
        self._home.require()
        self._closed = True
        self._server.stop(timeout=0)
        give_back()
        release(self)

    def _serve(self, sock: socket, address: object) -> None:
        """In a greenlet of its own: answers one connection."""
        with contextlib.suppress(OSError, gevent.Timeout), contextlib.closing(sock):
            reading = gevent.Timeout.start_new(READ_TIMEOUT)

            def answer(request: Request) -> Response:
                reading.close()
                return self._pages.answer(request, _pause)

            with gevent.Timeout(READ_TIMEOUT + ANSWER_TIMEOUT):
                try:
                    talk = converse(lambda: sock.recv(CHUNK), answer)
                except gevent.Timeout as timeout:
                    if timeout is not reading:
                        raise
                    talk = write(TOO_SLOW)
                finally:
                    reading.close()
                sock.sendall(talk)

    # -- forks, and the end of the program

    def forked(self) -> None:
        """In a forked child: closes what is shared with the parent."""
        self._closed = True
        self.cut()

    def cut(self) -> None:
        """At the end of the interpreter: closes the descriptor."""
        close_descriptor(self._server.socket)


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
