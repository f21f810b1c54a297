"""THeader: the envelope of Apache Thrift that carries metadata beside a message.

::

    u16 0x0FFF  u16 FLAGS  i32 SEQID  u16 WORDS                      10 bytes, after the frame's length
    WORDS * 4 bytes of header block:
        varint PROTOCOL (0 binary, 2 compact)  varint N  N x varint TRANSFORM (1 zlib)
        varint 1, varint COUNT, COUNT x (varint size, key, varint size, value)     any number of times
        varint 2, the same: fbthrift's persistent headers, which hold for all later messages of the connection too
        0 or any other id: nothing more to read, padding to a multiple of 4 bytes
    the message, transformed

It is stricter than Apache's Python library: lengths may not run past the block, a truncated zlib stream is an error,
and so is anything after its end. This module reads and writes blocks; it does not know what the keys mean.

Keys and values are bytes for the format and text for us: UTF-8, in which each byte that is none becomes one of 128
characters that no UTF-8 has (U+DC80 to U+DCFF, as file names have them in Python), and that byte again when it is
written. So two different values never become one, and what is passed on is what came.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import NamedTuple

from zkrpc.codec import FailureKind, Payload
from zkrpc.config import WireLimits
from zkrpc.errors import LocalProtocolError, RemoteProtocolError, TooLarge
from zkrpc.wire.inflation import FREE
from zkrpc.wire.varint import read_varint, write_varint

MAGIC = 0x0FFF
FIXED_SIZE = 10
"""Bytes between a frame's length and its header block."""
NO_HEADERS: Mapping[str, str] = MappingProxyType({})

_PAYLOADS = {0: Payload.BINARY, 2: Payload.COMPACT}
_PROTOCOL_IDS = {payload: number for number, payload in _PAYLOADS.items()}
_ZLIB = 1
_ZLIB_ONLY = b"\x01\x01"
"""One transform: zlib."""
_KEY_VALUE = 1
_PERSISTENT = 2
_MAX_TRANSFORMS = 1
"""One at most: compressing twice is of use to an attacker only."""


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
    """Those of this message, without the persistent ones."""
    persistent: Mapping[str, str] = NO_HEADERS
    """Those of this message and of all later ones."""


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
    return Block(payload, bool(transforms), *_read_headers(block, offset, max_entries))


def _read_headers(block: bytes, offset: int, max_entries: int) -> Iterator[Mapping[str, str]]:
    """The headers of this message, and the persistent ones."""
    end = len(block)
    found: dict[int, dict[str, str]] = {_KEY_VALUE: {}, _PERSISTENT: {}}
    entries = 0
    while offset < end:
        number, offset = read_varint(block, offset, end)
        if number not in found:
            # Padding, or an id of a later version: the format says to ignore the rest of the block.
            break
        count, offset = read_varint(block, offset, end)
        entries += count
        if entries > max_entries:
            raise RemoteProtocolError(f"{entries} THeader entries are over max_header_entries {max_entries}")
        for _ in range(count):
            key, offset = _read_text(block, offset, end)
            found[number][key], offset = _read_text(block, offset, end)
    return (MappingProxyType(headers) if headers else NO_HEADERS for headers in found.values())


def _read_text(block: bytes, offset: int, end: int) -> tuple[str, int]:
    size, offset = read_varint(block, offset, end)
    stop = offset + size
    if stop > end:
        raise RemoteProtocolError("a THeader entry runs past its block")
    return text_of(block[offset:stop]), stop


def text_of(raw: bytes) -> str:
    """A key or a value as text."""
    return raw.decode("utf-8", "surrogateescape")


def write_block(
    payload: Payload, headers: Mapping[str, str], *, max_size: int | None = None, max_entries: int | None = None
) -> bytes:
    """Writes a padded header block. Raises LocalProtocolError for headers that are over the limits or stand for
    no bytes."""
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
        encoded = text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError as exc:
        raise LocalProtocolError(f"a header is not valid text: {text!r}") from exc
    return write_varint(len(encoded)) + encoded


def deflate(head: bytes, body: bytes, limits: WireLimits) -> tuple[bytes, bytes]:
    """A THeader frame, given as what precedes its body and the body, with its message deflated.

    A message stays as it is if it would inflate to more than ``max_inflation`` for each byte, as the peer might not
    undo that, or if its header block has no room for the transform.
    """
    begins = 4 + FIXED_SIZE + 4 * int.from_bytes(head[12:14], "big")
    message = head[begins:] + body
    block = head[14:15] + _ZLIB_ONLY + head[16:begins]
    block += bytes(-len(block) % 4)
    deflated = zlib.compress(message, 1)
    if len(block) > limits.max_header or len(message) > FREE + limits.max_inflation * len(deflated):
        return head, body
    length = FIXED_SIZE + len(block) + len(deflated)
    return length.to_bytes(4, "big") + head[4:12] + (len(block) // 4).to_bytes(2, "big") + block, deflated


def inflating(limits: WireLimits) -> WireLimits:
    """The limits of a client that deflates, and so also inflates."""
    return dataclasses.replace(limits, accept_zlib=True)
