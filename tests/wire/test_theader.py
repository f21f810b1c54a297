"""Header blocks: what is written, what is read, what is refused."""

from __future__ import annotations

import tracemalloc
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.codec import Payload
from zkrpc.errors import LocalProtocolError, RemoteProtocolError
from zkrpc.wire.theader import NO_HEADERS, inflate, read_block, write_block

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.sampled_from(Payload), st.dictionaries(texts, texts, max_size=8))
@settings(deadline=None, max_examples=50)
def test_block_is_read_as_it_was_written(payload: Payload, headers: dict[str, str]) -> None:
    """Any text survives as key and value, the empty one included; blocks are whole words."""
    block = write_block(payload, headers)
    assert len(block) % 4 == 0
    assert read_block(block, 8) == (payload, 0, headers)


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=200)
def test_block_of_garbage_is_read_or_refused(block: bytes) -> None:
    """No bytes make it raise anything else, or yield more than they hold."""
    try:
        read = read_block(block, 64)
    except RemoteProtocolError:
        return
    assert sum(len(key) for key in read.headers) <= 4 * len(block)


def test_block_of_bytes_that_are_no_text_becomes_visible_escapes() -> None:
    """Metadata may always be printed."""
    assert read_block(b"\0\0\x01\x01\x01k\x02\x00\xff", 1).headers == {"k": "\x00\\xff"}


def test_block_headers_cannot_be_changed() -> None:
    """They are shared by all requests with the same block."""
    with pytest.raises(TypeError):
        read_block(b"\0\0\x01\x01\x01k\x01v", 1).headers["k"] = "other"
    assert read_block(b"\0\0\0\0", 1).headers is NO_HEADERS


@pytest.mark.parametrize(
    ("block", "complaint"),
    [
        (b"", "cut short"),
        (b"\x01\x00", "unknown THeader protocol id 1;"),
        (b"\x00\x05\x01\x01\x01\x01\x01", "5 THeader transforms are over the limit of 1"),
        (b"\x00\x02\x01\x01", "2 THeader transforms are over the limit of 1"),
        (b"\x00\x01\x03", "unknown THeader transform 3;"),
        (b"\x00\x00\x01\x03\x00\x00\x00\x00\x00\x00", "3 THeader entries are over max_header_entries 2"),
        (b"\x00\x00\x01\x02\x00\x00\x00\x00\x01\x01\x00\x00", "3 THeader entries"),
        (b"\x00\x00\x01\x01\x01k\x05v", "runs past its block"),
        (b"\x00\x00\x01\x01\x01", "runs past its block"),
    ],
)
def test_block_that_is_wrong_is_refused(block: bytes, complaint: str) -> None:
    """With the first thing wrong in it."""
    with pytest.raises(RemoteProtocolError, match=complaint):
        read_block(block, 2)


def test_block_over_our_limits_is_not_written() -> None:
    """Headers of ours that the peer would refuse fail here, where the caller can see why."""
    with pytest.raises(LocalProtocolError, match="2 headers are over max_header_entries 1"):
        write_block(Payload.BINARY, {"a": "", "b": ""}, max_entries=1)
    with pytest.raises(LocalProtocolError, match="over max_header 8"):
        write_block(Payload.BINARY, {"a": "x" * 20}, max_size=8)
    with pytest.raises(LocalProtocolError, match="not valid text"):
        write_block(Payload.BINARY, {"a": "\ud800"})


def test_inflate_undoes_zlib() -> None:
    """Whatever the level."""
    for level in (0, 1, 9):
        assert inflate(zlib.compress(b"message", level), 10, 1) == b"message"


@pytest.mark.parametrize(
    ("deflated", "complaint"),
    [
        (b"no zlib", "cannot be inflated"),
        (zlib.compress(bytes(20_000_000)), "inflates to more than max_frame 1000"),
        (zlib.compress(bytes(1001)), "inflates to more than max_frame 1000"),
        (zlib.compress(b"message")[:-2], "cut short"),
        (zlib.compress(b"message") + b"x", "bytes after its end"),
        (b"", "cut short"),
    ],
)
def test_inflate_refuses_bombs_and_stumps(deflated: bytes, complaint: str) -> None:
    """A few kilobytes cannot become many megabytes, and an incomplete stream is no message."""
    with pytest.raises(RemoteProtocolError, match=complaint):
        inflate(deflated, 1000, 1_000_000)


def test_inflate_allows_exactly_the_limit() -> None:
    """The cap is the frame's own."""
    assert inflate(zlib.compress(bytes(1000)), 1000, 10) == bytes(1000)
    with pytest.raises(RemoteProtocolError, match="inflates to more than max_frame 999"):
        inflate(zlib.compress(bytes(1000)), 999, 10)


def test_inflate_stops_where_a_byte_becomes_too_many() -> None:
    """A message may be four KiB whatever it came as, and beyond that a multiple of what came."""
    deflated = zlib.compress(bytes(100_000))
    most = 4096 + 20 * len(deflated)
    assert most < 100_000
    with pytest.raises(RemoteProtocolError, match="inflates to more than max_inflation 20 times its size allows"):
        inflate(deflated, 4_000_000, 20)
    assert inflate(deflated, 4_000_000, 1000) == bytes(100_000)


def test_inflate_makes_no_more_than_it_may() -> None:
    """The bytes are counted before they are made: a bomb costs what an honest message costs."""
    bomb = zlib.compress(bytes(200_000_000), 9)
    tracemalloc.start()
    try:
        with pytest.raises(RemoteProtocolError, match="max_inflation"):
            inflate(bomb[: len(bomb) // 8], 4_000_000, 32)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < 3 * (4096 + 32 * len(bomb) // 8)
