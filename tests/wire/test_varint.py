"""Integers of variable length."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.varint import read_varint, write_varint


@given(st.integers(0, 2**32 - 1), st.binary(max_size=3))
def test_varint_is_read_as_it_was_written(value: int, behind: bytes) -> None:
    """Every 32-bit value survives, and reading stops where it ends."""
    written = write_varint(value)
    assert read_varint(b"x" + written + behind, 1, 1 + len(written) + len(behind)) == (value, 1 + len(written))


@pytest.mark.parametrize(
    ("raw", "complaint"),
    [
        (b"", "cut short"),
        (b"\x80\x80", "cut short"),
        (b"\xff" * 5 + b"\x00", "longer than 5 bytes"),
        (b"\xff\xff\xff\xff\x10", "over 32 bits"),
    ],
)
def test_varint_that_is_wrong_is_refused(raw: bytes, complaint: str) -> None:
    """A peer cannot make it run on."""
    with pytest.raises(RemoteProtocolError, match=complaint):
        read_varint(raw, 0, len(raw))
