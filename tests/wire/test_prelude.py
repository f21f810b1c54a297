"""Connections in a zlib stream, and what stands before the first message."""

from __future__ import annotations

import dataclasses
import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wire_frames import BODIES, cut, message, split_messages
from zkrpc.config import WireLimits
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.detection import Stream
from zkrpc.wire.inflation import Inflation
from zkrpc.wire.message import Dialect
from zkrpc.wire.prelude import Prelude
from zkrpc.wire.server import ServerProtocol

LIMITS = dataclasses.replace(WireLimits(), accept_zlib=True)


@pytest.mark.parametrize("dialect", Dialect)
@given(sizes=st.lists(st.integers(1, 40), max_size=12))
@settings(deadline=None)
def test_server_speaks_every_dialect_in_a_zlib_stream(dialect: Dialect, sizes: list[int]) -> None:
    """Each answer can be read as soon as it has come, and the stream goes on."""
    server = ServerProtocol(LIMITS, 0.0)
    deflate, inflate = zlib.compressobj(), zlib.decompressobj()
    for seqid in (1, 2):
        sent = deflate.compress(message(b"get", seqid, dialect=dialect)) + deflate.flush(zlib.Z_SYNC_FLUSH)
        for chunk in cut(sent, sizes):
            server.receive_data(chunk, 0.0)
        request = server.next_request()
        assert request is not None and (request.name, request.dialect) == (b"get", dialect)
        server.send_reply(request, BODIES[dialect.payload])
        [answer] = split_messages(inflate.decompress(server.data_to_send()), dialect)
        assert answer.dialect is dialect
    assert (server.failure, server.partial_since, server.data_to_send()) == (None, None, b"")


def test_prelude_tells_what_it_knows() -> None:
    """For the log of whoever looks for a mistake."""
    prelude = Prelude(LIMITS, Inflation(LIMITS))
    assert prelude.take(b"\x80", 0.0) == b"" and repr(prelude) == "<Prelude None>"
    assert prelude.take(b"\1\0\1", 0.0) == b"\x80\1\0\1" and prelude.stream is Stream.BINARY
    assert prelude.take(b"more", 0.0) == b"more" and prelude.deflated(b"raw") == b"raw"
    deflated = Prelude(LIMITS, Inflation(LIMITS))
    deflated.take(zlib.compress(message()), 0.0)
    assert repr(deflated) == "<Prelude Stream.FRAMED deflated>"


@pytest.mark.parametrize(
    ("chunks", "complaint"),
    [
        ([zlib.compress(bytes(5_000_000))], "inflate to more than max_frame 4194304"),
        ([b"\x78\x9c" + b"\xff" * 9], "cannot be inflated"),
        ([zlib.compress(message()), b"more"], "bytes after its end"),
        ([zlib.compress(zlib.compress(b"x"))], "a zlib stream in a zlib stream"),
    ],
)
def test_stream_that_costs_too_much_or_is_wrong_is_refused(chunks: list[bytes], complaint: str) -> None:
    """Before it has cost more than its size allows."""
    prelude = Prelude(LIMITS, Inflation(LIMITS))
    with pytest.raises(RemoteProtocolError, match=complaint):
        for chunk in chunks:
            prelude.take(chunk, 0.0)


def test_zlib_is_not_taken_unless_it_is_asked_for() -> None:
    """As it is with THeader's transform."""
    server = ServerProtocol(WireLimits(), 0.0)
    server.receive_data(zlib.compress(message()), 0.0)
    assert server.failure == "a zlib stream, which is not taken unless WireLimits.accept_zlib says so"


def test_http_is_answered_and_ends_the_connection() -> None:
    """A browser or a probe shows why."""
    server = ServerProtocol(WireLimits(), 0.0)
    server.receive_data(b"GET / HT", 0.0)
    assert server.failure == "HTTP, not Thrift" and server.wants_close
    assert server.data_to_send().startswith(b"HTTP/1.1 400 ")


def test_half_a_beginning_has_its_time_and_no_more() -> None:
    """From its first byte on, whatever it becomes."""
    server = ServerProtocol(WireLimits(), 0.0)
    server.receive_data(b"\x80", 3.0)
    assert (server.partial_since, server.next_timer()) == (3.0, 10.0)
    server.receive_data(b"\1\0", 5.0)
    assert server.partial_since == 3.0
    server.handle_timer(10.0)
    assert server.failure == "no complete frame within 10 s of connecting"
