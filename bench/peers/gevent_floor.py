"""What gevent can do with zkrpc's way to read and write, and nothing else: no wire format, no codec, no calls.

Both sides read in a watcher of the hub, and what one turn of the loop wants to send leaves in one send. A frame is a
length and bytes; answers come in the order of the questions.
"""

from __future__ import annotations

import collections
import contextlib
import functools
import socket
import struct
from collections.abc import Callable, Iterator
from typing import Any

import gevent
from gevent import get_hub, getcurrent

from bench.load import BlockingClient
from bench.peers.plain import REQUEST

_LENGTH = struct.Struct("!i")
_READ_SIZE = 64 * 1024


class Frames:
    """Cuts a stream into frames."""

    def __init__(self) -> None:
        self._rest = b""

    def cut(self, chunk: bytes) -> list[bytes]:
        """The frames that are complete."""
        data, position, frames = self._rest + chunk if self._rest else chunk, 0, []
        size = len(data)
        while position + 4 <= size:
            end = position + 4 + _LENGTH.unpack_from(data, position)[0]
            if end > size:
                break
            frames.append(data[position:end])
            position = end
        self._rest = data[position:]
        return frames


def serve(ready: Callable[[int], None]) -> None:
    """Serves until the process ends."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=512)
    ready(listener.getsockname()[1])
    hub, kept = get_hub(), []
    listener.setblocking(False)
    acceptor = hub.loop.io(listener.fileno(), 1)
    acceptor.start(lambda: kept.append(_accept(hub.loop, listener)))
    gevent.sleep(1e6)


def _accept(loop: Any, listener: socket.socket) -> Any:
    connection, _ = listener.accept()
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    frames, watcher = Frames(), loop.io(connection.fileno(), 1)

    def answer() -> None:
        chunk = connection.recv(_READ_SIZE)
        if chunk:
            connection.send(b"".join(frames.cut(chunk)))
        else:
            watcher.stop()
            connection.close()

    watcher.start(answer)
    return watcher


class Pipe:
    """One connection; the greenlets of its calls wait in the order of their questions."""

    def __init__(self, port: int) -> None:
        self._sock = socket.create_connection(("127.0.0.1", port))
        self._sock.setblocking(False)
        self._sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._hub = get_hub()
        self._waiting: collections.deque[Any] = collections.deque()
        self._unsent: list[bytes] = []
        self._armed = False
        self._frames = Frames()
        self._watcher = self._hub.loop.io(self._sock.fileno(), 1)
        self._watcher.start(self._read)

    def call(self, frame: bytes) -> bytes:
        """The answer."""
        self._waiting.append(getcurrent())
        self._unsent.append(frame)
        if not self._armed:
            self._armed = True
            self._hub.loop.run_callback(self._flush)
        answer: bytes = self._hub.switch()
        return answer

    def _flush(self) -> None:
        self._armed = False
        if self._unsent:
            self._sock.send(b"".join(self._unsent))
            self._unsent.clear()

    def _read(self) -> None:
        frames = self._frames.cut(self._sock.recv(_READ_SIZE))
        self._armed = True
        for frame in frames:
            self._waiting.popleft().switch(frame)
        self._flush()

    def close(self) -> None:
        """Frees it."""
        self._watcher.stop()
        self._watcher.close()
        self._sock.close()


class Client(BlockingClient):
    """All callers share a pipe."""

    def __init__(self, port: int) -> None:
        self.port = port

    def expected(self, workload: str) -> Any:
        """What was sent."""
        return REQUEST

    @contextlib.contextmanager
    def calls(self, workload: str, callers: int) -> Iterator[list[Callable[[], object]]]:
        """As connected."""
        with contextlib.closing(Pipe(self.port)) as pipe:
            yield [functools.partial(pipe.call, REQUEST)] * callers


make_client = Client
