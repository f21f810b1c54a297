"""Messages without frames: their ends, however they are cut, and what has none."""

from __future__ import annotations

import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wire_frames import BODIES, UNFRAMED, cut, message, split_messages
from zkrpc.codec import Payload, decode_failure
from zkrpc.config import WireLimits
from zkrpc.errors import RemoteProtocolError
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Dialect, ProtocolState, Request
from zkrpc.wire.server import ServerProtocol
from zkrpc.wire.unframed import Endless, MessageBuffer

LIMITS = WireLimits(max_frame=3000, max_elements=100)


def text(size: int, payload: Payload) -> bytes:
    """A struct of one string of this size."""
    if payload is Payload.BINARY:
        return b"\x0b\0\1" + struct.pack("!I", size) + b"x" * size + b"\0"
    length = bytes((size,)) if size < 128 else bytes((size & 0x7F | 0x80, size >> 7))
    return b"\x18" + length + b"x" * size + b"\0"


def many(count: int, payload: Payload) -> bytes:
    """A struct with a list of so many empty structs."""
    if payload is Payload.BINARY:
        return b"\x0f\0\1\x0c" + struct.pack("!I", count) + bytes(count) + b"\0"
    return b"\x19\xfc" + bytes((count & 0x7F | 0x80, count >> 7)) + bytes(count) + b"\0"


def played(dialect: Dialect, chunks: list[bytes]) -> tuple[list[Request], ServerProtocol]:
    """The requests that come of these chunks."""
    server = ServerProtocol(LIMITS, 0.0)
    requests = []
    for chunk in chunks:
        server.receive_data(chunk, 0.0)
        while (request := server.next_request()) is not None:
            requests.append(request)
    return requests, server


@pytest.mark.parametrize("dialect", UNFRAMED)
@given(sizes=st.lists(st.integers(1, 600), max_size=30))
@settings(deadline=None)
def test_calls_are_found_however_they_are_cut(dialect: Dialect, sizes: list[int]) -> None:
    """And are answered without a frame, one after another or at once."""
    bodies = [BODIES[dialect.payload], text(2000, dialect.payload), many(30, dialect.payload), b"\0"]
    stream = b"".join(message(b"call", number, body, dialect=dialect) for number, body in enumerate(bodies))
    requests, server = played(dialect, list(cut(stream, sizes)))
    assert [(one.name, one.seqid, one.dialect) for one in requests] == [(b"call", n, dialect) for n in range(4)]
    assert [one.frame[one.offset :] for one in requests] == bodies
    assert (server.failure, server.partial_since) == (None, None)
    for one in reversed(requests):
        server.send_reply(one, bodies[0])
    answers = split_messages(server.data_to_send(), dialect)
    read = [one.envelope() for one in answers]
    assert [(kind, name, seqid) for kind, name, seqid, _ in read] == [(2, b"call", n) for n in (3, 2, 1, 0)]


@pytest.mark.parametrize("dialect", UNFRAMED)
@pytest.mark.parametrize("size", [1, 7, 5000])
def test_message_that_is_too_long_is_answered_and_ends_the_connection(dialect: Dialect, size: int) -> None:
    """Nobody knows where the next one would begin. The calls before it are served."""
    stream = message(seqid=1, dialect=dialect) + message(b"put", 2, text(4000, dialect.payload), dialect=dialect)
    requests, server = played(dialect, list(cut(stream, [size] * (len(stream) // size))))
    assert [one.seqid for one in requests] == [1]
    assert server.failure is not None and server.failure.endswith("bytes or more is over max_frame 3000")
    assert (server.wants_close, server.held_bytes) == (True, len(requests[0].frame))
    [answer] = split_messages(server.data_to_send(), dialect)
    kind, name, seqid, offset = answer.envelope()
    assert (kind, name, seqid) == (MessageKind.EXCEPTION, b"put", 2)
    assert decode_failure(answer.frame, offset, dialect.payload)[0] == server.failure


@pytest.mark.parametrize("dialect", UNFRAMED)
@pytest.mark.parametrize("kind", [MessageKind.CALL, MessageKind.ONEWAY])
def test_message_over_the_budget_is_noticed_while_it_comes(dialect: Dialect, kind: MessageKind) -> None:
    """A oneway call gets no answer, here either."""
    requests, server = played(
        dialect, list(cut(message(b"put", 2, many(900, dialect.payload), dialect=dialect, kind=kind), [50] * 2))
    )
    assert (requests, server.failure) == ([], "more elements in one body than are taken")
    assert bool(server.data_to_send()) is (kind is MessageKind.CALL)


@pytest.mark.parametrize("dialect", UNFRAMED)
def test_body_that_cannot_be_walked_is_answered(dialect: Dialect) -> None:
    """Its caller at least hears what is wrong."""
    _, server = played(dialect, [message(b"put", 2, b"\x1e\0\1" + bytes(9), dialect=dialect)])
    assert server.failure == "unknown wire type 14" if dialect is Dialect.COMPACT else "unknown wire type 30"
    [answer] = split_messages(server.data_to_send(), dialect)
    assert answer.envelope()[:3] == (3, b"put", 2)


@pytest.mark.parametrize(
    ("start", "failure"),
    [
        (message(dialect=Dialect.BINARY) + b"\x80\x02\0\1\0\0\0\0", "a binary message starts with 80020001"),
        (message(dialect=Dialect.COMPACT) + b"\x82\x22", "a compact message does not start with its version"),
        (b"\x82\x21" + b"\xff" * 20, "a variable-length integer is longer than 5 bytes"),
        (b"\x80\1\0\1\x7f\xff\xff\xff", "an envelope of 2147483659 bytes is over max_frame 3000"),
    ],
)
def test_message_whose_beginning_is_wrong_ends_the_connection(start: bytes, failure: str) -> None:
    """There is no id to answer to."""
    server = ServerProtocol(LIMITS, 0.0)
    server.receive_data(start, 0.0)
    assert server.failure is not None and server.failure.startswith(failure)
    assert server.data_to_send() == b""


def test_name_that_is_too_long_is_refused_as_in_a_frame() -> None:
    """The message is whole, so the connection lives."""
    server = ServerProtocol(LIMITS, 0.0)
    server.receive_data(message(b"n" * 257, 1, dialect=Dialect.BINARY) + message(b"ok", 2, dialect=Dialect.BINARY), 0.0)
    request = server.next_request()
    assert request is not None and request.name == b"ok"
    assert b"method name of 257 bytes is over 256" in server.data_to_send()


def test_reply_may_be_as_long_as_the_limit() -> None:
    """There is no length in front of it that counts."""
    server = ServerProtocol(LIMITS, 0.0)
    server.receive_data(message(b"get", 1, dialect=Dialect.BINARY), 0.0)
    request = server.next_request()
    assert request is not None
    server.send_reply(request, text(3000 - 15 - 8, Payload.BINARY))
    assert len(server.data_to_send()) == 3000


@pytest.mark.parametrize("dialect", UNFRAMED)
@given(sizes=st.lists(st.integers(1, 90), max_size=12))
@settings(deadline=None)
def test_client_finds_its_replies_however_they_are_cut(dialect: Dialect, sizes: list[int]) -> None:
    """One call after another, as plain connections are used."""
    client = ClientProtocol(dialect, LIMITS, 0.0, zkrpc=False)
    body = text(120, dialect.payload)
    for number in range(3):
        call_id = client.send_call(b"get", BODIES[dialect.payload], number, deadline_at=9.0, now=0.0)
        [sent] = split_messages(client.data_to_send(), dialect)
        assert sent.envelope()[:3] == (1, b"get", call_id)
        answer = message(b"get", call_id, body, kind=MessageKind.REPLY, dialect=dialect)
        replies = [one for chunk in cut(answer, sizes) for one in client.receive_data(chunk, 0.0)]
        assert [token for token, _ in replies] == [number]
        assert replies[0][1].frame[replies[0][1].offset :] == body


@pytest.mark.parametrize(
    ("spoken", "answered"),
    [(Dialect.OLD_BINARY, Dialect.BINARY), (Dialect.FRAMED_OLD_BINARY, Dialect.FRAMED_BINARY)],
)
def test_client_without_versions_takes_answers_that_have_some(spoken: Dialect, answered: Dialect) -> None:
    """Many servers read both and write one."""
    client = ClientProtocol(spoken, LIMITS, 0.0, zkrpc=False)
    for dialect in (answered, spoken, answered):
        call_id = client.send_call(b"get", b"\0", dialect.name, deadline_at=9.0, now=0.0)
        client.data_to_send()
        answer = message(b"get", call_id, kind=MessageKind.REPLY, dialect=dialect)
        assert [token for token, _ in client.receive_data(answer, 0.0)] == [dialect.name]


def test_client_names_what_answers_it() -> None:
    """A web server, say: the first bytes tell."""
    for dialect in (Dialect.BINARY, Dialect.COMPACT):
        client = ClientProtocol(dialect, LIMITS, 0.0, zkrpc=False)
        client.receive_data(b"HTTP/1.1 400 Bad Request\r\n", 0.0)
        assert client.failure == "HTTP, not Thrift"


def test_client_ends_a_connection_whose_reply_has_no_end() -> None:
    """Its limit is the same as in a frame; the call may have been executed."""
    client = ClientProtocol(Dialect.BINARY, LIMITS, 0.0, zkrpc=False)
    call_id = client.send_call(b"get", b"\0", "token", deadline_at=9.0, now=0.0)
    client.data_to_send()
    client.receive_data(message(b"get", call_id, text(4000, Payload.BINARY), kind=2, dialect=Dialect.BINARY), 0.0)
    assert client.state is ProtocolState.CLOSED and "over max_frame 3000" in (client.failure or "")
    assert client.close() == [("token", True)]


def test_buffer_says_what_it_holds() -> None:
    """As one of frames does."""
    buffer = MessageBuffer(Dialect.BINARY, 3000, 100)
    whole = message(dialect=Dialect.BINARY)
    assert (buffer.end_of_frame(whole[:10], 0), len(buffer), bool(buffer)) == (-1, 10, True)
    assert repr(buffer) == "<MessageBuffer BINARY kept=10>"
    assert buffer.join(whole[10:] + b"next") == (whole, len(whole) - 10)
    assert buffer.end_of_frame(whole, 0) == len(whole) == buffer.claimed
    assert (buffer.skip(b"next", 0), buffer.is_oversized, len(buffer)) == (0, False, 0)
    assert buffer.end_of_frame(whole[:20], 0) == -1
    buffer.clear()
    assert not buffer
    with pytest.raises(Endless, match="over max_frame"):
        buffer.end_of_frame(message(body=text(4000, Payload.BINARY), dialect=Dialect.BINARY), 0)
    with pytest.raises(RemoteProtocolError):
        MessageBuffer(Dialect.COMPACT, 3000, 100).end_of_frame(b"\x82\x22", 0)
