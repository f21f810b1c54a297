"""What a connection speaks, told from its first bytes."""

from __future__ import annotations

import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.wire_frames import framed, message
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.detection import BAD_REQUEST, MOST, Stranger, Stream, detect
from zkrpc.wire.message import UNFRAMED, Dialect

LIMIT = 4 * 1024 * 1024
STREAMS = {dialect: stream for stream, dialect in UNFRAMED.items()}


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("name", [b"f", b"ping", b"Users:get", b"_x", b"n" * 256])
def test_message_of_every_dialect_is_known_by_its_first_bytes(dialect: Dialect, name: bytes) -> None:
    """However few of them come at a time; and never wrongly by fewer."""
    start = message(name, 7, dialect=dialect)
    expected = STREAMS.get(dialect, Stream.FRAMED)
    found = [detect(start[:size], LIMIT) for size in range(1, MOST + 1)]
    assert found[-1] is expected
    assert set(found) <= {None, expected}


@pytest.mark.parametrize("level", range(10))
def test_zlib_stream_of_any_level_is_known(level: int) -> None:
    """By its two bytes of header, whose check sum is right."""
    assert detect(zlib.compress(b"x", level)[:2], LIMIT) is Stream.ZLIB
    with pytest.raises(RemoteProtocolError):
        detect(b"\x78\x02\x00\x00\x00\x00", LIMIT)


@pytest.mark.parametrize(
    ("start", "name", "is_told"),
    [
        (b"GET / HTTP/1.1\r\n", "HTTP, not Thrift", True),
        (b"POST /thrift HTTP/1.1\r\n", "HTTP, not Thrift", True),
        (b"OPTIONS * HTTP/1.1", "HTTP, not Thrift", True),
        (b"HTTP/1.1 400 Bad Request", "HTTP, not Thrift", False),
        (b"<!DOCTYPE html>", "HTTP, not Thrift", False),
        (b"PRI * HTTP/2.0\r\n\r\nSM", "HTTP/2", False),
        (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH, not Thrift", False),
        (b"PROXY TCP4 10.0.0.1", "PROXY protocol", False),
        (b"\r\n\r\n\0\r\nQUIT\n", "PROXY protocol", False),
        (b"AMQP\0\0\x09\1", "AMQP", False),
        (b"ruok\n\n", "no ZooKeeper server", False),
        (b"\1\0\0\0\5PLAIN", "SASL, which is not spoken", False),
        (b"\1\0\0\0\x06GSSAPI", "SASL, which is not spoken", False),
    ],
)
def test_what_is_no_thrift_is_named(start: bytes, name: str, is_told: bool) -> None:
    """Whoever speaks HTTP is told in HTTP."""
    with pytest.raises(Stranger, match=name) as caught:
        detect(start[:MOST], LIMIT)
    assert caught.value.answer == (BAD_REQUEST if is_told else b"")


@pytest.mark.parametrize(
    ("start", "complaint"),
    [
        (b"\x16\x03\x01\x00\xc8\x01", "TLS, which this port is served without"),
        (b'[1,"ping",1,1,{}]', "Thrift's JSON, which is not spoken"),
        (framed(b'[1,"ping",1,1,{}]'), "Thrift's JSON in a frame"),
        (b"\0\0\0\0\0\0", "frame of 0 bytes is shorter than any message"),
        (b"\0\0\0\2\x82\x21", "frame of 2 bytes is shorter than any message"),
        (b"\0\0\0\x10\x83\x01", "unknown dialect: a frame starts with 83 01"),
        (b"\0\1\0\0xx", "unknown dialect: a frame starts with 78 78"),
        (b"\x7f\xff\xff\xff", "frame of 2147483647 bytes is over max_frame"),
    ],
)
def test_what_is_not_spoken_is_named_as_early_as_it_can_be(start: bytes, complaint: str) -> None:
    """The line in the log tells the operator which client to look at."""
    with pytest.raises(RemoteProtocolError, match=complaint):
        detect(start[:MOST], LIMIT)


def test_large_frame_is_a_frame() -> None:
    """Up to 16 times the limit, as it is answered from its beginning."""
    assert detect(b"\0\x80\0\0\x80\1", 1024 * 1024) is Stream.FRAMED
    assert detect(b"\1\0\0\0\x0f\xff", 1024 * 1024) is Stream.FRAMED


@given(st.binary(min_size=MOST, max_size=MOST))
def test_six_bytes_are_always_enough(start: bytes) -> None:
    """And shorter beginnings never say anything else than the whole."""
    outcomes = []
    for size in range(1, MOST + 1):
        try:
            outcomes.append(detect(start[:size], LIMIT))
        except RemoteProtocolError as error:
            outcomes.append(str(error))  # type: ignore[arg-type]
    assert outcomes[-1] is not None
    assert set(outcomes) <= {None, outcomes[-1]}


def test_answer_to_http_is_whole() -> None:
    """Its length is what it says."""
    head, _, body = BAD_REQUEST.partition(b"\r\n\r\n")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
