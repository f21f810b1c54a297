"""Which calls of a chunk of bytes were sent whole, when the socket took only a part of it and the connection ended.

A call of which one byte is missing cannot have been executed. The chunk was written by this process and need not be
validated; but it may hold control frames whose ids a peer has chosen. Those may make a call look sent that was not, and
never the reverse.
"""

from __future__ import annotations

import struct

from zkrpc.wire.detection import LENGTH_SIZE
from zkrpc.wire.envelope import read_envelope
from zkrpc.wire.message import Dialect
from zkrpc.wire.unframed import MessageBuffer

_read_length = struct.Struct("!I").unpack_from
_read_header_seqid = struct.Struct("!IIi").unpack_from


def frames_in(chunk: bytes, dialect: Dialect) -> list[tuple[int, int]]:
    """Where each frame of a chunk ends, and its sequence id."""
    frames: list[tuple[int, int]] = []
    at, end = 0, len(chunk)
    whole = None if dialect.is_framed else MessageBuffer(dialect, end, end)
    while at < end:
        if dialect.has_header:
            seqid = _read_header_seqid(chunk, at)[2]
        else:
            begins = at + LENGTH_SIZE if dialect.is_framed else at
            seqid = read_envelope(dialect.payload, chunk, begins, old=dialect.is_old)[2]
        at = at + LENGTH_SIZE + _read_length(chunk, at)[0] if whole is None else whole.end_of_frame(chunk, at)
        frames.append((at, seqid))
    return frames


def last_that_left(frames: list[tuple[int, int]], unsent: float, before: int, last: int) -> int:
    """The serial number of the last call that left whole, ``before`` if none did.

    The frames are those of a chunk of which ``unsent`` bytes did not leave, infinity if none did; its calls have the
    serials after ``before`` up to ``last``, of which the ids are the lower 31 bits.
    """
    left = before
    size = frames[-1][0] if frames else 0
    for end, seqid in frames:
        if end > size - unsent:
            break
        serial = before + ((seqid - before) & 0x7FFFFFFF)
        if serial <= last:
            left = max(left, serial)
    return left
