"""THeader: the envelope of Apache Thrift that carries metadata beside a message.

::

    u16 0x0FFF  u16 FLAGS  i32 SEQID  u16 WORDS                      10 bytes, after the frame's length
    WORDS * 4 bytes of header block:
        varint PROTOCOL (0 binary, 2 compact)  varint N  N x varint TRANSFORM (1 zlib)
        varint 1, varint COUNT, COUNT x (varint size, key, varint size, value)     any number of times
        0 or any other id: nothing more to read, padding to a multiple of 4 bytes
    the message, transformed

It is stricter than Apache's Python library: lengths may not run past the block, a truncated zlib stream is an error,
and so is anything after its end. This module reads and writes blocks; it does not know what the keys mean.
"""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from zkrpc.codec import FailureKind, Payload
from zkrpc.errors import LocalProtocolError, RemoteProtocolError, TooLarge
from zkrpc.wire.varint import read_varint, write_varint

MAGIC = 0x0FFF
FIXED_SIZE = 10
"""Bytes between a frame's length and its header block."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_PAYLOADS = {0: Payload.BINARY, 2: Payload.COMPACT}
_PROTOCOL_IDS = {payload: number for number, payload in _PAYLOADS.items()}
_ZLIB = 1
_KEY_VALUE = 1
_MAX_TRANSFORMS = 1
"""One at most: compressing twice is of use to an attacker only."""
FREE = 4 * 1024
"""Bytes to which a message may inflate, however small it is."""


class Unspoken(RemoteProtocolError):
    """The encoding or a transform of a message is not understood. ``kind`` is what the format wants it to be answered
    with, in the encoding ``payload``; the frame itself is sound."""

    def __init__(self, message: str, kind: FailureKind, payload: Payload = Payload.BINARY) -> None:
        super().__init__(message)
        self.kind = kind
        self.payload = payload


class Block(NamedTuple):
    """A header block that was read."""

    payload: Payload
    deflated: bool
    """Whether the message went through zlib."""
    headers: Mapping[str, str]


def read_block(block: bytes, max_entries: int) -> Block:
    """Reads one header block. Raises RemoteProtocolError with the first thing wrong in it, Unspoken if that is what it
    says of the message."""
    number, offset = read_varint(block, 0, len(block))
    payload = _PAYLOADS.get(number)
    if payload is None:
        message = f"unknown THeader protocol id {number}; 0 (binary) and 2 (compact) are spoken"
        raise Unspoken(message, FailureKind.INVALID_PROTOCOL)
    transforms, offset = read_varint(block, offset, len(block))
    if transforms > _MAX_TRANSFORMS:
        message = f"{transforms} THeader transforms are over the limit of {_MAX_TRANSFORMS}"
        raise Unspoken(message, FailureKind.INVALID_TRANSFORM, payload)
    for _ in range(transforms):
        number, offset = read_varint(block, offset, len(block))
        if number != _ZLIB:
            message = f"unknown THeader transform {number}; only 1 (zlib) is understood"
            raise Unspoken(message, FailureKind.INVALID_TRANSFORM, payload)
    return Block(payload, bool(transforms), _read_headers(block, offset, max_entries))


def _read_headers(block: bytes, offset: int, max_entries: int) -> Mapping[str, str]:
    end = len(block)
    headers: dict[str, str] = {}
    entries = 0
    while offset < end:
        number, offset = read_varint(block, offset, end)
        if number != _KEY_VALUE:
            # Padding, or an id of a later version: the format says to ignore the rest of the block.
            break
        count, offset = read_varint(block, offset, end)
        entries += count
        if entries > max_entries:
            raise RemoteProtocolError(f"{entries} THeader entries are over max_header_entries {max_entries}")
        for _ in range(count):
            key, offset = _read_text(block, offset, end)
            headers[key], offset = _read_text(block, offset, end)
    return MappingProxyType(headers) if headers else NO_HEADERS


def _read_text(block: bytes, offset: int, end: int) -> tuple[str, int]:
    size, offset = read_varint(block, offset, end)
    stop = offset + size
    if stop > end:
        raise RemoteProtocolError("a THeader entry runs past its block")
    # Bytes that are no UTF-8 become visible escapes: metadata is text for us, and must not break whoever prints it.
    return block[offset:stop].decode("utf-8", "backslashreplace"), stop


def write_block(
    payload: Payload, headers: Mapping[str, str], *, max_size: int | None = None, max_entries: int | None = None
) -> bytes:
    """Writes a padded header block. Raises LocalProtocolError for headers that are over the limits or cannot be encoded
    in UTF-8."""
    if max_entries is not None and len(headers) > max_entries:
        raise TooLarge(f"{len(headers)} headers are over max_header_entries {max_entries}")
    parts = [write_varint(_PROTOCOL_IDS[payload]), b"\0"]
    if headers:
        parts += (write_varint(_KEY_VALUE), write_varint(len(headers)))
        for key, value in headers.items():
            parts += (_text(key), _text(value))
    block = b"".join(parts)
    block += bytes(-len(block) % 4)
    if max_size is not None and len(block) > max_size:
        raise TooLarge(f"headers of {len(block)} bytes are over max_header {max_size}")
    return block


def _text(text: str) -> bytes:
    try:
        encoded = text.encode()
    except UnicodeEncodeError as exc:
        raise LocalProtocolError(f"a header is not valid text: {text!r}") from exc
    return write_varint(len(encoded)) + encoded


def inflate(message: bytes, limit: int, most_per_byte: int) -> bytes:
    """Undoes the zlib transform. Raises RemoteProtocolError for invalid data.

    Never makes more than ``limit`` bytes, nor more than ``most_per_byte`` for each byte that came: it stops there,
    without inflating the rest.
    """
    allowed = min(limit, FREE + most_per_byte * len(message))
    stream = zlib.decompressobj()
    try:
        inflated = stream.decompress(message, allowed)
        # The end of the stream may not have been looked at yet if the message is just as long as it may be.
        excess = b"" if stream.eof else stream.decompress(stream.unconsumed_tail, 1)
    except zlib.error as exc:
        raise RemoteProtocolError("a zlib-transformed message cannot be inflated") from exc
    if excess:
        bound = f"max_frame {limit}" if allowed == limit else f"max_inflation {most_per_byte} times its size allows"
        raise RemoteProtocolError(f"a zlib-transformed message inflates to more than {bound}")
    if not stream.eof or stream.unused_data:
        raise RemoteProtocolError("a zlib-transformed message is cut short or has bytes after its end")
    return inflated
