"""ZooKeeper's first words, as bytes."""

from __future__ import annotations

import struct

import pytest

from zkrpc.credentials import ZooKeeperSecurity
from zkrpc.errors import RemoteProtocolError
from zkrpc.testing.clock import ManualClock
from zkrpc.zookeeper.handshake import Exchange, close_request, connect_request, is_closed, is_granted, read_length


def test_frames_have_golden_bytes() -> None:
    """As ZooKeeper's own client writes them."""
    assert connect_request(7, b"\1" * 16, timeout_ms=4000) == bytes.fromhex(
        "0000002d" "00000000" "0000000000000000" "00000fa0" "0000000000000007" "00000010" + "01" * 16 + "00"
    )
    assert close_request() == bytes.fromhex("00000008" "00000001" "fffffff5")
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


class Wire:
    """A socket that hands out given bytes, a few at a time, and notes what it is sent."""

    def __init__(self, *chunks: bytes) -> None:
        self.sent: list[bytes] = []
        self.bounds: list[float] = []
        self._chunks = list(chunks)

    def settimeout(self, seconds: float) -> None:
        self.bounds.append(seconds)

    def sendall(self, data: bytes) -> None:
        self.sent.append(data)

    def recv(self, size: int) -> bytes:
        chunk = self._chunks.pop(0) if self._chunks else b""
        assert len(chunk) <= size
        return chunk


def test_exchange_opens_a_session_and_closes_it() -> None:
    """Answers may come in any pieces; each wait is bounded by what is left of the time."""
    clock = ManualClock(5.0)
    granted = struct.pack("!iiiqi16s?", 37, 0, 4000, 7, 16, b"p" * 16, False)
    closed = struct.pack("!iiqi", 16, 1, 99, 0)
    wire = Wire(granted[:2], granted[2:4], granted[4:], closed[:4], closed[4:])
    exchange = Exchange(wire, 7.0, clock)
    assert exchange.open_session(7, b"p" * 16, timeout_ms=1000)
    clock.advance(1.5)
    assert exchange.close_session()
    assert wire.sent == [connect_request(7, b"p" * 16, timeout_ms=1000), close_request()]
    assert wire.bounds == [2.0] * 4 + [0.5] * 3


def test_exchange_ends_with_the_time_or_the_connection() -> None:
    """With errors that whoever asks expects anyway."""
    clock = ManualClock()
    with pytest.raises(ConnectionError, match="hung up"):
        Exchange(Wire(b"\0\0"), 1.0, clock).open_session()
    with pytest.raises(TimeoutError, match="took too long"):
        Exchange(Wire(), 0.0, clock).close_session()


def test_exchange_shows_who_we_are() -> None:
    """With a message and its answer for each thing there is to show; without any, nothing is sent."""
    nobody = Wire()
    Exchange(nobody, 7.0, ManualClock()).introduce(ZooKeeperSecurity())
    assert nobody.sent == []
    wire = Wire(struct.pack("!i", 16), struct.pack("!iqi", -4, 1, 0))
    security = ZooKeeperSecurity(username="eve", password="evil", mechanism="digest")
    Exchange(wire, 7.0, ManualClock()).introduce(security)
    (said,) = wire.sent
    assert b"digest" in said and said.endswith(b"eve:evil")
