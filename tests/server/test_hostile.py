"""Hostile bytes against the wire machine and the dispatcher together, as a connection joins them, without sockets."""

from __future__ import annotations

import json
import re
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wire_frames import FRAMED, UNFRAMED, cut, framed, message, split_messages, theader
from zkrpc.codec import FailureKind, Payload, decode_failure
from zkrpc.config import WireLimits
from zkrpc.errors import RemoteProtocolError
from zkrpc.idl import load_text
from zkrpc.server.dispatch import Dispatcher
from zkrpc.tls.settings import NO_TLS_HERE
from zkrpc.wire.detection import BAD_REQUEST, check_dialect, check_length
from zkrpc.wire.envelope import EnvelopeError
from zkrpc.wire.message import Dialect, MessageKind, Opening, open_frame
from zkrpc.wire.server import ServerProtocol
from zkrpc.wire.theader import Unspoken

HOSTILE = json.loads((Path(__file__).parent.parent / "vectors" / "hostile_frames.json").read_text("utf-8"))
IDL = load_text(HOSTILE["idl"])
METHODS = IDL.S.methods
LIMITS = WireLimits(max_frame=256 * 1024, max_in_flight=8, accept_zlib=True, max_inflation=2000)
SECONDS = 2.0
"""More than any input may take of the processor's time; the worst take some milliseconds."""
OVERHEAD = 300_000
"""Bytes for what is not the frame: caches, objects, the replies."""

CUT_OFF = {"name_len_2g", "name_len_neg", "trunc_empty", "trunc_hdr", "http", "tls"}
"""Messages whose envelope does not say whom to answer."""
READABLE = {"wrong_field_type", "bool_2", "enum_unknown", "dup_field", "mapkey_struct"}
"""Odd, but nothing that Thrift forbids."""


class Handler:
    """Gives back what it gets."""

    def f(self, a: Any) -> Any:
        return a or IDL.All()

    def ping(self) -> None:
        pass

    def fire(self, s: Any) -> None:
        pass

    def need(self, s: str, n: int) -> str:
        return s * min(max(n, 0), 3)


DISPATCHER = Dispatcher(IDL.S, Handler(), on_failure=lambda failure: None)


class Link:
    """One connection: what the shell does with bytes, and what the peer sees of it."""

    def __init__(self, limits: WireLimits = LIMITS) -> None:
        self.limits = limits
        self.protocol = ServerProtocol(limits, 0.0)

    def feed(self, *chunks: bytes) -> list[tuple[int, bytes, int, bytes]]:
        """The replies to these bytes: kind, name, id and body of each. Nothing may be raised, or take long."""
        began = time.process_time()
        protocol = self.protocol
        sent = b""
        for chunk in chunks:
            protocol.receive_data(chunk, 0.0)
            while (request := protocol.next_request()) is not None:
                answer = DISPATCHER.dispatch(request, "10.0.0.1:5", 0.0)
                if answer is None:
                    protocol.finish(request)
                else:
                    protocol.send_reply(request, answer.body, kind=answer.kind, headers=answer.headers)
            sent += protocol.data_to_send()
        assert time.process_time() - began < SECONDS
        assert protocol.in_flight == 0 and "\n" not in (protocol.failure or "")
        dialect = protocol.inflow.dialect or Dialect.HEADER_BINARY
        for word in (BAD_REQUEST, NO_TLS_HERE):  # what is told to those who speak no Thrift
            sent = sent.removesuffix(word)
        return [self._read(one) for one in split_messages(sent, dialect, self.limits)]

    def _read(self, opening: Opening) -> tuple[int, bytes, int, bytes]:
        dialect = opening.dialect
        kind, name, seqid, offset = opening.envelope()
        body = opening.frame[offset:]
        if kind == MessageKind.EXCEPTION:
            decode_failure(body, 0, dialect.payload)
        return kind, name, seqid, body

    def works(self) -> bool:
        """True if good calls of every dialect that may come are answered as they should be."""
        spoken = FRAMED if self.protocol.inflow.dialect is None else [self.protocol.inflow.dialect]
        calls = [message(b"ping", number, b"\0", dialect=dialect) for number, dialect in enumerate(spoken, start=90)]
        return self.feed(b"".join(calls)) == [(MessageKind.REPLY, b"ping", 90 + n, b"\0") for n in range(len(calls))]


def enveloped(contents: bytes, dialect: Dialect, *, deflated: bool = False) -> bytes:
    """A message as a frame of this dialect, however bad the message is."""
    if not dialect.has_header:
        return framed(contents)
    number = b"\2" if dialect.payload is Payload.COMPACT else b"\0"
    transforms = b"\1\1" if deflated else b"\0"
    return theader(number + transforms, zlib.compress(contents) if deflated else contents)


def generated(payload: Payload) -> dict[str, bytes]:
    """The messages that are too long to be written down."""
    if payload is Payload.COMPACT:
        head = bytes.fromhex("8221070166")
        return {"c_varint_inf": head + b"\x1c\x45" + b"\xff" * 100_000}
    head = bytes.fromhex("80010001000000016600000007")
    return {
        "nest_10k": head + b"\x0c\0\1\x0c\0\x0d" + b"\x0c\0\2" * 10_000 + bytes(10_010),
        "skip_nest_10k": head + b"\x0c\0\x63" * 10_000 + bytes(10_010),
        "nest_kids_10k": head + b"\x0c\0\1\x0c\0\x0d" + b"\x0f\0\3\x0c\0\0\0\1" * 10_000 + bytes(20_010),
        "many_empty_structs": head + b"\x0c\0\1\x0f\0\x0f\x0c\0\3\x0d\x40" + bytes(200_002),
        "many_nodes": head + b"\x0c\0\1\x0c\0\x0d\x0f\0\3\x0c\0\3\x0d\x40" + bytes(200_003),
        "long_string_cut": head + b"\x0c\0\1\x0b\0\7\0\3\xff\xff" + b"x" * 200_000,
        "long_name": bytes.fromhex("8001000100030d40") + b"n" * 200_000 + b"\0\0\0\7\0",
    }


def messages(payload: Payload) -> dict[str, bytes]:
    """Every hostile message by its id."""
    listed = {one["id"]: bytes.fromhex(one["hex"]) for one in HOSTILE[payload.value]}
    return listed | generated(payload)


@pytest.fixture
def traced() -> Iterator[None]:
    """Counts what is allocated during the test."""
    tracemalloc.start()
    yield
    tracemalloc.stop()


def peak_of(link: Link, *chunks: bytes) -> tuple[int, list[tuple[int, bytes, int, bytes]]]:
    """The most bytes that were held beyond what was held before, and the replies."""
    before = tracemalloc.get_traced_memory()[0]
    tracemalloc.reset_peak()
    replies = link.feed(*chunks)
    return tracemalloc.get_traced_memory()[1] - before, replies


@pytest.mark.parametrize(
    ("dialect", "deflated"),
    [
        (Dialect.HEADER_BINARY, False),
        (Dialect.HEADER_COMPACT, False),
        (Dialect.FRAMED_BINARY, False),
        (Dialect.FRAMED_COMPACT, False),
        (Dialect.HEADER_BINARY, True),
        (Dialect.HEADER_COMPACT, True),
    ],
)
def test_hostile_messages_are_answered_or_end_their_connection(dialect: Dialect, deflated: bool, traced: None) -> None:
    """Each costs little, is answered where it says whom to answer, and leaves everybody else alone."""
    neighbour = Link()
    cut_off, served = set(), set()
    for name, contents in messages(dialect.payload).items():
        link = Link()
        assert link.works()  # so that the connection is one of frames
        peak, replies = peak_of(link, enveloped(contents, dialect, deflated=deflated))
        assert peak < 3 * LIMITS.max_frame + OVERHEAD, name
        if link.protocol.failure is not None:
            assert not replies and link.protocol.wants_close, name
            cut_off.add(name)
        else:
            ((kind, _, _, body),) = replies
            if kind == MessageKind.REPLY:
                METHODS["f"].read_result(body, 0, dialect.payload)
                served.add(name)
            assert link.works(), name
        assert neighbour.works(), name
    assert served == (READABLE if dialect.payload is Payload.BINARY else set())
    assert cut_off == (CUT_OFF if dialect.payload is Payload.BINARY else {"c_seqid_big"})


@pytest.mark.parametrize("dialect", [Dialect.BINARY, Dialect.COMPACT])
@pytest.mark.parametrize("size", [None, 1, 50])
def test_hostile_messages_without_frames_cost_as_little(dialect: Dialect, size: int | None, traced: None) -> None:
    """What is whole is answered as in a frame; what has no end is answered and ends its connection, or waits for more
    until its time is over. In pieces as small as can be, if it is not too long for a test."""
    for name, contents in messages(dialect.payload).items():
        if size == 1 and len(contents) > 20_000:
            continue
        link = Link()
        chunks = [contents] if size is None else list(cut(contents, [size] * (len(contents) // size)))
        peak, replies = peak_of(link, *chunks)
        assert peak < 3 * LIMITS.max_frame + OVERHEAD, name
        if link.protocol.failure is None and not replies:
            assert link.protocol.next_timer() is not None and link.protocol.held_bytes <= len(contents), name
            link.protocol.handle_timer(LIMITS.first_frame_timeout)
            assert link.protocol.wants_close, name
        elif link.protocol.failure is None:
            assert link.protocol.held_bytes or link.works(), name  # what is behind the body begins the next message
        else:
            assert len(replies) <= 1 and link.protocol.wants_close, name
    assert Link().works()


@pytest.mark.parametrize("payload", Payload)
@pytest.mark.parametrize(
    ("kind", "value"),
    [
        ("bool", True),
        ("i64", -1),
        ("double", 0.5),
        ("string", "x" * 500),
        ("list<string>", ["a", "b"]),
        ("map<string,map<i32,bool>>", {"a": {1: True}}),
        ("Empty", None),
    ],
)
def test_hostile_unknown_field_in_every_struct_is_stepped_over(payload: Payload, kind: str, value: object) -> None:
    """Of arguments, results, and of what is nested in them: as from a peer with a newer IDL, or one that pretends."""
    text = re.sub(r"(struct \w+ {[^}]*)}", rf"\1 8888: optional {kind} extra }}", HOSTILE["idl"])
    newer = load_text(text.replace("(1: All a)", f"(1: All a, 8888: {kind} extra)"))
    extra = {"extra": newer.Empty() if value is None else value}

    def made(idl: Any, **more: Any) -> Any:
        node = idl.Node(v=1, nxt=idl.Node(v=2, **more), kids=[idl.Node(v=3, **more)], m={"k": idl.Node(v=4)}, **more)
        return idl.All(str="s", n=node, le=[idl.Empty(**more)], **more)

    method = newer.S.methods["f"]
    body = method.encode_arguments(method.bind((made(newer, **extra),), extra), payload)
    dialect = Dialect.FRAMED_COMPACT if payload is Payload.COMPACT else Dialect.FRAMED_BINARY
    [(kind_of_answer, name, _, answer)] = Link().feed(message(b"f", 7, body, dialect=dialect))
    assert (kind_of_answer, name) == (MessageKind.REPLY, b"f")
    assert METHODS["f"].read_result(answer, 0, payload, 1000) == made(IDL)
    result = method.encode_result(made(newer, **extra), payload)
    assert METHODS["f"].read_result(result, 0, payload, 1000) == made(IDL)


def test_hostile_message_learns_why_and_for_which_call() -> None:
    """PROTOCOL_ERROR with the id it came with, in its own dialect."""
    contents = messages(Payload.BINARY)["list_i32_2g"]
    ((kind, name, seqid, body),) = Link().feed(enveloped(contents, Dialect.HEADER_BINARY))
    text, number = decode_failure(body, 0)
    assert (kind, name, seqid, number) == (MessageKind.EXCEPTION, b"f", 7, FailureKind.PROTOCOL_ERROR)
    assert text.startswith("f: ") and len(text) < 200


def test_hostile_messages_may_come_in_any_number(traced: None) -> None:
    """A chunk full of them: each is answered, and what the answers cost is bounded by the chunk."""
    contents = messages(Payload.BINARY)["str_len_2g"]
    frame = enveloped(contents, Dialect.FRAMED_BINARY)
    count = 1000
    link = Link(WireLimits())
    peak, replies = peak_of(link, frame * count)
    assert link.works() and len(replies) == count
    assert peak < 100 * len(frame) * count


def test_hostile_frame_of_the_largest_size_costs_three_times_its_size(traced: None) -> None:
    """However small the pieces it comes in. Of one byte more only the beginning is kept, to be answered; what is much
    longer is answered and cut off."""
    head = bytes.fromhex("80010001000000016600000007") + b"\x0c\0\1\x0b\0\7\x00\x0f\xff\xff"
    frame = framed(head + b"x" * (LIMITS.max_frame - len(head)))
    link = Link()
    peak, replies = peak_of(link, *cut(frame, [3000] * (len(frame) // 3000)))
    assert len(replies) == 1 and replies[0][0] == MessageKind.EXCEPTION and link.works()
    assert peak < 3 * LIMITS.max_frame + OVERHEAD
    longer = framed(head + b"x" * (2 * LIMITS.max_frame - len(head)))
    link = Link()
    peak, replies = peak_of(link, *cut(longer, [3000] * (len(longer) // 3000)))
    assert len(replies) == 1 and replies[0][0] == MessageKind.EXCEPTION and link.works()
    assert peak < OVERHEAD
    link = Link()
    endless = (16 * LIMITS.max_frame + 1).to_bytes(4, "big") + head + b"x" * 20_000
    peak, replies = peak_of(link, *cut(endless, [3000] * 6))
    assert len(replies) == 1 and replies[0][0] == MessageKind.EXCEPTION
    assert "over max_frame" in str(link.protocol.failure) and peak < OVERHEAD


def test_hostile_deflated_message_is_not_inflated_past_the_limit(traced: None) -> None:
    """A bomb of some hundred kilobytes on the wire, hundreds of megabytes inside."""
    once = zlib.compress(bytes(64 * 1024 * 1024), 9)
    for block, payload, failure in (
        (b"\0\1\1", once, "inflates to more than max_frame"),
        (b"\0\2\1\1", zlib.compress(once, 9), "transforms are over the limit"),
    ):
        link = Link()
        peak, replies = peak_of(link, theader(block, payload))
        said = str(link.protocol.failure) if not replies else decode_failure(replies[0][3], 0)[0]
        assert failure in said
        assert peak < 3 * LIMITS.max_frame + OVERHEAD


@pytest.mark.parametrize("dialect", FRAMED)
def test_hostile_oneway_call_of_a_method_that_answers_ends_quietly(dialect: Dialect) -> None:
    """Nobody reads an answer: none is made, whatever becomes of the call."""
    link = Link()
    good = METHODS["need"].encode_arguments(METHODS["need"].bind(("x",), {}), dialect.payload)
    for body in (good, b"\0", b"?", b""):
        assert link.feed(message(b"need", 3, body, kind=MessageKind.ONEWAY, dialect=dialect)) == []
        assert link.works()


# -- at random


def _calls() -> list[tuple[bytes, bytes, Dialect, int]]:
    rich = IDL.All(
        b=True, y=1, s=-2, i=3, l=-4, d=0.5, str="grüße", bin=b"\0\xff", li=[1, 2], ss={"a"}, m={"k": 1}, e=1,
        n=IDL.Node(v=1, nxt=IDL.Node(v=2), kids=[IDL.Node(v=3)], m={"k": IDL.Node(v=4)}), lb=[True, False],
        le=[IDL.Empty()], mib={1: True}, md={0.5: 1},
    )  # fmt: skip
    arguments = {"f": (rich,), "ping": (), "fire": ("x",), "need": ("x", 2)}
    calls = []
    for name, values in arguments.items():
        method = METHODS[name]
        for dialect in FRAMED:
            kind = MessageKind.ONEWAY if method.oneway else MessageKind.CALL
            body = method.encode_arguments(method.bind(values, {}), dialect.payload)
            calls.append((name.encode(), body, dialect, kind))
    return calls


GOOD = [framed_call[4:] for framed_call in (message(n, 5, b, dialect=d, kind=k) for n, b, d, k in _calls())]
"""Frames without their lengths."""

edits = st.lists(
    st.one_of(
        st.tuples(st.just("set"), st.integers(0, 400), st.sampled_from([0, 1, 2, 11, 12, 13, 15, 99, 127, 128, 255])),
        st.tuples(st.just("set"), st.integers(0, 400), st.integers(0, 255)),
        st.tuples(st.just("drop"), st.integers(0, 400), st.integers(1, 40)),
        st.tuples(st.just("add"), st.integers(0, 400), st.binary(min_size=1, max_size=8)),
        st.tuples(st.just("cut"), st.integers(0, 400), st.none()),
    ),
    min_size=1,
    max_size=6,
)


def edited(contents: bytes, changes: list[tuple[str, int, Any]]) -> bytes:
    """The bytes after some changes."""
    made = bytearray(contents)
    for change, at, value in changes:
        at %= len(made) + 1
        if change == "set":
            made[at : at + 1] = bytes((value,))
        elif change == "drop":
            del made[at : at + value]
        elif change == "add":
            made[at:at] = value
        else:
            del made[at:]
    return bytes(made)


mutants = st.builds(edited, st.sampled_from(GOOD), edits)


def replies_due(contents: bytes) -> int | None:
    """How many replies a frame of these bytes gets; None if it ends its connection."""
    try:
        check_length(framed(contents), 0, LIMITS.max_frame)
        check_dialect(contents, 0)
        opening = open_frame(contents, LIMITS)
        kind, name, *_ = opening.envelope()
    except EnvelopeError as error:
        return None if error.seqid is None else 1
    except Unspoken:
        return 1
    except RemoteProtocolError:
        return None
    return 0 if kind == MessageKind.ONEWAY or (kind == MessageKind.CALL and name in (b"fire", b"S:fire")) else 1


@settings(max_examples=400, deadline=None)
@given(mutants)
def test_hostile_mutants_are_answered_once_or_end_their_connection(contents: bytes) -> None:
    """Good messages with some bytes changed, well framed: the connection goes on, unless nobody can be named."""
    link = Link()
    assert link.works()  # so that the connection is one of frames
    replies = link.feed(framed(contents))
    due = replies_due(contents)
    assert (link.protocol.failure is None) is (due is not None)
    assert len(replies) == (due or 0)
    assert link.works() is (due is not None)


streams = st.lists(
    st.one_of(
        mutants.map(framed),
        mutants.map(framed),
        st.sampled_from(GOOD).map(framed),
        mutants,
        st.binary(max_size=60),
        st.binary(max_size=60).map(framed),
        st.binary(max_size=60).map(theader),
    ),
    max_size=6,
).map(b"".join)


@settings(max_examples=150, deadline=None)
@given(streams, st.lists(st.integers(1, 80), max_size=8))
def test_hostile_streams_are_survived(stream: bytes, sizes: list[int]) -> None:
    """Bad and good frames, and no frames, cut anywhere: nothing is raised, and what is sent can be read."""
    link = Link()
    link.feed(*cut(stream, sizes))
    link.protocol.receive_eof(0.0)
    assert link.protocol.wants_close
    assert Link().works()


@pytest.mark.parametrize("dialect", UNFRAMED)
@settings(max_examples=150, deadline=None)
@given(changes=edits, sizes=st.lists(st.integers(1, 80), max_size=8), number=st.integers(0, 3))
def test_hostile_mutants_without_frames_are_survived(
    dialect: Dialect, changes: Any, sizes: list[int], number: int
) -> None:
    """Three good calls with some bytes changed anywhere: what is sent can be read, and is no more than was asked."""
    name, body, _, kind = [one for one in _calls() if one[2].payload is dialect.payload][number]
    stream = b"".join(message(name, seqid, body, dialect=dialect, kind=kind) for seqid in (1, 2, 3))
    link = Link()
    link.feed(*cut(edited(stream, changes), sizes))
    link.protocol.receive_eof(0.0)
    assert link.protocol.wants_close


@settings(max_examples=60, deadline=None)
@given(streams)
def test_hostile_streams_cost_little_memory(stream: bytes) -> None:
    """A claimed size never becomes an allocation."""
    tracemalloc.start()
    try:
        peak, _ = peak_of(Link(), stream)
    finally:
        tracemalloc.stop()
    assert peak < OVERHEAD + 100 * len(stream)
