"""What stands before a connection's messages: its first bytes tell what it speaks, and all of it may be deflated.

A connection in a zlib stream (Thrift's zlib transport) is answered in one. Inflating is bounded by what came, so that a
small chunk cannot become a large one.
"""

from __future__ import annotations

import zlib

from zkrpc.config import WireLimits
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.detection import MOST, Stream, detect
from zkrpc.wire.theader import FREE


class Prelude:
    """The beginning of one connection, and its zlib stream if it is in one."""

    __slots__ = ("_deflate", "_inflate", "_limits", "_start", "stream")

    def __init__(self, limits: WireLimits) -> None:
        self.stream: Stream | None = None
        """What the messages are like; None until enough has come."""
        self._limits = limits
        self._start = b""
        self._inflate: zlib._Decompress | None = None
        self._deflate: zlib._Compress | None = None

    def __repr__(self) -> str:
        """What is known."""
        return f"<Prelude {self.stream}{' deflated' if self.is_deflated else ''}>"

    @property
    def is_deflated(self) -> bool:
        """Whether the connection is a zlib stream."""
        return self._inflate is not None

    def take(self, data: bytes) -> bytes:
        """The messages' bytes in ``data``, none while it is not known what they are. Raises RemoteProtocolError for
        what is not spoken, or cannot be inflated."""
        if self._inflate is not None:
            data = self._inflated(data)
        if self.stream is not None:
            return data
        start = self._start + data
        stream = detect(start[:MOST], self._limits.max_frame)
        if stream is Stream.ZLIB:
            if self._inflate is not None:
                raise RemoteProtocolError("a zlib stream in a zlib stream")
            if not self._limits.accept_zlib:
                raise RemoteProtocolError("a zlib stream, which is not taken unless WireLimits.accept_zlib says so")
            self._start = b""
            self._inflate, self._deflate = zlib.decompressobj(), zlib.compressobj()
            return self.take(start)
        self.stream = stream
        self._start = start if stream is None else b""
        return b"" if stream is None else start

    def _inflated(self, data: bytes) -> bytes:
        assert self._inflate is not None
        allowed = FREE + self._limits.max_inflation * len(data)
        try:
            inflated = self._inflate.decompress(data, allowed)
        except zlib.error as error:
            raise RemoteProtocolError("a zlib stream that cannot be inflated") from error
        if self._inflate.unconsumed_tail:
            raise RemoteProtocolError(
                f"a zlib stream inflates to more than max_inflation {self._limits.max_inflation} times its size"
            )
        if self._inflate.unused_data:
            raise RemoteProtocolError("a zlib stream has bytes after its end")
        return inflated

    def deflated(self, data: bytes) -> bytes:
        """What to send for ``data``: all of it can be read as soon as it has come."""
        if self._deflate is None:
            return data
        return self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)
