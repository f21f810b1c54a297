"""The compiled dispatcher beside the one in Python: whatever comes and whatever the handler does, both do the same."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from types import MappingProxyType
from typing import Any

import gevent
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fuzz.mutation import mutate
from zkrpc import current_call
from zkrpc.call import ServerCall
from zkrpc.callables import Kind
from zkrpc.caller import NOBODY, Caller
from zkrpc.codec import Payload
from zkrpc.errors import DeadlineExceeded, Draining, Executed, StaleEpoch
from zkrpc.idl import load_text
from zkrpc.server.compiled import IS_COMPILED, Core, make_table
from zkrpc.server.dispatch import Dispatcher, expires_at
from zkrpc.telemetry.recording import MOST, Recording
from zkrpc.wire.message import Dialect, MessageKind, Request

PEER = "10.0.0.1:5"
IDL = load_text("""
exception Oops { 1: string why }
service S {
  string echo(1: string text) throws (1: Oops oops),
  i64 add(1: i64 left, 2: i64 right = 5),
  void nothing(),
  list<i32> many(1: list<i32> numbers),
  oneway void note(1: string text),
}
""")
METHODS = IDL.S.methods
VALUES: dict[str, list[tuple[Any, ...]]] = {
    "echo": [("",), ("äöü" * 50,)],
    "add": [(1, 2), (-(2**63),)],
    "nothing": [()],
    "many": [(list(range(100)),), ([],)],
    "note": [("x",)],
}


class Strongest(BaseException):
    """What no ``except Exception`` stops."""


class Handler:
    """Does what ``script`` says, and remembers the calls that it saw."""

    def __init__(self) -> None:
        self.script: Any = None
        self.seen: list[tuple[Any, ...]] = []

    def _run(self, *arguments: Any) -> Any:
        call = current_call()
        assert call is not None
        self.seen.append((arguments, *fields_of(call)))
        if isinstance(self.script, BaseException):
            raise self.script
        return self.script

    echo = add = nothing = many = note = _run


def fields_of(call: ServerCall) -> tuple[Any, ...]:
    """All that a call holds, but the handler, which is compared by its name."""
    held = {name: getattr(call, name) for name in ServerCall.__slots__}
    held["handler"] = held["handler"].__name__
    return tuple(held.items())


class Bench:
    """A dispatcher, what its handler saw, and what it was told of failures and durations."""

    def __init__(self, interceptors: tuple[Any, ...] = (), **options: Any) -> None:
        self.handler, self.failures, self.handed, self.now = Handler(), [], [], 1.0  # type: ignore[var-annotated]
        self.recording = Recording([lambda: self.handed.extend], 0.5, pytest.fail)
        self.dispatcher = Dispatcher(
            IDL.S,
            self.handler,
            interceptors=interceptors,
            on_failure=lambda failure: self.failures.append(repr(failure._replace(handler=None))),
            clock=lambda: self.now,
            recordings=dict.fromkeys(METHODS, self.recording),
            **options,
        )

    def outcome(self, dispatch: Any, *args: Any) -> tuple[Any, ...]:
        """All that can be told of one request."""
        self.handler.seen.clear()
        self.failures.clear()
        try:
            ended = dispatch(*args)
        except BaseException as error:
            ended = repr(error)
        assert current_call() is None
        noted = [*self.recording.seconds, *self.handed]
        self.recording.seconds.clear()
        self.handed.clear()
        return ended, list(self.handler.seen), list(self.failures), noted


def revoke(call: ServerCall, proceed: Any) -> Any:
    """An interceptor that finds that the outcome does not count where the method is ``many``."""
    outcome = proceed(call)
    if call.method == "many":
        call.revoked = StaleEpoch("old", seen=1, current=2)
        call.revoked.executed = Executed.YES
    return outcome


def number(call: ServerCall, proceed: Any) -> Any:
    """An interceptor that notes an epoch for ``add`` and refuses ``nothing``."""
    if call.method == "nothing":
        raise Draining("not now")
    if call.method == "add":
        call.epoch = 7
    return proceed(call)


BENCHES = [Bench(), Bench((number, revoke)), Bench(max_elements=3)]
OUTCOMES: list[Any] = [
    None, "text", 7, 2**70, [1, 2], [1, "x"], b"raw", IDL.Oops("declared"), IDL.Oops(5), ValueError("undeclared"),
    DeadlineExceeded("late"), Draining("called out"), Strongest(), gevent.GreenletExit(),
]  # fmt: skip
HEADERS: list[Any] = [{}, {"a": "b"}, *({"Deadline-Budget": text} for text in ("0", "5000", "9" * 10, "9" * 11, "x"))]


@st.composite
def requests(draw: st.DrawFn) -> Request:
    """Any request: of a method or none, in any dialect, with sound or mutated arguments."""
    name = draw(st.sampled_from([*METHODS, "S:add", "missing", "T:add"]))
    dialect = draw(st.sampled_from(list(Dialect)))
    method = METHODS.get(name.rpartition(":")[2], METHODS["echo"])
    values = draw(st.sampled_from(VALUES[method.name]))
    body = method.encode_arguments(method.bind(values, {}), dialect.payload)
    if draw(st.booleans()):
        body = mutate([body], draw(st.randoms(use_true_random=False)))
    lead = draw(st.binary(max_size=3))
    kind = draw(st.sampled_from([MessageKind.CALL, MessageKind.CALL, MessageKind.ONEWAY]))
    headers = draw(st.sampled_from(HEADERS))
    headers = MappingProxyType(headers) if draw(st.booleans()) else headers
    return Request(name.encode(), 7, kind, headers, lead + body, len(lead), dialect, 1.0, 7, 0, None)


@settings(max_examples=400, deadline=None)
@given(
    bench=st.sampled_from(BENCHES),
    request=requests(),
    outcome=st.sampled_from(OUTCOMES),
    now=st.sampled_from([1.0, 1.5, 6.0, 6.5, 1]),
    took=st.sampled_from([0.0, 0.1, 0.5]),
)
def test_both_dispatchers_do_the_same(bench: Bench, request: Request, outcome: Any, now: float, took: float) -> None:
    """The answer or what ends the greenlet, the calls that the handler saw, failures and durations."""
    bench.handler.script, bench.now = outcome, now + took
    args = request, PEER, now, Caller("billing", "2")
    compiled, pure = (
        bench.outcome(run, *args) for run in (bench.dispatcher.dispatch, bench.dispatcher.dispatch_in_python)
    )
    assert compiled == pure
    assert type(compiled[0]) is type(pure[0]) and len(compiled[1]) <= 1


def echo_call(body: bytes | None = None, **fields: Any) -> Request:
    """A call of ``echo``."""
    method = METHODS["echo"]
    body = method.encode_arguments(method.bind(("x",), {}), Payload.BINARY) if body is None else body
    headers: Any = MappingProxyType({})
    request = Request(b"echo", 7, MessageKind.CALL, headers, body, 0, Dialect.HEADER_BINARY, 1.0, 7, 0, None)
    return request._replace(**fields)


def test_table_has_an_entry_for_each_method_that_can_be_served() -> None:
    """With what its dispatch needs; one that Python cannot hold is as unknown as any other name, and its handler need
    not have it."""
    odd = load_text("""service S {
      i32 bad(1: map<map<i32, i32>, i32> x), i32 good(1: i32 x), void still(), oneway void note(1: i32 x)
    }""")

    class Odd:
        """Has the others."""

        def good(self, x: int) -> int:
            """Echoes."""
            return x

        def still(self) -> None:
            """Nothing."""

        def note(self, x: int) -> None:
            """The same."""

    handler, recording, run = Odd(), Recording([], 0.5, pytest.fail), len
    table = make_table(odd.S, handler, {"good": recording}, dict.fromkeys(Kind, run))
    assert {entry.label for entry in table.values()} == {"good", "still", "note"}
    assert not [name for name in table if b"bad" in name] and b"good" in table
    good, still, note = table[b"good"], table[b"still"], table[b"note"]
    assert (good.method, good.recording, good.run) == (odd.S.methods["good"], recording, run)
    assert good.handler(7) == 7 and still.recording is None
    assert (good.interruptible, note.interruptible) == (True, False)
    assert still.attempt_result is False and note.attempt_result is None


def test_dispatcher_takes_what_its_signature_says() -> None:
    """The caller may be left out, and be given by name; other arguments are none."""
    bench = Bench()
    bench.handler.script = "y"
    for run in (bench.dispatcher.dispatch, bench.dispatcher.dispatch_in_python):
        without = bench.outcome(run, echo_call(), PEER, 1.0)
        assert dict(without[1][0][1:])["caller"] is NOBODY
        assert run(echo_call(), PEER, now=1.0, caller=NOBODY) == without[0]
        with pytest.raises(TypeError):
            run(echo_call(), PEER)
        with pytest.raises(AttributeError):
            run(None, PEER, 1.0)


def test_deadline_is_that_of_each_request_whatever_came_before() -> None:
    """Headers that come again are not read again, others are; a budget counts from when its request was received."""
    bench = Bench()
    bench.handler.script = "y"
    short, long = (MappingProxyType({"Deadline-Budget": text}) for text in ("1000", "3000"))
    assert expires_at(echo_call(headers=short)) == 2.0  # so that these texts are known
    assert expires_at(echo_call(headers=long)) == 4.0
    for headers, received_at, runs in [
        (short, 1.0, False), (short, 1.5, True), (long, 1.0, True), (short, 1.0, False), (long, -1.5, False),
        (MappingProxyType({}), -9.0, True), (short, 1.0, False),
    ]:  # fmt: skip
        request = echo_call(headers=headers, received_at=received_at)
        assert len(bench.outcome(bench.dispatcher.dispatch, request, PEER, 2.25)[1]) == runs


def test_handler_may_dispatch_and_switch_while_it_runs() -> None:
    """Each call is the current one of its own greenlet, and of none afterwards; a handler sees its own again after one
    that it dispatched."""
    bench, seen = Bench(), []

    class Nested(Handler):
        def _run(self, *arguments: Any) -> Any:
            before = current_call()
            if arguments == ("outer",):
                assert dispatcher.dispatch(echo_call(), PEER, 1.0) is not None
            gevent.sleep(0)
            seen.append(current_call() is before)
            return "y"

        echo = add = nothing = many = note = _run

    dispatcher = Dispatcher(IDL.S, Nested(), on_failure=pytest.fail, clock=lambda: bench.now)
    method = METHODS["echo"]
    outer = echo_call(method.encode_arguments(method.bind(("outer",), {}), Payload.BINARY))
    running = [gevent.spawn(dispatcher.dispatch, outer, PEER, 1.0) for _ in range(3)]
    gevent.joinall(running, timeout=60, raise_error=True)
    assert seen == [True] * 6 and current_call() is None


def test_recording_is_settled_when_it_is_long_or_urgent() -> None:
    """As Recording.note does it, for both."""
    bench = Bench()
    bench.handler.script = "y"
    for run in (bench.dispatcher.dispatch, bench.dispatcher.dispatch_in_python):
        bench.now = 1.25
        for count in range(MOST):
            assert len(bench.recording.seconds) == count
            run(echo_call(), PEER, 1.0)
        assert not bench.recording.seconds and bench.handed == [0.25] * MOST
        bench.now = 1.5
        run(echo_call(), PEER, 1.0)
        assert bench.handed.pop() == 0.5 and not bench.recording.seconds
        bench.handed.clear()


def test_exception_of_a_handler_frees_its_call_at_once() -> None:
    """Nothing waits for a collection: neither what it was called with nor what it raised."""

    class Witness(ValueError):
        """Counted while it lives."""

        alive = 0

        def __init__(self) -> None:
            Witness.alive += 1

        def __del__(self) -> None:
            Witness.alive -= 1

    class Raising(Handler):
        def _run(self, *arguments: Any) -> Any:
            raise Witness

        echo = add = nothing = many = note = _run

    dispatcher = Dispatcher(IDL.S, Raising(), on_failure=lambda failure: None)
    gc.disable()
    try:
        for run in (dispatcher.dispatch, dispatcher.dispatch_in_python):
            assert run(echo_call(), PEER, 1.0) is not None
            assert Witness.alive == 0
    finally:
        gc.enable()


def test_dispatching_keeps_nothing() -> None:
    """Neither what went well nor what did not: memory and the counts of what is shared stay as they are."""
    bench = Bench()
    headers = [MappingProxyType(one) for one in HEADERS]
    requests = [
        echo_call(), echo_call(b"\x0b"), echo_call(name=b"missing"), echo_call(kind=MessageKind.ONEWAY),
        *(echo_call(headers=one) for one in headers),
    ]  # fmt: skip

    def work() -> None:
        for outcome in ("text", None, IDL.Oops("x"), ValueError(), Strongest()):
            bench.handler.script = outcome
            for request in requests:
                bench.outcome(bench.dispatcher.dispatch, request, PEER, 1.0, NOBODY)
                if isinstance(outcome, BaseException):
                    outcome.__traceback__ = None

    def held() -> tuple[int, int]:
        gc.collect()
        shared: list[Any] = [*requests, NOBODY, ServerCall, MessageKind.REPLY, None.__class__, *headers, bench.handler]
        return tracemalloc.get_traced_memory()[0], sum(map(sys.getrefcount, shared))

    tracemalloc.start()
    try:
        for _ in range(10):
            work()
        before = held()
        for _ in range(200):
            work()
        after = held()
    finally:
        tracemalloc.stop()
    assert after[0] - before[0] < 10_000 and abs(after[1] - before[1]) < 10


def test_dispatcher_is_freed_without_a_collection() -> None:
    """Whoever looks on replaces dispatchers; a handler lives no longer than the last one that has it."""
    handler = Handler()
    handler.script = "y"
    count = sys.getrefcount(handler)
    gc.disable()
    try:
        Dispatcher(IDL.S, handler, on_failure=pytest.fail).dispatch(echo_call(), PEER, 1.0)
        handler.seen.clear()
        assert sys.getrefcount(handler) == count
    finally:
        gc.enable()


@pytest.mark.skipif(not IS_COMPILED, reason="in pure Python there is nothing to be told")
def test_core_refuses_what_it_cannot_work_with() -> None:
    """It is told once, and only what it can take apart without looking again."""
    from zkrpc.server.dispatch import _KNOWN

    def clock() -> float:
        return 0.0

    class Odd(Core):
        """A dispatcher that is not one."""

    for arguments in [
        ({}, 1, clock), ([], 1, clock, _KNOWN), ({b"x": (1, 2)}, 1, clock, _KNOWN), ({}, "1", clock, _KNOWN),
        ({}, 1, clock, _KNOWN[:-1]), ({}, 1, clock, (int, *_KNOWN[1:])), ({}, 1, clock, (Request, int, *_KNOWN[2:])),
    ]:  # fmt: skip
        with pytest.raises(TypeError):
            Odd().prepare(*arguments)  # type: ignore[arg-type]
    once = Odd()
    once.prepare({}, 1, clock, _KNOWN)
    with pytest.raises(TypeError, match="once"):
        once.prepare({}, 1, clock, _KNOWN)
    with pytest.raises(AttributeError, match="dispatch_in_python"):
        Odd().dispatch(echo_call(), PEER, 1.0)


def test_exceptions_are_told_with_the_handlers_frames() -> None:
    """The traceback that is logged ends in the handler, for both; what is on its way is known to whoever is told."""
    told: list[Any] = []

    def tell(failure: Any) -> None:
        trace = failure.error.__traceback__
        while trace.tb_next is not None:
            trace = trace.tb_next
        told.append((trace.tb_frame.f_code.co_name, sys.exc_info()[1] is failure.error))

    handler = Handler()
    handler.script = ValueError("x")
    dispatcher = Dispatcher(IDL.S, handler, on_failure=tell)
    for run in (dispatcher.dispatch, dispatcher.dispatch_in_python):
        run(echo_call(), PEER, 1.0)
    assert told == [("_run", True)] * 2
