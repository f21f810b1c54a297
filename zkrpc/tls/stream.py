"""A connected socket with TLS in it, which connections use as they use a plain one: it has ``recv``, ``send`` and
``close`` that do not wait, and makes its own watchers, as decrypted bytes may be there while the socket is empty.

It belongs to the hub of the thread that made it.
"""

from __future__ import annotations

import contextlib
import math
import os
from collections.abc import Callable
from typing import Any

from gevent import get_hub

from zkrpc.tls.layer import TlsLayer, TlsState

_READ = 1
_MOST_READ = 32 * 1024
"""Bytes that are read from the network at a time: they are held until their reader takes them."""


class CertificateRefused(ConnectionError):
    """The server does not accept our certificate, or wants one: it has acted on nothing that was sent."""

    unsent = math.inf


class TlsSocket:
    """``sock`` does not block, and becomes this object's; the handshake of ``layer`` is over."""

    __slots__ = ("_process", "_recv", "_send", "_sock", "layer")

    def __init__(self, sock: Any, layer: TlsLayer) -> None:
        self.layer = layer
        self._sock = sock
        self._recv, self._send = sock.recv, sock.send
        self._process = os.getpid()

    def __repr__(self) -> str:
        """The layer."""
        return f"<TlsSocket {self.layer!r}>"

    def setblocking(self, flag: bool) -> None:
        """Does nothing: it never blocks."""

    def fileno(self) -> int:
        """The socket's."""
        descriptor: int = self._sock.fileno()
        return descriptor

    def watcher(self, events: int) -> Any:
        """The counterpart of ``loop.io(descriptor, events)``."""
        loop = get_hub().loop
        watcher = loop.io(self._sock.fileno(), events)
        return ReadWatcher(watcher, self.layer, loop) if events == _READ else watcher

    def recv(self, size: int) -> bytes:
        """Up to ``size`` decrypted bytes; b"" at the end. Raises BlockingIOError if nothing has come, another OSError
        if the connection is broken."""
        layer = self.layer
        chunk = layer.read(size)
        if chunk is None:
            layer.receive_data(self._recv(_MOST_READ))
            chunk = layer.read(size)
            self._push_aside()
            if chunk is None:
                raise BlockingIOError
        if not chunk and layer.failure:
            raise (CertificateRefused if layer.refused else ConnectionError)(layer.failure)
        return chunk

    def send(self, chunk: bytes | bytearray | memoryview) -> int:
        """The number of bytes that have left: those of the records of which nothing waits. The others are to be given
        again. Raises BlockingIOError if there are none, another OSError if the connection is broken."""
        layer, size = self.layer, len(chunk)
        count = 0
        rest = chunk
        while count < size:
            layer.write(rest)
            try:
                left = self._push()
            except OSError:
                if not count:
                    raise
                break  # what has left has; the next one will tell
            if not left:
                break
            count += left
            rest = memoryview(chunk)[count:]
        if not count and size:
            if layer.state is TlsState.CLOSED:
                raise BrokenPipeError(layer.failure or "the peer has ended the connection")
            raise BlockingIOError
        return count

    def _push(self) -> int:
        """Sends what the socket takes; the number of the application's bytes that have left whole."""
        data = self.layer.data_to_send()
        if not data:
            return 0
        try:
            return self.layer.sent(self._send(data))
        except (BlockingIOError, InterruptedError):
            return 0

    def _push_aside(self) -> None:
        """Sends what is not the application's. Nothing of a record on its way is sent here: only ``send`` gives account
        of it, and what was not sent by its account must never arrive."""
        if not self.layer.owes:
            self._push()

    def close(self) -> None:
        """Says goodbye, as far as the socket takes it, and closes. In a forked child it only closes: the connection
        is the parent's."""
        if os.getpid() == self._process:
            with contextlib.suppress(OSError):
                self.layer.close()
                self._push_aside()
        self._sock.close()


class ReadWatcher:
    """Calls back while its socket can be read, or decrypted bytes wait; ``watcher`` is the socket's."""

    __slots__ = ("_armed", "_callback", "_layer", "_loop", "_watcher")

    def __init__(self, watcher: Any, layer: TlsLayer, loop: Any) -> None:
        self._watcher = watcher
        self._layer = layer
        self._loop = loop
        self._callback: Callable[[], Any] | None = None
        self._armed = False

    def __repr__(self) -> str:
        """Whether it was started."""
        return f"<ReadWatcher {'stopped' if self._callback is None else 'started'}>"

    def start(self, callback: Callable[[], Any]) -> None:
        """Calls back from now on."""
        self._callback = callback
        self._watcher.start(self._fire)
        self._arm()

    def stop(self) -> None:
        """Calls back no more."""
        self._callback = None
        self._watcher.stop()

    def close(self) -> None:
        """Frees the watcher."""
        self.stop()
        self._watcher.close()

    def _fire(self) -> None:
        callback = self._callback
        if callback is not None:
            callback()
            self._arm()

    def _arm(self) -> None:
        if not self._armed and self._callback is not None and self._layer.has_input:
            self._armed = True
            self._loop.run_callback(self._fire_again)

    def _fire_again(self) -> None:
        self._armed = False
        if self._layer.has_input:
            self._fire()
