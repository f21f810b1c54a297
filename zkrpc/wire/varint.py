"""Unsigned LEB128 integers of at most 32 bits, as THeader and the compact protocol write them."""

from __future__ import annotations

from zkrpc.errors import RemoteProtocolError

LONGEST = 5
"""Bytes of the longest one."""
_SMALL = tuple(bytes((value,)) for value in range(128))


def read_varint(buffer: bytes | bytearray, offset: int, end: int) -> tuple[int, int]:
    """The integer at ``offset`` and the offset after it. Raises RemoteProtocolError if it is cut short or too long."""
    value = 0
    for shift in range(0, 7 * LONGEST, 7):
        if offset >= end:
            raise RemoteProtocolError("a variable-length integer is cut short")
        byte = buffer[offset]
        offset += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            break
    else:
        raise RemoteProtocolError(f"a variable-length integer is longer than {LONGEST} bytes")
    if value > 0xFFFFFFFF:
        raise RemoteProtocolError("a variable-length integer is over 32 bits")
    return value, offset


def write_varint(value: int) -> bytes:
    """The bytes of a non-negative integer."""
    if value < 128:
        return _SMALL[value]
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
