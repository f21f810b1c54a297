"""Peers that lie, on either side and in every dialect: the machines end or refuse, and hold next to nothing."""

from __future__ import annotations

import pytest

from tests.support.wire_frames import BODIES, TAKEN, framed, message, theader
from zkrpc.config import WireLimits
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Dialect, ProtocolState
from zkrpc.wire.server import ServerProtocol

LIMITS = WireLimits(accept_zlib=True)
COMPACT_CALL = b"\x82\x21"
ENDLESS = b"\xff" * 4000
"""A varint that never ends."""

VARINTS = {
    "a seqid without frames": COMPACT_CALL + ENDLESS,
    "a seqid in a frame": framed(COMPACT_CALL + ENDLESS),
    "the size of a name without frames": COMPACT_CALL + b"\x01" + ENDLESS,
    "the size of a name in a frame": framed(COMPACT_CALL + b"\x01" + ENDLESS),
    "the size of a string without frames": COMPACT_CALL + b"\x01\x04echo\x18" + ENDLESS,
    "a number without frames": COMPACT_CALL + b"\x01\x04echo\x15" + ENDLESS,
    "a field without frames": COMPACT_CALL + b"\x01\x04echo\x0c" + ENDLESS,
    "the size of a list without frames": COMPACT_CALL + b"\x01\x04echo\x19\xfc" + ENDLESS,
    "THeader's encoding": theader(ENDLESS),
    "THeader's transforms": theader(b"\0" + ENDLESS),
    "THeader's entries": theader(b"\0\0\x01" + ENDLESS),
    "the size of a header": theader(b"\0\0\x01\x01" + ENDLESS),
    "the size of a persistent header": theader(b"\0\0\x02\x01" + ENDLESS),
}


@pytest.mark.parametrize("step", [1, 100_000])
@pytest.mark.parametrize("stream", VARINTS.values(), ids=list(VARINTS))
def test_varint_without_an_end_is_one_mistake(stream: bytes, step: int) -> None:
    """Ten bytes are the most that one has, however they come. It is refused or ends the connection; nothing is kept."""
    server = ServerProtocol(LIMITS, 0.0)
    for start in range(0, len(stream), step):
        server.receive_data(stream[start : start + step], 0.0)
    assert server.next_request() is None and not server.held_bytes
    assert server.state is ProtocolState.CLOSED or server.data_to_send()


LIES = [
    {"zkrpc-max-frame": value, "zkrpc-max-header": value, "zkrpc-max-header-entries": value}
    for value in ("0", "-1", "1", "9" * 10, "9" * 1000, "1e9", "\u0661", "\udcff", "")
]


@pytest.mark.parametrize("lies", LIES)
@pytest.mark.parametrize("dialect", TAKEN)
def test_hello_that_lies_keeps_nobody_from_an_answer(lies: dict[str, str], dialect: Dialect) -> None:
    """Impossible limits count for nothing, and large ones are no reason to send more than we take ourselves. In plain
    dialects a hello is a message as any other."""
    server = ServerProtocol(LIMITS, 0.0)
    hello = message(b"zkrpc:hello", 0, kind=MessageKind.ONEWAY, dialect=dialect, headers=lies)
    server.receive_data(hello + hello + message(b"echo", 7, dialect=dialect), 0.0)
    found: list[bytes] = []
    while (request := server.next_request()) is not None:
        found.append(request.name)
        if request.kind is MessageKind.CALL:
            server.send_reply(request, BODIES[dialect.payload])
        else:
            server.finish(request)
    assert sorted(found) == [b"echo"] + ([] if dialect.has_header else [b"zkrpc:hello"] * 2)
    assert server.data_to_send() and server.failure is None


@pytest.mark.parametrize("lies", LIES)
def test_server_that_lies_in_its_hello_is_called(lies: dict[str, str]) -> None:
    """With what our own limits allow at most, and a little at least."""
    client = ClientProtocol(Dialect.HEADER_BINARY, LIMITS, 0.0, zkrpc=True)
    client.receive_data(message(b"zkrpc:hello", 0, kind=MessageKind.ONEWAY, headers=lies), 0.0)
    client.send_call(b"echo", bytes(500), "token", deadline_at=5.0, now=0.0)
    assert client.data_to_send() and client.state is ProtocolState.OPEN


@pytest.mark.parametrize("what", ["never made", "answered", "not sent", "a request"])
@pytest.mark.parametrize("dialect", Dialect)
def test_answer_that_nobody_asked_for_ends_the_connection(dialect: Dialect, what: str) -> None:
    """The call that waits is told so, and never gets another's answer."""
    client = ClientProtocol(dialect, LIMITS, 0.0, zkrpc=False)
    first = client.send_call(b"echo", BODIES[dialect.payload], "first", deadline_at=5.0, now=0.0)
    client.data_to_send()
    answer = message(b"echo", first, kind=MessageKind.REPLY, dialect=dialect)
    if what in ("answered", "not sent"):
        assert [token for token, _ in client.receive_data(answer, 0.0)] == ["first"]
    second = client.send_call(b"echo", BODIES[dialect.payload], "second", deadline_at=5.0, now=0.0)
    if what != "not sent":
        client.data_to_send()
    unasked = {
        "never made": message(b"echo", 99, kind=MessageKind.REPLY, dialect=dialect),
        "answered": answer,
        "not sent": message(b"echo", second, kind=MessageKind.REPLY, dialect=dialect),
        "a request": message(b"echo", second, dialect=dialect),
    }[what]
    assert client.receive_data(unasked, 0.0) == []
    assert client.state is ProtocolState.CLOSED and client.failure
    assert ("second", what != "not sent") in client.close()
