"""Where frames begin and end in a stream.

A frame is a u32 length and that many bytes. This module knows no more of its contents than the first two bytes, which
tell the dialect; it keeps the one incomplete frame of a connection. It never allocates memory by a length that a peer
claims, only for bytes that have come. Messages without frames are :mod:`zkrpc.wire.unframed`'s.
"""

from __future__ import annotations

from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.detection import LENGTH_SIZE, LET_GO, MOST, check_dialect, check_length

LONG = 16 * 1024
"""Bytes from which a frame is worth a read of its own."""
_AT_ONCE = 120 * 1024
"""Bytes of a frame that is read in one piece, at most: the C library maps more than 128 KiB anew for each read, and
larger reads of the frames of many peers, which none of them ends, keep others waiting (fault suite ``hostile``)."""
_ENVELOPE = 1024
"""Bytes beside a header block within which the envelope must end, for an oversized frame to be answered from its
beginning."""


class FrameBuffer:
    """The incomplete frame at the end of what a connection received.

    It holds less than one frame beside the chunk being joined. Each byte is copied a bounded number of times however
    small the chunks are, as nothing is examined again before ``_wanted`` bytes are there.

    Of a frame over ``max_frame`` only the beginning is given out, as if it ended there; the rest is dropped.
    """

    __slots__ = ("_beginning", "_kept", "_wanted", "claimed", "max_frame", "skipping")

    lead = LENGTH_SIZE
    """Bytes before a message that are not part of it."""

    def __init__(self, max_frame: int, max_header: int) -> None:
        self.max_frame = max_frame
        self.claimed = 0
        """The length that the last frame claims."""
        self.skipping = 0
        """Bytes still to come of a frame that is being dropped."""
        self._kept = bytearray()
        self._wanted = 0
        self._beginning = LENGTH_SIZE + max_header + _ENVELOPE

    def __len__(self) -> int:
        """Bytes held."""
        return len(self._kept)

    def __bool__(self) -> bool:
        """True while a frame is incomplete."""
        return bool(self._kept) or self.skipping > 0

    @property
    def is_oversized(self) -> bool:
        """Whether the last frame is longer than allowed, so that only its beginning may have been given out."""
        return self.claimed > self.max_frame

    @property
    def wanted(self) -> int:
        """How many bytes to read, so that the next long frame comes in one piece: those up to the end of the incomplete
        one, or as many as the last one had. 0 if that was a short one, of which many may come at once, or one that
        comes in many pieces however it is read."""
        length = self.claimed
        return length + LENGTH_SIZE - len(self._kept) if LONG <= length <= _AT_ONCE and not self.skipping else 0

    def skip(self, chunk: bytes, start: int) -> int:
        """Drops what is left of an oversized frame; returns where the next frame begins in the chunk, or the chunk's
        end. Raises RemoteProtocolError if more is left than is worth reading."""
        if self.skipping and self.claimed > self.max_frame * LET_GO:
            raise RemoteProtocolError(f"frame of {self.claimed} bytes is over max_frame {self.max_frame}")
        gone = min(self.skipping, len(chunk) - start)
        self.skipping -= gone
        return start + gone

    def join(self, chunk: bytes) -> tuple[bytes, int]:
        """The kept bytes joined with the beginning of the chunk, and where the chunk goes on behind them.

        The joined bytes are the incomplete frame and no more, so that what follows it need not be copied. They are
        ``b""`` while the frame is still incomplete; then the whole chunk is kept.
        """
        if self.skipping:
            return b"", 0
        kept = self._kept
        missing = self._wanted - len(kept)
        if len(chunk) < missing:
            kept += chunk
            return b"", len(chunk)
        if self._wanted <= MOST:  # it is not known yet how long the frame is
            missing = len(chunk)
        joined = b"".join((kept, memoryview(chunk)[:missing]))
        self.clear()
        return joined, missing

    def end_of_frame(self, data: bytes, start: int) -> int:
        """Where the frame that starts here ends, or -1 if it is incomplete; the rest is kept then.

        For an oversized frame that is the end of the bytes that are there, if they are enough to answer it; the rest is
        to be skipped.

        Raises RemoteProtocolError as soon as the bytes show that they are not the beginning of a valid frame.
        """
        size = len(data) - start
        wanted = LENGTH_SIZE
        if size >= LENGTH_SIZE:
            self.claimed = check_length(data, start, self.max_frame)
            wanted += self.claimed
            if size >= MOST:
                check_dialect(data, start + LENGTH_SIZE)
            else:
                wanted = MOST
        if size >= wanted:
            return start + wanted
        if wanted > MOST and self.is_oversized:
            if size >= self._beginning:
                self.skipping = wanted - size
                return start + size
            wanted = min(wanted, self._beginning)
        self._kept += memoryview(data)[start:]
        self._wanted = wanted
        return -1

    def clear(self) -> None:
        """Drops what is held, and frees its memory."""
        self._kept = bytearray()
        self.skipping = 0
