"""The server's machine: transcripts, then properties under any chunking and any garbage."""

from __future__ import annotations

import json
import pathlib
import re
import struct
import time
import tracemalloc
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wire_frames import BODIES, BODY, FRAMED, cut, framed, message, split_messages, theader
from zkrpc.codec import FailureKind, Payload, decode_failure
from zkrpc.config import WireLimits
from zkrpc.errors import LocalProtocolError
from zkrpc.wire.envelope import MessageKind, read_envelope
from zkrpc.wire.hello import hello_frame
from zkrpc.wire.message import Dialect, Opening, ProtocolState, Request, control_frame
from zkrpc.wire.server import ServerProtocol

VECTOR_FOLDER = pathlib.Path(__file__).parent.parent / "vectors"
VECTORS = json.loads((VECTOR_FOLDER / "theader_vectors.json").read_text())
HOSTILE = json.loads((VECTOR_FOLDER / "hostile_frames.json").read_text())
LIMITS = WireLimits(accept_zlib=True)
REPLY_BODY = b"\x0b\x00\x00\x00\x00\x00\x02ok\x00"
CALL, ONEWAY, REPLY, EXCEPTION = MessageKind.CALL, MessageKind.ONEWAY, MessageKind.REPLY, MessageKind.EXCEPTION


def started(limits: WireLimits = LIMITS) -> ServerProtocol:
    """A machine whose connection was accepted at time 0."""
    return ServerProtocol(limits, 0.0)


def requests_of(server: ServerProtocol) -> list[Request]:
    """All that may run now."""
    requests = []
    while (request := server.next_request()) is not None:
        requests.append(request)
    return requests


def only_request(server: ServerProtocol) -> Request:
    """The one request there is."""
    [request] = requests_of(server)
    return request


def answers_of(
    server: ServerProtocol, dialect: Dialect = Dialect.HEADER_BINARY
) -> list[tuple[int, bytes, int, bytes, Opening]]:
    """Kind, name, seqid, body and opening of everything that was sent; in frames of any dialect if this one has any."""
    answers = []
    for opening in split_messages(server.data_to_send(), dialect):
        kind, name, seqid, offset = opening.envelope()
        answers.append((kind, name, seqid, opening.frame[offset:], opening))
    return answers


def only_refusal(
    server: ServerProtocol, dialect: Dialect = Dialect.HEADER_BINARY
) -> tuple[bytes, int, str, int, Opening]:
    """Name, seqid, message and failure kind of the one exception that was sent."""
    [(kind, name, seqid, body, opening)] = answers_of(server, dialect)
    assert kind == EXCEPTION
    return name, seqid, *decode_failure(body, 0, opening.dialect.payload), opening


@pytest.mark.parametrize("dialect", Dialect)
def test_server_answers_a_call_in_its_dialect(dialect: Dialect) -> None:
    """A call comes, is handed out as it is, and its answer goes back in the caller's own dialect with its id."""
    server = started()
    server.receive_data(message(b"echo", 7, dialect=dialect), 1.0)
    request = only_request(server)
    assert (request.name, request.seqid, request.kind, request.dialect) == (b"echo", 7, CALL, dialect)
    assert request.frame[request.offset :] == (BODY if dialect.is_framed else BODIES[dialect.payload])
    assert request.received_at == 1.0
    assert server.in_flight == 1
    server.send_reply(request, REPLY_BODY)
    assert server.in_flight == 0
    assert server.data_to_send() == message(b"echo", 7, REPLY_BODY, kind=REPLY, dialect=dialect)
    assert server.data_to_send() == b""


def test_server_serves_the_known_shape_as_the_first_of_it() -> None:
    """The second call of a method takes the fast way; nobody can tell, but by the clock."""
    server = started()
    headers = {"Deadline-Budget": "5000", "k": "v"}
    for seqid in range(1, 4):
        server.receive_data(message(b"get", seqid, headers=headers) + message(b"fetch", -seqid, kind=ONEWAY), 0.0)
        call, oneway = requests_of(server)
        assert (call.name, call.seqid, call.kind, dict(call.headers)) == (b"get", seqid, CALL, headers)
        assert (call.frame[call.offset :], call.dialect) == (BODY, Dialect.HEADER_BINARY)
        assert (oneway.name, oneway.seqid, oneway.kind, dict(oneway.headers)) == (b"fetch", -seqid, ONEWAY, {})
        server.send_reply(call, REPLY_BODY)
        server.finish(oneway)
        assert server.data_to_send() == message(b"get", seqid, REPLY_BODY, kind=REPLY)
    assert server.in_flight == 0


@pytest.mark.parametrize("dialect", Dialect)
def test_server_answers_a_multiplexed_call_with_the_bare_name(dialect: Dialect) -> None:
    """The prefix is for finding the service; clients that compare names expect their own, answered or refused."""
    server = started(WireLimits(max_in_flight=1, accept_zlib=True))
    for seqid in (7, 8):
        server.receive_data(message(b"Users:echo", seqid, dialect=dialect), 1.0)
        request = only_request(server)
        assert request.name == b"Users:echo"
        server.receive_data(message(b"Users:echo", 9, dialect=dialect), 1.0)
        server.send_reply(request, BODIES[dialect.payload])
        assert [(kind, name, seqid) for kind, name, seqid, *_ in answers_of(server, dialect)] == [
            (EXCEPTION, b"echo", 9),
            (REPLY, b"echo", seqid),
        ]


@pytest.mark.parametrize("exchange", VECTORS["exchanges"], ids=lambda exchange: exchange["id"])
def test_server_answers_byte_for_byte_as_apache_does(exchange: dict[str, Any]) -> None:
    """Given Apache's request and result struct, we send what Apache's server sends, with frames and without."""
    server = started()
    server.receive_data(bytes.fromhex(exchange["request_hex"]), 0.0)
    response = bytes.fromhex(exchange["response_hex"])
    request = only_request(server)
    if not response:
        assert request.kind is ONEWAY
        server.finish(request)
    else:
        [opening] = split_messages(response, request.dialect)
        kind, _, _, offset = read_envelope(opening.dialect.payload, opening.frame, opening.offset)
        server.send_reply(request, opening.frame[offset:], kind=MessageKind(kind))
    sent = server.data_to_send()
    if response and request.dialect.is_deflated:  # Apache's answer is not; its own client and all others read ours
        [ours] = split_messages(sent, request.dialect)
        assert (ours.dialect, ours.frame) == (request.dialect, opening.frame[opening.offset :])
    else:
        assert sent == response
    assert server.failure is None


@pytest.mark.parametrize("dialect", [Dialect.HEADER_BINARY, Dialect.HEADER_COMPACT])
def test_server_repeats_flags_and_both_ids(dialect: Dialect) -> None:
    """Node's client puts 0 into the header whatever the message says, and must get it back."""
    server = started()
    server.receive_data(message(b"m", 5, dialect=dialect, flags=3, header_seqid=0), 0.0)
    server.send_reply(only_request(server), BODY)
    assert server.data_to_send() == message(b"m", 5, kind=REPLY, dialect=dialect, flags=3, header_seqid=0)
    server.receive_data(message(b"m", 6, dialect=dialect, header_seqid=0) * 1, 0.0)
    server.send_reply(only_request(server), BODY)
    assert server.data_to_send() == message(b"m", 6, kind=REPLY, dialect=dialect, header_seqid=0)


def test_server_sends_headers_where_there_are_any() -> None:
    """Metadata of an answer travels in THeader, and is left out on a plain dialect, which has no room for it."""
    for dialect in Dialect:
        server = started()
        server.receive_data(message(b"m", 1, dialect=dialect), 0.0)
        body = BODIES[dialect.payload]
        server.send_reply(only_request(server), body, kind=EXCEPTION, headers={"zkrpc-error": "Draining"})
        [(kind, _, _, _, opening)] = answers_of(server, dialect)
        assert kind == EXCEPTION
        assert dict(opening.headers) == ({"zkrpc-error": "Draining"} if dialect.has_header else {})


def test_server_inflates_a_call_and_deflates_the_answer() -> None:
    """Where zlib is accepted, it is undone under the frame's cap; an answer that the caller might not inflate, because
    it becomes so much larger, is sent as it is."""
    server = started()
    inner = message(b"echo", 7)[18:]
    server.receive_data(theader(b"\x00\x01\x01", zlib.compress(inner)), 0.0)
    request = only_request(server)
    assert (request.name, request.frame[request.offset :]) == (b"echo", BODY)
    server.send_reply(request, BODY)
    assert server.data_to_send() == message(b"echo", 7, kind=REPLY, dialect=Dialect.HEADER_BINARY_ZLIB)
    server.receive_data(theader(b"\x00\x01\x01", zlib.compress(inner)), 0.0)
    large = BODY[:3] + (300_000).to_bytes(4, "big") + b"x" * 300_000 + b"\0"
    server.send_reply(only_request(server), large)
    assert server.data_to_send() == message(b"echo", 7, large, kind=REPLY)


def deflated_call(size: int, seqid: int, kind: MessageKind = CALL) -> bytes:
    """A call with so much of one letter, deflated as well as can be."""
    body = BODY[:3] + size.to_bytes(4, "big") + b"x" * size + b"\0"
    return theader(b"\x00\x01\x01", zlib.compress(message(b"echo", seqid, body, kind=kind)[18:], 9))


def test_server_refuses_alone_what_inflates_to_too_much() -> None:
    """By its beginning, without inflating the rest; the connection goes on. A oneway message gets no answer, and what
    may be taken another time is told so."""
    server = started(WireLimits(accept_zlib=True, max_frame=1_000_000))
    server.receive_data(deflated_call(500_000, 7), 0.0)
    assert len(only_request(server).frame) > 500_000, "two hundred times as much as came"
    server.receive_data(deflated_call(1_000_000, 8) + deflated_call(900_000, 9, ONEWAY), 1.0)
    server.receive_data(deflated_call(900_000, 10), 1.0)
    told = [(name, seqid, opening.headers["zkrpc-error"]) for _, name, seqid, _, opening in answers_of(server)]
    assert told == [(b"echo", 8, "TooLarge"), (b"echo", 10, "Overloaded")]
    assert server.next_request() is None and server.inflow.may_take_long
    server.receive_data(deflated_call(900_000, 11), 2.0)
    assert only_request(server).seqid == 11 and server.failure is None


def test_server_leaves_a_peer_whose_deflated_garbage_is_too_long() -> None:
    """Where nothing can be answered; it says why."""
    server = started(WireLimits(accept_zlib=True, max_frame=1_000_000))
    server.receive_data(theader(b"\x00\x01\x01", zlib.compress(bytes(2_000_000))), 0.0)
    assert "inflates to more than max_frame 1000000" in str(server.failure)


def persistent(name: bytes, seqid: int, **headers: str) -> bytes:
    """A call whose header block has these as fbthrift's persistent headers, and then one of its own."""
    pairs = b"".join(bytes((len(part),)) + part.encode() for pair in headers.items() for part in pair)
    block = b"\x00\x00" + bytes((2, len(headers))) + pairs + b"\x01\x01\x03own\x01" + str(seqid).encode()
    return theader(block, message(name, seqid)[18:])


def test_persistent_headers_hold_for_the_connection() -> None:
    """Also for calls of shapes that are known; a call's own headers count more, and other connections have none."""
    server, other = started(), started()
    for one in (server, other):
        one.receive_data(message(b"kept", 1), 0.0)
        one.finish(only_request(one))
    server.receive_data(persistent(b"kept", 2, tenant="blue") + message(b"kept", 3), 0.0)
    server.receive_data(message(b"kept", 4, headers={"tenant": "red"}) + persistent(b"kept", 5, tenant="green"), 0.0)
    server.receive_data(message(b"kept", 6, dialect=Dialect.HEADER_COMPACT), 0.0)
    server.receive_data(message(b"kept", 7, dialect=Dialect.FRAMED_BINARY), 0.0)
    assert [dict(request.headers) for request in requests_of(server)] == [
        {"tenant": "blue", "own": "2"},
        {"tenant": "blue"},
        {"tenant": "red"},
        {"tenant": "green", "own": "5"},
        {"tenant": "green"},
        {},
    ]
    other.receive_data(message(b"kept", 3), 0.0)
    assert only_request(other).headers == {}


@pytest.mark.parametrize(
    ("limits", "complaint"),
    [
        (WireLimits(max_header_entries=8), "9 persistent headers are over max_header_entries 8"),
        (WireLimits(max_header=256), "persistent headers of 2.. bytes are over max_header 256"),
    ],
)
def test_persistent_headers_are_bounded_together(limits: WireLimits, complaint: str) -> None:
    """However many messages they come in."""
    server = started(limits)
    for number in range(9):
        server.receive_data(persistent(b"m", number, **{f"key{number}": "v" * 30}), 0.0)
    assert re.fullmatch(complaint, server.failure or "")


def test_server_sends_replies_in_the_order_of_completion() -> None:
    """Different ids overtake one another."""
    server = started()
    server.receive_data(message(seqid=1) + message(seqid=2), 0.0)
    first, second = requests_of(server)
    server.send_reply(second, BODY)
    server.send_reply(first, BODY)
    assert [seqid for _, _, seqid, _, _ in answers_of(server)] == [2, 1]


def test_server_runs_calls_of_one_seqid_one_after_another() -> None:
    """A client that uses id 0 for everything reads answers in order: each next call waits for the answer before."""
    server = started()
    for name in (b"a", b"b", b"c"):
        server.receive_data(message(name, 0), 0.0)
    server.receive_data(message(b"other", 1), 0.0)
    first, other = requests_of(server)
    assert (first.name, other.name) == (b"a", b"other")
    assert server.in_flight == 4
    server.finish(other)
    assert requests_of(server) == []
    server.send_reply(first, BODY)
    second = only_request(server)
    assert second.name == b"b"
    server.finish(second)
    third = only_request(server)
    assert third.name == b"c"
    server.send_reply(third, BODY)
    assert server.in_flight == 0
    assert [name for _, name, _, _, _ in answers_of(server)] == [b"a", b"c"]


@pytest.mark.parametrize("dialect", Dialect)
def test_server_sets_requests_for_built_in_services_aside(dialect: Dialect) -> None:
    """Each time, also when many have come before; a method that begins nearly like one is a method as any other."""
    server = started()
    for seqid in range(3):
        server.has_news = False
        server.receive_data(message(b"zkrpc.Health:check", seqid, dialect=dialect), 0.0)
        assert server.has_news and requests_of(server) == [] and server.in_flight == 1
        [request], server.aside = server.aside, []
        server.send_reply(request, BODIES[dialect.payload])
        [(kind, name, answered, _, _)] = answers_of(server, dialect)
        assert (kind, name, answered) == (REPLY, b"check", seqid)
    server.has_news = False
    for name in (b"zkrpc", b"zkrpcs:check", b"Health:check"):
        server.receive_data(message(name, 7, dialect=dialect), 0.0)
        request = only_request(server)
        assert request.name == name
        server.finish(request)
    assert not server.has_news and not server.aside


def test_server_sets_a_held_request_aside_when_its_turn_comes() -> None:
    """And the next call of the same id runs once that is answered."""
    server = started()
    for name in (b"a", b"zkrpc.Health:check", b"b"):
        server.receive_data(message(name, 0), 0.0)
    first = only_request(server)
    assert not server.aside
    server.send_reply(first, REPLY_BODY)
    assert requests_of(server) == [] and server.has_news
    [request], server.aside = server.aside, []
    server.send_reply(request, REPLY_BODY)
    assert only_request(server).name == b"b"


def test_server_forgets_what_it_set_aside_when_it_is_closed() -> None:
    """Nobody asks for it any more."""
    server = started()
    server.receive_data(message(b"zkrpc.Health:check"), 0.0)
    server.abandon()
    assert (server.aside, server.in_flight) == ([], 0)


@pytest.mark.parametrize("dialect", FRAMED)
@given(sizes=st.lists(st.integers(1, 9000), max_size=8))
def test_server_refuses_an_oversized_request_alone(dialect: Dialect, sizes: list[int]) -> None:
    """It is answered by its beginning and let go, however it is cut; its neighbours are served, and nobody waits."""
    limits = WireLimits(max_frame=2000, max_header=64)
    server = started(limits)
    stream = message(seqid=1, dialect=dialect) + message(b"put", 2, bytes(30_000), dialect=dialect)
    stream += message(b"note", 3, bytes(20_000), dialect=dialect, kind=ONEWAY) + message(seqid=4, dialect=dialect)
    for chunk in cut(stream, sizes):
        server.receive_data(chunk, 1.0)
    assert [request.seqid for request in requests_of(server)] == [1, 4]
    name, seqid, text, kind, opening = only_refusal(server)
    assert (name, seqid, kind) == (b"put", 2, FailureKind.PROTOCOL_ERROR)
    assert re.fullmatch(r"request of 300\d\d bytes is over this server's max_frame 2000", text)
    if dialect.has_header:
        assert dict(opening.headers) == {"zkrpc-error": "TooLarge", "zkrpc-executed": "no"}
    assert (server.state, server.next_timer()) == (ProtocolState.OPEN, None)


def test_server_cuts_off_who_sends_an_oversized_request_too_slowly() -> None:
    """The time of a frame is bounded, whether it is kept or let go; and so is its size."""
    limits = WireLimits(max_frame=2000, max_header=64)
    server = started(limits)
    server.receive_data(message(body=bytes(30_000))[:3000], 1.0)
    server.receive_data(bytes(1000), 5.0)
    due = server.next_timer()
    assert due == 1.0 + limits.partial_frame_timeout
    server.handle_timer(due)
    assert (server.state, server.failure) == (ProtocolState.CLOSED, "a frame stayed incomplete for 10 s")
    server = started(limits)
    endless = message(body=bytes(32_001))
    server.receive_data(endless[:3000], 1.0)
    assert (only_refusal(server)[3], server.failure) == (FailureKind.PROTOCOL_ERROR, None)
    server.receive_data(endless[3000:3001], 1.0)
    assert server.failure == "frame of 32031 bytes is over max_frame 2000"


def test_server_keeps_to_what_the_caller_takes() -> None:
    """A reply that is too large for it is an error of one call, not the end of the connection."""
    server = started()
    server.receive_data(hello_frame(WireLimits(max_frame=2000, max_header=300)) + message(seqid=1), 0.0)
    call = only_request(server)
    with pytest.raises(LocalProtocolError, match="reply of 20.. bytes is over the caller's max_frame 2000"):
        server.send_reply(call, bytes(2000))
    with pytest.raises(LocalProtocolError, match="over max_header 300"):
        server.send_reply(call, BODY, headers={"k": "x" * 400})
    server.receive_data(hello_frame(LIMITS), 0.0)
    with pytest.raises(LocalProtocolError, match="caller's max_frame 2000"):
        server.send_reply(call, bytes(2000))
    server.send_reply(call, BODY)
    assert [name for _, name, *_ in answers_of(server)] == [b"zkrpc:hello", b"echo"]


def test_server_refuses_misuse_and_stays_as_it_was() -> None:
    """Answering twice, answering a oneway call, or answering too much are errors of ours; the call is still there."""
    server = started(WireLimits(max_frame=200, max_header=64))
    server.receive_data(message(seqid=1) + message(seqid=2, kind=ONEWAY), 0.0)
    call, oneway = requests_of(server)
    with pytest.raises(LocalProtocolError, match="takes no answer"):
        server.send_reply(oneway, BODY)
    with pytest.raises(LocalProtocolError, match="reply of 330 bytes is over max_frame 200"):
        server.send_reply(call, bytes(300))
    with pytest.raises(LocalProtocolError, match="over max_header 64"):
        server.send_reply(call, BODY, headers={"k": "x" * 100})
    assert server.in_flight == 2
    server.send_reply(call, BODY)
    with pytest.raises(LocalProtocolError, match="answered or given up before"):
        server.send_reply(call, BODY)
    server.finish(call)
    server.finish(oneway)
    server.finish(oneway)
    assert server.in_flight == 0
    assert len(answers_of(server)) == 1


def test_server_answers_overload_by_itself() -> None:
    """One call over the limit is answered at once with what a client needs to go elsewhere; a oneway one is dropped.

    When a call ends there is room again.
    """
    server = started(WireLimits(max_in_flight=2))
    server.receive_data(message(b"a", 1) + message(b"a", 2) + message(b"b", 3) + message(b"b", 4, kind=ONEWAY), 0.0)
    first, _ = requests_of(server)
    name, seqid, text, failure, opening = only_refusal(server)
    assert (name, seqid, text, failure) == (b"b", 3, "overloaded", FailureKind.INTERNAL_ERROR)
    assert dict(opening.headers) == {"zkrpc-error": "Overloaded", "zkrpc-executed": "no"}
    server.send_reply(first, BODY)
    server.receive_data(message(b"a", 5), 0.0)
    assert only_request(server).seqid == 5
    assert server.state is ProtocolState.OPEN


def test_server_answers_overload_when_large_calls_weigh_too_much() -> None:
    """Number alone does not bound what a peer may hold: large calls over the weight are refused, small ones are not."""
    server = started(WireLimits(max_in_flight_bytes=1_000_000))
    large = b"\x0b\x00\x01" + struct.pack("!I", 400_000) + bytes(400_000) + b"\0"
    for seqid in (1, 2, 3):
        server.receive_data(message(b"a", seqid, large), 0.0)
    server.receive_data(message(b"a", 4), 0.0)
    first, second, small = requests_of(server)
    assert (first.seqid, second.seqid, small.seqid) == (1, 2, 4)
    name, seqid, text, _, _ = only_refusal(server)
    assert (name, seqid, text) == (b"a", 3, "overloaded")
    server.send_reply(first, BODY)
    server.receive_data(message(b"a", 5, large), 0.0)
    assert only_request(server).seqid == 5


def test_server_answers_overload_of_plain_callers_without_headers() -> None:
    """There is no place for them."""
    server = started(WireLimits(max_in_flight=1, accept_zlib=True))
    plain = Dialect.FRAMED_COMPACT
    server.receive_data(message(b"a", 1, dialect=plain) + message(b"b", 2, dialect=plain), 0.0)
    name, seqid, text, _, opening = only_refusal(server)
    assert (name, seqid, text, opening.dialect) == (b"b", 2, "overloaded", plain)


def test_server_ends_a_connection_that_it_could_only_answer_out_of_order() -> None:
    """A client of one seqid for all calls would take the refusal for the answer to its earlier call."""
    server = started(WireLimits(max_in_flight=1, accept_zlib=True))
    server.receive_data(message(b"a", 0) + message(b"b", 0), 0.0)
    assert server.failure == "overloaded, with the seqid of a call in flight"
    assert server.wants_close


@pytest.mark.parametrize("dialect", Dialect)
@pytest.mark.parametrize("kind", [0, 2, 3, 5, 7])
def test_server_answers_a_message_that_is_no_call(dialect: Dialect, kind: int) -> None:
    """Replies and unknown types sent to a server are answered INVALID_MESSAGE_TYPE, and the connection lives."""
    server = started()
    server.receive_data(message(b"m", 3, kind=kind, dialect=dialect) + message(b"m", 4, dialect=dialect), 0.0)
    assert only_request(server).seqid == 4
    name, seqid, text, failure, opening = only_refusal(server, dialect)
    assert (name, seqid, text, failure) == (b"m", 3, "not a call", FailureKind.INVALID_MESSAGE_TYPE)
    assert opening.dialect is dialect


def test_server_answers_a_name_that_is_too_long() -> None:
    """PROTOCOL_ERROR without repeating the name; 256 bytes are allowed."""
    server = started()
    server.receive_data(message(b"n" * 257, 3) + message(b"n" * 257, 4, kind=ONEWAY) + message(b"n" * 256, 5), 0.0)
    assert only_request(server).name == b"n" * 256
    name, seqid, text, failure, _ = only_refusal(server)
    assert (name, seqid, failure) == (b"", 3, FailureKind.PROTOCOL_ERROR)
    assert text == "method name of 257 bytes is over 256"


def test_server_answers_a_bad_name_length_if_the_id_is_known() -> None:
    """Compact has the id in front of the name, binary behind it: the one is answered, the other cannot be."""
    server = started()
    server.receive_data(framed(bytes.fromhex("82210704666f6f")), 0.0)
    name, seqid, text, failure, opening = only_refusal(server)
    assert (name, seqid, text) == (b"", 7, "a message's name runs past its frame")
    assert (failure, opening.dialect.payload) == (FailureKind.PROTOCOL_ERROR, Payload.COMPACT)
    server.receive_data(framed(bytes.fromhex("80010001ffffffff660000000000")), 0.0)
    assert server.failure == "a message's name or id runs past its frame"


@pytest.mark.parametrize(
    ("stream", "text", "kind", "dialect"),
    [
        (
            theader(b"\x09"),
            "unknown THeader protocol id 9; 0 (binary) and 2 (compact) are spoken",
            FailureKind.INVALID_PROTOCOL,
            Dialect.HEADER_BINARY,
        ),
        (
            theader(b"\x02\x01\x03"),
            "unknown THeader transform 3; only 1 (zlib) is understood",
            FailureKind.INVALID_TRANSFORM,
            Dialect.HEADER_COMPACT,
        ),
        (
            theader(b"\x00\x01\x01", zlib.compress(message(b"echo", 7)[18:])),
            "zlib-transformed messages are not taken unless WireLimits.accept_zlib says so",
            FailureKind.INVALID_TRANSFORM,
            Dialect.HEADER_BINARY,
        ),
        (
            theader(b"\x00\x02\x01\x01"),
            "2 THeader transforms are over the limit of 1",
            FailureKind.INVALID_TRANSFORM,
            Dialect.HEADER_BINARY,
        ),
    ],
)
def test_server_answers_what_it_cannot_decode(stream: bytes, text: str, kind: FailureKind, dialect: Dialect) -> None:
    """As the format demands, by the THeader's own id, since the message's cannot be read. The connection goes on,
    unless the answer could be taken for another call's."""
    server = started(WireLimits())
    server.receive_data(message(seqid=1) + stream + message(seqid=2), 0.0)
    assert [request.seqid for request in requests_of(server)] == [1, 2]
    name, seqid, told, failure, opening = only_refusal(server)
    assert (name, seqid, told, failure, opening.dialect) == (b"", 7, text, kind, dialect)
    server.receive_data(message(seqid=7) + stream, 0.0)
    assert server.failure == f"{text}, with the seqid of a call in flight"


@pytest.mark.parametrize(
    ("stream", "failure"),
    [
        (b"GET /metrics HTTP/1.1\r\n\r\n", "HTTP, not Thrift"),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", "HTTP/2 (perhaps gRPC), not Thrift"),
        (b"\x16\x03\x01\x02\x00\x01", "TLS on a plain Thrift connection"),
        (b"\x7f\xff\xff\xff", "frame of 2147483647 bytes is over max_frame 4194304"),
        (framed(b"\x0f\xfe" + bytes(20)), "unknown dialect: a frame starts with 0f fe"),
        (framed(b"\x0f\xff" + bytes(5)), "a THeader frame of 7 bytes is shorter than its fixed part"),
        (theader(b"\x00\x00", words=0xFFFF), "a THeader block runs past its frame"),
        (theader(b"\x00\x00", b"\x82\x21\x07"), "a message's name or id runs past its frame"),
        (theader(b"\x02\x00", b"\x80\x01\x00\x01" + bytes(9)), "a compact message does not start with its version"),
        (
            theader(b"\x00\x00", b"\x00\x00\x00\x04ping\x00\x00\x00\x00"),
            "a binary message starts with 00000004 instead of its version",
        ),
    ],
)
def test_server_ends_a_connection_that_has_no_frames(stream: bytes, failure: str) -> None:
    """What came whole before is served; what comes after is not looked at; the log gets one line."""
    server = started()
    server.receive_data(message(seqid=1) + stream + message(seqid=2), 0.0)
    assert server.failure == failure
    assert (server.state, server.wants_close, server.next_timer()) == (ProtocolState.CLOSED, True, None)
    request = only_request(server)
    server.receive_data(message(seqid=3), 0.0)
    server.receive_eof(0.0)
    server.handle_timer(99.0)
    server.send_reply(request, BODY)
    assert server.data_to_send() == b""
    assert (server.next_request(), server.in_flight, server.failure) == (None, 0, failure)


def test_server_answers_pings_and_remembers_introductions() -> None:
    """Control messages never reach a handler; unknown ones are of a later version; only ONEWAY ones are control."""
    server = started()
    assert not server.peer_is_zkrpc
    server.receive_data(message(b"zkrpc:hello", 0, b"\0", kind=ONEWAY, headers={"zone": "a"}), 0.0)
    assert server.peer_is_zkrpc
    assert dict(server.peer_headers) == {"zone": "a"}
    assert server.data_to_send() == hello_frame(LIMITS)
    server.receive_data(control_frame(b"zkrpc:ping", 77) * 2 + control_frame(b"zkrpc:later"), 0.0)
    assert server.data_to_send() == control_frame(b"zkrpc:pong", 77) * 2
    assert (server.next_request(), server.in_flight) == (None, 0)
    server.receive_data(message(b"zkrpc:ping", 1), 0.0)
    plain = message(b"zkrpc:ping", 2, kind=ONEWAY, dialect=Dialect.FRAMED_BINARY)
    server.receive_data(plain, 0.0)
    assert [request.name for request in requests_of(server)] == [b"zkrpc:ping"] * 2


def test_server_drains_a_zkrpc_peer_without_losing_a_call() -> None:
    """A call that was on its way when the server asked for no more is served; the close waits for the peer's word."""
    server = started()
    server.receive_data(control_frame(b"zkrpc:hello") + message(seqid=1), 0.0)
    server.send_reply(only_request(server), BODY)
    server.data_to_send()
    server.send_draining()
    server.send_draining()
    assert server.data_to_send() == control_frame(b"zkrpc:draining")
    assert (server.state, server.wants_close) == (ProtocolState.DRAINING, False)
    server.receive_data(message(seqid=2) + control_frame(b"zkrpc:draining"), 0.0)
    assert not server.wants_close
    server.send_reply(only_request(server), BODY)
    assert server.wants_close
    assert len(answers_of(server)) == 1


def test_server_drains_a_plain_peer_in_silence() -> None:
    """It would not understand; the connection is done as soon as nothing is in flight."""
    server = started()
    server.receive_data(message(seqid=1), 0.0)
    server.send_draining()
    assert not server.wants_close
    server.send_reply(only_request(server), BODY)
    assert server.wants_close
    assert len(answers_of(server)) == 1
    assert repr(server) == "<ServerProtocol DRAINING in_flight=0 failure=None>"


def test_server_lets_an_idle_peer_leave() -> None:
    """The end of the stream between frames is no failure, inside one it is."""
    server = started()
    server.receive_data(message(), 0.0)
    server.receive_eof(0.0)
    assert (server.wants_close, server.failure) == (True, None)
    server = started()
    server.receive_data(message()[:-1], 0.0)
    server.receive_eof(0.0)
    assert server.failure == "the peer closed in the middle of a frame"
    server.send_draining()
    assert server.state is ProtocolState.CLOSED


def test_server_cuts_off_a_peer_that_says_nothing() -> None:
    """A port scanner is gone after the first-frame timeout; a first complete frame ends that timer for good."""
    server = started()
    assert server.next_timer() == 10.0
    server.handle_timer(9.9)
    assert server.state is ProtocolState.OPEN
    server.handle_timer(10.0)
    assert server.failure == "no complete frame within 10 s of connecting"
    server = started()
    server.receive_data(b"", 1.0)
    server.receive_data(message(), 1.0)
    assert server.next_timer() is None
    server.handle_timer(99.0)
    assert server.state is ProtocolState.OPEN


def test_server_cuts_off_a_slow_sender() -> None:
    """One byte now and then does not keep a frame open; the clock runs from the frame's first byte."""
    server = started(WireLimits(first_frame_timeout=100.0, partial_frame_timeout=5.0))
    raw = message()
    server.receive_data(raw[:1], 1.0)
    assert server.next_timer() == 6.0
    for at in range(1, 6):
        server.receive_data(raw[at : at + 1], 1.0 + at / 2)
    assert server.next_timer() == 6.0
    server.receive_data(raw[6:] + raw[:1], 5.0)
    assert server.next_timer() == 10.0
    server.handle_timer(9.0)
    assert server.state is ProtocolState.OPEN
    server.handle_timer(10.0)
    assert server.failure == "a frame stayed incomplete for 5 s"


def test_server_watches_the_earlier_of_its_two_timers() -> None:
    """A partial first frame does not put off the first-frame timeout."""
    server = started(WireLimits(first_frame_timeout=6.0, partial_frame_timeout=5.0))
    server.receive_data(b"\0", 3.0)
    assert server.next_timer() == 6.0
    server.handle_timer(6.0)
    assert server.failure == "no complete frame within 6 s of connecting"


def test_server_memory_follows_the_bytes_that_came() -> None:
    """A length alone allocates nothing, and a frame in many chunks costs a small multiple of itself."""
    server = started()
    tracemalloc.start()
    try:
        server.receive_data(struct.pack("!I", LIMITS.max_frame) + b"\x0f\xff", 0.0)
        assert tracemalloc.get_traced_memory()[1] < 20_000
        chunk = bytes(65536)
        for _ in range(LIMITS.max_frame // len(chunk) - 1):
            server.receive_data(chunk, 0.0)
        assert tracemalloc.get_traced_memory()[1] < 2 * LIMITS.max_frame
        server.receive_data(chunk, 0.0)
    finally:
        tracemalloc.stop()
    assert server.failure is not None


@pytest.mark.parametrize("dialect", ["binary", "compact"])
def test_server_survives_hostile_messages(dialect: str) -> None:
    """Every one is handed out, answered, or ends its connection with one line."""
    for hostile in HOSTILE[dialect]:
        server = started()
        server.receive_data(framed(bytes.fromhex(hostile["hex"])), 0.0)
        if hostile["id"] == "http":  # in a frame it may be the long name of a message without one: it gets its time
            server.handle_timer(server.limits.first_frame_timeout)
        outcomes = (server.in_flight == 1, bool(server.data_to_send()), server.failure is not None)
        assert sum(outcomes) == 1, hostile["id"]
        assert "\n" not in (server.failure or "")


calls = st.builds(
    message,
    st.sampled_from([b"a", b"get", b"get", b"zkrpc:ping", b"zkrpc:hello", b"n" * 300]),
    st.integers(-2, 4),
    st.binary(max_size=20).map(lambda body: body + b"\0"),
    kind=st.sampled_from([1, 1, 1, 4, 2, 6]),
    dialect=st.sampled_from(Dialect),
    headers=st.sampled_from([None, None, {"Deadline-Budget": "5000"}, {"k": "v" * 500}]),
    flags=st.sampled_from([0, 0, 1]),
)
garbage = st.one_of(st.binary(max_size=40), st.binary(min_size=1, max_size=30).map(framed), st.binary().map(theader))
streams = st.lists(st.one_of(calls, calls, calls, garbage), max_size=8).map(b"".join)


def _played(server: ServerProtocol, chunks: list[bytes]) -> tuple[Any, ...]:
    """Everything that shows when requests are answered only at the end."""
    seen: list[Any] = []
    sent = b""
    for chunk in chunks:
        server.receive_data(chunk, 0.0)
        # How much stands in front of the struct is nobody's business.
        bare = [request._replace(frame=request.frame[request.offset :], offset=0) for request in requests_of(server)]
        seen += [tuple(request) for request in bare]
        sent += server.data_to_send()
    return [request[:-1] for request in seen], sent, server.state, server.failure, server.in_flight


@given(streams, st.lists(st.integers(1, 40), max_size=12))
@settings(deadline=None, max_examples=250)
def test_server_does_not_notice_how_a_stream_is_cut(stream: bytes, sizes: list[int]) -> None:
    """Good, odd and bad frames: the same requests, the same bytes, the same end, whatever the chunks are."""
    limits = WireLimits(max_in_flight=5, max_frame=2000)
    assert _played(started(limits), list(cut(stream, sizes))) == _played(started(limits), [stream])


@given(streams, st.binary(max_size=60), st.lists(st.integers(1, 40), max_size=6))
@settings(deadline=None, max_examples=150)
def test_server_never_raises_on_what_a_peer_sends(stream: bytes, rest: bytes, sizes: list[int]) -> None:
    """And never holds more than one incomplete frame."""
    server = started(WireLimits(max_in_flight=5, max_frame=2000))
    for chunk in cut(stream + rest, sizes):
        server.receive_data(chunk, 0.0)
        while (request := server.next_request()) is not None:
            if request.kind is CALL:
                server.send_reply(request, BODY)
            else:
                server.finish(request)
        server.data_to_send()
        assert len(server.inflow.buffer) < 2004
    server.receive_eof(0.0)
    assert (server.state, server.in_flight) == (ProtocolState.CLOSED, 0)


def test_server_drops_a_cancelled_request_that_has_not_begun() -> None:
    """It is not handed out, and its id is free again."""
    server = started()
    server.receive_data(message(seqid=1) + message(seqid=2) + control_frame(b"zkrpc:cancel", 1), 0.0)
    assert [request.seqid for request in requests_of(server)] == [2]
    assert (server.in_flight, server.take_cancelled()) == (1, [])
    server.receive_data(message(seqid=1), 0.0)
    assert only_request(server).seqid == 1


def test_server_lets_the_next_of_an_id_run_when_one_is_cancelled() -> None:
    """Whatever the order in which they came, and however often it was cancelled."""
    server = started()
    cancel = control_frame(b"zkrpc:cancel", 1)
    server.receive_data(message(b"a", 1) + cancel + cancel + message(b"b", 1) + message(b"c", 2), 0.0)
    assert [request.name for request in requests_of(server)] == [b"c", b"b"]
    assert (server.in_flight, server.take_cancelled()) == (2, [])


def test_server_takes_as_long_for_a_cancel_however_many_wait() -> None:
    """A flood of them beside a thousand requests costs what it costs beside ten; the best of five, by this thread."""
    cancels = b"".join(control_frame(b"zkrpc:cancel", 1 + seqid % 8) for seqid in range(1500))

    def seconds(waiting: int) -> float:
        times = []
        for _ in range(5):
            server = started()
            server.receive_data(b"".join(message(seqid=seqid + 1) for seqid in range(waiting)), 0.0)
            running = [server.next_request() for _ in range(8)]
            began = time.thread_time()
            server.receive_data(cancels, 0.0)
            times.append(time.thread_time() - began)
            assert server.take_cancelled() == running and server.in_flight == waiting
        return min(times)

    assert seconds(1000) < 3 * seconds(10)


def test_server_names_a_cancelled_request_that_runs() -> None:
    """Once; whoever runs it decides. One that was answered already, or never came, is passed over."""
    server = started()
    server.receive_data(message(seqid=1), 0.0)
    request = only_request(server)
    server.receive_data(control_frame(b"zkrpc:cancel", 1) + control_frame(b"zkrpc:cancel", 9), 0.0)
    assert server.take_cancelled() == [request]
    assert server.take_cancelled() == []
    server.send_reply(request, REPLY_BODY)
    server.receive_data(control_frame(b"zkrpc:cancel", 1), 0.0)
    assert server.take_cancelled() == []


def test_server_asks_a_zkrpc_peer_for_a_sign_of_life() -> None:
    """The peer answers, and any byte tells that it is there; a plain peer is not asked, a closed one neither."""
    server = started()
    server.send_ping()
    server.receive_data(control_frame(b"zkrpc:hello"), 1.0)
    server.send_ping()
    assert [name for _, name, *_ in answers_of(server)] == [b"zkrpc:hello", b"zkrpc:ping"]
    server.receive_data(control_frame(b"zkrpc:pong"), 2.5)
    assert server.last_heard_at == 2.5
    server.receive_eof(3.0)
    server.send_ping()
    assert server.data_to_send() == b""
