"""Values that do not go through the C module, because Python is faster: small structs of one field, and long values.

*Structs whose only field is a string or ``binary``*, as most small calls carry: a key in, a value out. Such a struct in
binary is ten bytes around the value. Writing and reading it here takes a third of the time that the C module takes
(measured: its transport, its protocol and an object to hold one attribute are more work than the value), and a string
is decoded strictly on the way. Any other body, and the compact encoding, take the general way.

*Long strings and bytes*, because the C module writes them byte by byte: 130 us for 64 KiB, in which 64 KiB could be
copied 30 times. That applies to fields of the outermost struct, in binary. They are put behind the other fields, which
the C module writes: the order of fields means nothing in Thrift. Inside nested values long ones are rare, and are left
to the C module.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from zkrpc.codec.shape import Field, Kind

LONG = 2048
"""Length from which writing a value here is faster."""

_open_field = struct.Struct("!bh").pack
_open_value = struct.Struct("!bhi").pack
_write_length = struct.Struct("!i").pack
_read_head = struct.Struct("!3si").unpack_from
_HEAD_SIZE = 7
_STOP = b"\0"


def writer_of(field: Field) -> Callable[[str | bytes], bytes]:
    """Returns a function that encodes a struct from the value of its only field. ValueError for a string that UTF-8
    cannot encode."""
    number, encodes = field.id, field.type.kind is Kind.STRING

    def write(value: str | bytes) -> bytes:
        data: bytes = value.encode() if encodes else value  # type: ignore[union-attr,assignment]  # by its kind
        return b"".join((_open_value(Kind.STRING, number, len(data)), data, _STOP))

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


class Bulk:
    """Writes structs of one shape that hold a long string or long bytes.

    Args:
        fields: all fields of the shape.
        encoder_of: given some of the fields, returns a function that encodes just these fields of a struct, with the
            stop behind them.
    """

    __slots__ = ("_encode_others", "_heads", "names")

    def __init__(
        self, fields: Sequence[Field], encoder_of: Callable[[tuple[Field, ...]], Callable[[Any], bytes]]
    ) -> None:
        long = [field for field in fields if field.type.kind in (Kind.STRING, Kind.BINARY)]
        others = tuple(field for field in fields if field not in long)
        self._heads = [(field.name, _open_field(Kind.STRING, field.id)) for field in long]
        self._encode_others = encoder_of(others) if long and others else None
        self.names = tuple(field.name for field in long)
        """The fields that may hold a long value."""

    def write(self, it: Any) -> bytes:
        """The struct's bytes. Raises what the C module raises for the other fields, and ValueError for a string that
        UTF-8 cannot encode."""
        parts = [] if self._encode_others is None else [self._encode_others(it)[:-1]]
        for name, head in self._heads:
            value = getattr(it, name)
            if value is not None:
                data = value.encode() if isinstance(value, str) else value
                parts += (head, _write_length(len(data)), data)
        parts.append(_STOP)
        return b"".join(parts)
