"""The hot part of an attempt: the compiled one and its twin in Python do the same, whatever they meet."""

from __future__ import annotations

import functools
import gc
import sys
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.balancing.load import Load
from zkrpc.call import Call
from zkrpc.client.attempting import Attempting, PureAttempting, first_try, pure_first_try
from zkrpc.codec import Payload
from zkrpc.config import BreakerConfig
from zkrpc.deadline import Deadline
from zkrpc.errors import ConnectionLost, RemoteProtocolError
from zkrpc.policies.breaker import Breaker
from zkrpc.policies.retry import go_on_after
from zkrpc.telemetry.recording import MOST, Recording
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Dialect, Reply

KINDS = list(dict.fromkeys([PureAttempting, Attempting]))


class Declared(Exception):
    """What the IDL declares."""


class Killed(BaseException):
    """What a greenlet may be ended by."""


def raised(it: Any) -> Any:
    """Gives a value, or raises it."""
    if isinstance(it, BaseException):
        raise it.with_traceback(None)
    return it


def reply(kind: MessageKind, dialect: Dialect = Dialect.HEADER_BINARY) -> Reply:
    """An answer of a kind."""
    return Reply(kind, {}, b"frame", 2, dialect)


class World:
    """Channel, router, subchannel, connection and method, playing by script; and what was asked of them."""

    def __init__(self, script: dict[str, Any]) -> None:
        self.script = script
        self.log: list[Any] = []
        self.now = 10.0
        self.payload = script.get("payload", Payload.BINARY)
        self.load = Load()
        self.breaker = Breaker(BreakerConfig(), rng=lambda: 0.5, now=0.0)
        self.breaker.troubled = script.get("troubled", False)
        self.endpoint = "there"
        self.subchannel = self
        self.ready = self if script.get("ready", True) else None
        self.names = {self: b"renamed"} if script.get("named", False) else None
        self.wire_name = b"get"

    def clock(self) -> float:
        self.now += 0.25
        return self.now

    def pick(self, call: Call, now: float) -> World:
        self.log.append(("pick", now))
        raised(self.script.get("pick"))
        return self

    def acquire(self, deadline_at: float) -> World:
        self.log.append(("acquire", deadline_at))
        raised(self.script.get("acquired"))
        return self

    def release(self, connection: World) -> None:
        self.log.append("release")

    def encode_arguments(self, bound: Any, payload: Payload) -> Any:
        self.log.append(("encode", bound, payload))
        return raised(self.script.get("body", b"body"))

    def call(self, *what: Any) -> Any:
        self.log.append(("call", *what))
        return raised(self.script.get("reply", reply(MessageKind.REPLY)))

    @property
    def attempt_read(self) -> Any:
        """As of what is compiled, where the script has it."""
        return self._attempt if "attempted" in self.script else None

    def _attempt(self, buffer: bytes, offset: int, is_compact: bool, most: int) -> Any:
        if self.script["attempted"] is not None:
            payload = Payload.COMPACT if is_compact else Payload.BINARY
            self.log.append(("read", buffer, offset, payload, most))
        return raised(self.script["attempted"])

    def read_result(self, *what: Any) -> Any:
        self.log.append(("read", *what))
        attempted = self.script.get("attempted")
        return raised(self.script.get("value", "value") if attempted is None else attempted)

    def receive_success(self, member: World, now: float) -> None:
        self.log.append(("success", now))


def attempt(kind: Any, world: World) -> tuple[Any, Recording | None]:
    """An attempt of one kind in a world, and its recording."""

    class Tested(kind):  # type: ignore[misc]  # either
        __slots__ = ()

        def _out_of_time(self, call: Call) -> Exception:
            return TimeoutError("out of time")

        def _worded(self, method: Any, bound: Any, payload: Payload) -> bytes:
            world.log.append(("worded", bound, payload))
            return bytes(raised(world.script.get("worded", b"after all")))

        def _with_attempt(self, headers: Any, attempt: int) -> Any:
            return {"attempt": attempt, "before": headers}

        def _learn_epoch(self, call: Call, it: Reply) -> None:
            world.log.append(("epoch", it.kind))

        def _failed(self, call: Call, member: World, error: BaseException, began: float) -> None:
            member.load.fail(1.0, world.now)
            world.log.append(("failed", type(error), began))

        def _failure(self, call: Call, member: World, it: Reply, began: float) -> Exception:
            member.load.fail(1.0, world.now)
            return ConnectionLost(f"{it.kind} {began}", executed=None)  # type: ignore[arg-type]

        def _misread(self, call: Call, member: World, error: BaseException, began: float) -> BaseException:
            member.load.fail(1.0, world.now)
            return ValueError("unreadable") if isinstance(error, RemoteProtocolError) else error

    it = Tested()
    it._channel = it._router = world
    it._clock, it._max_elements = world.clock, 99
    recording = Recording([], world.script.get("urgent", 5.0), lambda number: None)
    it._recording = recording if world.script.get("records", True) else None
    return it, it._recording


def make(world: World, script: dict[str, Any]) -> Call:
    """A call as the script has it."""
    call = Call("get", "bound", Deadline(script.get("until", 50.0)), descriptor=world, began=9.0)
    call.attempt = script.get("attempt", 1)
    call.route = script.get("route")
    call.headers = script.get("headers")
    call.encoded = script.get("encoded")
    return call


def run(it: Any, call: Call) -> Any:
    """What it returned or raised."""
    try:
        return it.run(call)
    except BaseException as error:
        return type(error), str(error)


SCRIPTS = st.fixed_dictionaries(
    {},
    optional={
        "until": st.sampled_from([10.25, 10.3, 50.0]),
        "attempt": st.integers(1, 3),
        "route": st.sampled_from([None, "route"]),
        "headers": st.sampled_from([None, {"a": "b"}]),
        "encoded": st.sampled_from([None, b"before"]),
        "payload": st.sampled_from([Payload.BINARY, Payload.COMPACT]),
        "troubled": st.booleans(),
        "ready": st.booleans(),
        "named": st.booleans(),
        "records": st.booleans(),
        "urgent": st.sampled_from([0.1, 5.0]),
        "pick": st.sampled_from([None, ConnectionLost("nobody")]),
        "acquired": st.sampled_from([None, ConnectionLost("down"), Killed()]),
        "body": st.sampled_from([b"body", TypeError("misfit"), ValueError("odd")]),
        "worded": st.sampled_from([b"after all", TypeError("worded")]),
        "reply": st.sampled_from(
            [
                None,
                reply(MessageKind.REPLY),
                reply(MessageKind.REPLY, Dialect.HEADER_COMPACT),
                reply(MessageKind.EXCEPTION),
                ConnectionLost("gone"),
                Killed(),
            ]
        ),
        "attempted": st.sampled_from([None, "value", Declared("no"), Killed()]),
        "value": st.sampled_from(["value", None, Declared("no"), RemoteProtocolError("garbage"), Killed()]),
    },
)


@given(SCRIPTS)
def test_both_kinds_do_the_same(script: dict[str, Any]) -> None:
    """The same answers and errors, the same bookkeeping, and the same asked of others in the same order."""
    seen = []
    for kind in KINDS:
        world = World(script)
        it, recording = attempt(kind, world)
        call = make(world, script)
        found = run(it, call)
        noted = None if recording is None else list(recording.seconds)
        log = [[one is world or one for one in step] if isinstance(step, tuple) else step for step in world.log]
        counted = (world.load.pending, world.load.cost(world.now), world.breaker.successes, call.endpoint)
        seen.append((found, log, counted, noted))
    assert all(one == seen[0] for one in seen)
    assert seen[0][2][0] == 0


@pytest.mark.parametrize("kind", KINDS)
def test_recording_is_settled_when_it_is_full(kind: Any) -> None:
    """So its memory is bounded."""
    world = World({})
    it, recording = attempt(kind, world)
    assert recording is not None
    for _ in range(MOST + 5):
        world.now = 10.0
        assert it.run(make(world, {})) == "value"
    assert len(recording.seconds) == 5


@pytest.mark.parametrize("kind", dict.fromkeys([first_try, pure_first_try]))
def test_first_try_leaves_what_follows_to_others(kind: Any) -> None:
    """It counts and makes the attempt; after an error it asks."""
    call, asked = Call("get", "bound", Deadline(1.0)), []

    def go_on(call: Call, error: BaseException) -> str:
        asked.append((call.attempt, str(error)))
        return "in the end"

    assert kind(lambda call: f"attempt {call.attempt}", go_on)(call) == "attempt 1"
    assert kind(lambda call: raised(Killed("now")), go_on)(call) == "in the end"
    assert asked == [(2, "now")]
    for arguments in ((), (call, call)):
        with pytest.raises(TypeError):
            kind(str, go_on)(*arguments)


def test_what_follows_a_first_attempt_is_what_retries_would_have_done() -> None:
    """They see the error as that of an attempt of their own, and make the next ones."""
    call = Call("get", "bound", Deadline(1.0))
    call.attempt = 1

    def retry(call: Call, proceed: Any) -> Any:
        seen = []
        for _ in range(2):
            call.attempt += 1
            try:
                seen.append((call.attempt, proceed(call)))
            except ConnectionLost as error:
                seen.append((call.attempt, error.args[0]))
        return seen

    assert go_on_after(retry, lambda call: "value", call, ConnectionLost("gone")) == [(1, "gone"), (2, "value")]


def test_error_after_a_first_attempt_is_in_no_circle() -> None:
    """It goes when its caller forgets it, and with it the reply."""

    def retry(call: Call, proceed: Any) -> Any:
        return proceed(call)

    gc.collect()
    gc.disable()
    try:
        error = ConnectionLost("gone")
        with pytest.raises(ConnectionLost) as caught:
            go_on_after(retry, str, Call("get", "bound", Deadline(1.0)), error)
        del caught
        assert sys.getrefcount(error) == 2
    finally:
        gc.enable()


@pytest.mark.parametrize("kind", KINDS)
def test_nothing_leaks(kind: Any) -> None:
    """Attempts again and again, with every kind of end."""
    ends: list[dict[str, Any]] = [
        {},
        {"ready": False, "named": True, "attempt": 2, "route": "route"},
        {"body": TypeError("misfit"), "worded": TypeError("worded")},
        {"reply": ConnectionLost("gone")},
        {"ready": False, "reply": Killed()},
        {"reply": reply(MessageKind.EXCEPTION)},
        {"value": RemoteProtocolError("garbage")},
        {"value": Declared("no")},
        {"pick": ConnectionLost("nobody")},
        {"until": 1.0},
    ]
    some = [(World(script), script) for script in ends]
    its = [(attempt(kind, world)[0], world, script) for world, script in some]
    fixed = [
        kind,
        Call,
        Load,
        Payload.BINARY,
        *(world for world, _ in some),
        *(script["reply"] for script in ends if "reply" in script),
    ]

    def work() -> None:
        for it, world, script in its:
            for _ in range(100):
                world.now = 10.0
                run(it, make(world, script))
                world.log.clear()

    work()
    gc.collect()
    before = list(map(sys.getrefcount, fixed))
    for _ in range(10):
        work()
    gc.collect()
    assert all(abs(one - other) < 10 for one, other in zip(before, map(sys.getrefcount, fixed), strict=True))


@pytest.mark.parametrize("kind", KINDS)
def test_odd_call_is_an_error(kind: Any) -> None:
    """And nothing worse."""
    it, _ = attempt(kind, World({}))
    odd: list[Any] = [SimpleNamespace(deadline=None), SimpleNamespace(deadline=SimpleNamespace()), None]
    for call in odd:
        with pytest.raises((TypeError, AttributeError)):
            it.run(call)


@pytest.mark.parametrize("kind", KINDS)
def test_circle_is_collected(kind: Any) -> None:
    """A stack that knows itself does not stay."""
    it, _ = attempt(kind, World({}))
    it._channel = functools.partial(print, it)
    gc.collect()
    del it
    assert gc.collect() > 0
