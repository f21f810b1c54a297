"""Long strings and bytes are written here, because the C module writes them byte by byte: 130 us for 64 KiB, in which
64 KiB could be copied 30 times.

That applies to fields of the outermost struct, in binary. They are put behind the other fields, which the C module
writes: the order of fields means nothing in Thrift. Inside nested values long ones are rare, and are left to the C
module.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from zkrpc.codec.shape import Field, Kind

LONG = 2048
"""Length from which writing a value here is faster."""

_open_field = struct.Struct("!bh").pack
_write_length = struct.Struct("!i").pack
_STOP = b"\0"


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
