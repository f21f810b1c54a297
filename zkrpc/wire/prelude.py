"""What stands before a connection's messages: its first bytes tell what it speaks, and all of it may be deflated.

A connection in a zlib stream (Thrift's zlib transport) is answered in one. How much of it is inflated at once is
bounded (:mod:`~zkrpc.wire.inflation`).
"""

from __future__ import annotations

from zkrpc.config import WireLimits
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.detection import MOST, Stream, detect
from zkrpc.wire.inflation import Inflation, ZlibStream


class Prelude:
    """The beginning of one connection, and its zlib stream if it is in one."""

    __slots__ = ("_inflation", "_limits", "_start", "_zlib", "stream")

    def __init__(self, limits: WireLimits, inflation: Inflation) -> None:
        self.stream: Stream | None = None
        """What the messages are like; None until enough has come."""
        self._limits = limits
        self._inflation = inflation
        self._start = b""
        self._zlib: ZlibStream | None = None

    def __repr__(self) -> str:
        """What is known."""
        return f"<Prelude {self.stream}{' deflated' if self.is_deflated else ''}>"

    @property
    def is_deflated(self) -> bool:
        """Whether the connection is a zlib stream."""
        return self._zlib is not None

    def take(self, data: bytes, now: float) -> bytes:
        """The messages' bytes in ``data``, none while it is not known what they are. Raises RemoteProtocolError for
        what is not spoken, or cannot be inflated."""
        if self._zlib is not None:
            data = self._zlib.inflate(data, now)
        if self.stream is not None:
            return data
        start = self._start + data
        stream = detect(start[:MOST], self._limits.max_frame)
        if stream is Stream.ZLIB:
            if self._zlib is not None:
                raise RemoteProtocolError("a zlib stream in a zlib stream")
            if not self._limits.accept_zlib:
                raise RemoteProtocolError("a zlib stream, which is not taken unless WireLimits.accept_zlib says so")
            self._start = b""
            self._zlib = ZlibStream(self._inflation)
            return self.take(start, now)
        self.stream = stream
        self._start = start if stream is None else b""
        return b"" if stream is None else start

    def deflated(self, data: bytes) -> bytes:
        """What to send for ``data``: all of it can be read as soon as it has come."""
        if self._zlib is None:
            return data
        return self._zlib.deflate(data)
