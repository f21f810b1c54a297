"""Requests that look like earlier ones: what is taken without being parsed, and what is left."""

from __future__ import annotations

from typing import Any

import pytest

from tests.wire.peers import message
from zkrpc.config import WireLimits
from zkrpc.wire.envelope import MessageKind, read_envelope
from zkrpc.wire.known import KnownRequests
from zkrpc.wire.message import Dialect, Request, open_frame

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

    def learn(self, frame: bytes) -> None:
        opening = open_frame(frame[4:], LIMITS)
        kind, name, _, offset = read_envelope(opening.dialect.payload, opening.frame, opening.offset)
        self.known.learn(opening, offset, name, MessageKind(kind), opening.headers)

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
