"""The message envelope: kind, method name and sequence id, in front of the argument or result struct.

Thrift's binary and compact protocols are supported. Binary has two envelopes: the strict one begins with a version; the
old one, which some clients still write, with the name. This module does not interpret names and numbers, and the codec
decodes the struct behind the envelope.
"""

from __future__ import annotations

import enum
import struct

from zkrpc.codec import Payload
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.varint import LONGEST as LONGEST_VARINT
from zkrpc.wire.varint import read_varint, write_varint


class MessageKind(enum.IntEnum):
    """What a message is, with Thrift's numbers."""

    CALL = 1
    REPLY = 2
    EXCEPTION = 3
    ONEWAY = 4


class EnvelopeError(RemoteProtocolError):
    """An envelope that cannot be read. ``seqid`` is the sequence id for the answer, None if even that is unknown."""

    def __init__(self, message: str, seqid: int | None = None) -> None:
        super().__init__(message)
        self.seqid = seqid


_VERSION_1 = 0x80010000
_VERSIONED = 0x80000000
"""Words from here on are versions; lower ones are the size of a name."""
_COMPACT_ID = 0x82
_COMPACT_VERSION = 1
_read_words = struct.Struct("!II").unpack_from
_read_seqid = struct.Struct("!i").unpack_from
_read_size = struct.Struct("!I").unpack_from
_read_old_end = struct.Struct("!Bi").unpack_from
_write_words = struct.Struct("!II").pack
_write_seqid = struct.Struct("!i").pack


def read_envelope(payload: Payload, frame: bytes, offset: int, *, old: bool = False) -> tuple[int, bytes, int, int]:
    """The kind's number, the name, the seqid, and where the struct starts; ``old`` if binary may have no version, as
    servers answer a caller without one with or without. Raises EnvelopeError."""
    if payload is Payload.COMPACT:
        return _read_compact(frame, offset)
    return (
        _read_old_binary(frame, offset) if old and frame[offset : offset + 1] < b"\x80" else _read_binary(frame, offset)
    )


def _read_binary(frame: bytes, offset: int) -> tuple[int, bytes, int, int]:
    try:
        version, size = _read_words(frame, offset)
        if version & 0xFFFF0000 != _VERSION_1:
            raise EnvelopeError(f"a binary message starts with {version:08x} instead of its version")
        name_at = offset + 8
        seqid_at = name_at + size
        seqid = _read_seqid(frame, seqid_at)[0]
    except struct.error:
        raise EnvelopeError("a message's name or id runs past its frame") from None
    return version & 0xFF, frame[name_at:seqid_at], seqid, seqid_at + 4


def _read_old_binary(frame: bytes, offset: int) -> tuple[int, bytes, int, int]:
    try:
        kind_at = offset + 4 + _read_size(frame, offset)[0]
        kind, seqid = _read_old_end(frame, kind_at)
    except struct.error:
        raise EnvelopeError("a message's name or id runs past its frame") from None
    return kind, frame[offset + 4 : kind_at], seqid, kind_at + 5


def _read_compact(frame: bytes, offset: int) -> tuple[int, bytes, int, int]:
    end = len(frame)
    if end - offset < 2 or frame[offset] != _COMPACT_ID or frame[offset + 1] & 0x1F != _COMPACT_VERSION:
        raise EnvelopeError("a compact message does not start with its version")
    seqid: int | None = None
    try:
        unsigned, at = read_varint(frame, offset + 2, end)
        seqid = unsigned - (1 << 32) if unsigned >> 31 else unsigned
        size, at = read_varint(frame, at, end)
    except RemoteProtocolError as exc:
        raise EnvelopeError(str(exc), seqid) from None
    if size > end - at:
        raise EnvelopeError("a message's name runs past its frame", seqid)
    return frame[offset + 1] >> 5, frame[at : at + size], seqid, at + size


def write_envelope(payload: Payload, kind: int, name: bytes, seqid: int) -> bytes:
    """The bytes in front of the struct."""
    if payload is Payload.COMPACT:
        opening = bytes((_COMPACT_ID, kind << 5 | _COMPACT_VERSION))
        return opening + write_varint(seqid & 0xFFFFFFFF) + write_varint(len(name)) + name
    return open_binary(kind, name) + _write_seqid(seqid)


def write_old_envelope(kind: int, name: bytes, seqid: int) -> bytes:
    """The same in binary without a version."""
    return len(name).to_bytes(4, "big") + name + bytes((kind,)) + _write_seqid(seqid)


def envelope_end(payload: Payload, buffer: bytes | bytearray, offset: int, *, old: bool = False) -> int:
    """Where the struct starts behind an envelope of which perhaps only the beginning has come; -1 if that cannot be
    told yet. It may be beyond the buffer's end. Raises EnvelopeError for what is the beginning of none."""
    size = len(buffer) - offset
    if payload is Payload.COMPACT:
        if size >= 2 and (buffer[offset] != _COMPACT_ID or buffer[offset + 1] & 0x1F != _COMPACT_VERSION):
            raise EnvelopeError("a compact message does not start with its version")
        try:
            _, at = read_varint(buffer, offset + 2, len(buffer))
            named, at = read_varint(buffer, at, len(buffer))
        except RemoteProtocolError as exc:
            if size > 2 + 2 * LONGEST_VARINT:
                raise EnvelopeError(str(exc)) from None
            return -1
        return at + named
    if size < 8:
        return -1
    first, second = _read_words(buffer, offset)
    if old and first < _VERSIONED:
        return offset + 9 + int(first)
    if first & 0xFFFF0000 != _VERSION_1:
        raise EnvelopeError(f"a binary message starts with {first:08x} instead of its version")
    return offset + 12 + int(second)


def open_binary(kind: int, name: bytes) -> bytes:
    """A binary envelope up to its seqid: the part that is the same for all calls of one method."""
    return _write_words(_VERSION_1 | kind, len(name)) + name
