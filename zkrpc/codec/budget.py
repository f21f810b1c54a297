"""Counts what a body would cost before anything is built: the budget of non-scalar container elements.

A struct of four bytes on the wire becomes some 400 bytes of Python, so a megabyte of empty structs held a hub for a
second and grew the process a hundredfold (measured). A walk over the bytes counts them first. It knows the two payload
encodings but no struct: unknown fields cost as little as known ones. It is strict about lengths and types that matter
for the walk itself, and leaves the rest to the decoder.
"""

from __future__ import annotations

import struct

from zkrpc.errors import RemoteProtocolError

MAX_ELEMENTS = 100_000
"""Strings, structs and containers inside containers that one body may hold: 0.1 to 0.3 s of work at worst."""
MAX_DEPTH = 128
"""Levels of structs and containers together; the C module takes 64 structs, and containers between them."""

_STOP, _STRING, _STRUCT, _MAP, _SET, _LIST, _UUID = 0, 11, 12, 13, 14, 15, 16
_WIDTH = {2: 1, 3: 1, 4: 8, 6: 2, 8: 4, 10: 8, _UUID: 16}
_length = struct.Struct("!i").unpack_from

_COMPACT_DOUBLE, _COMPACT_BINARY, _COMPACT_LIST, _COMPACT_SET, _COMPACT_MAP, _COMPACT_STRUCT, _COMPACT_UUID = range(
    7, 14
)
_COMPACT_BOOLS = (1, 2)
_COMPACT_VARINTS = (4, 5, 6)
_CONTINUED = bytes(range(0x80, 0x100))
"""Bytes of a varint that are not its last."""
_COMPACT_FIXED = {3: 1, _COMPACT_DOUBLE: 8, _COMPACT_UUID: 16}


def check_binary(buffer: bytes, offset: int) -> None:
    """Raises RemoteProtocolError if the struct at ``offset``, in binary, is over the budget or cannot be walked."""
    _check(_BinaryWalk(buffer), offset)


def check_compact(buffer: bytes, offset: int) -> None:
    """The same for the compact encoding."""
    _check(_CompactWalk(buffer), offset)


def _check(walk: _BinaryWalk | _CompactWalk, offset: int) -> None:
    try:
        walk.struct(offset, MAX_DEPTH)
    except (IndexError, struct.error) as exc:
        raise RemoteProtocolError("the body ends too early") from exc
    except RecursionError as exc:  # our own caller was deep in its stack already
        raise RemoteProtocolError("nested too deeply") from exc


class _Walk:
    """What both encodings share: the bytes and what is left of the budget."""

    def __init__(self, buffer: bytes) -> None:
        self.buffer = buffer
        self.left = MAX_ELEMENTS

    def spend(self, elements: int) -> None:
        """Takes elements from the budget."""
        self.left -= elements
        if self.left < 0:
            raise RemoteProtocolError(f"more than {MAX_ELEMENTS} elements in one body")

    def past(self, position: int, length: int) -> int:
        """The position after ``length`` more bytes, which must be there."""
        if not 0 <= length <= len(self.buffer) - position:
            raise RemoteProtocolError("a length is negative or beyond the body")
        return position + length


class _BinaryWalk(_Walk):
    """Over the binary encoding."""

    def struct(self, position: int, depth: int) -> int:
        """The position after the struct that begins here."""
        buffer = self.buffer
        while (kind := buffer[position]) != _STOP:
            # Field header: one byte of type, two of id. Scalars are most fields, so they are stepped over right here.
            width = _WIDTH.get(kind)
            position = position + 3 + width if width else self.value(position + 3, kind, depth)
        return position + 1

    def value(self, position: int, kind: int, depth: int) -> int:
        """The position after the value that begins here."""
        if kind == _STRING:
            return self.past(position + 4, _length(self.buffer, position)[0])
        if depth <= 0:
            raise RemoteProtocolError("nested too deeply")
        if kind == _STRUCT:
            return self.struct(position, depth - 1)
        if kind not in (_LIST, _SET, _MAP):
            raise RemoteProtocolError(f"unknown wire type {kind}")
        kinds = self.buffer[position : position + (2 if kind == _MAP else 1)]
        position += len(kinds)
        return self.elements(position + 4, _length(self.buffer, position)[0], kinds, depth - 1)

    def elements(self, position: int, count: int, kinds: bytes, depth: int) -> int:
        """The position after ``count`` elements, or pairs, that begin here."""
        if not count:
            return position
        self.past(position, count)
        if all(kind in _WIDTH for kind in kinds):
            return self.past(position, count * sum(_WIDTH[kind] for kind in kinds))
        self.spend(count)
        for _ in range(count):
            for kind in kinds:
                width = _WIDTH.get(kind)
                position = position + width if width else self.value(position, kind, depth)
        return position


class _CompactWalk(_Walk):
    """Over the compact encoding, whose lengths are varints and whose booleans sit in the field header."""

    def struct(self, position: int, depth: int) -> int:
        """The position after the struct that begins here."""
        buffer = self.buffer
        while (header := buffer[position]) != _STOP:
            position += 1
            if not header & 0xF0:  # the id did not fit in a difference and follows
                position = self.after_varint(position)
            kind = header & 0x0F
            if kind not in _COMPACT_BOOLS:
                position = self.value(position, kind, depth)
        return position + 1

    def value(self, position: int, kind: int, depth: int) -> int:
        """The position after the value that begins here."""
        if kind in _COMPACT_VARINTS:
            return self.after_varint(position)
        if kind in _COMPACT_FIXED:
            return self.past(position, _COMPACT_FIXED[kind])
        if kind == _COMPACT_BINARY:
            length, position = self.varint(position)
            return self.past(position, length)
        if depth <= 0:
            raise RemoteProtocolError("nested too deeply")
        if kind == _COMPACT_STRUCT:
            return self.struct(position, depth - 1)
        if kind == _COMPACT_MAP:
            count, position = self.varint(position)
            kinds = self.buffer[position] if count else 0
            return self.elements(position + bool(count), count, (kinds >> 4, kinds & 0x0F), depth - 1)
        if kind not in (_COMPACT_LIST, _COMPACT_SET):
            raise RemoteProtocolError(f"unknown wire type {kind}")
        header, position = self.buffer[position], position + 1
        count, position = self.varint(position) if header >> 4 == 15 else (header >> 4, position)
        return self.elements(position, count, (header & 0x0F,), depth - 1)

    def elements(self, position: int, count: int, kinds: tuple[int, ...], depth: int) -> int:
        """The position after ``count`` elements, or pairs, that begin here."""
        self.past(position, count)
        if any(kind > _COMPACT_DOUBLE for kind in kinds):
            self.spend(count)
        elif len(kinds) == 1:
            return self.scalars(position, count, kinds[0])
        for _ in range(count):
            for kind in kinds:
                position = position + 1 if kind in _COMPACT_BOOLS else self.value(position, kind, depth)
        return position

    def scalars(self, position: int, count: int, kind: int) -> int:
        """The position after ``count`` scalars of one kind, without a step for each."""
        if kind not in _COMPACT_VARINTS:
            return self.past(position, count * _COMPACT_FIXED.get(kind, 1))
        while count:
            # So many numbers take at least so many bytes, and each number ends in a byte below 0x80.
            end = self.past(position, count)
            count -= len(self.buffer[position:end].translate(None, _CONTINUED))
            position = end
        return position

    def varint(self, position: int) -> tuple[int, int]:
        """The number that begins here, and the position after it."""
        number = shift = 0
        while (byte := self.buffer[position]) & 0x80:
            number |= (byte & 0x7F) << shift
            shift += 7
            position += 1
            if shift > 63:
                raise RemoteProtocolError("a number of more than ten bytes")
        return number | byte << shift, position + 1

    def after_varint(self, position: int) -> int:
        """The position after the number that begins here."""
        buffer = self.buffer
        while buffer[position] & 0x80:
            position += 1
        return position + 1
