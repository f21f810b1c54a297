"""What deflated bytes of one connection may become, and undoing zlib within that. Pure.

Some kilobytes can become megabytes, so that a peer has the receiver work for next to nothing; but ordinary text that
repeats itself shrinks to a hundredth, too. So each byte that comes may become ``max_inflation`` bytes, and what goes
beyond that is taken from the connection's credit:

================  ====================================================================================================
the credit is     at first as large as the largest frame (``max_frame``), and never larger
used up by        what a message became beyond ``max_inflation`` times its size, also if it was refused
regained          in :data:`REGAIN` seconds as a whole
================  ====================================================================================================

However small a message is, it may become :data:`FREE` bytes; however large the credit is, ``max_frame``. The bytes are
counted before they are made.
"""

from __future__ import annotations

import zlib

from zkrpc.config import WireLimits
from zkrpc.errors import RemoteProtocolError

FREE = 4 * 1024
"""Bytes to which a message may inflate, however small it is."""
REGAIN = 0.25
"""Seconds. With the default ``max_frame`` a connection that does nothing but this has 16 MiB made in each second, which
takes some hundredths of it."""


class Inflation:
    """The credit of one connection."""

    __slots__ = ("_at", "_credit", "_limits", "used")

    def __init__(self, limits: WireLimits) -> None:
        self._limits = limits
        self._credit = float(limits.max_frame)
        self._at = 0.0
        self.used = False
        """Whether anything was inflated yet."""

    def __repr__(self) -> str:
        """What is left."""
        return f"<Inflation credit={self._credit:.0f} of {self._limits.max_frame}>"

    def allow(self, size: int, now: float) -> int:
        """The most bytes that ``size`` deflated ones may become now."""
        limits = self._limits
        most = limits.max_frame
        self._credit = min(most, self._credit + max(0.0, now - self._at) * most / REGAIN)
        self._at = now
        return int(min(most, FREE + limits.max_inflation * size + self._credit))

    def why(self, most: int) -> str:
        """What allowed so many bytes and no more."""
        limits = self._limits
        is_whole = most == limits.max_frame
        return f"max_frame {most}" if is_whole else f"max_inflation {limits.max_inflation} allows so soon"

    def charge(self, size: int, made: int) -> None:
        """``size`` deflated bytes became ``made`` bytes."""
        self.used = True
        self._credit = max(0.0, self._credit - max(0, made - self._limits.max_inflation * size))


class ZlibStream:
    """All that comes on a connection deflated, and all that is sent."""

    __slots__ = ("_deflate", "_inflate", "_inflation")

    def __init__(self, inflation: Inflation) -> None:
        self._inflation = inflation
        self._inflate, self._deflate = zlib.decompressobj(), zlib.compressobj()

    def inflate(self, data: bytes, now: float) -> bytes:
        """What came. Raises RemoteProtocolError for what is too much or cannot be inflated."""
        most = self._inflation.allow(len(data), now)
        try:
            inflated = self._inflate.decompress(data, most)
        except zlib.error as error:
            raise RemoteProtocolError("a zlib stream that cannot be inflated") from error
        self._inflation.charge(len(data), len(inflated))
        if self._inflate.unconsumed_tail:
            why = self._inflation.why
            raise RemoteProtocolError(f"{len(data)} bytes of a zlib stream inflate to more than {why(most)}")
        if self._inflate.unused_data:
            raise RemoteProtocolError("a zlib stream has bytes after its end")
        return inflated

    def deflate(self, data: bytes) -> bytes:
        """What to send for ``data``: all of it can be read as soon as it has come."""
        return self._deflate.compress(data) + self._deflate.flush(zlib.Z_SYNC_FLUSH)


def inflate(message: bytes, most: int) -> tuple[bytes, bool]:
    """Undoes the zlib transform of a whole message: its first ``most`` bytes, and whether that is all. What is beyond
    is not made. Raises RemoteProtocolError for invalid data."""
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(message, most)
        # The end of the stream may not have been looked at yet if the message is just as long as it may be.
        if not stream.eof and stream.decompress(stream.unconsumed_tail, 1):
            return inflated, False
    except zlib.error as exc:
        raise RemoteProtocolError("a zlib-transformed message cannot be inflated") from exc
    if not stream.eof or stream.unused_data:
        raise RemoteProtocolError("a zlib-transformed message is cut short or has bytes after its end")
    return inflated, True
