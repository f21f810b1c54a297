"""Header blocks: what is written, what is read, what is refused."""

from __future__ import annotations

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
        (b"\x00\x05\x01\x01\x01\x01\x01", "5 THeader transforms are over the limit of 4"),
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


def test_inflate_undoes_as_many_deflations_as_were_said() -> None:
    """The order of transforms is undone from the last."""
    once = zlib.compress(b"message")
    assert inflate(b"message", 0, 10) == b"message"
    assert inflate(once, 1, 10) == b"message"
    assert inflate(zlib.compress(once), 2, 100) == b"message"


@pytest.mark.parametrize(
    ("deflated", "complaint"),
    [
        (b"no zlib", "cannot be inflated"),
        (zlib.compress(bytes(20_000_000)), "inflates to more than max_frame 1000"),
        (zlib.compress(bytes(1001)), "inflates to more than max_frame 1000"),
        (zlib.compress(b"message")[:-2], "cut short"),
        (zlib.compress(b"message") + b"x", "bytes after its end"),
    ],
)
def test_inflate_refuses_bombs_and_stumps(deflated: bytes, complaint: str) -> None:
    """A few kilobytes cannot become many megabytes, and an incomplete stream is no message."""
    with pytest.raises(RemoteProtocolError, match=complaint):
        inflate(deflated, 1, 1000)


def test_inflate_allows_exactly_the_limit() -> None:
    """The cap is the frame's own."""
    assert inflate(zlib.compress(bytes(1000)), 1, 1000) == bytes(1000)
