"""The loops that take messages of known shapes, in C and in Python: the same bytes give the same messages, and leave
the same behind. What they take and what they leave is told in ``test_fast_path``."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support.wire_frames import message
from tests.wire.both import machines
from zkrpc.config import WireLimits
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Dialect, PendingCall, Reply, Request, open_frame, shapes_of

LIMITS = WireLimits(max_header_entries=61, max_frame=400)
SHAPES = shapes_of(LIMITS.max_header, 61)
PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-"
NAMES = (b"a", b"known", b"S:known", b"n" * 200, b"new")
HEADERS: tuple[dict[str, str], ...] = ({}, {"k": "v"}, {"traceparent": PARENT + "00"}, {"traceparent": PARENT, "a": ""})
DIALECTS = (Dialect.HEADER_BINARY, Dialect.FRAMED_BINARY)
BOTH = pytest.mark.parametrize("pure", [True, False])


def learn(known: Any, frame: bytes, kind: MessageKind) -> None:
    opening = open_frame(frame[4:], LIMITS)
    number, name, _, offset = opening.envelope()
    if kind is MessageKind.REPLY:
        known.learn(opening, offset, MessageKind(number), name)
    else:
        known.learn(opening, offset, name, MessageKind(number), opening.headers)


def both_requests(dialect: Dialect) -> list[Any]:
    """The same in both ways, of which each has seen requests with all names but one, and all headers."""
    found = [machines(pure).fast_path.KnownRequests(LIMITS) for pure in (True, False)]
    for name in NAMES[:-1]:
        for headers in HEADERS if dialect.has_header else HEADERS[:1]:
            for known in found:
                learn(known, message(name, 1, dialect=dialect, headers=headers), MessageKind.CALL)
    return found


def both_replies() -> list[Any]:
    found = [machines(pure).fast_path.KnownReplies(LIMITS) for pure in (True, False)]
    for name in NAMES[:-1]:
        for headers in HEADERS[:2]:
            for kind in (MessageKind.REPLY, MessageKind.EXCEPTION):
                for known in found:
                    learn(known, message(name, 1, kind=kind, headers=headers), MessageKind.REPLY)
    return found


@st.composite
def streams(draw: Any, kinds: tuple[MessageKind, ...]) -> bytes:
    """Frames of known shapes as a rule, with any bytes changed, left out, or put between."""
    parts = []
    for _ in range(draw(st.integers(1, 5))):
        dialect = draw(st.sampled_from((*DIALECTS, Dialect.HEADER_COMPACT)))
        frame = message(
            draw(st.sampled_from(NAMES)),
            draw(st.sampled_from((0, 1, 2, 3, -1, 0x7FFFFFFF))),
            draw(st.binary(max_size=8)) * draw(st.sampled_from((1, 1, 60))),
            dialect=dialect,
            kind=draw(st.sampled_from(kinds)),
            headers=draw(st.sampled_from(HEADERS)) if dialect.has_header else None,
            flags=draw(st.sampled_from((0, 0, 0, 1))) if dialect.has_header else 0,
        )
        if draw(st.integers(0, 3)) == 0:
            at = draw(st.integers(0, len(frame) - 1))
            some = draw(st.binary(max_size=2))
            frame = frame[:at] + some + frame[at + draw(st.integers(0, 2)) :]
        parts.append(frame)
    return b"".join(parts)


def plainly(request: Any) -> Any:
    """All that a request or reply is, for comparing it by contents, the types of its values included."""
    return [(type(value), value) for value in tuple(request)]


@settings(max_examples=150, deadline=None)
@given(
    streams((MessageKind.CALL, MessageKind.CALL, MessageKind.ONEWAY)),
    st.sampled_from(DIALECTS),
    st.integers(0, 6),
    st.sets(st.sampled_from((0, 1, 2))),
    st.integers(0, 9),
)
def test_requests_are_taken_alike(data: bytes, dialect: Dialect, room: int, busy: set[int], start: int) -> None:
    """Whatever comes, in either dialect, with ids in flight, and with little room. Where a loop stops, the next message
    is learnt, so that both go on."""
    outcomes = []
    for known in both_requests(dialect):
        active: dict[int, Any] = {seqid: None for seqid in busy}
        taken: list[Request] = []
        stops = [known.take(data, min(start, len(data)), 5.0, active, room, taken.append)]
        known.expect(dialect is not Dialect.FRAMED_BINARY)
        stops.append(known.take(data, stops[0], 6.0, active, room, taken.append))
        known.forgo()
        stops.append(known.take(data, 0, 7.0, active, 99, taken.append))
        outcomes.append((stops, list(active), [plainly(one) for one in taken], {type(one) for one in taken}))
    assert outcomes[0] == outcomes[1]


@settings(max_examples=150, deadline=None)
@given(
    streams((MessageKind.REPLY, MessageKind.REPLY, MessageKind.EXCEPTION)),
    st.dictionaries(st.sampled_from((0, 1, 2, 3, 0x7FFFFFFF)), st.sampled_from(NAMES)),
    st.integers(0, 9),
)
def test_replies_are_taken_alike(data: bytes, called: dict[int, bytes], flushed: int) -> None:
    """Whatever comes, and whatever was called."""
    outcomes = []
    for known in both_replies():
        pending = {call_id: (f"token {call_id}", 9.0, call_id % 12, 0, name) for call_id, name in called.items()}
        taken: list[tuple[Any, Reply]] = []
        stop = known.take(data, 0, pending, flushed, taken.append)
        outcomes.append((stop, list(pending), [(token, type(one), plainly(one)) for token, one in taken]))
    assert outcomes[0] == outcomes[1]


@BOTH
@pytest.mark.parametrize("dialect", DIALECTS)
def test_loop_takes_all_that_is_known_to_the_end_of_the_bytes(pure: bool, dialect: Dialect) -> None:
    """Names of different lengths between each other, as many as there is room for, each id once; what a loop leaves
    is taken when nothing hinders it any more."""
    known = both_requests(dialect)[0 if pure else 1]
    frames = [message(name, n, bytes((8, n, 0)), dialect=dialect) for n, name in enumerate(NAMES[:-1] * 2)]
    data, ends = b"".join(frames), [len(b"".join(frames[:n])) for n in range(len(frames) + 1)]
    active: dict[int, Any] = {5: None}
    taken: list[Request] = []
    assert known.take(data, 0, 5.0, active, 3, taken.append) == ends[2], "no room"
    assert known.take(data, ends[2], 6.0, active, 99, taken.append) == ends[5], "an id in flight"
    del active[5]
    assert known.take(data, ends[5], 7.0, active, 99, taken.append) == ends[-1] == len(data)
    assert [(one.name, one.seqid, one.frame[one.offset :]) for one in taken] == [
        (name, n, bytes((8, n, 0))) for n, name in enumerate(NAMES[:-1] * 2)
    ]
    assert [one.received_at for one in taken] == [5.0] * 2 + [6.0] * 3 + [7.0] * 3
    assert {one.dialect for one in taken} == {dialect} and list(active.values()) == taken
    known.expect(None)
    assert known.take(message(b"known", 50, dialect=dialect), 0, 8.0, active, 99, taken.append) == 0


@BOTH
def test_whatever_is_called_for_a_message_may_change_everything(pure: bool) -> None:
    """It may learn, forgo, or raise; what was taken before is taken."""
    known = machines(pure).fast_path.KnownRequests(LIMITS)
    frame = message(b"known", 1)
    learn(known, frame, MessageKind.CALL)
    data = frame + message(b"known", 2) + message(b"known", 3)
    active: dict[int, Any] = {}

    def add(request: Request) -> None:
        SHAPES.requests.clear()
        known.__init__(LIMITS)  # so that what was found last is not kept
        gc.collect()
        if request.seqid == 2:
            raise KeyError(request.seqid)
        learn(known, frame, MessageKind.CALL)

    with pytest.raises(KeyError, match="2"):
        known.take(data, 0, 1.0, active, 9, add)
    assert list(active) == [1, 2]


def test_compiled_loops_refuse_what_would_harm_them() -> None:
    """Wrong types, wrong numbers of arguments, and use before they are made."""
    fast_path = machines(False).fast_path
    requests, replies = fast_path.KnownRequests(LIMITS), fast_path.KnownReplies(LIMITS)
    raw = fast_path.KnownRequests.__new__(fast_path.KnownRequests), fast_path.KnownReplies.__new__(
        fast_path.KnownReplies
    )
    calls: list[tuple[Callable[..., int], tuple[Any, ...]]] = [
        (requests.take, (bytearray(b"x"), 0, 0.0, {}, 1, print)),
        (requests.take, (b"x", 0, 0.0, [], 1, print)),
        (requests.take, (b"x", "0", 0.0, {}, 1, print)),
        (requests.take, ()),
        (raw[0].take, (b"x", 0, 0.0, {}, 1, print)),
        (replies.take, (bytearray(b"x"), 0, {}, 1, print)),
        (replies.take, (b"x", 0, {}, "1", print)),
        (raw[1].take, (b"x", 0, {}, 1, print)),
        (super(fast_path.KnownRequests, requests).__init__, (SHAPES, "1")),
        (super(fast_path.KnownReplies, replies).__init__, ((), 1)),
    ]
    for call, args in calls:
        with pytest.raises(TypeError):
            call(*args)
    for take, args in ((requests.take, (b"x", -1, 0.0, {}, 1, print)), (replies.take, (b"x", -1, {}, 1, print))):
        with pytest.raises(ValueError, match="a start before the bytes"):
            take(*args)


@BOTH
def test_nothing_is_kept_of_what_was_taken(pure: bool) -> None:
    """Ten thousand messages later as much is held as before, also of those that were left."""
    requests, replies = (both[0 if pure else 1] for both in (both_requests(Dialect.HEADER_BINARY), both_replies()))
    data = b"".join(message(name, n, headers=HEADERS[n % 4]) for n, name in enumerate(NAMES * 4))
    answers = b"".join(message(name, n, kind=MessageKind.REPLY) for n, name in enumerate(NAMES[:4]))
    token = object()

    def work() -> None:
        for _ in range(500):
            active: dict[int, Request] = {}
            ready: list[Request] = []
            stop = requests.take(data, 0, 1.0, active, 99, ready.append)
            stop = requests.take(data, stop + 40, 1.0, active, 99, ready.append)
            pending: dict[int, PendingCall] = {n: (token, 9.0, n, 0, name) for n, name in enumerate(NAMES[:4])}
            assert replies.take(answers, 0, pending, 9, [].append) == len(answers) and not pending

    def held() -> tuple[int, int]:
        gc.collect()
        return tracemalloc.get_traced_memory()[0], sum(map(sys.getrefcount, (Request, Reply, token, data, NAMES[1])))

    tracemalloc.start()
    try:
        work()
        before = held()
        for _ in range(5):
            work()
        after = held()
    finally:
        tracemalloc.stop()
    assert after[0] - before[0] < 10_000 and abs(after[1] - before[1]) < 10


def test_pure_and_compiled_have_the_same_attributes() -> None:
    """Which of them is in use shows nowhere but in the time that it takes."""
    pure, chosen = machines(True).taking, machines(False).taking
    for name in ("RequestTaker", "ReplyTaker"):
        one, other = getattr(pure, name), getattr(chosen, name)
        assert one.__module__ == "zkrpc.wire.taking" and other.__module__ == "zkrpc.wire._compiled"
        assert {it for it in dir(one) if it[0] != "_"} == {it for it in dir(other) if it[0] != "_"}
