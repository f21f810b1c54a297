"""One message in any dialect: its parts, reading a frame up to its envelope, and writing the bytes before a body.

The common case, THeader with a binary message and no transform, is made fast by *shapes*: all that lies between the
frame's two sequence ids (header block, message version, name) is the same for every call of a method with the same
headers, so it is parsed once and then looked up by its bytes::

    u32 LENGTH  u32 MAGIC+FLAGS  i32 SEQID | u16 WORDS, header block, u32 VERSION, u32 SIZE, name | i32 SEQID | struct
                                           |<-------------------- the shape ------------------>|

One precompiled ``struct`` call cuts a frame into these, given the shape's size. Plain framed binary messages have
shapes too, which are shorter::

    u32 LENGTH | u32 VERSION, u32 SIZE, name | i32 SEQID | struct

Shapes come from peers, so their number and size are bounded; they are kept per process, not per connection, so that one
bound holds for all peers together.
"""

from __future__ import annotations

import enum
import functools
import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

from zkrpc.codec import FailureKind, Payload
from zkrpc.config import WireLimits
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.detection import LENGTH_SIZE, Stream, is_compact, is_old_binary, is_theader
from zkrpc.wire.envelope import MessageKind, open_binary, read_envelope, write_envelope, write_old_envelope
from zkrpc.wire.headers import TRACEPARENT
from zkrpc.wire.inflation import Inflation, inflate
from zkrpc.wire.theader import FIXED_SIZE, MAGIC, NO_HEADERS, Block, Unspoken, read_block, write_block

CONTROL_PREFIX = b"zkrpc:"
"""The prefix of the names of control messages, which are for the peer's wire machine and never reach its handlers."""
BUILT_IN_PREFIX = b"zkrpc."
"""The prefix of the names of built-in services, with which a multiplexing client begins their methods' names. No name
in an IDL has a dot."""
HELLO = b"zkrpc:hello"
PING = b"zkrpc:ping"
PONG = b"zkrpc:pong"
CANCEL = b"zkrpc:cancel"
"""From a client: the answer to the call of this sequence id is no longer wanted."""
DRAINING = b"zkrpc:draining"
"""From a server: send no more calls. From a client, in answer: no more will come."""

TRACEPARENT_SIZE = 55
"""Characters of a ``traceparent``, in the only version that there is."""
EMPTY_STRUCT = b"\0"
EMPTY_BLOCKS = {payload: write_block(payload, NO_HEADERS) for payload in Payload}
PLAIN_MAGIC = MAGIC << 16
"""Magic and flags as one word, no flag set."""

_MAX_SHAPE = 512
_MAX_SHAPES = 2048
_MAX_BLOCK = 256
_MAX_BEGINNING = 1024
"""Bytes kept of a message that is refused, which hold its envelope."""

_KeyT = TypeVar("_KeyT")
_ValueT = TypeVar("_ValueT")


class ProtocolState(enum.Enum):
    """The state of a connection's machine. It only ever moves down this list."""

    OPEN = "open"
    DRAINING = "draining"
    """The server has asked for no more calls; those that come nevertheless are served."""
    CLOSED = "closed"


class Dialect(enum.Enum):
    """How a message is framed and encoded; the first bytes of each frame tell."""

    HEADER_BINARY = (Payload.BINARY, True)
    HEADER_COMPACT = (Payload.COMPACT, True)
    HEADER_BINARY_ZLIB = (Payload.BINARY, True, True, False, True)
    HEADER_COMPACT_ZLIB = (Payload.COMPACT, True, True, False, True)
    FRAMED_BINARY = (Payload.BINARY, False)
    FRAMED_COMPACT = (Payload.COMPACT, False)
    FRAMED_OLD_BINARY = (Payload.BINARY, False, True, True)
    BINARY = (Payload.BINARY, False, False)
    COMPACT = (Payload.COMPACT, False, False)
    OLD_BINARY = (Payload.BINARY, False, False, True)

    def __init__(
        self,
        payload: Payload,
        has_header: bool,
        is_framed: bool = True,
        is_old: bool = False,
        is_deflated: bool = False,
    ) -> None:
        self.payload = payload
        """The encoding of envelope and struct."""
        self.has_header = has_header
        """True if metadata travels and replies are matched by id, so that many calls may be in flight."""
        self.is_framed = is_framed
        """True if each message is preceded by its length."""
        self.is_old = is_old
        """True if the envelope has no version."""
        self.is_deflated = is_deflated
        """True if a THeader message went through zlib. Each message says so of itself, so either side may leave it
        out."""

    def may_answer(self, called: Dialect) -> bool:
        """Whether a server may answer so what was called in another one: with a version or without, and deflated or
        not. The encoding must be the same."""
        if self.has_header:
            return called.has_header and self.payload is called.payload
        return self is called or (called.is_old and self is Dialect.FRAMED_BINARY)


UNFRAMED = {Stream.BINARY: Dialect.BINARY, Stream.COMPACT: Dialect.COMPACT, Stream.OLD_BINARY: Dialect.OLD_BINARY}
"""The dialect of all messages on a connection without frames."""

Layout = tuple[Callable[..., tuple[int, int, int, bytes, int]], Callable[..., bytes], int]
"""For one size of shape: a function that cuts a frame in place, one that writes what precedes a body, and the offset of
the struct in the frame."""


@functools.lru_cache(maxsize=_MAX_SHAPE)
def layout_of(size: int) -> Layout:
    """The layout of frames whose shape has this size."""
    cut = struct.Struct(f"!IIi{size}si")
    return cut.unpack_from, cut.pack, cut.size - LENGTH_SIZE


_write_fixed = struct.Struct("!IHHiH").pack
_write_length = struct.Struct("!I").pack


def layout_at(data: bytes, start: int) -> Layout | None:
    """The likely layout of the frame that starts here; None if no layout fits, or if too little of the frame is there.

    A wrong guess does no harm: a shape is only found if all its bytes, sizes included, are the same. So the last byte
    of the name's size will do.
    """
    try:
        size = 10 + 4 * (data[start + 12] << 8 | data[start + 13])
        size += data[start + 11 + size]
    except IndexError:
        return None
    return layout_of(size) if size <= _MAX_SHAPE else None


PlainLayout = tuple[Callable[..., tuple[int, bytes, int]], Callable[..., bytes], int]
"""The same for plain messages, which have neither magic nor a second seqid."""


@functools.lru_cache(maxsize=_MAX_SHAPE)
def plain_layout_of(size: int) -> PlainLayout:
    """The layout of plain messages whose shape has this size."""
    cut = struct.Struct(f"!I{size}si")
    return cut.unpack_from, cut.pack, cut.size - LENGTH_SIZE


def plain_layout_at(data: bytes, start: int) -> PlainLayout | None:
    """The likely layout of the plain frame that starts here, or None; see ``layout_at``."""
    return plain_layout_of(8 + data[start + 11]) if len(data) > start + 11 else None


Template = tuple[Callable[..., bytes], bytes, int]
"""Writes what precedes a body: ``pack(base + len(body), magic and flags, header seqid, shape, seqid)``, or
``pack(base + len(body), shape, seqid)`` if it is plain."""


def template_of(block: bytes, kind: int, name: bytes) -> Template:
    """The template of THeader binary messages with this header block."""
    shape = (len(block) // 4).to_bytes(2, "big") + block + open_binary(kind, name)
    layout = layout_of(len(shape)) if len(shape) <= _MAX_SHAPE else layout_of.__wrapped__(len(shape))
    return layout[1], shape, layout[2]


def plain_template_of(kind: int, name: bytes) -> Template | None:
    """The template of plain binary messages; None for a name too long to keep one for."""
    shape = open_binary(kind, name)
    if len(shape) > _MAX_SHAPE:
        return None
    layout = plain_layout_of(len(shape))
    return layout[1], shape, layout[2]


RequestShape = tuple[bytes, MessageKind, Mapping[str, str], Template | None]
"""Name, kind and headers of requests of one shape, and the template of their replies without headers, if replies are
due."""
ReplyShape = tuple[MessageKind, Mapping[str, str], bytes]
"""Kind and headers of replies of one shape, and the method name in them."""
PendingCall = tuple[Any, float, int, int, bytes]
"""A call without an answer: token, deadline, serial number, where its frame is until it has left, and its name."""


class Shapes(NamedTuple):
    """The shapes that this process has learnt from peers under one pair of header limits."""

    requests: dict[bytes, RequestShape]
    plain_requests: dict[bytes, RequestShape]
    replies: dict[bytes, ReplyShape]
    blocks: dict[bytes, Block]
    traced_requests: dict[bytes, RequestShape]
    """Shapes of requests with a ``traceparent``, by their bytes without its text, and without it among the headers."""


@functools.lru_cache(maxsize=16)
def shapes_of(max_header: int, max_entries: int) -> Shapes:
    """The shapes learnt so far under these limits."""
    return Shapes({}, {}, {}, {}, {})


def remember(cache: dict[_KeyT, _ValueT], key: _KeyT, value: _ValueT, limit: int = _MAX_SHAPES) -> None:
    """Adds to a bounded cache. A full one is emptied first, which is cheaper than bookkeeping on every hit."""
    if len(cache) >= limit:
        cache.clear()
    cache[key] = value


class Opening(NamedTuple):
    """A frame up to its message envelope."""

    dialect: Dialect
    frame: bytes
    """The frame without its length; the inflated message alone if it came deflated."""
    offset: int
    """Where the envelope starts in ``frame``."""
    headers: Mapping[str, str] = NO_HEADERS
    flags: int = 0
    header_seqid: int = 0
    persistent: Mapping[str, str] = NO_HEADERS
    """Headers that hold for the later messages of the connection, too; they are among the message's own."""

    @property
    def is_simple(self) -> bool:
        """Whether it is a THeader binary message of the most common kind."""
        return self.dialect is Dialect.HEADER_BINARY and not self.flags and not self.persistent

    def envelope(self) -> tuple[int, bytes, int, int]:
        """The kind's number, the name, the seqid, and where the struct starts. Raises EnvelopeError."""
        return read_envelope(self.dialect.payload, self.frame, self.offset, old=self.dialect.is_old)

    def shape(self, body_offset: int) -> bytes | None:
        """The frame's shape, if it is one worth remembering."""
        begins = 8 if self.dialect is Dialect.HEADER_BINARY else 0
        size = body_offset - 4 - begins
        if self.dialect.payload is not Payload.BINARY or self.dialect.is_old or not self.dialect.is_framed:
            return None
        if self.flags or self.dialect.is_deflated or self.persistent or size > _MAX_SHAPE:
            return None
        return self.frame[begins : body_offset - 4]


class Inflated(RemoteProtocolError):
    """A message became more than it may, and was not inflated further. ``opening`` is its beginning, which tells
    ``kind``, ``name`` and ``seqid``; ``is_too_large`` is False if it might have been taken another time."""

    def __init__(self, message: str, opening: Opening, *, is_too_large: bool) -> None:
        super().__init__(message)
        self.opening = opening
        self.kind, self.name, self.seqid, _ = opening.envelope()
        self.is_too_large = is_too_large


def open_frame(frame: bytes, limits: WireLimits, inflation: Inflation | None = None, now: float = 0.0) -> Opening:
    """Reads a frame's dialect and metadata; the first two bytes have been checked. A deflated message may become as
    much as ``inflation`` allows at ``now``, without one ``max_frame``. Raises RemoteProtocolError, Unspoken or Inflated
    if the frame is sound and may be answered."""
    if is_theader(frame, 0):
        return _open_theader(frame, limits, inflation, now)
    if is_compact(frame, 0):
        return Opening(Dialect.FRAMED_COMPACT, frame, 0)
    return Opening(Dialect.FRAMED_OLD_BINARY if is_old_binary(frame, 0) else Dialect.FRAMED_BINARY, frame, 0)


_read_fixed = struct.Struct("!HHiH").unpack_from
_HEADER_DIALECTS = {Payload.BINARY: Dialect.HEADER_BINARY, Payload.COMPACT: Dialect.HEADER_COMPACT}
_DEFLATED = {
    Dialect.HEADER_BINARY: Dialect.HEADER_BINARY_ZLIB,
    Dialect.HEADER_COMPACT: Dialect.HEADER_COMPACT_ZLIB,
}


def _open_theader(frame: bytes, limits: WireLimits, inflation: Inflation | None, now: float) -> Opening:
    if len(frame) < FIXED_SIZE:
        raise RemoteProtocolError(f"a THeader frame of {len(frame)} bytes is shorter than its fixed part")
    _, flags, seqid, words = _read_fixed(frame)
    offset = FIXED_SIZE + 4 * words
    if offset > len(frame):
        raise RemoteProtocolError("a THeader block runs past its frame")
    if 4 * words > limits.max_header:
        raise RemoteProtocolError(f"a THeader block of {4 * words} bytes is over max_header {limits.max_header}")
    block = _block_of(frame[FIXED_SIZE:offset], limits)
    headers, dialect = block.headers, _HEADER_DIALECTS[block.payload]
    if block.persistent:
        headers = MappingProxyType({**block.persistent, **headers})
    if block.deflated:
        if not limits.accept_zlib:
            message = "zlib-transformed messages are not taken unless WireLimits.accept_zlib says so"
            raise Unspoken(message, FailureKind.INVALID_TRANSFORM, block.payload)
        size = len(frame) - offset
        most = limits.max_frame if inflation is None else inflation.allow(size, now)
        inflated, is_whole = inflate(frame[offset:], most)
        if inflation is not None:
            inflation.charge(size, len(inflated))
        opening = Opening(_DEFLATED[dialect], inflated, 0, headers, flags, seqid, block.persistent)
        if not is_whole:
            raise _too_much(opening, size, most, limits)
        return opening
    return Opening(dialect, frame, offset, headers, flags, seqid, block.persistent)


def _too_much(opening: Opening, size: int, most: int, limits: WireLimits) -> RemoteProtocolError:
    is_too_large = most == limits.max_frame
    why = f"max_frame {most}" if is_too_large else f"max_inflation {limits.max_inflation} allows so soon"
    message = f"a zlib-transformed message of {size} bytes inflates to more than {why}"
    try:
        return Inflated(message, opening._replace(frame=opening.frame[:_MAX_BEGINNING]), is_too_large=is_too_large)
    except RemoteProtocolError:  # its beginning is none of a message
        return RemoteProtocolError(message)


def open_unread(frame: bytes, payload: Payload) -> Opening:
    """The opening of a THeader frame of which only the fixed part can be read: enough to answer it."""
    _, flags, seqid, _ = _read_fixed(frame)
    return Opening(_HEADER_DIALECTS[payload], b"", 0, NO_HEADERS, flags, seqid)


def _block_of(raw: bytes, limits: WireLimits) -> Block:
    blocks = shapes_of(limits.max_header, limits.max_header_entries).blocks
    block = blocks.get(raw)
    if block is None:
        block = read_block(raw, limits.max_header_entries)
        if len(raw) <= _MAX_BLOCK and TRACEPARENT not in block.headers:  # which never comes again
            remember(blocks, raw, block)
    return block


def write_head(
    dialect: Dialect,
    kind: int,
    name: bytes,
    seqid: int,
    size: int,
    *,
    block: bytes | None = None,
    flags: int = 0,
    header_seqid: int | None = None,
) -> bytes:
    """The bytes that precede a body of ``size`` bytes on the wire, the frame's length included.

    ``block`` is the THeader block, an empty one if not given; plain dialects have none. ``header_seqid`` is the
    message's seqid unless the peer that is answered used another.
    """
    payload = dialect.payload
    envelope = write_old_envelope(kind, name, seqid) if dialect.is_old else write_envelope(payload, kind, name, seqid)
    if not dialect.has_header:
        return _write_length(len(envelope) + size) + envelope if dialect.is_framed else envelope
    if block is None:
        block = EMPTY_BLOCKS[payload]
    length = FIXED_SIZE + len(block) + len(envelope) + size
    fixed = _write_fixed(length, MAGIC, flags, seqid if header_seqid is None else header_seqid, len(block) // 4)
    return fixed + block + envelope


def control_frame(name: bytes, seqid: int = 0) -> bytes:
    """A whole control frame."""
    head = write_head(Dialect.HEADER_BINARY, MessageKind.ONEWAY, name, seqid, len(EMPTY_STRUCT))
    return head + EMPTY_STRUCT


def bare_name(name: bytes) -> bytes:
    """The method's name for an answer: a multiplexing client prefixes the service's name, and Go's client requires that
    the answer does not."""
    return name.rpartition(b":")[2]


def check_reply(kind: int, name: bytes) -> None:
    """Raises RemoteProtocolError unless the message is an answer to a call."""
    if kind not in (MessageKind.REPLY, MessageKind.EXCEPTION):
        raise RemoteProtocolError(f"a message of type {kind} instead of a reply")
    if name == HELLO:
        raise RemoteProtocolError("the server speaks THeader but not zkrpc: it took our greeting for a call")


class Request(NamedTuple):
    """One call as it was received. It is a tuple, because making one costs half as much as an object with slots
    (measured).

    Requests are compared by identity, not by contents.
    """

    name: bytes
    seqid: int
    kind: MessageKind
    """CALL or ONEWAY."""
    headers: Mapping[str, str]
    """Metadata, empty for plain Thrift callers. Must not be changed."""
    frame: bytes
    offset: int
    """Where the argument struct starts in ``frame``; it must end where that does."""
    dialect: Dialect
    received_at: float
    header_seqid: int
    """The THeader's own sequence id, which the reply repeats; some clients always send 0."""
    flags: int
    template: Template | None
    """The template for a fast reply without headers, if known."""

    def __eq__(self, other: object) -> bool:
        """True for the same object only."""
        return self is other

    def __ne__(self, other: object) -> bool:
        """The opposite of ``__eq__``; without it the tuple's would be used."""
        return self is not other

    def __hash__(self) -> int:
        """By identity."""
        return id(self)

    def __repr__(self) -> str:
        """Name, id and dialect, without the contents, which may be secret."""
        return f"<Request {self.name!r} seqid={self.seqid} {self.dialect.name}>"


class Reply(NamedTuple):
    """One answer as it was received."""

    kind: MessageKind
    """REPLY or EXCEPTION."""
    headers: Mapping[str, str]
    frame: bytes
    offset: int
    """Where the result struct, or the TApplicationException, starts in ``frame``."""
    dialect: Dialect


make_tuple: Callable[[Any, tuple[Any, ...]], Any] = tuple.__new__
"""Makes a Request or a Reply; half the price of calling the class."""
