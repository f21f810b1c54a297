"""Structs whose only field is a string or ``binary``, as most small calls carry: a key in, a value out.

Such a struct in binary is ten bytes around the value. Writing and reading it here takes a third of the time that the C
module takes (measured: its transport, its protocol and an object to hold one attribute are more work than the value),
and a string is decoded strictly on the way. Any other body, and the compact encoding, take the general way.
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
    """Returns a function that encodes a struct from the value of its only field. ValueError for a string that UTF-8
    cannot encode."""
    number, encodes = field.id, field.type.kind is Kind.STRING

    def write(value: str | bytes) -> bytes:
        data: bytes = value.encode() if encodes else value  # type: ignore[union-attr,assignment]  # by its kind
        return b"".join((_open(Kind.STRING, number, len(data)), data, _STOP))

    return write


def reader_of(field: Field) -> Callable[[bytes, int], str | bytes | None]:
    """Returns a function that decodes the only field of the struct that fills a buffer from an offset on; it returns
    None if the struct is laid out otherwise, or is not UTF-8."""
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
    """Whether these fields are a single string or ``binary``."""
    return len(fields) == 1 and fields[0].type.kind in (Kind.STRING, Kind.BINARY)
