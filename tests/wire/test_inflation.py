"""What deflated bytes may become: whole messages, and a connection's credit."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.config import WireLimits
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.inflation import FREE, REGAIN, Inflation, ZlibStream, inflate

LIMITS = WireLimits(max_frame=1_000_000, max_inflation=32)


@pytest.mark.parametrize("level", [0, 1, 9])
def test_inflate_undoes_zlib(level: int) -> None:
    """Whatever the level, and where the message is just as long as it may be."""
    for most in (7, 8, 1000):
        assert inflate(zlib.compress(b"message", level), most) == (b"message", True)


@pytest.mark.parametrize(
    ("deflated", "complaint"),
    [
        (b"no zlib", "cannot be inflated"),
        (zlib.compress(b"message")[:-2], "cut short"),
        (zlib.compress(b"message") + b"x", "bytes after its end"),
        (b"", "cut short"),
    ],
)
def test_inflate_refuses_what_is_no_message(deflated: bytes, complaint: str) -> None:
    """An incomplete stream is none either."""
    with pytest.raises(RemoteProtocolError, match=complaint):
        inflate(deflated, 1000)


def test_inflate_stops_where_a_message_becomes_too_long() -> None:
    """By one byte or by many: its beginning is given out."""
    for size in (1001, 20_000_000):
        assert inflate(zlib.compress(bytes(size)), 1000) == (bytes(1000), False)


def test_inflate_makes_no_more_than_it_may() -> None:
    """The bytes are counted before they are made: a bomb costs what an honest message costs."""
    bomb = zlib.compress(bytes(200_000_000), 9)
    tracemalloc.start()
    try:
        assert not inflate(bomb, 1_000_000)[1]
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000 + len(bomb)


def test_ordinary_text_that_repeats_itself_is_let_through() -> None:
    """A message may become as much as a frame may hold, whatever it came as."""
    inflation = Inflation(LIMITS)
    text = b"2026-11-27 14:31:05.123 INFO  zkrpc.server.server: serving calls at 10.0.0.7:9090\n" * 11_000
    deflated = zlib.compress(text)
    assert len(text) > 100 * len(deflated)
    assert inflate(deflated, inflation.allow(len(deflated), 0.0)) == (text, True)


def test_credit_is_used_up_by_bombs_and_comes_back() -> None:
    """What is within ``max_inflation`` uses nothing of it; who has none left still sends what honest ones do."""
    inflation = Inflation(LIMITS)
    assert not inflation.used and repr(inflation) == "<Inflation credit=1000000 of 1000000>"
    assert inflation.allow(10, 5.0) == 1_000_000
    inflation.charge(10_000, 320_000)
    assert inflation.used and inflation.allow(10, 5.0) == 1_000_000
    inflation.charge(1000, 1_000_000)
    assert inflation.allow(0, 5.0) == FREE + 32_000
    inflation.charge(1000, 1_000_000)
    assert inflation.allow(0, 5.0) == FREE and inflation.allow(1000, 5.0) == FREE + 32_000
    assert inflation.allow(0, 5.0 + REGAIN / 2) == FREE + 500_000
    assert inflation.allow(0, 100.0) == 1_000_000 == inflation.allow(0, 99.0)


def test_zlib_stream_is_inflated_on_credit() -> None:
    """What one end sends the other reads, as it comes; a chunk that becomes too much says why."""
    ours, theirs = ZlibStream(Inflation(LIMITS)), ZlibStream(Inflation(LIMITS))
    for text in (b"one", b"two" * 100_000):
        assert theirs.inflate(ours.deflate(text), 0.0) == text
    with pytest.raises(RemoteProtocolError, match="of a zlib stream inflate to more than max_inflation 32"):
        theirs.inflate(ours.deflate(bytes(900_000)), 0.0)
    for wrong, why in (
        (b"\x78\x9c" + b"\xff" * 9, "cannot be inflated"),
        (zlib.compress(b"x") + b"more", "bytes after its end"),
    ):
        with pytest.raises(RemoteProtocolError, match=why):
            ZlibStream(Inflation(LIMITS)).inflate(wrong, 0.0)


@given(st.lists(st.tuples(st.integers(0, 100_000), st.floats(0, 1000)), max_size=50))
def test_what_is_made_is_bounded_by_what_came_and_by_time(steps: list[tuple[int, float]]) -> None:
    """Whatever a peer sends and however long it waits: apart from what is always free, its credit bounds it all."""
    inflation, now, made, came = Inflation(LIMITS), 0.0, 0, 0
    for size, pause in steps:
        now += pause / 1000
        most = inflation.allow(size, now)
        assert most <= LIMITS.max_frame
        inflation.charge(size, most)
        made, came = made + most, came + size
    credit = LIMITS.max_frame * (1 + now / REGAIN)
    assert made <= len(steps) * (FREE + 1) + LIMITS.max_inflation * came + credit + 1
