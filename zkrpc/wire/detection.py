"""What a connection speaks, told from its first bytes; at most six are looked at.

=========================================  =======================================================================
first bytes                                what it is
=========================================  =======================================================================
``LENGTH`` ``0f ff``                       THeader: frames with metadata
``LENGTH`` ``80 01``, ``LENGTH`` ``82 .1``  framed Thrift: strict binary, compact (the three may take turns)
``LENGTH`` ``00 00 SIZE``                  framed Thrift: old binary, without a version; see below
``80 01``, ``82 .1``                       Thrift without frames: strict binary, compact
``00 00 00 SIZE NAME``                     Thrift without frames: old binary. ``NAME`` begins with a letter or ``_``
``78 01|5e|9c|da``                         a zlib stream, in which one of the above begins anew
=========================================  =======================================================================

``LENGTH`` is a u32 of 5 to ``max_frame``, or up to 1 GB for a frame that is answered from its beginning;
``SIZE`` is that of a method's name. In frames each frame may be of another dialect; without frames the first message
decides for the connection. What else is known by its first bytes is named, so that the log tells whom to look at. Pure
functions.
"""

from __future__ import annotations

import enum
import struct

from zkrpc.errors import RemoteProtocolError
from zkrpc.tls.settings import HANDSHAKE, NO_TLS_HERE

MOST = 6
"""Bytes after which a connection is known, or refused."""
LENGTH_SIZE = 4
LET_GO = 16
"""Frames of up to so many times ``max_frame`` are answered from their beginning, and the rest of them is read and
dropped, so that other calls on the connection are not lost. A longer one is answered and ends the connection."""
SHORTEST_FRAME = 5
"""The smallest message there is: a nameless compact one with an empty struct."""

_LONGEST = 0x3BFFFFFF
"""Larger lengths are taken for text of another protocol, or garbage."""
_LONGEST_NAME = 256

_read_length = struct.Struct("!I").unpack_from

_HTTP = "HTTP, not Thrift"
_REQUEST_LINES = (b"GET ", b"POST", b"PUT ", b"HEAD", b"DELE", b"OPTI", b"PATC", b"CONN", b"TRAC")
_STRANGERS = {
    # What some web servers send where they understand no request: a page, and no status line before it.
    **dict.fromkeys((*_REQUEST_LINES, b"HTTP", b"<!DO", b"<!do", b"<HTM", b"<htm"), _HTTP),
    b"PRI ": "HTTP/2 (perhaps gRPC), not Thrift",
    b"SSH-": "SSH, not Thrift",
    **dict.fromkeys((b"PROX", b"\r\n\r\n"), "a PROXY protocol header: let the load balancer send none"),
    b"AMQP": "AMQP, not Thrift",
    **dict.fromkeys((b"ruok", b"srvr", b"stat", b"mntr", b"conf"), "a ZooKeeper command: this is no ZooKeeper server"),
}
_JSON = b"[1,"
_SASL = b"\1\0\0\0"
"""The status START and the first bytes of a mechanism's size; its name follows."""

BAD_REQUEST = (
    b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain\r\nConnection: close\r\nContent-Length: 49\r\n\r\n"
    b"This port speaks Thrift, not HTTP. Wrong address?"
)
"""What somebody who speaks HTTP is told."""


class Stream(enum.Enum):
    """How a connection's bytes are to be read."""

    FRAMED = "framed"
    """Frames; each tells its dialect."""
    BINARY = "unframed binary"
    OLD_BINARY = "unframed binary without a version"
    COMPACT = "unframed compact"
    ZLIB = "zlib"
    """Deflated; what is inside is told from the inflated bytes."""


class Stranger(RemoteProtocolError):
    """Something that is not Thrift. ``answer`` is what it is told, in its own protocol, before the connection ends."""

    def __init__(self, name: str, answer: bytes = b"") -> None:
        super().__init__(name)
        self.answer = answer


def detect(start: bytes, max_frame: int) -> Stream | None:
    """What a stream is that begins with these bytes; None if more of them are needed, never with ``MOST`` of them.

    Raises Stranger, or RemoteProtocolError, with the name of what is not spoken.
    """
    if len(start) < 2:
        return None
    if is_binary(start, 0):
        return Stream.BINARY
    if is_compact(start, 0):
        return Stream.COMPACT
    if start[0] == 0x78 and (start[0] << 8 | start[1]) % 31 == 0 and not start[1] & 0x20:  # RFC 1950: no dictionary
        return Stream.ZLIB
    if len(start) < LENGTH_SIZE:
        return None
    word = bytes(start[:LENGTH_SIZE])
    if word[0] == HANDSHAKE and word[1] == 3:
        raise Stranger("TLS, which this port is served without", NO_TLS_HERE)
    if word in _STRANGERS:
        raise Stranger(_STRANGERS[word], BAD_REQUEST if word in _REQUEST_LINES else b"")
    size: int = _read_length(start, 0)[0]
    if not 0 < size <= _LONGEST_NAME:
        check_length(start, 0, max_frame)
    if len(start) < MOST:
        return None
    if size <= _LONGEST_NAME and _begins_name(start[LENGTH_SIZE]):
        return Stream.OLD_BINARY
    if word == _SASL and start[LENGTH_SIZE + 1 : MOST].isupper():
        raise Stranger("SASL, which is not spoken: let the client use a plain framed transport")
    check_length(start, 0, max_frame)
    check_dialect(start, LENGTH_SIZE)
    return Stream.FRAMED


def _begins_name(byte: int) -> bool:
    return byte < 0x80 and (chr(byte).isalpha() or byte == 0x5F)


def is_binary(buffer: bytes, offset: int) -> bool:
    """True if a strict binary message starts here."""
    return buffer[offset] == 0x80 and buffer[offset + 1] == 0x01


def is_old_binary(buffer: bytes, offset: int) -> bool:
    """True if a binary message without a version may start here, with the size of a name below 65536."""
    return buffer[offset] == 0 and buffer[offset + 1] == 0


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
    word = bytes(buffer[offset : offset + LENGTH_SIZE])
    stranger = _misframed(word) or name_of(word)
    if stranger is None and length <= _LONGEST:
        return length
    raise RemoteProtocolError(stranger or f"frame of {length} bytes is over max_frame {max_frame}")


def _misframed(word: bytes) -> str | None:
    if is_binary(word, 0):
        return "binary Thrift without a frame, where a frame was due"
    if is_compact(word, 0):
        return "compact Thrift without a frame, where a frame was due"
    return None


def name_of(word: bytes) -> str | None:
    """What it is that begins with these four bytes and is not Thrift, or not spoken; None if that is not known."""
    if word[:1] in (b"\x15", b"\x16") and word[1:2] == b"\x03":
        return "TLS on a plain Thrift connection"
    if word.startswith(_JSON):
        return "Thrift's JSON, which is not spoken: let the client use the binary or the compact protocol"
    return _STRANGERS.get(word)


def check_dialect(buffer: bytes, offset: int) -> None:
    """Raises RemoteProtocolError unless a frame's contents that start here are in a dialect that is spoken."""
    if not (
        is_theader(buffer, offset)
        or is_binary(buffer, offset)
        or is_compact(buffer, offset)
        or is_old_binary(buffer, offset)
    ):
        first = bytes(buffer[offset : offset + 2])
        if first == _JSON[:2]:
            raise RemoteProtocolError(
                "Thrift's JSON in a frame, which is not spoken: let the client use the binary or the compact protocol"
            )
        raise RemoteProtocolError(f"unknown dialect: a frame starts with {first.hex(' ')}")
