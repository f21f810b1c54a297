"""A whole server in memory, from the socket to the handler, beside an honest caller whose words must not get out.

The handler knows a secret, fails with it when it is told to, and is asked by the honest caller for another one. Neither
may be in anything that the fuzzed connection reads, and the honest caller must be answered throughout.
"""

from __future__ import annotations

import random
import traceback
from collections.abc import Iterator
from types import TracebackType
from typing import Any

import gevent

import zkrpc
from faults.hostile_frames import call, idl
from fuzz.corpus import BOOM
from fuzz.mutation import chunks
from tests.support.wire_frames import split_messages
from zkrpc import errors
from zkrpc.config import WireLimits
from zkrpc.idl import load_text
from zkrpc.idl.served import ServedInterface
from zkrpc.server.handlers import Handlers
from zkrpc.server.server import Server
from zkrpc.telemetry.events import RequestFinished
from zkrpc.testing.memory import MemorySocket, memory_pair
from zkrpc.wire.message import Dialect

SECRET = "secret-of-the-process"
HONEST = "word-of-an-honest-caller"
SECONDS = 5.0
"""How long the server may take to answer, or to be done with an input."""
_CONFIG = zkrpc.ServerConfig(
    wire=WireLimits(accept_zlib=True, max_frame=1 << 16, max_elements=4096), max_concurrent=64, max_connections=64
)
_AUDIT = load_text("service Audit { i32 log(1: required string text), string echo(1: required string text) }")
_LARGEST = 4096
_HONEST_EVERY = 16
_EXPECTED = {"ValueError", "GreenletExit"}
"""What handlers end with here: their own failure, and the end of those for which nobody waits."""


class Leak(AssertionError):
    """Something of another call, or of the process, in an answer."""


class Handler:
    """Answers, waits a little, or fails with the secret in the error."""

    def echo(self, text: str) -> str:
        """The text, unless it is the one for which it fails."""
        if text == BOOM:
            raise ValueError(SECRET)
        return text

    def lead(self) -> int:
        """Any epoch."""
        return 1

    def blob(self, size: int) -> bytes:
        """So many noughts, within reason."""
        return bytes(min(max(size, 0), _LARGEST))

    def slow(self, milliseconds: int) -> None:
        """Waits."""
        gevent.sleep(min(milliseconds, 50) / 1000)

    def count(self, pairs: list[Any]) -> int:
        """How many."""
        return len(pairs)

    def note(self, text: str) -> None:
        """Nothing."""


class Audit:
    """Another interface of the port, which has a method of the first one's name."""

    def log(self, text: str) -> int:
        """How much."""
        return len(text)

    def echo(self, text: str) -> str:
        """Not the text."""
        return f"heard {len(text)}"


class Trouble(zkrpc.Observer):
    """Notes what requests failed with that neither our errors nor the handler's own account for, and what a callback of
    the event loop or a greenlet raised, which nobody else would see."""

    kinds = (RequestFinished,)

    def __init__(self) -> None:
        self.found: list[str] = []
        self._hub = gevent.get_hub()
        self._before = self._hub.handle_error
        self._hub.handle_error = self._raised

    def receive(self, event: Any) -> None:
        """One request."""
        if event.error and event.error not in _EXPECTED and not hasattr(errors, event.error):
            self.found.append(f"{event.method} failed with {event.error}")

    def close(self) -> None:
        """Looks no longer at the event loop."""
        self._hub.handle_error = self._before

    def _raised(self, context: Any, kind: type[BaseException], error: Any, trace: TracebackType | None) -> None:
        if not issubclass(kind, gevent.GreenletExit):
            place = traceback.extract_tb(trace)[-1:] or [context]
            self.found.append(f"{context!r} raised {kind.__name__}: {error} at {place[0]}")


class Dispatcher:
    """The server, which lives as long as the campaign; each input gets a connection of its own."""

    def __init__(self) -> None:
        self._server: Server | None = None
        self._trouble: Trouble | None = None
        self._peer: MemorySocket | None = None
        self._runs = 0

    def __call__(self, data: bytes, rng: random.Random) -> None:
        """Sends the bytes, waits until nothing more comes of them, and looks at what came."""
        ours = self._connect()
        came = b""
        try:
            for piece in chunks(data, rng):
                ours.send(piece)
                gevent.sleep(0)
            for _ in range(6):
                gevent.sleep(0)
                came += _read(ours)
        except BrokenPipeError:
            came += _read(ours)
        finally:
            ours.close()
        for canary in (SECRET, HONEST):
            if canary.encode() in came:
                raise Leak(f"{canary!r} in {came[:200]!r}")
        if self._trouble is not None and self._trouble.found:
            found, self._trouble.found = self._trouble.found, []
            raise AssertionError("; ".join(found))
        self._runs += 1
        if self._runs % _HONEST_EVERY == 0:
            self._ask_honestly()

    def close(self) -> None:
        """Ends the server."""
        if self._server is not None:
            self._server.kill()
            self._server = self._peer = None
        if self._trouble is not None:
            self._trouble.close()
            self._trouble = None

    def _connect(self) -> MemorySocket:
        if self._server is None:
            self._trouble = Trouble()
            served = ServedInterface([idl.Target, _AUDIT.Audit], "target")
            handlers = Handlers(served, [Handler(), Audit()])
            self._server = Server(served, handlers, name="target", config=_CONFIG, observers=[self._trouble])
            self._server.begin()
        ours, theirs = memory_pair()
        self._server.adopt(theirs, f"127.0.0.{self._runs % 200 + 1}:1")
        return ours

    def _ask_honestly(self) -> None:
        """On one connection that stays: the answer must be the question, and nobody else's."""
        if self._peer is None:
            self._peer = self._connect()
        text = f"{HONEST} {self._runs}"
        self._peer.send(call("echo", text, seqid=self._runs))
        came = b""
        with gevent.Timeout(SECONDS, AssertionError("an honest caller got no answer")):
            while not came:
                gevent.sleep(0)
                came = _read(self._peer)
        (answer,) = split_messages(came, Dialect.HEADER_BINARY)
        assert text.encode() in answer.frame, f"an honest caller got {came[:200]!r}"


def _read(sock: MemorySocket) -> bytes:
    return b"".join(_chunks(sock))


def _chunks(sock: MemorySocket) -> Iterator[bytes]:
    while sock.is_readable and (chunk := sock.recv(1 << 16)):
        yield chunk
