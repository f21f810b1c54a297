"""Where frames begin and end in a stream, and what a stream without frames may be instead.

A frame is a u32 length and that many bytes. This module knows no more of its contents than the first two bytes, which
tell the dialect; it keeps the one incomplete frame of a connection. It never allocates memory by a length that a peer
claims, only for bytes that have come.
"""

from __future__ import annotations

import struct

from zkrpc.errors import RemoteProtocolError

LENGTH_SIZE = 4
LET_GO = 16
"""Frames of up to so many times ``max_frame`` are answered from their beginning, and the rest of them is read and
dropped, so that other calls on the connection are not lost. A longer frame ends the connection."""
SHORTEST_FRAME = 5
"""The smallest message there is: a nameless compact one with an empty struct."""
_SNIFFED = 6
_ENVELOPE = 1024
"""Bytes beside a header block within which the envelope must end, for an oversized frame to be answered from its
beginning."""

_LONGEST = 0x3BFFFFFF
"""Larger lengths are taken for text of another protocol, or garbage."""

_read_length = struct.Struct("!I").unpack_from

_HTTP = (b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC", b"HTTP")
_STRANGERS = {
    **dict.fromkeys(_HTTP, "HTTP, not Thrift"),
    # What some web servers send where they understand no request: a page, and no status line before it.
    **dict.fromkeys((b"<!DO", b"<!do", b"<HTM", b"<htm"), "HTTP, not Thrift"),
    b"PRI ": "HTTP/2 (perhaps gRPC), not Thrift",
    b"SSH-": "SSH, not Thrift",
}


def is_binary(buffer: bytes, offset: int) -> bool:
    """True if a strict binary message starts here."""
    return buffer[offset] == 0x80 and buffer[offset + 1] == 0x01


def is_compact(buffer: bytes, offset: int) -> bool:
    """True if a compact message of version 1 starts here."""
    return buffer[offset] == 0x82 and buffer[offset + 1] & 0x1F == 1


def is_theader(buffer: bytes, offset: int) -> bool:
    """True if a THeader frame's contents start here."""
    return buffer[offset] == 0x0F and buffer[offset + 1] == 0xFF


def check_length(buffer: bytes, offset: int, max_frame: int) -> int:
    """The frame's length, from the four bytes at ``offset``. Raises a RemoteProtocolError that says what came instead.

    A length over ``max_frame`` is accepted if the frame is to be answered.
    """
    length: int = _read_length(buffer, offset)[0]
    if SHORTEST_FRAME <= length <= max_frame:
        return length
    if max_frame < length <= min(max_frame * LET_GO, _LONGEST):
        return length
    if length < SHORTEST_FRAME:
        raise RemoteProtocolError(f"frame of {length} bytes is shorter than any message")
    raise RemoteProtocolError(_name_stranger(bytes(buffer[offset : offset + LENGTH_SIZE]), length, max_frame))


def _name_stranger(word: bytes, length: int, max_frame: int) -> str:
    if is_binary(word, 0):
        return "unframed binary Thrift is not served; let the client use a framed transport or THeader"
    if is_compact(word, 0):
        return "unframed compact Thrift is not served; let the client use a framed transport or THeader"
    if word[0] in (0x15, 0x16) and word[1] == 0x03:
        return "TLS on a plain Thrift connection"
    return _STRANGERS.get(word, f"frame of {length} bytes is over max_frame {max_frame}")


def check_dialect(buffer: bytes, offset: int) -> None:
    """Raises RemoteProtocolError unless a frame's contents that start here are in one of the four dialects."""
    if not (is_theader(buffer, offset) or is_binary(buffer, offset) or is_compact(buffer, offset)):
        raise RemoteProtocolError(f"unknown dialect: a frame starts with {bytes(buffer[offset:offset + 2]).hex(' ')}")


class FrameBuffer:
    """The incomplete frame at the end of what a connection received.

    It holds less than one frame beside the chunk being joined. Each byte is copied a bounded number of times however
    small the chunks are, as nothing is examined again before ``_wanted`` bytes are there.

    Of a frame over ``max_frame`` only the beginning is given out, as if it ended there; the rest is dropped.
    """

    __slots__ = ("_beginning", "_kept", "_wanted", "claimed", "max_frame", "skipping")

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

    def skip(self, chunk: bytes, start: int) -> int:
        """Drops what is left of an oversized frame; returns where the next frame begins in the chunk, or the chunk's
        end."""
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
        if self._wanted <= _SNIFFED:  # it is not known yet how long the frame is
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
            if size >= _SNIFFED:
                check_dialect(data, start + LENGTH_SIZE)
            else:
                wanted = _SNIFFED
        if size >= wanted:
            return start + wanted
        if wanted > _SNIFFED and self.is_oversized:
            if size >= self._beginning:
                self.skipping = wanted - size
                return start + size
            wanted = min(wanted, self._beginning)
        self._kept += data[start:]
        self._wanted = wanted
        return -1

    def clear(self) -> None:
        """Drops what is held, and frees its memory."""
        self._kept = bytearray()
        self.skipping = 0
