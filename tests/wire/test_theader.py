"""Header blocks: what is written, what is read, what is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wire_frames import message
from zkrpc.codec import Payload
from zkrpc.config import WireLimits
from zkrpc.errors import LocalProtocolError, RemoteProtocolError
from zkrpc.legible import legible
from zkrpc.wire.message import open_frame
from zkrpc.wire.theader import NO_HEADERS, deflate, inflating, read_block, write_block

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)


@given(st.sampled_from(Payload), st.dictionaries(texts, texts, max_size=8))
@settings(deadline=None, max_examples=50)
def test_block_is_read_as_it_was_written(payload: Payload, headers: dict[str, str]) -> None:
    """Any text survives as key and value, the empty one included; blocks are whole words."""
    block = write_block(payload, headers)
    assert len(block) % 4 == 0
    assert read_block(block, 8) == (payload, 0, headers, {})


@given(st.binary(max_size=60))
@settings(deadline=None, max_examples=200)
def test_block_of_garbage_is_read_or_refused(block: bytes) -> None:
    """No bytes make it raise anything else, or yield more than they hold."""
    try:
        read = read_block(block, 64)
    except RemoteProtocolError:
        return
    assert sum(len(key) for key in read.headers) <= 4 * len(block)


@given(st.dictionaries(st.binary(max_size=20), st.binary(max_size=20), max_size=8))
@settings(deadline=None, max_examples=100)
def test_bytes_that_are_no_text_come_out_as_they_went_in(headers: dict[bytes, bytes]) -> None:
    """Any bytes, as key or value; two that differ never become the same text."""
    pairs = b"".join(bytes((len(part),)) + part for pair in headers.items() for part in pair)
    block = bytes((0, 0, 1, len(headers))) + pairs if headers else b"\0\0"
    block += bytes(-len(block) % 4)
    read = read_block(block, 8)
    assert len(read.headers) == len(headers)
    assert write_block(Payload.BINARY, read.headers) == block


def test_bytes_that_are_no_text_can_be_shown() -> None:
    """In a log they are escaped, on one line that every log can take."""
    value = read_block(b"\0\0\x01\x01\x01k\x03\x00\xffa", 1).headers["k"]
    assert value == "\0\udcffa"
    assert legible(value) == "\\x00\\udcffa"
    assert repr(value).encode() == b"'\\x00\\udcffa'"


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


def test_deflate_is_undone_by_whoever_reads_it() -> None:
    """With the headers that were there; what would inflate to too much, or has no room for the transform, stays."""
    limits = inflating(WireLimits())
    assert limits.accept_zlib
    head = message(b"echo", 7, b"", headers={"k": "v"})
    body = bytes(range(256)) * 4
    written, deflated = deflate((len(head) - 4 + len(body)).to_bytes(4, "big") + head[4:], body, limits)
    opening = open_frame((written + deflated)[4:], limits)
    assert int.from_bytes(written[:4], "big") == len(written) - 4 + len(deflated)
    assert opening.headers == {"k": "v"} and opening.frame.endswith(body) and opening.envelope()[1] == b"echo"
    for body, some in ((bytes(1 << 20), limits), (body, WireLimits(max_header=8))):
        assert deflate(head, body, some) == (head, body)
