"""The admin door of a process without a hub, the supervisor: one thread reads requests, and a few answer them, for
which they ask the workers' doors. So connections on which nothing comes keep no thread from those that ask."""

from __future__ import annotations

import contextlib
import http.client
import logging
import queue
import selectors
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from zkrpc.admin.guard import Guard
from zkrpc.admin.http import (
    ANSWER_TIMEOUT,
    CHUNK,
    READ_TIMEOUT,
    TOO_MANY,
    TOO_SLOW,
    Request,
    RequestReader,
    Response,
    write,
    write_answer,
)
from zkrpc.admin.pages import Pages
from zkrpc.admin.workers import Said, worker_pages
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError
from zkrpc.legible import legible

log = logging.getLogger(__name__)

THREADS = 4
"""Requests that are answered at once."""
MOST_WAITING = 64
"""Connections of which the request is to come, and as many requests that are to be answered. One connection more has
the oldest closed, and one request more is refused."""
_BACKLOG = 64
_LOOK_INTERVAL = 0.5
"""Seconds between two looks for requests that do not come."""
_ASK_TIMEOUT = 3.0
"""Seconds that a worker has for each part of its answer; one that hangs must not take the others' page away."""
_MOST_ASKED = 16
"""Workers that are asked at once."""
_MAX_PAGE = 16 * 1024 * 1024
"""Bytes of a worker's page."""

Places = Callable[[], Mapping[str, Endpoint | None]]
"""Where each worker's door is now, by the worker's slot; None for one that has none yet."""


class ThreadDoor:
    """The door of a supervisor, open from ``start`` to ``close``.

    Args:
        bind: where to listen; port 0 takes any free one.
        guard: who may ask.
        places: the workers' doors, which want the same token.
    """

    def __init__(self, bind: Endpoint, guard: Guard, places: Places) -> None:
        self._guard = guard
        self._places = places
        self._pages = Pages(guard, worker_pages(self._ask))
        self._closed = False
        self._reading: dict[socket.socket, tuple[RequestReader, float]] = {}
        """Connections whose request is to come, the oldest first, and until when."""
        self._requests: queue.Queue[tuple[socket.socket, Request | Response] | None] = queue.Queue(MOST_WAITING)
        try:
            self._listener = socket.create_server(
                (bind.host, bind.port),
                family=socket.AF_INET6 if ":" in bind.host else socket.AF_INET,
                backlog=_BACKLOG,
            )
        except OSError as error:
            reason = error.strerror or error
            raise ConfigError(f"the admin door cannot listen on {bind}: {reason}; choose another --admin") from error
        self.endpoint = Endpoint(bind.host, self._listener.getsockname()[1])
        """Where it listens."""

    def __repr__(self) -> str:
        """The address."""
        return f"<ThreadDoor {self.endpoint}{' closed' if self._closed else ''}>"

    def start(self) -> None:
        """Answers from now on."""
        for run in (self._read_on, *[self._answer_on] * THREADS):
            threading.Thread(target=run, name="zkrpc-admin", daemon=True).start()

    def close(self) -> None:
        """Closes the listener, which ends the threads. Again does no harm."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # it wakes the thread that reads
        self._listener.close()

    # -- the thread that reads

    def _read_on(self) -> None:
        with selectors.DefaultSelector() as selector:
            try:
                selector.register(self._listener, selectors.EVENT_READ)
            except (OSError, ValueError):
                if not self._closed:  # else it was closed before this thread began
                    raise
            while not self._closed:
                for key, _ in selector.select(_LOOK_INTERVAL):
                    if key.fileobj is self._listener:
                        self._accept(selector)
                    elif key.data in self._reading:
                        self._read(selector, key.data)
                now = time.monotonic()
                for sock in [sock for sock, (_, ends) in self._reading.items() if now >= ends]:
                    self._give_up(selector, sock)
        for sock in self._reading:
            sock.close()
        self._requests.put(None)

    def _accept(self, selector: selectors.BaseSelector) -> None:
        try:
            sock, _ = self._listener.accept()
        except OSError as error:
            if not self._closed:
                log.warning("the admin door cannot accept: %s", error)
                time.sleep(1.0)
            return
        sock.setblocking(False)
        if len(self._reading) >= MOST_WAITING:
            self._give_up(selector, next(iter(self._reading)))
        self._reading[sock] = (RequestReader(), time.monotonic() + READ_TIMEOUT)
        selector.register(sock, selectors.EVENT_READ, sock)
        self._read(selector, sock)  # a request that is there already is not lost to a flood of others

    def _read(self, selector: selectors.BaseSelector, sock: socket.socket) -> None:
        try:
            data = sock.recv(CHUNK)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        found = self._reading[sock][0].receive(data) if data else None
        if data and found is None:
            return
        del self._reading[sock]
        selector.unregister(sock)
        if found is None:  # its end came before its request
            sock.close()
            return
        try:
            self._requests.put_nowait((sock, found))
        except queue.Full:
            _send_and_close(sock, TOO_MANY)

    def _give_up(self, selector: selectors.BaseSelector, sock: socket.socket) -> None:
        del self._reading[sock]
        selector.unregister(sock)
        _send_and_close(sock, TOO_SLOW)

    # -- the threads that answer

    def _answer_on(self) -> None:
        while (asked := self._requests.get()) is not None:
            sock, found = asked
            with contextlib.suppress(OSError), sock:
                talk = write_answer(found, lambda request: self._pages.answer(request, lambda: None))
                sock.settimeout(ANSWER_TIMEOUT)
                sock.sendall(talk)
        self._requests.put(None)  # for the next thread

    def _ask(self, path: str) -> dict[str, Said]:
        places = self._places()
        with ThreadPoolExecutor(min(_MOST_ASKED, max(1, len(places)))) as threads:
            answers = threads.map(lambda place: self._ask_one(place, path), places.values())
            return dict(zip(places, answers, strict=True))

    def _ask_one(self, place: Endpoint | None, path: str) -> Said:
        if place is None:
            return Said(0, "it has not started")
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(place.host, place.host)
        connection = http.client.HTTPConnection(host, place.port, timeout=_ASK_TIMEOUT)
        headers = {"Authorization": f"Bearer {self._guard.token}"} if self._guard.token else {}
        with contextlib.closing(connection):
            try:
                connection.request("GET", path, headers=headers)
                answer = connection.getresponse()
                return Said(answer.status, answer.read(_MAX_PAGE).decode(errors="replace"))
            except (OSError, http.client.HTTPException) as error:
                return Said(0, f"it does not answer: {legible(error)}")


def _send_and_close(sock: socket.socket, answer: Response) -> None:
    """Sends a short answer, as far as there is room for it, and closes."""
    with contextlib.suppress(OSError), sock:
        sock.send(write(answer))
