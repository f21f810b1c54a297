"""Where messages begin and end in a stream without frames.

Nothing says how long such a message is: its struct is walked over, as far as it has come, and its end is where the walk
ends. The walk is the one that counts what a body would cost, so a message over the budget is noticed while it comes. A
connection cannot go on after a message whose end is not known; as long as its envelope was read, the caller is still
told why.
"""

from __future__ import annotations

from zkrpc.codec import Payload
from zkrpc.codec.budget import Walk
from zkrpc.config import WireLimits
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire import status
from zkrpc.wire.detection import LENGTH_SIZE, name_of
from zkrpc.wire.envelope import EnvelopeError, envelope_end
from zkrpc.wire.frames import FrameBuffer
from zkrpc.wire.message import Dialect, Opening
from zkrpc.wire.status import Status


class Endless(RemoteProtocolError):
    """A message whose end is not found. ``opening`` is as much of it as has come, its envelope at least, and ``told``
    the answer to it."""

    def __init__(self, message: str, opening: Opening, told: Status) -> None:
        super().__init__(message)
        self.opening = opening
        self.told = told


def buffer_of(dialect: Dialect | None, limits: WireLimits) -> FrameBuffer | MessageBuffer:
    """A buffer for messages of this dialect; in frames of any if it is None."""
    if dialect is None or dialect.is_framed:
        return FrameBuffer(limits.max_frame, limits.max_header)
    return MessageBuffer(dialect, limits.max_frame, limits.max_elements)


class MessageBuffer:
    """The incomplete message at the end of what a connection without frames received.

    It is used as a :class:`~zkrpc.wire.frames.FrameBuffer` is. Each byte is copied, and each value walked over, a
    bounded number of times however small the chunks are.
    """

    __slots__ = ("_dialect", "_joined", "_kept", "_max_elements", "_walk", "claimed", "max_frame")

    lead = 0
    """Bytes before a message that are not part of it."""
    is_oversized = False
    """A message that is too long has no end, and is not given out."""
    skipping = 0
    wanted = 0
    """It is not known how much is to come."""

    def __init__(self, dialect: Dialect, max_frame: int, max_elements: int) -> None:
        self.max_frame = max_frame
        self.claimed = 0
        """How long the last message is, as far as is known."""
        self._dialect = dialect
        self._max_elements = max_elements
        self._kept = bytearray()
        self._joined = 0
        """The size of the message that ``join`` gave out, until it is asked for again."""
        self._walk: Walk | None = None

    def __len__(self) -> int:
        """Bytes held."""
        return len(self._kept)

    def __bool__(self) -> bool:
        """True while a message is incomplete."""
        return bool(self._kept)

    def __repr__(self) -> str:
        """How much of a message has come."""
        return f"<MessageBuffer {self._dialect.name} kept={len(self._kept)}>"

    def skip(self, chunk: bytes, start: int) -> int:
        """Nothing is ever skipped: returns ``start``."""
        return start

    def join(self, chunk: bytes) -> tuple[bytes, int]:
        """The message that the chunk completes, and where the chunk goes on behind it; ``b""`` while it is incomplete.

        Raises as ``end_of_frame`` does.
        """
        kept = self._kept
        before = len(kept)
        kept += chunk
        end = self._find_end(kept, 0)
        if end < 0:
            return b"", len(chunk)
        message = bytes(memoryview(kept)[:end])
        self.clear()
        self._joined = end
        return message, end - before

    def end_of_frame(self, data: bytes, start: int) -> int:
        """Where the message that starts here ends, or -1 if it is incomplete; the rest is kept then.

        Raises RemoteProtocolError as soon as the bytes show that they are not the beginning of a valid message, and
        Endless if that is so behind its envelope, or if it is over a limit.
        """
        if self._joined:
            end, self._joined = start + self._joined, 0
            return end
        end = self._find_end(data, start)
        if end < 0:
            self._kept += memoryview(data)[start:]
            if self._walk is not None:
                self._walk.position -= start
        else:
            self._walk = None
        return end

    def _find_end(self, buffer: bytes | bytearray, start: int) -> int:
        walk, dialect = self._walk, self._dialect
        if walk is None:
            try:
                begins = envelope_end(dialect.payload, buffer, start, old=dialect.is_old)
            except EnvelopeError as error:
                name = name_of(bytes(buffer[start : start + LENGTH_SIZE]))
                raise RemoteProtocolError(name or str(error)) from None
            if begins < 0:
                return -1
            if begins - start > self.max_frame:
                raise RemoteProtocolError(f"an envelope of {begins - start} bytes is over max_frame {self.max_frame}")
            walk = self._walk = Walk(begins, self._max_elements)
            self.claimed = begins - start
        try:
            is_whole = walk.position <= len(buffer) and walk.goes_through(
                buffer, compact=dialect.payload is Payload.COMPACT
            )
        except RemoteProtocolError as error:
            raise Endless(str(error), Opening(dialect, bytes(buffer[start:]), 0), status.MALFORMED) from error
        size = self.claimed = walk.position - start
        if size > self.max_frame:
            message = f"message of {size} bytes or more is over max_frame {self.max_frame}"
            raise Endless(message, Opening(dialect, bytes(buffer[start:]), 0), status.TOO_LARGE)
        return start + size if is_whole else -1

    def clear(self) -> None:
        """Drops what is held, and frees its memory."""
        self._kept = bytearray()
        self._walk = None
