"""The admin door of a process without a hub, the supervisor: a few threads, which ask the workers' doors."""

from __future__ import annotations

import contextlib
import http.client
import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from zkrpc.admin.guard import Guard
from zkrpc.admin.http import ANSWER_TIMEOUT, CHUNK, READ_TIMEOUT, TOO_SLOW, converse, write
from zkrpc.admin.pages import Pages
from zkrpc.admin.workers import Said, worker_pages
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConfigError
from zkrpc.legible import legible

log = logging.getLogger(__name__)

THREADS = 4
"""Connections that are answered at once; further ones wait in the kernel's backlog."""
_BACKLOG = 16
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
        for _ in range(THREADS):
            threading.Thread(target=self._run, name="zkrpc-admin", daemon=True).start()

    def close(self) -> None:
        """Closes the listener, which ends the threads. Again does no harm."""
        self._closed = True
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)  # a plain close would leave threads waiting in accept
        self._listener.close()

    def _run(self) -> None:
        while not self._closed:
            try:
                sock, _ = self._listener.accept()
            except OSError as error:
                if not self._closed:
                    log.warning("the admin door cannot accept: %s", error)
                    time.sleep(1.0)
                continue
            with contextlib.suppress(OSError), sock:
                self._serve(sock)

    def _serve(self, sock: socket.socket) -> None:
        ends = time.monotonic() + READ_TIMEOUT

        def receive() -> bytes:
            # The whole request has this long, and not each of its bytes.
            sock.settimeout(max(0.001, ends - time.monotonic()))
            return sock.recv(CHUNK)

        try:
            talk = converse(receive, lambda request: self._pages.answer(request, lambda: None))
        except TimeoutError:
            talk = write(TOO_SLOW)
        sock.settimeout(ANSWER_TIMEOUT)
        sock.sendall(talk)

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
