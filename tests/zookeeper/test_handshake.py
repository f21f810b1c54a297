"""ZooKeeper's first words, as bytes."""

from __future__ import annotations

import struct

import pytest

from zkrpc.errors import RemoteProtocolError
from zkrpc.zookeeper.handshake import close, connect_request, is_closed, is_granted, read_length


def test_frames_have_golden_bytes() -> None:
    """As ZooKeeper's own client writes them."""
    assert connect_request(7, b"\1" * 16, timeout_ms=4000) == bytes.fromhex(
        "0000002d" "00000000" "0000000000000000" "00000fa0" "0000000000000007" "00000010" + "01" * 16 + "00"
    )
    assert close() == bytes.fromhex("00000008" "00000001" "fffffff5")
    assert len(connect_request()) == 49


def test_answers_say_yes_or_no() -> None:
    """A timeout of nothing is a session that there is not."""
    assert is_granted(struct.pack("!iiqi", 0, 4000, 7, 0)) and not is_granted(struct.pack("!iiqi", 0, 0, 0, 0))
    assert is_closed(struct.pack("!iqi", 1, 99, 0)) and not is_closed(struct.pack("!iqi", 1, 99, -4))
    assert read_length(struct.pack("!i", 37)) == 37


@pytest.mark.parametrize("size", [-1, 4097, 0x48545450])
def test_a_length_that_cannot_be_is_refused(size: int) -> None:
    """Whoever speaks another protocol is not waited for."""
    with pytest.raises(RemoteProtocolError, match="a ZooKeeper answer of"):
        read_length(struct.pack("!i", size))


def test_an_answer_that_is_too_short_is_refused() -> None:
    """With the protocol's error, not struct's."""
    for read in (is_granted, is_closed):
        with pytest.raises(RemoteProtocolError):
            read(b"\0" * 7)
