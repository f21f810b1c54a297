"""Structs of one text or of some bytes, which is what most small calls carry: a key in, a value out.

Such a struct in binary is ten bytes around the value. To write and read them here costs a third of asking the C module
(measured: its transport, its protocol and an object to hold one attribute are more work than the value), and a text is
decoded strictly on the way. Whatever looks different, compact included, is left to the way that all others go.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

from zkrpc.codec.shape import Field, Kind

_open = struct.Struct("!bhi").pack
_read_head = struct.Struct("!3si").unpack_from
_HEAD_SIZE = 7
_STOP = b"\0"


def writer_of(field: Field) -> Callable[[str | bytes], bytes]:
    """Gives the bytes of a struct whose only field is this text or these bytes. ValueError for a text that is none."""
    number, encodes = field.id, field.type.kind is Kind.STRING

    def write(value: str | bytes) -> bytes:
        data: bytes = value.encode() if encodes else value  # type: ignore[union-attr,assignment]  # by its kind
        return b"".join((_open(Kind.STRING, number, len(data)), data, _STOP))

    return write


def reader_of(field: Field) -> Callable[[bytes, int], str | bytes | None]:
    """Gives the value of a struct that fills a buffer from an offset on; None if it is not just that, or not UTF-8."""
    expected, decodes = struct.pack("!bh", Kind.STRING, field.id), field.type.kind is Kind.STRING

    def read(buffer: bytes, offset: int) -> str | bytes | None:
        try:
            head, size = _read_head(buffer, offset)
            begins = offset + _HEAD_SIZE
            ends = begins + size
            if head != expected or size < 0 or ends != len(buffer) - 1 or buffer[ends]:
                return None
            value = buffer[begins:ends]
            return value.decode() if decodes else value
        except (struct.error, UnicodeDecodeError):
            return None

    return read


def is_single(fields: Sequence[Field]) -> bool:
    """Whether a struct with these fields is one of those."""
    return len(fields) == 1 and fields[0].type.kind in (Kind.STRING, Kind.BINARY)
