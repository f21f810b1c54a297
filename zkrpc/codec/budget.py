"""Counts what a body would cost before anything is built from it: strings, structs, containers and numbers, against a
budget.

A struct of four bytes on the wire becomes some 400 bytes of Python, so a megabyte of empty structs blocked the hub for
a second and took a hundred times its size in memory (measured). A walk over the bytes counts the values first, and
stops when there are too many. It knows the two payload encodings but no struct: unknown fields cost as much as known
ones. It checks the lengths and types that the walk itself depends on, and leaves the rest to the decoder.

The walk is in Python and costs more for each value than decoding it does, so the budget counts whatever the walk looks
at one by one:

=====================================================  ============================
costs                                                  elements
=====================================================  ============================
a list, a set or a map                                 2
a string or a struct, wherever it is                   1
a number or a bool, in a struct or beside others       1/4
numbers in a list, a set or a map, looked at together  1 for each 16
=====================================================  ============================

A number that takes several bytes of the compact encoding costs a quarter more for each two, and so does a field's id
that does not fit in its header.

The walk is one loop with a stack of its own: nesting costs neither depth of Python's stack nor a function call. Where
it stands is kept in a :class:`Walk`, so that it also finds the end of a struct of which only the beginning has come.
"""

from __future__ import annotations

import struct
import sys

from zkrpc.config import WireLimits
from zkrpc.errors import RemoteProtocolError

MAX_ELEMENTS = WireLimits().max_elements
"""How many elements one body may hold by default: some 50 ms of walking, decoding and checking at worst."""
MAX_DEPTH = 128
"""Levels of nesting, structs and containers together; the C module accepts 64 structs, and containers between them."""

_ELEMENT = 4
"""The cost of an element in units of one number that is looked at alone."""
_BULK = 2
"""Bits by which the count of numbers that are looked at together is shifted to get what they cost. Their count and not
their bytes, as the decoder takes the same 20 ns for one of a byte as for one of eight (measured)."""
_FEW = 32
"""Up to how many numbers of variable length are looked at one by one, as looking at so few together does not pay."""
_IN_STRUCT = -1
"""Stands in the place of the number of values still to come: the walk is among the fields of a struct, not in a
container."""

_STOP, _STRING, _STRUCT, _MAP, _SET, _LIST, _UUID = 0, 11, 12, 13, 14, 15, 16
_WIDTH = {2: 1, 3: 1, 4: 8, 6: 2, 8: 4, 10: 8, _UUID: 16}
_read_length = struct.Struct("!i").unpack_from

_COMPACT_DOUBLE, _COMPACT_BINARY, _COMPACT_LIST, _COMPACT_SET, _COMPACT_MAP, _COMPACT_STRUCT, _COMPACT_UUID = range(
    7, 14
)
_COMPACT_LAST_BOOL = 2
"""Types up to this one are bools, which sit in a field's header."""
_COMPACT_VARINTS = (4, 5, 6)
_COMPACT_WIDTH = {1: 1, 2: 1, 3: 1, _COMPACT_DOUBLE: 8, _COMPACT_UUID: 16}
_LONGEST_VARINT = 10
_CONTINUED = bytes(range(0x80, 0x100))
"""Bytes of a varint that are not its last."""

Kinds = tuple[int, int]
"""The types of a container's values, found by the lowest bit of how many are still to come: a map's value and its key,
or a list's element twice."""
_NO_KINDS: Kinds = (_STOP, _STOP)


class Walk:
    """Where a walk over one struct stands: nothing behind ``position`` has been looked at."""

    __slots__ = ("around", "kinds", "left", "position", "values")

    def __init__(self, position: int, max_elements: int) -> None:
        self.position = position
        self.left = _ELEMENT * max_elements
        """What is left of the budget; below 0 once it is used up."""
        self.values = _IN_STRUCT
        self.kinds = _NO_KINDS
        self.around: list[tuple[int, Kinds]] = []

    def __repr__(self) -> str:
        """Where it stands, and how deep."""
        return f"<Walk position={self.position} depth={len(self.around)} left={self.left}>"

    def goes_through(self, buffer: bytes | bytearray, *, compact: bool) -> bool:
        """Whether the struct ends within ``buffer``, of which more may come; ``position`` is its end then. Call it
        again with the same bytes and those that followed, and never after it has returned True.

        ``position`` is at most where the struct can end, also while it is behind the end of the buffer. Raises
        RemoteProtocolError if the budget is used up, or if the bytes cannot be walked.
        """
        if compact and self.values > _FEW and self.kinds[0] == self.kinds[1] and self.kinds[0] in _COMPACT_VARINTS:
            before = self.values
            self.values, self.position = _past_many_varints(buffer, sys.maxsize, self.position, before)
            self.left -= before - self.values >> _BULK
        within = (_walk_compact if compact else _walk_binary)(buffer, sys.maxsize, self)
        if within is False:
            raise RemoteProtocolError("more elements in one body than are taken")
        return bool(within)


def check_binary(buffer: bytes, offset: int, max_elements: int = MAX_ELEMENTS) -> None:
    """Raises RemoteProtocolError if the struct at ``offset``, in binary, is over the budget or cannot be walked."""
    _check(_walk_binary(buffer, len(buffer), Walk(offset, max_elements)), max_elements)


def check_compact(buffer: bytes, offset: int, max_elements: int = MAX_ELEMENTS) -> None:
    """The same for the compact encoding."""
    _check(_walk_compact(buffer, len(buffer), Walk(offset, max_elements)), max_elements)


def _check(within: bool | None, max_elements: int) -> None:
    if within is None:
        raise RemoteProtocolError("the body ends too early")
    if not within:
        raise RemoteProtocolError(f"more than {max_elements} elements in one body")


def _walk_binary(buffer: bytes | bytearray, end: int, walk: Walk) -> bool | None:
    """Whether the struct costs no more than what is left; None if the buffer ends before it. Nothing may reach beyond
    ``end``."""
    widths, around = _WIDTH, walk.around
    position, left, values, kinds = walk.position, walk.left, walk.values, walk.kinds
    at, had, were = position, left, values  # before the value that is looked at, which may have come in part
    try:
        while left >= 0:
            at, had, were = position, left, values
            if values < 0:
                kind = buffer[position]
                if kind == _STOP:
                    position += 1
                    if not around:
                        walk.position, walk.left = position, left
                        return True
                    values, kinds = around.pop()
                    continue
                position += 3  # one byte of type, two of id
            elif values:
                values -= 1
                kind = kinds[values & 1]
            else:
                values, kinds = around.pop()
                continue
            width = widths.get(kind)
            if width is not None:
                left -= 1
                position += width
                continue
            left -= _ELEMENT
            if kind == _STRING:
                position = _past(end, position + 4, _read_length(buffer, position)[0])
                continue
            if len(around) >= MAX_DEPTH:
                raise RemoteProtocolError("nested too deeply")
            if kind == _STRUCT:
                around.append((values, kinds))
                values = _IN_STRUCT
            else:
                inner, inner_kinds, position, bulk = _open_binary(buffer, end, position, kind)
                around.append((values, kinds))
                values, kinds = inner, inner_kinds
                # What is to come costs at least this much; numbers that were looked at together are behind us.
                left -= _ELEMENT + (bulk >> _BULK)
                if values > left:
                    return False
    except (IndexError, struct.error):
        walk.position, walk.left, walk.values, walk.kinds = at, had, were, kinds
        return None
    return False


def _open_binary(buffer: bytes | bytearray, end: int, position: int, kind: int) -> tuple[int, Kinds, int, int]:
    """The values to come of the container that begins here, their types, where they begin, and how many were numbers.

    Plain numbers are passed over at once: the position is the one behind them, and no values are to come.
    """
    if kind == _MAP:
        parts, kinds = 2, (buffer[position + 1], buffer[position])
    elif kind in (_LIST, _SET):
        parts, kinds = 1, (buffer[position], buffer[position])
    else:
        raise RemoteProtocolError(f"unknown wire type {kind}")
    count = _read_length(buffer, position + parts)[0]
    position += parts + 4
    _past(end, position, count)
    first, second = _WIDTH.get(kinds[0]), _WIDTH.get(kinds[1])
    if count and first and second:
        return 0, kinds, _past(end, position, count * (first + second) * parts // 2), count * parts
    return count * parts, kinds, position, 0


def _walk_compact(buffer: bytes | bytearray, end: int, walk: Walk) -> bool | None:
    """The same for the compact encoding, whose lengths are varints and whose booleans sit in the field header."""
    widths, around = _COMPACT_WIDTH, walk.around
    position, left, values, kinds = walk.position, walk.left, walk.values, walk.kinds
    at, had, were = position, left, values
    try:
        while left >= 0:
            at, had, were = position, left, values
            if values < 0:
                header = buffer[position]
                position += 1
                if header == _STOP:
                    if not around:
                        walk.position, walk.left = position, left
                        return True
                    values, kinds = around.pop()
                    continue
                if header < 0x10:  # the id did not fit in a difference and follows
                    left -= 1
                    position = _past_varint(buffer, position)
                kind = header & 0x0F
                if kind <= _COMPACT_LAST_BOOL and kind:
                    left -= 1
                    continue
            elif values:
                values -= 1
                kind = kinds[values & 1]
            else:
                values, kinds = around.pop()
                continue
            if kind in _COMPACT_VARINTS:
                began, position = position, position + 1
                if buffer[began] >= 0x80:
                    position = _past_varint(buffer, began)
                left -= 1 + (position - began >> 1)
            elif kind in widths:
                left -= 1
                position += widths[kind]
            else:
                left -= _ELEMENT
                if kind == _COMPACT_BINARY:
                    length, position = _varint(buffer, position)
                    position = _past(end, position, length)
                    continue
                if len(around) >= MAX_DEPTH:
                    raise RemoteProtocolError("nested too deeply")
                if kind == _COMPACT_STRUCT:
                    around.append((values, kinds))
                    values = _IN_STRUCT
                else:
                    inner, inner_kinds, position, bulk = _open_compact(buffer, end, position, kind)
                    around.append((values, kinds))
                    values, kinds = inner, inner_kinds
                    left -= _ELEMENT + (bulk >> _BULK)
                    if values > left:
                        return False
    except IndexError:
        walk.position, walk.left, walk.values, walk.kinds = at, had, were, kinds
        return None
    return False


def _open_compact(buffer: bytes | bytearray, end: int, position: int, kind: int) -> tuple[int, Kinds, int, int]:
    """The same as ``_open_binary``, for the compact encoding."""
    if kind == _COMPACT_MAP:
        count, position = _varint(buffer, position)
        if not count:
            return 0, _NO_KINDS, position, 0
        _past(end, position, count)
        return 2 * count, (buffer[position] & 0x0F, buffer[position] >> 4), position + 1, 0
    if kind not in (_COMPACT_LIST, _COMPACT_SET):
        raise RemoteProtocolError(f"unknown wire type {kind}")
    header = buffer[position]
    count, position = _varint(buffer, position + 1) if header >= 0xF0 else (header >> 4, position + 1)
    _past(end, position, count)
    kind = header & 0x0F
    width = _COMPACT_WIDTH.get(kind)
    if width:
        return 0, _NO_KINDS, _past(end, position, count * width), count
    left = count
    if kind in _COMPACT_VARINTS:
        left, position = _past_many_varints(buffer, end, position, count)
    return left, (kind, kind), position, count - left


def _past_many_varints(buffer: bytes | bytearray, end: int, position: int, count: int) -> tuple[int, int]:
    """How many of the numbers are left to be looked at one by one, or have not come yet, and the position of the first
    of these."""
    last = position + count * _LONGEST_VARINT
    while count > _FEW and position < len(buffer):
        # So many numbers take at least so many bytes, and each number ends in a byte below 0x80.
        if _past(end, position, count) > last:
            raise RemoteProtocolError("a number of more than ten bytes")
        piece = buffer[position : position + count]
        count -= len(piece.translate(None, _CONTINUED))
        position += len(piece)
    return count, position


def _past(end: int, position: int, length: int) -> int:
    """The position after ``length`` more bytes, which must be there."""
    if not 0 <= length <= end - position:
        raise RemoteProtocolError("a length is negative or beyond the body")
    return position + length


def _varint(buffer: bytes | bytearray, position: int) -> tuple[int, int]:
    """The number that begins here, and the position after it."""
    number = shift = 0
    while (byte := buffer[position]) & 0x80:
        number |= (byte & 0x7F) << shift
        shift += 7
        position += 1
        if shift > 63:
            raise RemoteProtocolError("a number of more than ten bytes")
    return number | byte << shift, position + 1


def _past_varint(buffer: bytes | bytearray, position: int) -> int:
    """The position after the number that begins here."""
    last = position + _LONGEST_VARINT
    while buffer[position] & 0x80:
        position += 1
        if position >= last:
            raise RemoteProtocolError("a number of more than ten bytes")
    return position + 1
