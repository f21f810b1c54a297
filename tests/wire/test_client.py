"""The client's machine: transcripts, then properties under any chunking and any garbage."""

from __future__ import annotations

import dataclasses
import math
import re
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wire_frames import BODIES, BODY, FRAMED, cut, framed, message, split_messages, theader
from zkrpc.caller import Caller
from zkrpc.codec import decode_failure
from zkrpc.config import WireLimits
from zkrpc.errors import Executed, LocalProtocolError, TooLarge
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.hello import UNHEARD_FRAME, NotIntroduced, hello_frame
from zkrpc.wire.message import Dialect, ProtocolState, control_frame

LIMITS = WireLimits()
CALL, ONEWAY, REPLY, EXCEPTION = MessageKind.CALL, MessageKind.ONEWAY, MessageKind.REPLY, MessageKind.EXCEPTION
PLAIN = [Dialect.FRAMED_BINARY, Dialect.FRAMED_COMPACT]


def opened(
    dialect: Dialect = Dialect.HEADER_BINARY, limits: WireLimits = LIMITS, *, zkrpc: bool = False
) -> ClientProtocol:
    """A machine whose connection was opened at time 0."""
    return ClientProtocol(dialect, limits, 0.0, zkrpc=zkrpc)


def call(client: ClientProtocol, token: Any = "token", deadline_at: float = 5.0, **options: Any) -> int:
    """An ordinary call, sent at time 0."""
    body = BODIES[client.dialect.payload]
    return client.send_call(b"echo", body, token, deadline_at=deadline_at, now=0.0, **options)


def reply(call_id: int, dialect: Dialect = Dialect.HEADER_BINARY, **options: Any) -> bytes:
    """The answer to it."""
    return message(b"echo", call_id, **{"kind": REPLY, "dialect": dialect, **options})


def sent_by(client: ClientProtocol) -> list[tuple[int, bytes, int, bytes, dict[str, str]]]:
    """Kind, name, id, body and headers of everything that was sent."""
    sent = []
    for opening in split_messages(client.data_to_send(), client.dialect):
        kind, name, seqid, offset = opening.envelope()
        sent.append((kind, name, seqid, opening.frame[offset:], dict(opening.headers)))
    return sent


@pytest.mark.parametrize("dialect", Dialect)
def test_client_sends_a_call_and_gets_its_reply(dialect: Dialect) -> None:
    """The call goes out in the connection's dialect, with its budget where there is a header; the token comes back."""
    client = opened(dialect)
    call_id = call(client)
    budget = {"Deadline-Budget": "5000"} if dialect.has_header else {}
    assert client.pending == 1
    assert sent_by(client) == [(CALL, b"echo", call_id, BODIES[dialect.payload], budget)]
    assert client.data_to_send() == b""
    [(token, answer)] = client.receive_data(reply(call_id, dialect), 1.0)
    assert (token, answer.kind, answer.dialect) == ("token", REPLY, dialect)
    if dialect.has_header:  # deflated or not, as the server likes
        plain = Dialect.HEADER_COMPACT if "COMPACT" in dialect.name else Dialect.HEADER_BINARY
        again = call(client)
        client.data_to_send()
        assert client.receive_data(reply(again, plain), 1.0)[0][1].dialect is plain
    assert answer.frame[answer.offset :] == (BODY if dialect.is_framed else BODIES[dialect.payload])
    assert (client.pending, client.last_heard_at, client.state) == (0, 1.0, ProtocolState.OPEN)


def test_client_takes_replies_in_any_order_fast_or_slow() -> None:
    """The first reply of a shape is parsed, the others are recognised; both mean the same, errors and headers too."""
    client = opened()
    for _ in range(3):
        ids = [call(client, token) for token in "abc"]
        client.data_to_send()
        stream = (
            reply(ids[2])
            + reply(ids[0], kind=EXCEPTION, headers={"zkrpc-error": "Draining"})
            + message(b"another-name", ids[1], kind=EXCEPTION)
        )
        answers = client.receive_data(stream, 0.0)
        assert [token for token, _ in answers] == ["c", "a", "b"]
        assert [answer.kind for _, answer in answers] == [REPLY, EXCEPTION, EXCEPTION]
        assert [dict(answer.headers) for _, answer in answers] == [{}, {"zkrpc-error": "Draining"}, {}]
        assert {answer.frame[answer.offset :] for _, answer in answers} == {BODY}


@pytest.mark.parametrize("dialect", [Dialect.HEADER_BINARY, Dialect.HEADER_COMPACT])
@pytest.mark.parametrize(
    ("deadline_at", "budget"), [(5.0, "5000"), (4.9999, "4999"), (0.0, "0"), (-3.0, "0"), (1e9, "2147483647")]
)
def test_client_says_how_much_time_is_left(dialect: Dialect, deadline_at: float, budget: str) -> None:
    """In whole milliseconds, rounded down, never negative; the same whether it was said before or not."""
    client = opened(dialect)
    for _ in range(2):
        call(client, deadline_at=deadline_at)
        [(_, _, _, _, headers)] = sent_by(client)
        assert headers == {"Deadline-Budget": budget}


def test_client_says_nothing_where_time_is_unlimited() -> None:
    """A call without an end has no budget and sets no timer."""
    client = opened()
    call(client, deadline_at=math.inf)
    call(client, deadline_at=math.inf, headers={"k": "v"})
    assert [headers for _, _, _, _, headers in sent_by(client)] == [{}, {"k": "v"}]
    assert client.next_timer() is None
    assert client.handle_timer(1e9) == []


def test_client_adds_its_budget_to_the_callers_headers() -> None:
    """Application metadata travels beside it, and cannot replace it."""
    client = opened()
    call(client, headers={"k": "v", "Deadline-Budget": "99"})
    assert sent_by(client)[0][4] == {"k": "v", "Deadline-Budget": "5000"}


def test_client_is_done_with_a_oneway_call_when_it_is_sent() -> None:
    """There is nothing to wait for."""
    client = opened()
    call_id = call(client, oneway=True)
    assert client.pending == 0
    assert sent_by(client) == [(ONEWAY, b"echo", call_id, BODY, {"Deadline-Budget": "5000"})]


def test_client_refuses_misuse_and_stays_as_it_was() -> None:
    """A call over a limit never happened: no id is spent, nothing is sent."""
    client = opened(limits=WireLimits(max_frame=200, max_header=64, max_header_entries=2))
    with pytest.raises(LocalProtocolError, match="call of .* bytes is over this client's max_frame 200"):
        client.send_call(b"echo", bytes(300), None, deadline_at=5.0, now=0.0)
    with pytest.raises(LocalProtocolError, match="over max_header 64"):
        call(client, headers={"k": "v" * 100})
    with pytest.raises(LocalProtocolError, match="over max_header_entries 2"):
        call(client, headers={"a": "", "b": ""})
    assert (client.pending, client.data_to_send(), call(client)) == (0, b"", 1)
    client.close()
    with pytest.raises(LocalProtocolError, match="no calls on this connection: closed"):
        call(client)


def test_client_drops_a_late_reply() -> None:
    """The call was cancelled or has expired, its reply comes nevertheless and disturbs nobody."""
    client = opened()
    first, second, third = (call(client, token, deadline) for token, deadline in (("a", 5.0), ("b", 1.0), ("c", 5.0)))
    client.data_to_send()
    assert client.cancel_call(first)
    assert not client.cancel_call(first)
    assert client.handle_timer(1.0) == [("b", True)]
    assert client.receive_data(reply(first) + reply(second), 2.0) == []
    [(token, _)] = client.receive_data(reply(third), 2.0)
    assert token == "c"
    assert client.failure is None


def test_client_leaves_a_server_that_answers_more_than_was_asked() -> None:
    """One late reply for each call that was given up, or was oneway; what comes beyond is work that nobody wanted."""
    client = opened()
    answered, given_up, oneway = call(client), call(client, "x"), call(client, oneway=True)
    client.data_to_send()
    client.cancel_call(given_up)
    assert len(client.receive_data(reply(answered) + reply(given_up) + reply(oneway, kind=EXCEPTION), 1.0)) == 1
    assert client.failure is None
    client.receive_data(reply(answered) * 1000, 1.0)
    assert client.failure == f"a reply to call {answered}, which has been answered"


def test_client_answers_many_pings_with_one_pong_and_leaves_a_server_that_goes_on() -> None:
    """What is written for a peer does not grow with what it sends; and a flood of what nobody asked for ends."""
    client = opened(zkrpc=True)
    client.data_to_send()
    client.receive_data(control_frame(b"zkrpc:ping", 7) * 900, 0.0)
    assert client.data_to_send() == control_frame(b"zkrpc:pong", 7)
    for second in range(1, 60):
        client.receive_data(control_frame(b"zkrpc:ping") * 90, float(second))
        assert client.data_to_send() == control_frame(b"zkrpc:pong")
    client.receive_data(control_frame(b"zkrpc:later") * 2000, 60.0)
    assert client.failure == "more than 1000 control messages that nobody asked for"


def test_client_takes_back_what_has_not_left() -> None:
    """A call that ended before its bytes were handed out is reported as not sent, and its bytes never leave."""
    client = opened()
    cancelled, expired, kept = (call(client, token, at) for token, at in (("a", 5.0), ("b", 1.0), ("c", 5.0)))
    assert client.cancel_call(cancelled) is False
    assert client.handle_timer(1.0) == [("b", False)]
    assert [call_id for _, _, call_id, _, _ in sent_by(client)] == [kept]
    assert expired != kept


@pytest.mark.parametrize("dialect", PLAIN)
def test_client_gives_up_a_plain_connection_with_an_abandoned_call(dialect: Dialect) -> None:
    """thriftpy2's server's late answer would be taken for the next one. Before anything left there is no need to."""
    client = opened(dialect)
    assert client.cancel_call(call(client)) is False
    assert client.state is ProtocolState.OPEN
    call_id = call(client)
    client.data_to_send()
    assert client.cancel_call(call_id)
    assert client.state is ProtocolState.CLOSED
    assert client.failure is not None and client.failure.startswith("a call cancelled, and a plain Thrift server")

    client = opened(dialect)
    call(client, "late", 1.0)
    call(client, "other", 5.0)
    client.data_to_send()
    call(client, "unsent", 5.0)
    assert client.handle_timer(1.0) == [("late", True)]
    assert client.failure is not None and client.failure.startswith("a call timed out")
    assert client.data_to_send() == b""
    assert client.receive_data(reply(1, dialect), 2.0) == []
    assert client.receive_eof(2.0) == [("other", True), ("unsent", False)]
    assert client.receive_eof(2.0) == []


def test_client_expires_calls_in_the_order_of_their_deadlines() -> None:
    """Whatever the order of sending; early wake-ups do nothing, and finished calls leave no timer behind."""
    client = opened()
    assert (client.next_timer(), client.handle_timer(99.0)) == (None, [])
    ids = {at: call(client, at, at) for at in (5.0, 3.0, 8.0, 4.0, 8.0, 1.0)}
    client.data_to_send()
    assert client.next_timer() == 1.0
    assert client.handle_timer(0.9) == []
    assert client.handle_timer(1.0) == [(1.0, True)]
    assert client.next_timer() == 3.0
    client.receive_data(reply(ids[3.0]), 2.0)
    assert client.next_timer() == 4.0
    client.receive_data(reply(ids[5.0]), 2.0)
    assert client.handle_timer(4.5) == [(4.0, True)]
    assert client.next_timer() == 8.0
    assert client.handle_timer(8.0) == [(8.0, True)] * 2
    assert (client.next_timer(), client.pending) == (None, 0)


def test_calls_of_a_plain_connection_that_expire_together_all_end() -> None:
    """The first of them, which had left, closes it; the second had not, and was not executed."""
    client = ClientProtocol(Dialect.FRAMED_BINARY, WireLimits(), 0.0, zkrpc=False)
    call(client, deadline_at=5.0)
    client.data_to_send()
    call(client, deadline_at=5.0)
    assert client.handle_timer(5.0) == [("token", True), ("token", False)]
    assert client.state is ProtocolState.CLOSED and client.data_to_send() == b""


def test_client_starts_its_deadlines_anew_when_idle() -> None:
    """One call with a long deadline does not make all later ones look early for ever."""
    client = opened()
    client.cancel_call(call(client, deadline_at=1000.0))
    call(client, deadline_at=5.0)
    assert len(client._early) == 0
    assert client.next_timer() == 5.0


def test_client_sweeps_the_heap_of_early_deadlines() -> None:
    """Short calls that finish behind one long call do not pile up until their deadlines pass."""
    client = opened()
    call(client, deadline_at=1000.0)
    for _ in range(1000):
        client.cancel_call(call(client, deadline_at=5.0))
    assert len(client._early) < 100
    assert client.next_timer() == 1000.0


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=30), st.randoms(use_true_random=False))
@settings(deadline=None, max_examples=100)
def test_client_never_sleeps_past_a_deadline(calls: list[tuple[int, int]], rng: Any) -> None:
    """With any mix of deadlines and endings, the timer is the earliest deadline pending, and expires exactly those."""
    client = opened()
    now = 0
    alive: dict[int, int] = {}
    for pause, timeout in calls:
        deadline = now + timeout
        call_id = client.send_call(b"m", BODY, deadline, deadline_at=float(deadline), now=float(now))
        alive[call_id] = deadline
        for done in [call_id for call_id in alive if rng.random() < 0.3]:
            client.cancel_call(done)
            del alive[done]
        assert client.next_timer() == min(alive.values(), default=None)
        now += pause // 4
        expired = sorted(token for token, _ in client.handle_timer(float(now)))
        assert expired == sorted(deadline for deadline in alive.values() if deadline <= now)
        alive = {call_id: deadline for call_id, deadline in alive.items() if deadline > now}
        assert client.pending == len(alive)


def test_client_ends_every_call_exactly_once_when_the_peer_leaves() -> None:
    """What had left may have been executed; what had not was not, and never will be."""
    client = opened()
    call(client, "sent")
    client.data_to_send()
    call(client, "unsent")
    assert repr(client) == "<ClientProtocol OPEN pending=2 failure=None>"
    assert client.receive_eof(1.0) == [("sent", True), ("unsent", False)]
    assert client.failure == "the peer closed the connection"
    assert (client.close(), client.data_to_send(), client.next_timer()) == ([], b"", None)
    assert client.handle_timer(99.0) == []


def test_client_says_if_the_peer_left_inside_a_frame() -> None:
    """That points at a crash rather than at a stop."""
    client = opened()
    client.receive_data(b"\0\0", 0.0)
    client.receive_eof(0.0)
    assert client.failure == "the peer closed the connection in the middle of a frame"


def test_client_closes_by_itself_without_a_failure() -> None:
    """Calls pending then are still all told."""
    client = opened()
    call(client, "a")
    assert client.close() == [("a", False)]
    assert (client.state, client.failure) == (ProtocolState.CLOSED, None)


def test_client_wraps_its_ids_around_those_in_use() -> None:
    """After 2**31 calls ids start again, leaving out the ones still waiting; what has left is still known."""
    client = opened()
    oldest = call(client, "oldest", 1e9)
    client.data_to_send()
    client._serial = client._flushed = 2**31 - 2
    client._given_up = 1
    ids = [call(client, token) for token in ("last", "zero", "next")]
    assert (oldest, ids) == (1, [2**31 - 1, 0, 2])
    assert [call_id for _, _, call_id, _, _ in sent_by(client)] == ids
    call(client, "unsent")
    answers = client.receive_data(reply(0) + reply(2**31 - 1) + reply(12345) + reply(1), 0.0)
    assert [token for token, _ in answers] == ["zero", "last", "oldest"]
    assert client.close() == [("next", True), ("unsent", False)]


@pytest.mark.parametrize(
    ("stream", "failure"),
    [
        (reply(99), "a reply to call 99, which was never made"),
        (reply(0), "a reply to call 0, which was never made"),
        (reply(-1), "a reply to call -1, which was never made"),
        (reply(2), "a reply to call 2, which has not been sent yet"),
        (reply(1, kind=CALL), "a message of type 1 instead of a reply"),
        (
            message(b"zkrpc:hello", 0, kind=EXCEPTION),
            "the server speaks THeader but not zkrpc: it took our greeting for a call",
        ),
        (control_frame(b"zkrpc:draining"), "a message of type 4 instead of a reply"),
        (reply(1, Dialect.HEADER_COMPACT), "the server answers in HEADER_COMPACT to HEADER_BINARY"),
        (reply(1, Dialect.FRAMED_BINARY), "the server answers in FRAMED_BINARY to HEADER_BINARY"),
        (b"HTTP/1.1 400 Bad Request\r\n", "HTTP, not Thrift"),
        (b"\x15\x03\x01\x00\x02\x02\x46", "TLS on a plain Thrift connection"),
        (b"\x3c\x00\x00\x00", "frame of 1006632960 bytes is over max_frame 4194304"),
        (message(b"other", 1, kind=REPLY), "a reply to b'other' for a call of echo"),
        (framed(b"\1" * 9), "unknown dialect: a frame starts with 01 01"),
        (theader(b"\x05"), "unknown THeader protocol id 5; 0 (binary) and 2 (compact) are spoken"),
    ],
)
def test_client_ends_a_connection_whose_server_breaks_the_protocol(stream: bytes, failure: str) -> None:
    """Nothing behind the fault is looked at, and the calls left are told."""
    client = opened()
    call(client, "one")
    client.data_to_send()
    call(client, "two")
    assert client.receive_data(stream + reply(1), 0.0) == []
    assert (client.state, client.failure) == (ProtocolState.CLOSED, failure)
    assert client.data_to_send() == b""
    assert client.close() == [("one", True), ("two", False)]


def test_client_spots_a_reply_to_an_unsent_call_of_a_known_shape() -> None:
    """The fast way looks as closely as the slow one."""
    client = opened()
    first = call(client)
    client.data_to_send()
    assert len(client.receive_data(reply(first), 0.0)) == 1
    second = call(client, "unsent")
    assert client.receive_data(reply(second), 0.0) == []
    assert client.failure == f"a reply to call {second}, which has not been sent yet"
    assert client.close() == [("unsent", False)]


def test_client_inflates_a_reply() -> None:
    """A foreign server may transform what it sends, to a client that accepts it."""
    client = opened(limits=dataclasses.replace(LIMITS, accept_zlib=True))
    call(client)
    client.data_to_send()
    [(_, answer)] = client.receive_data(theader(b"\x00\x01\x01", zlib.compress(reply(1)[18:])), 0.0)
    assert answer.frame[answer.offset :] == BODY


def test_client_introduces_itself_to_zkrpc_servers_only() -> None:
    """The first frame says hello; a plain dialect has no such thing."""
    assert opened(zkrpc=True).data_to_send() == hello_frame(LIMITS)
    assert opened().data_to_send() == b""
    assert opened(Dialect.FRAMED_BINARY, zkrpc=True).data_to_send() == b""


@pytest.mark.parametrize("dialect", [Dialect.HEADER_BINARY, Dialect.HEADER_COMPACT])
def test_client_tells_a_server_once_who_calls(dialect: Dialect) -> None:
    """In its hello, or with the first call to a server that would not understand one; never twice, and not with a call
    that was too large to be sent."""
    caller, headers = Caller("billing", "1.2"), {"zkrpc-caller": "billing", "zkrpc-caller-version": "1.2"}
    assert ClientProtocol(Dialect.HEADER_BINARY, LIMITS, 0.0, zkrpc=True, caller=caller).data_to_send() == hello_frame(
        LIMITS, caller
    )
    client = ClientProtocol(dialect, WireLimits(max_frame=1000), 0.0, zkrpc=False, caller=caller)
    with pytest.raises(TooLarge):
        client.send_call(b"echo", bytes(1000), None, deadline_at=5.0, now=0.0)
    call(client, headers={"k": "v"})
    call(client)
    told = [dict(sent[4]) for sent in sent_by(client)]
    assert told == [{"k": "v", **headers, "Deadline-Budget": "5000"}, {"Deadline-Budget": "5000"}]
    assert client.receive_data(reply(1, dialect) + reply(2, dialect), 0.0)


def test_plain_dialect_has_no_place_for_a_name() -> None:
    """And is sent none."""
    client = ClientProtocol(Dialect.FRAMED_BINARY, LIMITS, 0.0, zkrpc=False, caller=Caller("billing"))
    call(client)
    assert b"billing" not in client.data_to_send()


def test_client_sends_a_server_nothing_large_before_it_has_introduced_itself() -> None:
    """Then it sends what the server takes; one that answers a ping and says nothing is of an early version."""
    big = bytes(UNHEARD_FRAME)

    def send(client: ClientProtocol, body: bytes, **options: Any) -> int:
        return client.send_call(b"echo", body, None, deadline_at=5.0, now=0.0, **options)

    client = opened(zkrpc=True)
    for oneway in (False, True):
        with pytest.raises(NotIntroduced, match="whether the server takes a call of 1311"):
            send(client, big, oneway=oneway)
    client.receive_data(hello_frame(WireLimits(max_frame=200_000)), 0.0)
    assert send(client, big) == 1
    for oneway in (False, True):
        with pytest.raises(TooLarge, match="call of 2000.. bytes is over the server's max_frame 200000") as caught:
            send(client, bytes(200_000), oneway=oneway)
        assert caught.value.executed is Executed.NO
    early = opened(zkrpc=True)
    early.receive_data(control_frame(b"zkrpc:pong"), 0.0)
    assert send(early, bytes(4_000_000)) == 1
    assert send(opened(), bytes(4_000_000)) == 1


def test_client_keeps_to_what_the_server_takes_of_headers() -> None:
    """They are one call's own fault as well."""
    client = opened(zkrpc=True)
    client.receive_data(hello_frame(WireLimits(max_header=300, max_header_entries=9)), 0.0)
    with pytest.raises(TooLarge, match="over max_header 300"):
        call(client, headers={"k": "v" * 400})
    with pytest.raises(TooLarge, match="over max_header_entries 9"):
        call(client, headers={str(number): "" for number in range(9)})
    assert (client.pending, call(client, headers={"k": "v"})) == (0, 1)


@pytest.mark.parametrize("dialect", FRAMED)
@given(sizes=st.lists(st.integers(1, 9000), max_size=8))
def test_client_answers_a_call_whose_reply_is_too_large_and_goes_on(dialect: Dialect, sizes: list[int]) -> None:
    """The call was executed; its reply is let go, however it is cut, and the neighbours' replies are taken."""
    client = opened(dialect, WireLimits(max_frame=2000, max_header=64))
    ids = [call(client, token) for token in "abc"]
    client.data_to_send()
    stream = reply(ids[0], dialect) + reply(ids[1], dialect, body=bytes(30_000)) + reply(ids[2], dialect)
    replies = [one for chunk in cut(stream, sizes) for one in client.receive_data(chunk, 0.0)]
    assert [token for token, _ in replies] == ["a", "b", "c"]
    assert (client.state, client.pending) == (ProtocolState.OPEN, 0)
    refusal = replies[1][1]
    assert (refusal.kind, dict(refusal.headers)) == (EXCEPTION, {"zkrpc-error": "RemoteError", "zkrpc-executed": "yes"})
    text, _ = decode_failure(refusal.frame, refusal.offset, dialect.payload)
    assert re.fullmatch(r"the reply of 300\d\d bytes is over this client's max_frame 2000", text)


def test_client_pings_and_is_pinged() -> None:
    """A pong shows as something heard; a peer's ping is answered; others are never asked."""
    client = opened(zkrpc=True)
    client.data_to_send()
    client.send_ping(1.0)
    assert client.data_to_send() == control_frame(b"zkrpc:ping")
    assert client.receive_data(control_frame(b"zkrpc:pong"), 1.5) == []
    assert client.last_heard_at == 1.5
    client.receive_data(control_frame(b"zkrpc:ping", 8) + control_frame(b"zkrpc:later"), 2.0)
    assert client.data_to_send() == control_frame(b"zkrpc:pong", 8)
    client.close()
    client.send_ping(3.0)
    foreign = opened()
    foreign.send_ping(3.0)
    assert client.data_to_send() == foreign.data_to_send() == b""


def test_client_stops_calling_a_draining_server() -> None:
    """It confirms that no more will come, once; calls in flight are still answered; new ones go elsewhere."""
    client = opened(zkrpc=True)
    call_id = call(client)
    client.data_to_send()
    assert client.receive_data(control_frame(b"zkrpc:draining") * 2, 1.0) == []
    assert client.draining
    assert repr(client) == "<ClientProtocol OPEN draining pending=1 failure=None>"
    assert client.data_to_send() == control_frame(b"zkrpc:draining")
    with pytest.raises(LocalProtocolError, match="no calls on this connection: the server is draining"):
        call(client)
    assert [token for token, _ in client.receive_data(reply(call_id), 1.0)] == ["token"]
    assert client.state is ProtocolState.OPEN


replies = st.builds(
    message,
    st.sampled_from([b"echo", b"echo", b"get", b"zkrpc:ping", b"zkrpc:draining"]),
    st.integers(-1, 9),
    st.binary(max_size=20).map(lambda body: body + b"\0"),
    kind=st.sampled_from([2, 2, 2, 3, 4, 1]),
    dialect=st.sampled_from([Dialect.HEADER_BINARY] * 6 + [Dialect.HEADER_COMPACT, Dialect.FRAMED_BINARY]),
    headers=st.sampled_from([None, None, {"zkrpc-epoch": "7"}]),
)
garbage = st.one_of(st.binary(max_size=40), st.binary(min_size=1, max_size=30).map(framed), st.binary().map(theader))
streams = st.lists(st.one_of(replies, replies, replies, garbage), max_size=8).map(b"".join)


def _played(chunks: list[bytes], zkrpc: bool) -> tuple[Any, ...]:
    """Everything that shows when six calls were sent, two more were not, and this comes back."""
    client = opened(limits=WireLimits(max_frame=2000), zkrpc=zkrpc)
    for token in range(6):
        call(client, token)
    client.cancel_call(3)
    client.data_to_send()
    call(client, 6)
    call(client, 7)
    replies = [answer for chunk in chunks for answer in client.receive_data(chunk, 1.0)]
    # How much stands in front of the struct is nobody's business.
    answers = [(token, one._replace(frame=one.frame[one.offset :], offset=0)) for token, one in replies]
    outcome = (answers, client.state, client.failure, client.draining, client.data_to_send())
    ended = client.receive_eof(1.0)
    assert sorted([token for token, _ in answers] + [token for token, _ in ended]) == [0, 1, 3, 4, 5, 6, 7]
    return outcome, ended, client.failure


@given(streams, st.lists(st.integers(1, 40), max_size=12), st.booleans())
@settings(deadline=None, max_examples=250)
def test_client_does_not_notice_how_a_stream_is_cut(stream: bytes, sizes: list[int], zkrpc: bool) -> None:
    """The same answers, the same bytes, the same end, whatever the chunks are; and every call ends exactly once."""
    assert _played(list(cut(stream, sizes)), zkrpc) == _played([stream], zkrpc)


def test_client_tells_a_zkrpc_server_of_calls_that_nobody_waits_for() -> None:
    """Cancelled or expired after they left: the server may stop. What never left is taken back without a word."""
    client = opened(zkrpc=True)
    left, expired = call(client, "a"), call(client, "b", 1.0)
    client.data_to_send()
    here = call(client, "c")
    assert client.waiting() == [(left, "a"), (expired, "b"), (here, "c")]
    assert client.cancel_call(left) is True
    assert client.handle_timer(1.0) == [("b", True)]
    assert client.cancel_call(here) is False
    assert [(name, seqid) for _, name, seqid, _, _ in sent_by(client)] == [
        (b"zkrpc:cancel", left),
        (b"zkrpc:cancel", expired),
    ]


def test_client_does_not_bother_others_with_cancelling() -> None:
    """A THeader server that is not ours would take the frame for a call."""
    client = opened()
    call_id = call(client)
    client.data_to_send()
    assert client.cancel_call(call_id) is True
    assert client.data_to_send() == b""
