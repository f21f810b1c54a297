"""Trace context on the wire: W3C's headers, and the argument field of OpenTelemetry's Java agent. Pure.

What comes from a peer may be anything: it is bounded before it is read, and what is not valid is as if it were not
there. The rules are those of W3C Trace Context, https://www.w3.org/TR/trace-context/.

Plain Thrift has no headers. OpenTelemetry's Java agent therefore adds a field to the argument struct of each call, a
map of text to text with the id 8888, as the last one; servers that know nothing of it skip it. It is looked for from
the end of a frame, and counts only if it ends where the struct does: text in an argument that merely looks like it is
not taken for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

from zkrpc.codec import Payload
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.headers import TRACEPARENT
from zkrpc.wire.varint import read_varint

TRACESTATE = "tracestate"
BAGGAGE = "baggage"
CONTEXT_FIELD = 8888
"""The id of the argument field."""
LONGEST_TRACESTATE = 512
"""Characters; W3C asks everybody to pass on at least so many."""
LONGEST_BAGGAGE = 8192
MOST_ENTRIES = 100
MOST_BYTES = 8 * 1024
"""How many entries the argument field may have, and how many bytes: as the Java agent writes at most."""

_TRACEPARENT = re.compile(r"([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-[\x20-\x7e]*)?", re.ASCII)
_PRINTABLE = re.compile(r"[\x20-\x7e]*", re.ASCII)
_LONGEST_TRACEPARENT = 256
_NOTHING: Mapping[str, str] = {}
_BINARY_ID = CONTEXT_FIELD.to_bytes(2, "big")
_COMPACT_ID = b"\xf0\x8a\x01"
"""A zigzag varint, as compact writes an id far from the one before."""
_BINARY_FIELD = b"\x0d" + _BINARY_ID + b"\x0b\x0b"
_COMPACT_FIELD = b"\x0b" + _COMPACT_ID
"""A map with that id; in binary, of texts to texts."""
_COMPACT_TYPES = 0x88


class RemoteParent(NamedTuple):
    """The span of a peer that a request belongs to."""

    trace_id: int
    span_id: int
    flags: int
    """W3C's trace flags."""
    state: str
    """``tracestate`` as it came; empty if there was none that may be passed on."""

    @property
    def is_sampled(self) -> bool:
        """Whether the peer records its span."""
        return bool(self.flags & 1)


def read_parent(headers: Mapping[str, str]) -> RemoteParent | None:
    """The parent that a peer's headers name; None if they name none, or what they say is not valid."""
    text = headers.get(TRACEPARENT)
    if text is None or len(text) > _LONGEST_TRACEPARENT:
        return None
    match = _TRACEPARENT.fullmatch(text)
    if match is None:
        return None
    version, trace_id, span_id, flags, rest = match.groups()
    if version == "ff" or (version == "00" and rest is not None):
        return None
    trace, span = int(trace_id, 16), int(span_id, 16)
    if not trace or not span:
        return None
    # Of the flags only those of the version that we know; others may have another meaning.
    return RemoteParent(trace, span, int(flags, 16) & 1, read_bounded(headers, TRACESTATE, LONGEST_TRACESTATE))


def read_bounded(headers: Mapping[str, str], key: str, longest: int) -> str:
    """A header's text; empty if it is too long, or not plain text."""
    text = headers.get(key)
    return text if text and len(text) <= longest and _PRINTABLE.fullmatch(text) else ""


def write_parent(trace_id: int, span_id: int, flags: int) -> str:
    """The ``traceparent`` of a span."""
    return f"00-{trace_id:032x}-{span_id:016x}-{flags & 1:02x}"


def may_have_argument_field(frame: bytes) -> bool:
    """Whether a frame may have the field: a look that costs little, for every request of a peer without headers."""
    return _BINARY_ID in frame or _COMPACT_ID in frame


def read_argument_field(frame: bytes, offset: int, payload: Payload) -> Mapping[str, str]:
    """The entries of the field with id 8888 that ends the argument struct, which fills ``frame`` from ``offset``;
    empty if there is none, or it is not valid."""
    compact = payload is Payload.COMPACT
    mark = _COMPACT_FIELD if compact else _BINARY_FIELD
    end = len(frame) - 1
    start = frame.rfind(mark, max(offset, end - MOST_BYTES), end)
    if start < 0 or frame[end]:
        return _NOTHING
    start += len(mark)
    try:
        entries, stop = (_read_compact if compact else _read_binary)(frame, start, end)
    except (RemoteProtocolError, IndexError, UnicodeDecodeError):
        return _NOTHING
    return entries if stop == end else _NOTHING


def _read_binary(frame: bytes, at: int, end: int) -> tuple[dict[str, str], int]:
    count, at = _read_size(frame, at, end)
    if count > MOST_ENTRIES:
        return {}, -1
    texts = []
    for _ in range(2 * count):
        size, at = _read_size(frame, at, end)
        texts.append(_text(frame, at, size, end))
        at += size
    return _pairs(texts), at


def _read_size(frame: bytes, at: int, end: int) -> tuple[int, int]:
    if at + 4 > end:
        raise RemoteProtocolError("the field is cut short")
    return int.from_bytes(frame[at : at + 4], "big"), at + 4


def _read_compact(frame: bytes, at: int, end: int) -> tuple[dict[str, str], int]:
    count, at = read_varint(frame, at, end)
    if not count:
        return {}, at
    if count > MOST_ENTRIES or frame[at] != _COMPACT_TYPES:
        return {}, -1
    at += 1
    texts = []
    for _ in range(2 * count):
        size, at = read_varint(frame, at, end)
        texts.append(_text(frame, at, size, end))
        at += size
    return _pairs(texts), at


def _text(frame: bytes, at: int, size: int, end: int) -> str:
    if size > end - at:
        raise RemoteProtocolError("a text runs past the struct")
    return frame[at : at + size].decode()


def _pairs(texts: list[str]) -> dict[str, str]:
    """Names of headers are compared without their case, as the Java agent's propagators may write any."""
    return {key.lower(): value for key, value in zip(texts[::2], texts[1::2])}
