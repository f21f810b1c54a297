"""The hot part of a connection: the compiled one and its twin in Python do the same, whatever they meet."""

from __future__ import annotations

import gc
import sys
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.client.exchange import FRESH, Exchange, PureExchange
from zkrpc.client.waiting import Alarm, Waiter
from zkrpc.errors import ConnectionLost, LocalProtocolError

KINDS = list(dict.fromkeys([PureExchange, Exchange]))


class Nothing(BaseException):
    """What a greenlet may be ended by."""


OUTCOMES = [None, "reply", ConnectionLost("lost"), Nothing()]


def raised(it: Any) -> Any:
    """Gives a value, or raises it."""
    if isinstance(it, BaseException):
        raise it.with_traceback(None)
    return it


class World:
    """All that a connection uses, playing by script: loop, clock, wire machine, outbox; and what was asked of it."""

    def __init__(self, script: dict[str, Any]) -> None:
        self.script = script
        self.log: list[Any] = []
        self.moments = iter(range(1, 1000))
        self.accepts = script.get("accepts", True)
        self.wanted = script.get("wanted", 0)

    @property
    def unsent(self) -> bytes:
        return bytes(self.script.get("unsent", 0))

    def clock(self) -> float:
        return next(self.moments) * float(self.script.get("step", FRESH / 4))

    def send_call(self, name: bytes, body: bytes, token: Waiter, **options: Any) -> int:
        self.log.append(("send", name, body, token.movable, options))
        self.waiter = token
        return int(raised(self.script.get("sent", 7)))

    def switch(self, *reply: Any) -> Any:
        self.log.append(("switch", reply))
        if self.script.get("ends", True):
            self.waiter.greenlet = None
        return raised(self.script.get("outcome", "reply"))

    def data_to_send(self) -> bytes:
        return bytes(self.script.get("chunk", b""))

    def push(self, chunk: bytes) -> bool:
        try:
            sent = self.send(chunk)
        except OSError as error:
            sent = self.receive_failure(error)
        if sent < len(chunk):
            self.keep(chunk, sent)
        return sent == len(chunk)

    def send(self, chunk: bytes) -> int:
        self.log.append(("send", chunk))
        return int(raised(self.script.get("taken", len(chunk))))

    def receive_failure(self, error: OSError) -> int:
        self.log.append(("failure", type(error)))
        return 0

    def keep(self, chunk: bytes, sent: int) -> None:
        self.log.append(("keep", chunk, sent))

    def keep_backlog(self, chunk: bytes) -> None:
        self.log.append(("backlog", chunk))

    def recv(self, size: int) -> bytes:
        self.log.append(("recv", size))
        return bytes(raised(self.script.get("came", b"x")))

    def receive_data(self, data: bytes, now: float) -> list[tuple[Waiter, Any]]:
        self.log.append(("data", data, round(now, 6)))
        return [(Waiter(self if one else None, False), one) for one in self.script.get("replies", ())]

    def handle_error(self, *what: Any) -> None:
        self.log.append(("error", what[1]))

    def set(self) -> None:
        self.log.append("heard")


def exchange(kind: Any, world: World, **state: Any) -> Any:
    """A connection of one kind in a world."""

    class Tested(kind):  # type: ignore[misc]  # either
        __slots__ = ()

        def _note(self, *what: Any) -> None:
            world.log.append(what)

        def flush_soon(self) -> None:
            self._note("flush soon")

        def _send_oneway(self, *what: Any) -> None:
            self._note("oneway", *what)

        def _refused(self, error: LocalProtocolError, *what: Any) -> str:
            self._note("refused", str(error), *what)
            return "at last"

        def _forget(self, call_id: int) -> None:
            self._note("forget", call_id)

        def _unread(self, error: OSError) -> None:
            self._note("unread", type(error))

        def _break(self, reason: str | None, unsent: float = 0) -> None:
            self._note("break", reason, unsent)

        def _read_on(self, replies: Any) -> None:
            self._note("read on", len(replies))
            raised(world.script.get("more"))

        def _look(self) -> None:
            self._note("look")
            self.closed = bool(world.script.get("look closes", False))

        def _after_step(self) -> None:
            self._note("after step")

    made = Tested()
    alarm = Alarm(None, world.clock, lambda: None)
    alarm.at = world.script.get("rings", 99.0)
    made._alarm, made._clock, made._hub, made._outbox, made._protocol = alarm, world.clock, world, world, world
    made._recv, made._loop, made._heard = world.recv, None, world if state.pop("heard", False) else None
    made._looked_at = 0.0
    made.closed = made._closes_when_idle = made._flush_armed = made._sends_at_once = False
    for name, value in state.items():
        setattr(made, name, value)
    return made


def state_of(it: Any) -> list[Any]:
    """What may have changed."""
    flags = (it.closed, it._flush_armed, it._sends_at_once, it._closes_when_idle)
    return [*flags, round(it._looked_at, 6), it._heard is None, it._alarm.at]


def outcome_of(run: Any) -> Any:
    """What it returned or raised."""
    try:
        return run()
    except BaseException as error:
        return type(error)


SCRIPTS = st.fixed_dictionaries(
    {},
    optional={
        "accepts": st.booleans(),
        "wanted": st.integers(0, 2),
        "more": st.sampled_from([None, ValueError()]),
        "unsent": st.integers(0, 1),
        "step": st.sampled_from([FRESH / 4, FRESH * 2]),
        "sent": st.sampled_from([7, LocalProtocolError("closed"), ValueError("broken")]),
        "outcome": st.sampled_from(OUTCOMES),
        "ends": st.booleans(),
        "chunk": st.sampled_from([b"", b"abc"]),
        "taken": st.sampled_from([0, 2, BlockingIOError(), ConnectionResetError(), ValueError(), Nothing()]),
        "came": st.sampled_from([b"", b"xyz", BlockingIOError(), ConnectionResetError(), Nothing()]),
        "replies": st.lists(st.sampled_from([None, "one", "two"]), max_size=3),
        "look closes": st.booleans(),
    },
)
STATES = st.fixed_dictionaries(
    {},
    optional={
        name: st.booleans() for name in ("closed", "_flush_armed", "_sends_at_once", "_closes_when_idle", "heard")
    },
)
WORDS = st.sampled_from([{}, {"headers": {"a": "b"}}, {"movable": True}, {"oneway": True, "headers": None}])


@given(SCRIPTS, STATES, WORDS, st.sampled_from(["call", "_on_readable", "_read", "_flush", "_hand_out"]))
def test_both_kinds_do_the_same(script: dict[str, Any], state: dict[str, Any], words: Any, step: str) -> None:
    """The same answers and errors, the same state, and the same asked of others in the same order."""
    seen = []
    for kind in KINDS:
        world = World(script)
        it = exchange(kind, world, **state)
        world.waiter = Waiter(world, False)
        if step == "call":
            arguments: list[Any] = [b"name", b"body", 50.0]
        else:
            arguments = (
                [[(Waiter(world, False), one) for one in script.get("replies", ())]] if step == "_hand_out" else []
            )
        found = outcome_of(lambda: getattr(it, step)(*arguments, **(words if step == "call" else {})))
        if isinstance(found, list):
            found = [reply for _, reply in found]
        seen.append((found, world.log, state_of(it)))
    assert all(one == seen[0] for one in seen)


@pytest.mark.parametrize("kind", KINDS)
def test_fields_cannot_be_taken_away(kind: Any) -> None:
    """Or they are missed as attributes are."""
    it = exchange(kind, World({}))
    for name in ("_protocol", "_hub"):
        try:
            delattr(it, name)
        except AttributeError:
            continue
        with pytest.raises(AttributeError):
            getattr(it, name)


@pytest.mark.parametrize("kind", KINDS)
def test_call_needs_its_arguments(kind: Any) -> None:
    """As any function does."""
    it = exchange(kind, World({}))
    for arguments, words in [((), {}), ((b"n", b"b"), {}), ((b"n", b"b", 1.0), {"unknown": 1}), (range(9), {})]:
        with pytest.raises(TypeError):
            it.call(*arguments, **words)


@pytest.mark.parametrize("kind", KINDS)
def test_odd_replies_are_an_error(kind: Any) -> None:
    """And nothing worse."""
    it = exchange(kind, World({}))
    odd: list[Any] = [None, [None], [(1,)], [(1, 2)]]
    for replies in odd:
        with pytest.raises((TypeError, ValueError, AttributeError)):
            it._hand_out(replies)


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_leaks(kind: Any) -> None:
    """Calls and reads again and again, with every kind of end."""
    worlds = [
        World({"outcome": outcome, "ends": ends, "chunk": b"abc", "replies": ["one"]})
        for outcome in OUTCOMES
        for ends in (False, True)
    ]
    body = b"body" * 100
    its = [exchange(kind, world, _sends_at_once=True) for world in worlds]

    def work() -> None:
        for world, it in zip(worlds, its, strict=True):
            for _ in range(100):
                outcome_of(lambda: it.call(b"name", body, 50.0, headers=None))
                outcome_of(it._on_readable)
                world.log.clear()
                world.moments = iter(range(1, 1000))
                world.waiter = Waiter(world, False)

    work()
    gc.collect()
    before = [sys.getrefcount(it) for it in (body, Waiter, *worlds, *its)]
    for _ in range(15):
        work()
    gc.collect()
    after = [sys.getrefcount(it) for it in (body, Waiter, *worlds, *its)]
    assert all(abs(one - other) < 10 for one, other in zip(before, after, strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_circle_is_collected(kind: Any) -> None:
    """A connection that knows itself does not stay."""
    it = exchange(kind, World({}))
    it._hub = it
    gc.collect()
    del it
    assert gc.collect() > 0
