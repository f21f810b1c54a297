"""The bytes of answers, by themselves."""

from __future__ import annotations

import pytest

from tests.support.wire_frames import BODIES, BODY, message, split_messages
from zkrpc.codec import FailureKind, decode_failure
from zkrpc.config import WireLimits
from zkrpc.errors import LocalProtocolError
from zkrpc.wire.answers import SMALL, is_too_heavy, reply_in_place_of, write_refusal, write_reply_head
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Dialect, Request, open_frame
from zkrpc.wire.server import ServerProtocol
from zkrpc.wire.status import Status
from zkrpc.wire.theader import deflate

LIMITS = WireLimits(accept_zlib=True)


def request(dialect: Dialect = Dialect.HEADER_BINARY, **options: object) -> Request:
    """A request as it comes from the machine."""
    server = ServerProtocol(LIMITS, 0.0)
    server.receive_data(message(b"svc:echo", 3, dialect=dialect, **options), 0.0)  # type: ignore[arg-type]
    found = server.next_request()
    assert found is not None
    return found


@pytest.mark.parametrize("dialect", Dialect)
def test_reply_repeats_what_the_caller_chose(dialect: Dialect) -> None:
    """Dialect, id and the bare name; headers where the dialect has some."""
    body = BODIES[dialect.payload]
    head = write_reply_head(request(dialect), LIMITS, MessageKind.REPLY, {"zkrpc-epoch": "4"}, len(body))
    if dialect.is_deflated:
        head, body = deflate(head, body, LIMITS)
    [opening] = split_messages(head + body, dialect)
    kind, name, seqid, _ = opening.envelope()
    assert (opening.dialect, kind, name, seqid) == (dialect, MessageKind.REPLY, b"echo", 3)
    assert opening.headers == ({"zkrpc-epoch": "4"} if dialect.has_header else {})


def test_reply_without_headers_is_bare_and_one_to_a_oneway_call_is_a_mistake() -> None:
    """A oneway caller reads no answer."""
    bare = write_reply_head(request(), LIMITS, MessageKind.REPLY, None, len(BODY))
    assert open_frame((bare + BODY)[4:], LIMITS).headers == {}
    with pytest.raises(LocalProtocolError, match="oneway"):
        write_reply_head(request(kind=MessageKind.ONEWAY), LIMITS, MessageKind.REPLY, None, 1)


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("headers", [{}, {"zkrpc-error": "Overloaded"}])
def test_refusal_is_an_exception_in_the_callers_dialect(dialect: Dialect, headers: dict[str, str]) -> None:
    """With the reason, and with headers where there are any to write."""
    [opening] = split_messages(message(b"svc:echo", 3, dialect=dialect), dialect)
    refused = b"".join(
        write_refusal(opening, b"svc:echo", 3, "no", Status(FailureKind.INTERNAL_ERROR, headers), LIMITS)
    )
    [answer] = split_messages(refused, dialect)
    kind, name, seqid, offset = answer.envelope()
    assert (answer.dialect, kind, name, seqid) == (dialect, MessageKind.EXCEPTION, b"echo", 3)
    assert decode_failure(answer.frame, offset, dialect.payload) == ("no", FailureKind.INTERNAL_ERROR)
    assert answer.headers == (headers if dialect.has_header else {})


@pytest.mark.parametrize("dialect", Dialect)
def test_reply_too_large_to_be_read_is_replaced_by_an_exception(dialect: Dialect) -> None:
    """Its caller learns both sizes, and that the server did the work: to call again would do it twice."""
    reply = reply_in_place_of(5000, 4096, dialect)
    message = "the reply of 5000 bytes is over this client's max_frame 4096"
    assert decode_failure(reply.frame, reply.offset, dialect.payload) == (message, FailureKind.PROTOCOL_ERROR)
    assert (reply.kind, reply.dialect) == (MessageKind.EXCEPTION, dialect)
    assert reply.headers == {"zkrpc-error": "RemoteError", "zkrpc-executed": "yes"}


def test_large_frame_is_too_heavy_if_a_peer_holds_too_much_already() -> None:
    """A small one never is: those are bounded by their number."""
    limits = WireLimits(max_in_flight_bytes=SMALL + 1)
    assert not is_too_heavy(bytes(SMALL), [request()] * 1000, limits)
    assert not is_too_heavy(bytes(SMALL + 1), [], limits)
    assert is_too_heavy(bytes(SMALL + 1), [request()], limits)
