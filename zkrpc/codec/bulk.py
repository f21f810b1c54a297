"""Long texts and bytes, which the C module writes one byte after another: 130 us for 64 KiB, 30 copies' worth of time.

Those at the top of a struct are written here instead, in binary, behind what the C module makes of the other fields:
the order of fields means nothing in Thrift. Inside nested values they are rare, and stay with the C module.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any

from zkrpc.codec.shape import Field, Kind

LONG = 2048
"""Length from which it pays."""

_open_field = struct.Struct("!bh").pack
_write_length = struct.Struct("!i").pack
_STOP = b"\0"


class Bulk:
    """Writes structs of one shape that hold something long.

    Args:
        fields: all fields of the shape.
        encoder_of: given some of the fields, a function that gives the bytes of these of a struct, and the stop behind
            them.
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
        """Fields that may hold something long."""

    def write(self, it: Any) -> bytes:
        """The struct's bytes. Raises what the C module raises for the other fields, and ValueError for a text that is
        none."""
        parts = [] if self._encode_others is None else [self._encode_others(it)[:-1]]
        for name, head in self._heads:
            value = getattr(it, name)
            if value is not None:
                data = value.encode() if isinstance(value, str) else value
                parts += (head, _write_length(len(data)), data)
        parts.append(_STOP)
        return b"".join(parts)
