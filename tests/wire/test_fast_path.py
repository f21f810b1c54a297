"""Requests and replies that look like earlier ones: what is taken without being parsed, and what is left."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.wire_frames import message
from zkrpc.config import WireLimits
from zkrpc.wire.envelope import MessageKind, read_envelope
from zkrpc.wire.fast_path import KnownReplies, KnownRequests
from zkrpc.wire.message import Dialect, PendingCall, Reply, Request, Template, open_frame, shapes_of

LIMITS = WireLimits()
BOTH = pytest.mark.parametrize("dialect", [Dialect.HEADER_BINARY, Dialect.FRAMED_BINARY])


class Scene:
    """One connection's comparer that has seen one call of ``known``, and where it puts requests."""

    def __init__(self, dialect: Dialect) -> None:
        self.known = KnownRequests(LIMITS)
        self.dialect = dialect
        self.active: dict[int, Request] = {}
        self.taken: list[Request] = []
        self.room = 100
        self.learn(self.frame(b"known", 1))

    def frame(self, name: bytes, seqid: int, body: bytes = b"\x00", **options: Any) -> bytes:
        return message(name, seqid, body, dialect=self.dialect, **options)

    def learn(self, frame: bytes) -> Template | None:
        opening = open_frame(frame[4:], LIMITS)
        kind, name, _, offset = read_envelope(opening.dialect.payload, opening.frame, opening.offset)
        return self.known.learn(opening, offset, name, MessageKind(kind), opening.headers)

    def take(self, data: bytes, start: int = 0) -> int:
        return self.known.take(data, start, 5.0, self.active, self.room, self.taken.append)


@BOTH
def test_known_requests_are_taken_until_something_else_comes(dialect: Dialect) -> None:
    """Names, ids, bodies and the time are right, wherever in the read they stand."""
    scene = Scene(dialect)
    good = scene.frame(b"known", 7, b"\x08\0\1\0\0\0\5\0") + scene.frame(b"known", 8)
    data = b"skipped" + good + scene.frame(b"other", 9)
    assert scene.take(data, 7) == 7 + len(good)
    assert [(one.name, one.seqid, one.frame[one.offset :], one.received_at) for one in scene.taken] == [
        (b"known", 7, b"\x08\0\1\0\0\0\5\0", 5.0),
        (b"known", 8, b"\0", 5.0),
    ]
    assert scene.active == {one.seqid: one for one in scene.taken}
    scene.learn(scene.frame(b"other", 9))
    assert scene.take(data, 7 + len(good)) == len(data)
    assert all(one.template is not None for one in scene.taken)


@BOTH
def test_known_request_that_is_a_whole_read_is_not_copied(dialect: Dialect) -> None:
    """Its struct still ends where the bytes do."""
    scene = Scene(dialect)
    data = scene.frame(b"known", 7, b"\x08\0\1\0\0\0\5\0")
    assert scene.take(data) == len(data)
    assert scene.taken[0].frame is data and data[scene.taken[0].offset :] == b"\x08\0\1\0\0\0\5\0"


@BOTH
def test_requests_that_need_a_closer_look_are_left(dialect: Dialect) -> None:
    """An id in flight, no room, a frame that is cut off, nothing at all."""
    scene = Scene(dialect)
    data = scene.frame(b"known", 7)
    for cut in (1, 3, 11, 20, len(data) - 1):
        assert scene.take(data[:cut]) == 0
    scene.room = 0
    assert scene.take(data) == 0
    scene.room = 100
    assert scene.take(b"") == 0
    assert scene.take(data) == len(data)
    assert scene.take(data) == 0
    assert len(scene.taken) == 1


@BOTH
def test_large_requests_are_left(dialect: Dialect) -> None:
    """Somebody must look what they weigh."""
    scene = Scene(dialect)
    assert scene.take(scene.frame(b"known", 7, bytes(200_000))) == 0


@BOTH
def test_length_that_leaves_no_body_is_left(dialect: Dialect) -> None:
    """It ends in the middle of what makes it known."""
    scene = Scene(dialect)
    data = scene.frame(b"known", 7)
    assert scene.take((len(data) - 6).to_bytes(4, "big") + data[4:]) == 0


def test_oneway_messages_have_no_reply_to_be_prepared() -> None:
    """And are taken like calls."""
    for dialect in (Dialect.HEADER_BINARY, Dialect.FRAMED_BINARY):
        scene = Scene(dialect)
        frame = scene.frame(b"note", 3, kind=MessageKind.ONEWAY)
        scene.learn(frame)
        assert scene.take(frame) == len(frame)
        assert scene.taken[0].template is None and scene.taken[0].kind is MessageKind.ONEWAY


def test_names_too_long_to_remember_are_left() -> None:
    """A peer cannot fill the memory with them."""
    for dialect in (Dialect.HEADER_BINARY, Dialect.FRAMED_BINARY):
        scene = Scene(dialect)
        frame = scene.frame(b"n" * 600, 3)
        scene.learn(frame)
        assert scene.take(frame) == 0


def test_peer_may_change_its_dialect() -> None:
    """The last one it spoke is the one that is tried."""
    scene = Scene(Dialect.HEADER_BINARY)
    plain = message(b"known", 4, b"\0", dialect=Dialect.FRAMED_BINARY)
    assert scene.take(plain) == 0
    scene.learn(plain)
    assert scene.take(plain) == len(plain)
    assert scene.take(scene.frame(b"known", 5)) == 0


@BOTH
def test_nothing_is_taken_any_more_once_the_fast_path_is_forgone(dialect: Dialect) -> None:
    """Where requests mean what earlier ones made of them, each has to be read."""
    scene = Scene(dialect)
    data = scene.frame(b"known", 7)
    assert scene.take(data) == len(data)
    scene.known.forgo()
    assert scene.take(scene.frame(b"known", 8)) == 0
    assert scene.take(b"skipped" + data, 7) == 7
    assert [one.seqid for one in scene.taken] == [7]


@BOTH
def test_requests_for_built_in_services_are_never_known(dialect: Dialect) -> None:
    """They are answered elsewhere, and found by being read."""
    scene = Scene(dialect)
    frame = scene.frame(b"zkrpc.Health:check", 7)
    for _ in range(2):
        assert scene.learn(frame) is None
        assert scene.take(frame) == 0


def test_requests_that_set_headers_for_later_ones_are_never_known() -> None:
    """Their bytes alone do not say what they mean."""
    scene = Scene(Dialect.HEADER_BINARY)
    frame = scene.frame(b"lasting", 7, headers={"k": "v"})
    opening = open_frame(frame[4:], LIMITS)
    _, name, _, offset = opening.envelope()
    lasting = opening._replace(persistent={"k": "v"})
    assert scene.known.learn(lasting, offset, name, MessageKind.CALL, opening.headers) is None
    assert scene.take(frame) == 0
    assert scene.known.learn(opening, offset, name, MessageKind.CALL, opening.headers) is not None
    assert scene.take(frame) == len(frame)


class Client:
    """One connection's comparer that has seen one reply to ``known``, and the calls that wait for theirs."""

    def __init__(self, max_frame: int = LIMITS.max_frame) -> None:
        self.limits = WireLimits(max_frame=max_frame)
        self.known = KnownReplies(self.limits)
        self.pending: dict[int, PendingCall] = {}
        self.flushed = 100
        self.taken: list[tuple[Any, Reply]] = []
        self.learn(self.frame(b"known", 1))

    def call(self, *call_ids: int, name: bytes = b"known") -> None:
        for call_id in call_ids:
            self.pending[call_id] = (f"token {call_id}", 9.0, call_id, 0, name)

    def frame(self, name: bytes, seqid: int, body: bytes = b"\x00", **options: Any) -> bytes:
        return message(name, seqid, body, **{"kind": MessageKind.REPLY, **options})

    def learn(self, frame: bytes) -> None:
        opening = open_frame(frame[4:], self.limits)
        kind, name, _, offset = read_envelope(opening.dialect.payload, opening.frame, opening.offset)
        self.known.learn(opening, offset, MessageKind(kind), name)

    def take(self, data: bytes, start: int = 0) -> int:
        return self.known.take(data, start, self.pending, self.flushed, self.taken.append)


def test_known_replies_are_taken_until_something_else_comes() -> None:
    """Each with its call's token, its kind, headers and body, wherever in the read it stands; its call is done."""
    client = Client()
    client.call(7, 8, 9)
    client.call(10, name=b"unseen")
    headers = {"zkrpc-epoch": "4"}
    client.learn(client.frame(b"known", 1, headers=headers))
    good = client.frame(b"known", 8, b"\x08\0\0\0\0\0\5\0") + client.frame(b"known", 7, headers=headers)
    data = b"skipped" + good + client.frame(b"unseen", 10)
    assert client.take(data, 7) == 7 + len(good)
    assert [(token, one.kind, one.headers, one.frame[one.offset :], one.dialect) for token, one in client.taken] == [
        ("token 8", MessageKind.REPLY, {}, b"\x08\0\0\0\0\0\5\0", Dialect.HEADER_BINARY),
        ("token 7", MessageKind.REPLY, headers, b"\0", Dialect.HEADER_BINARY),
    ]
    assert list(client.pending) == [9, 10]
    client.learn(client.frame(b"unseen", 10))
    assert client.take(data, 7 + len(good)) == len(data)
    assert client.taken[-1][0] == "token 10" and list(client.pending) == [9]


def test_known_reply_that_is_a_whole_read_is_not_copied() -> None:
    """Its struct still ends where the bytes do."""
    client = Client()
    client.call(7)
    data = client.frame(b"known", 7, b"\x08\0\0\0\0\0\5\0")
    assert client.take(data) == len(data)
    reply = client.taken[0][1]
    assert reply.frame is data and data[reply.offset :] == b"\x08\0\0\0\0\0\5\0"


def test_replies_that_need_a_closer_look_are_left() -> None:
    """A frame that is cut off or has flags, nothing at all, a call that is not there, a second reply to one."""
    client = Client()
    data = client.frame(b"known", 7)
    assert client.take(data) == 0
    client.call(7)
    for cut in (0, 1, 3, 11, 20, len(data) - 1):
        assert client.take(data[:cut]) == 0
    assert client.take(client.frame(b"known", 7, flags=1)) == 0
    assert not client.taken and 7 in client.pending
    assert client.take(data) == len(data)
    assert client.take(data) == 0
    assert len(client.taken) == 1


def test_reply_to_a_call_that_has_not_left_is_left() -> None:
    """Nobody can have answered it; it stays until it has been sent."""
    client = Client()
    client.call(7)
    client.flushed = 6
    data = client.frame(b"known", 7)
    assert client.take(data) == 0 and 7 in client.pending
    client.flushed = 7
    assert client.take(data) == len(data) and not client.pending


def test_reply_that_repeats_another_name_is_left_but_an_exception_may() -> None:
    """A server that cannot read a call does not know what to repeat."""
    client = Client()
    client.call(7, name=b"mine")
    assert client.take(client.frame(b"known", 7)) == 0 and 7 in client.pending
    failure = client.frame(b"known", 7, kind=MessageKind.EXCEPTION)
    client.learn(failure)
    assert client.take(failure) == len(failure)
    assert client.taken[0][0] == "token 7" and client.taken[0][1].kind is MessageKind.EXCEPTION


def test_reply_is_taken_up_to_the_largest_frame() -> None:
    """One byte more, or a length that leaves no body, and somebody must look."""
    client = Client(max_frame=4096)
    client.call(7)
    room = 4096 - len(client.frame(b"known", 7, b"")) + 4
    assert client.take(client.frame(b"known", 7, bytes(room + 1))) == 0
    data = client.frame(b"known", 7, b"")
    assert client.take(data) == 0 and 7 in client.pending
    data = client.frame(b"known", 7, bytes(room))
    assert client.take(data) == len(data)


def test_replies_of_other_sizes_are_known_as_well() -> None:
    """Names of any length, in turns."""
    client = Client()
    client.learn(client.frame(b"known_too", 1))
    client.call(7, 9)
    client.call(8, name=b"known_too")
    data = client.frame(b"known", 7) + client.frame(b"known_too", 8) + client.frame(b"known", 9)
    assert client.take(data) == len(data)
    assert [token for token, _ in client.taken] == ["token 7", "token 8", "token 9"]


@pytest.mark.parametrize(
    "options", [{"name": b"n" * 600}, {"name": b"flagged", "flags": 1}, {"dialect": Dialect.HEADER_COMPACT}]
)
def test_replies_not_worth_remembering_are_left(options: dict[str, Any]) -> None:
    """Long ones, as a peer must not fill the memory with them, and those that no shape describes."""
    client = Client()
    frame = client.frame(**{"name": b"rare", "seqid": 7, **options})
    client.call(7, name=options.get("name", b"rare"))
    shapes = shapes_of(client.limits.max_header, client.limits.max_header_entries).replies
    before = dict(shapes)
    client.learn(frame)
    assert shapes == before
    assert client.take(frame) == 0 and 7 in client.pending


PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-0"
ENTRY = "\x0btraceparent7"


@pytest.mark.parametrize(
    "headers",
    [
        {"traceparent": PARENT + "1"},
        {"tracestate": "a=b", "Deadline-Budget": "500", "traceparent": PARENT + "1"},
        {"traceparent": PARENT, "k": "v"},
        {"traceparent": PARENT + "\udcff", "k": "\udcfe"},
        {"k": ENTRY + PARENT + "1", "traceparent": PARENT + "1"},
        {"k": ENTRY + "x" * 90, "traceparent": PARENT + "1"},
        {"traceparent": PARENT + "1", "xtraceparent": PARENT + "2"},
        {ENTRY + PARENT: "v"},
        {"k": ENTRY},
    ],
)
def test_request_with_a_trace_is_read_as_any_other(headers: dict[str, str]) -> None:
    """The first time and later ones, with the same text and with others; text that looks like one is not taken for
    it. Whatever the fast path leaves is read by the slow one."""
    scene = Scene(Dialect.HEADER_BINARY)
    for number, digits in enumerate(("4b", "4b", "77", "ff")):
        given = {key: value.replace("4b", digits) for key, value in headers.items()}
        data = scene.frame(b"traced", 10 + number, headers=given)
        if scene.take(data) != len(data):
            opening = open_frame(data[4:], LIMITS)
            assert opening.headers == given
            scene.learn(data)
        else:
            assert scene.taken[-1].headers == given and scene.taken[-1].name == b"traced"
            assert scene.taken[-1].template is not None


def test_requests_with_a_trace_are_known_by_all_but_its_text() -> None:
    """From the second one on, between others; a method or a header more is another shape."""
    scene = Scene(Dialect.HEADER_BINARY)
    scene.learn(scene.frame(b"traced", 2, headers={"traceparent": PARENT + "1", "k": "v"}))
    traced = [scene.frame(b"traced", 3 + n, headers={"traceparent": f"{PARENT[:-1]}{n}1", "k": "v"}) for n in range(3)]
    plain = scene.frame(b"known", 50)
    data = traced[0] + plain + traced[1] + traced[2]
    assert scene.take(data) == len(data)
    assert [one.headers.get("traceparent", "")[-2:] for one in scene.taken] == ["01", "", "11", "21"]
    assert [one.headers.get("k") for one in scene.taken] == ["v", None, "v", "v"]
    for name, headers in ((b"others", {"k": "v"}), (b"traced", {"k": "w"}), (b"traced", {"k": "v", "l": "v"})):
        assert scene.take(scene.frame(name, 60, headers={"traceparent": PARENT + "1", **headers})) == 0


def test_only_so_many_shapes_with_a_trace_are_remembered() -> None:
    """Whatever else a peer puts into them."""
    limits = WireLimits(max_header_entries=77)
    known = KnownRequests(limits)
    for number in range(2100):
        data = message(b"m", 1, headers={"traceparent": PARENT + "1", "k": str(number)}, dialect=Dialect.HEADER_BINARY)
        opening = open_frame(data[4:], limits)
        kind, name, _, offset = opening.envelope()
        known.learn(opening, offset, name, MessageKind(kind), opening.headers)
    assert 0 < len(shapes_of(limits.max_header, 77).traced_requests) <= 2048
