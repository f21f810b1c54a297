"""Where frames begin and end, and what other streams are called."""

from __future__ import annotations

import pytest

from tests.support.wire_frames import framed, message
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.detection import check_dialect, check_length
from zkrpc.wire.frames import FrameBuffer


@pytest.mark.parametrize(
    ("start", "complaint"),
    [
        (b"GET / HTTP/1.1\r\n", "HTTP, not Thrift"),
        (b"POST /thrift HTTP/1.1\r\n", "HTTP, not Thrift"),
        (b"HTTP/1.1 400 Bad Request\r\n", "HTTP, not Thrift"),
        (b"<!DOCTYPE HTML>\n<html", "HTTP, not Thrift"),
        (b"PRI * HTTP/2.0\r\n\r\nSM", "HTTP/2"),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH, not Thrift"),
        (b"\x16\x03\x01\x00\xc8\x01", "TLS on a plain"),
        (b"\x15\x03\x01\x00\x02\x02", "TLS on a plain"),
        (b"\x80\x01\x00\x01\x00\x00", "binary Thrift without a frame"),
        (b"\x82\x21\x07\x04echo", "compact Thrift without a frame"),
        (b"\x7f\xff\xff\xff", "frame of 2147483647 bytes is over max_frame 1000"),
        (b"\x00\x00\x00\x00", "frame of 0 bytes is shorter than any message"),
    ],
)
def test_length_that_is_none_names_what_came_instead(start: bytes, complaint: str) -> None:
    """The line in the log tells the operator which client to look at."""
    with pytest.raises(RemoteProtocolError, match=complaint):
        check_length(start, 0, 1000)


def test_dialect_that_is_unknown_is_shown() -> None:
    """The first bytes are the best hint there is."""
    check_dialect(b"\x0f\xff", 0)
    with pytest.raises(RemoteProtocolError, match="unknown dialect: a frame starts with 0f fe"):
        check_dialect(b"\x0f\xfe", 0)


def test_buffer_waits_for_a_frame_byte_by_byte() -> None:
    """Nothing is given back before there is something new to decide; then all of it is."""
    buffer = FrameBuffer(1000, 8192)
    frame = message()
    assert buffer.end_of_frame(frame[:1], 0) == -1
    steps = [buffer.join(frame[at : at + 1]) for at in range(1, 3)]
    assert steps == [(b"", 1), (b"", 1)]
    assert buffer.join(frame[3:4]) == (frame[:4], 1)
    assert buffer.end_of_frame(frame[:4], 0) == -1
    assert buffer.join(frame[4:5]) == (b"", 1)
    assert buffer.join(frame[5:6]) == (frame[:6], 1)
    assert buffer.end_of_frame(frame[:6], 0) == -1
    assert buffer.join(frame[6:-1]) == (b"", len(frame) - 7)
    assert len(buffer) == len(frame) - 1
    whole, goes_on = buffer.join(frame[-1:] + b"\x00")
    assert (whole, goes_on) == (frame, 1)
    assert len(buffer) == 0
    assert buffer.end_of_frame(whole, 0) == len(frame)


def test_buffer_complains_before_a_bad_frame_is_complete() -> None:
    """A peer cannot make us collect 4 MiB of a frame whose first bytes are wrong already."""
    buffer = FrameBuffer(1000, 8192)
    with pytest.raises(RemoteProtocolError, match="unknown dialect"):
        buffer.end_of_frame(framed(b"\x01" * 900)[:6], 0)
    with pytest.raises(RemoteProtocolError, match="max_frame"):
        buffer.end_of_frame(b"\x3c\0\0\0", 0)
    assert len(buffer) == 0


def test_buffer_gives_the_beginning_of_an_endless_frame_and_reads_no_more() -> None:
    """So that it is answered before it ends the connection."""
    buffer = FrameBuffer(1000, 64)
    frame = message(body=bytes(20_000))
    assert buffer.end_of_frame(frame[:2000], 0) == 2000 and buffer.is_oversized
    assert buffer.join(frame[2000:2100]) == (b"", 0)
    with pytest.raises(RemoteProtocolError, match="frame of 20030 bytes is over max_frame 1000"):
        buffer.skip(frame[2000:2100], 0)


def test_buffer_gives_the_beginning_of_an_oversized_frame_and_lets_the_rest_go() -> None:
    """Enough of it to be answered; no more of it is ever held."""
    buffer = FrameBuffer(1000, 64)
    frame = message(body=bytes(9000))
    beginning = 4 + 64 + 1024
    assert (buffer.end_of_frame(frame[:500], 0), len(buffer), bool(buffer)) == (-1, 500, True)
    joined, start = buffer.join(frame[500:2000])
    assert (joined, start, len(buffer)) == (frame[:beginning], beginning - 500, 0)
    assert (buffer.end_of_frame(joined, 0), buffer.claimed, buffer.is_oversized) == (beginning, len(frame) - 4, True)
    assert (buffer.skip(frame[500:2000], start), bool(buffer), buffer.join(b"xx")) == (1500, True, (b"", 0))
    assert buffer.skip(frame[2000:] + b"next", 0) == len(frame) - 2000
    assert (bool(buffer), buffer.skip(b"next", 0)) == (False, 0)
    assert buffer.end_of_frame(message(), 0) == len(message())
    assert not buffer.is_oversized


def test_buffer_gives_an_oversized_frame_that_is_all_there() -> None:
    """There is nothing to let go then."""
    buffer = FrameBuffer(1000, 64)
    frame = message(body=bytes(3000))
    assert (buffer.end_of_frame(frame + b"x", 0), buffer.is_oversized, bool(buffer)) == (len(frame), True, False)


def test_buffer_wants_the_rest_of_a_long_frame_and_then_as_much_again() -> None:
    """So that the next one begins where a read does. Of short ones, and very long ones, it wants nothing
    particular."""
    buffer = FrameBuffer(1 << 20, 8192)
    frame = message(body=bytes(20_000))
    assert buffer.wanted == 0
    assert buffer.end_of_frame(frame[:15_000], 0) == -1 and buffer.wanted == len(frame) - 15_000
    buffer.join(frame[15_000:-1])
    assert buffer.wanted == 1
    buffer.join(frame[-1:])
    assert buffer.wanted == len(frame)
    assert buffer.end_of_frame(frame[:3], 0) == -1 and buffer.wanted == len(frame) - 3
    buffer.clear()
    assert buffer.end_of_frame(message()[:-1], 0) == -1 and buffer.wanted == 0
    buffer.clear()
    assert buffer.end_of_frame(message(body=bytes(500_000))[:100], 0) == -1 and buffer.wanted == 0


def test_buffer_wants_nothing_of_what_it_will_drop() -> None:
    """As nothing is kept of it."""
    buffer = FrameBuffer(1 << 16, 64)
    frame = message(body=bytes(80_000))
    assert buffer.end_of_frame(frame[:2000], 0) == 2000 and buffer.skipping and buffer.wanted == 0
