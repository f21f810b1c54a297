"""The dispatcher: whatever a request is and whatever the handler does, there is one right answer."""

from __future__ import annotations

import math
from typing import Any

import pytest

from tests.support.echo import idl
from tests.support.requests import binary, call_of, oneway_of
from zkrpc import current_call
from zkrpc.codec import FailureKind, Payload, decode_failure
from zkrpc.endpoint import Endpoint
from zkrpc.errors import (
    ConfigError,
    DeadlineExceeded,
    Draining,
    Executed,
    NotPrimary,
    Overloaded,
    Rejected,
    StaleEpoch,
    Unavailable,
)
from zkrpc.idl import load_text
from zkrpc.idl.served import ServedInterface
from zkrpc.server.dispatch import Answer, Dispatcher, expires_at, uninterruptible
from zkrpc.server.handlers import Handlers
from zkrpc.telemetry.recording import MOST, Recording
from zkrpc.wire.message import Dialect, MessageKind, Request

PEER = "10.0.0.1:5"
ECHO, PAIR, FAIL, NOTE = (idl.Echo.methods[name] for name in ("echo", "pair", "fail", "note"))


class Strongest(BaseException):
    """What no ``except Exception`` stops."""


class Handler:
    """Does what the test put into ``script``, with what it was called with; echoes otherwise."""

    def __init__(self) -> None:
        self.script: Any = lambda first, *rest: first
        self.calls: list[tuple[Any, ...]] = []

    def _run(self, *arguments: Any) -> Any:
        self.calls.append(arguments)
        return self.script(*arguments)

    echo = slow = pair = fail = note = large = _run

    def raises(self, error: BaseException) -> None:
        """From now on every method raises this."""

        def script(*_: Any) -> None:
            raise error

        self.script = script


class Bench:
    """A dispatcher, its handler, and the failures it reported."""

    def __init__(self, *interceptors: Any, **options: Any) -> None:
        self.handler = Handler()
        self.failures: list[tuple[str, BaseException]] = []
        self.dispatcher = Dispatcher(
            idl.Echo,
            self.handler,
            interceptors=interceptors,
            on_failure=lambda failure: self.failures.append((failure.method, failure.error)),
            clock=lambda: self.now,
            **options,
        )
        self.now = 0.0

    def dispatch(self, request: Request, now: float = 0.0) -> Answer | None:
        """One request from some peer."""
        return self.dispatcher.dispatch(request, PEER, now)


@pytest.fixture
def bench() -> Bench:
    """Without interceptors."""
    return Bench()


def test_dispatcher_does_not_know_a_method_that_python_cannot_hold(caplog: pytest.LogCaptureFixture) -> None:
    """The handler need not have it; the log says which line of the IDL is to blame, and the others are served."""
    odd = load_text("service S { i32 bad(1: map<map<i32, i32>, i32> x), i32 good(1: i32 from) }")

    class Good:
        """Has the other one."""

        def good(self, from_: int) -> int:
            """Echoes."""
            return from_

    dispatcher = Dispatcher(odd.S, Good(), on_failure=pytest.fail)
    assert "S.bad is not served: interface.thrift:1: S.bad()'s parameter x cannot be held by Python" in caplog.text
    good = odd.S.methods["good"]
    answer = dispatcher.dispatch(call_of("good", binary(good, 7)), PEER, 0.0)
    assert answer is not None and good.read_result(answer.body, 0) == 7
    assert failure(dispatcher.dispatch(call_of("bad", b"\0"), PEER, 0.0))[1] == FailureKind.UNKNOWN_METHOD


def test_dispatcher_refuses_arguments_of_too_many_elements() -> None:
    """As many as its limit says, in fields that the method does not know, too; fewer are taken."""
    calls: list[str] = []
    dispatcher = Dispatcher(idl.Echo, Handler(), on_failure=lambda *_: calls.append("failed"), max_elements=100)
    for count, expected in ((97, MessageKind.REPLY), (98, MessageKind.EXCEPTION)):
        unknown = b"\x0f\0\x63\x0b" + count.to_bytes(4, "big") + bytes(4 * count)
        answer = dispatcher.dispatch(call_of("echo", unknown + binary(ECHO, "")), "10.0.0.1:5", 0.0)
        assert answer is not None and answer.kind is expected, count
    assert failure(answer)[:3] == (
        "echo: more than 100 elements in one body", FailureKind.PROTOCOL_ERROR, "ProtocolError"
    )  # fmt: skip
    assert not calls


def failure(answer: Answer | None) -> tuple[str, int, str, str]:
    """Message, kind, error name and executed of an EXCEPTION answer."""
    assert answer is not None and answer.kind is MessageKind.EXCEPTION and answer.headers is not None
    message, kind = decode_failure(answer.body, 0)
    return (message, kind, answer.headers["zkrpc-error"], answer.headers["zkrpc-executed"])


def test_dispatcher_answers_what_the_handler_returns(bench: Bench) -> None:
    """REPLY with the value, without headers: the case that must be fast."""
    answer = bench.dispatch(call_of("echo", binary(ECHO, "grüße")))
    assert answer is not None and answer.kind is MessageKind.REPLY and not answer.headers
    assert ECHO.read_result(answer.body, 0) == "grüße"


def test_dispatcher_speaks_the_payload_of_the_caller(bench: Bench) -> None:
    """Arguments are read and results, exceptions and failures written in compact if the request is."""
    body = PAIR.encode_arguments(PAIR.bind((idl.Pair(left="a", right=1),), {}), Payload.COMPACT)
    answer = bench.dispatch(call_of("pair", body, dialect=Dialect.HEADER_COMPACT))
    assert answer is not None and PAIR.read_result(answer.body, 0, Payload.COMPACT) == idl.Pair(left="a", right=1)
    bench.handler.raises(idl.Oops(why="so"))
    answer = bench.dispatch(call_of("pair", body, dialect=Dialect.FRAMED_COMPACT))
    assert answer is not None and answer.kind is MessageKind.REPLY
    with pytest.raises(idl.Oops, match="so"):
        PAIR.read_result(answer.body, 0, Payload.COMPACT)
    answer = bench.dispatch(call_of("nope", dialect=Dialect.HEADER_COMPACT))
    assert answer is not None and decode_failure(answer.body, 0, Payload.COMPACT)[1] == FailureKind.UNKNOWN_METHOD


def test_dispatcher_answers_a_declared_exception_as_a_reply(bench: Bench) -> None:
    """It is an answer of the interface, and no failure to report."""
    bench.handler.raises(idl.Oops(why="as declared"))
    answer = bench.dispatch(call_of("fail", binary(FAIL, "x")))
    assert answer is not None and answer.kind is MessageKind.REPLY
    with pytest.raises(idl.Oops) as caught:
        FAIL.read_result(answer.body, 0)
    assert caught.value.why == "as declared" and not bench.failures


@pytest.mark.parametrize(
    ("error", "method"),
    [
        (ValueError("a secret"), "fail"),
        (idl.Oops(why="a secret"), "echo"),
        (idl.Oops(why=7), "fail"),
        (Unavailable("a secret"), "fail"),
        (Overloaded("a secret"), "fail"),
    ],
    ids=["undeclared", "declared elsewhere", "declared but misshapen", "called out", "overloaded further down"],
)
def test_dispatcher_keeps_what_is_not_declared_to_itself(bench: Bench, error: Exception, method: str) -> None:
    """INTERNAL_ERROR, executed: the details go to the observer and not over the wire, not even a CallError's claim."""
    bench.handler.raises(error)
    message, kind, name, executed = failure(bench.dispatch(call_of(method, binary(ECHO, "x"))))
    assert (kind, name, executed) == (FailureKind.INTERNAL_ERROR, "RemoteError", "yes") and "secret" not in message
    assert bench.failures[-1] == (method, error)


@pytest.mark.parametrize(("now", "name"), [(0.0499, "RemoteError"), (0.05, "DeadlineExceeded")])
def test_handler_whose_own_call_expires_with_the_callers_deadline_is_no_failure(
    bench: Bench, now: float, name: str
) -> None:
    """It is what the caller is told, or would be a moment later by itself; one that expired before is the handler's."""
    bench.handler.raises(DeadlineExceeded("a secret"))
    bench.now = now
    request = call_of("echo", binary(ECHO, "x"), headers={"Deadline-Budget": "50"})
    message, _, error, executed = failure(bench.dispatch(request))
    assert (error, executed) == (name, "yes") and "secret" not in message
    assert len(bench.failures) == (name == "RemoteError")


def test_dispatcher_lets_only_base_exceptions_out(bench: Bench) -> None:
    """They end a greenlet or a process; ``failed`` gives the answer for those that did not mean to."""
    bench.handler.raises(error := Strongest())
    request = call_of("fail", binary(FAIL, "x"))
    with pytest.raises(Strongest):
        bench.dispatch(request)
    assert current_call() is None
    _, kind, name, executed = failure(bench.dispatcher.failed(request, PEER, error))
    assert (kind, name, executed) == (FailureKind.INTERNAL_ERROR, "RemoteError", "yes")
    assert bench.failures == [("fail", error)]
    assert bench.dispatcher.failed(call_of("note", binary(NOTE, "x")), PEER, error) is None
    assert bench.dispatcher.failed(oneway_of("fail", binary(FAIL, "x")), PEER, error) is None


def test_dispatcher_that_tells_each_request_tells_how_it_ended() -> None:
    """Those that went well, too, each once and with its answer; what no answer follows is told apart."""

    class Telling(Dispatcher):
        """Remembers what it is told."""

        _tells_each = True
        told: list[tuple[Any, ...]] = []

        def _tell(self, arrival: Any, answer: Answer | None, error: str = "", executed: str = "yes") -> Answer | None:
            self.told.append((arrival.request, arrival.peer, arrival.at, answer, error, executed))
            return answer

        def _ended(self, arrival: Any, error: BaseException) -> None:
            self.told.append((arrival.request, arrival.peer, arrival.at, error))

    handler = Handler()
    dispatcher = Telling(idl.Echo, handler, on_failure=lambda failure: None)
    for request in (call_of("echo", binary(ECHO, "x")), oneway_of("note", binary(NOTE, "x"))):
        answer = dispatcher.dispatch(request, PEER, 3.0)
        assert Telling.told.pop() == (request, PEER, 3.0, answer, "", "yes")
        assert (answer is None) is (request.kind is MessageKind.ONEWAY)
    unknown = call_of("nope", b"\0")
    answer = dispatcher.dispatch(unknown, PEER, 3.0)
    assert Telling.told.pop() == (unknown, PEER, 3.0, answer, "UnknownMethod", "no")
    request = call_of("fail", binary(FAIL, "x"))
    handler.raises(KeyError("undeclared"))
    answer = dispatcher.dispatch(request, PEER, 3.0)
    assert Telling.told.pop() == (request, PEER, 3.0, answer, "KeyError", "yes")
    handler.raises(error := Strongest())
    with pytest.raises(Strongest):
        dispatcher.dispatch(request, PEER, 3.0)
    assert Telling.told == [(request, PEER, 3.0, error)]


@pytest.mark.parametrize("result", [7, None, b"bytes", "\udc80"])
def test_dispatcher_refuses_a_result_that_does_not_fit(bench: Bench, result: Any) -> None:
    """The caller gets INTERNAL_ERROR and never something that is not what the IDL says."""
    bench.handler.script = lambda *_: result
    _, kind, _, executed = failure(bench.dispatch(call_of("echo", binary(ECHO, "x"))))
    assert (kind, executed) == (FailureKind.INTERNAL_ERROR, "yes")
    assert bench.failures[0][0] == "echo" and isinstance(bench.failures[0][1], TypeError)


def test_dispatcher_drops_what_a_void_method_returns(bench: Bench) -> None:
    """A handler that happens to return something is no mistake worth a failure."""
    answer = bench.dispatch(call_of("fail", binary(FAIL, "x")))
    assert answer is not None and FAIL.read_result(answer.body, 0) is None and not bench.failures


def test_dispatcher_knows_its_methods(bench: Bench) -> None:
    """Any other name is UNKNOWN_METHOD, not executed, whatever bytes it is made of."""
    message, kind, name, executed = failure(bench.dispatch(call_of("nope")))
    assert (kind, name, executed) == (FailureKind.UNKNOWN_METHOD, "UnknownMethod", "no") and "'nope'" in message
    request = call_of("echo")._replace(name=b"\xff\xfe")
    assert failure(bench.dispatch(request))[1] == FailureKind.UNKNOWN_METHOD
    assert bench.dispatch(oneway_of("nope")) is None
    assert not bench.handler.calls and not bench.failures


def test_dispatcher_finds_methods_by_their_multiplexed_names(bench: Bench) -> None:
    """``Service:method`` of this service, and of no other."""
    answer = bench.dispatch(call_of("Echo:echo", binary(ECHO, "hi")))
    assert answer is not None and ECHO.read_result(answer.body, 0) == "hi"
    assert failure(bench.dispatch(call_of("Other:echo", binary(ECHO, "hi"))))[1] == FailureKind.UNKNOWN_METHOD


@pytest.mark.parametrize("body", [b"", b"\x0b\0\1\0\0\0\x63x", b"\0more", b"\x0b\0\1\0\0\0\2\xff\xfe\0"])
def test_dispatcher_refuses_arguments_it_cannot_read(bench: Bench, body: bytes) -> None:
    """PROTOCOL_ERROR, not executed; the name of the method says where to look."""
    message, kind, name, executed = failure(bench.dispatch(call_of("echo", body)))
    assert (kind, name, executed) == (FailureKind.PROTOCOL_ERROR, "ProtocolError", "no")
    assert message.startswith("echo: ") and not bench.handler.calls


def test_dispatcher_does_not_start_what_nobody_waits_for(bench: Bench) -> None:
    """A request whose budget was used up while it waited is answered, not executed."""
    request = call_of("echo", binary(ECHO, "x"), headers={"Deadline-Budget": "100"}, received_at=1.0)
    _, kind, name, executed = failure(bench.dispatch(request, now=1.1))
    assert (kind, name, executed) == (FailureKind.INTERNAL_ERROR, "DeadlineExceeded", "no")
    assert not bench.handler.calls
    answer = bench.dispatch(request, now=1.09)
    assert answer is not None and answer.kind is MessageKind.REPLY


@pytest.mark.parametrize("budget", ["", "-1", "soon", "1.5", "²", "٣", "9" * 400])
def test_dispatcher_ignores_a_budget_that_is_none(bench: Bench, budget: str) -> None:
    """What a peer writes there, digits of other scripts included, never fails a call."""
    request = call_of("echo", binary(ECHO, "x"), headers={"Deadline-Budget": budget})
    assert expires_at(request) > 1000.0
    answer = bench.dispatch(request, now=1000.0)
    assert answer is not None and answer.kind is MessageKind.REPLY


@pytest.mark.parametrize("budget", ["250", "9999999999", "99999999999", "0" * 11, "soon"])
def test_dispatcher_and_handler_read_the_same_deadline(bench: Bench, budget: str) -> None:
    """Also beyond ten digits, where it is none."""
    seen: list[Any] = []
    bench.handler.script = lambda *_: seen.append(current_call()) or "x"  # type: ignore[func-returns-value]  # to note
    request = call_of("echo", binary(ECHO, "x"), headers={"Deadline-Budget": budget}, received_at=3.0)
    bench.dispatch(request, now=3.0)
    deadline = seen[0].deadline
    assert expires_at(request) == (math.inf if deadline is None else deadline.at)


@pytest.mark.parametrize("script", ["returns", "raises", "declared", "refused"])
def test_dispatcher_answers_no_oneway_call(script: str) -> None:
    """Neither if the IDL says oneway and the peer calls, nor if the IDL answers and the peer says oneway."""
    interceptors = [_refusing(Overloaded("full"))] if script == "refused" else []
    bench = Bench(*interceptors)
    if script in ("raises", "declared"):
        bench.handler.raises(ValueError("x") if script == "raises" else idl.Oops(why="x"))
    assert bench.dispatch(oneway_of("note", binary(NOTE, "x"))) is None
    assert bench.dispatch(call_of("note", binary(NOTE, "x"))) is None
    assert bench.dispatch(oneway_of("fail", binary(FAIL, "x"))) is None
    assert bench.dispatch(oneway_of("echo", binary(ECHO, "x"))) is None
    assert len(bench.handler.calls) == (0 if script == "refused" else 4)
    assert len(bench.failures) == (4 if script in ("raises", "declared") else 0)


def test_oneway_method_that_has_not_run_though_it_returned_is_a_failure(bench: Bench) -> None:
    """A coroutine runs when it is awaited, which nobody does; any other value is dropped."""

    async def late(*_: Any) -> None:
        """Never begun."""

    made: list[Any] = []

    def script(*arguments: Any) -> Any:
        made.append(late(*arguments))
        return made[-1]

    bench.handler.script = script
    assert bench.dispatch(oneway_of("note", binary(NOTE, "x"))) is None
    made[0].close()
    ((method, error),) = bench.failures
    assert method == "note" and isinstance(error, TypeError)
    bench.handler.script = lambda *_: "dropped"
    assert bench.dispatch(oneway_of("note", binary(NOTE, "x"))) is None
    assert len(bench.failures) == 1


def test_dispatcher_notes_how_long_requests_take_that_go_well() -> None:
    """Of methods that somebody wants to know it of; at once if they are slow, or many."""
    handed: list[list[float]] = []
    recording = Recording([lambda: lambda seconds: handed.append(list(seconds))], 2.0, lambda number: None)
    bench = Bench(recordings={"echo": recording})

    def take(seconds: float, method: Any = ECHO) -> None:
        bench.now = 10.0 + seconds
        assert bench.dispatcher.dispatch_for({})(call_of(method.name, binary(method, "x")), PEER, 10.0) is not None

    take(0.5)
    bench.handler.raises(ValueError("x"))
    take(0.5)
    bench.handler.script = lambda first, *rest: first
    take(1.5)
    assert (handed, recording.seconds) == ([], [0.5, 1.5])
    take(2.0)
    assert (handed, recording.seconds) == ([[0.5, 1.5, 2.0]], [])
    for _ in range(MOST):
        take(0.25)
    assert handed[1:] == [[0.25] * MOST]


def test_dispatcher_refuses_oneway_calls_in_silence(bench: Bench) -> None:
    """Unreadable or late ones are dropped: an answer would be taken for that of the next call."""
    late = {"Deadline-Budget": "0"}
    for request in (call_of("note", b"?"), oneway_of("note", b"?"), oneway_of("echo", b"?")):
        assert bench.dispatch(request) is None
    for request in (
        call_of("note", binary(NOTE, "x"), headers=late),
        oneway_of("echo", binary(ECHO, "x"), headers=late),
    ):
        assert bench.dispatch(request) is None
    assert not bench.handler.calls


def _refusing(error: Exception) -> Any:
    def interceptor(call: Any, proceed: Any) -> Any:
        raise error

    return interceptor


@pytest.mark.parametrize(
    ("error", "name", "retry"),
    [
        (Overloaded("not now", retry_after=0.25), "Overloaded", "250"),
        (Overloaded("not now"), "Overloaded", None),
        (Draining("not now"), "Draining", None),
        (Rejected("not now"), "Rejected", None),
    ],
)
def test_dispatcher_passes_an_interceptors_refusal_on(error: Rejected, name: str, retry: str | None) -> None:
    """With its name, its text and its hint; the handler did not run."""
    bench = Bench(_refusing(error))
    answer = bench.dispatch(call_of("echo", binary(ECHO, "x")))
    assert failure(answer) == ("not now", FailureKind.INTERNAL_ERROR, name, Executed.NO.value)
    assert answer is not None and answer.headers is not None
    assert answer.headers.get("zkrpc-retry-after-ms") == retry
    assert not bench.handler.calls and not bench.failures


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            NotPrimary("elsewhere", primary=Endpoint("::1", 90), epoch=7, group="g"),
            {"zkrpc-primary": "[::1]:90", "zkrpc-epoch": "7", "zkrpc-group": "g"},
        ),
        (NotPrimary("nobody knows"), {}),
        (StaleEpoch("over", seen=8, current=7), {"zkrpc-epoch": "7", "zkrpc-seen": "8"}),
    ],
)
def test_dispatcher_tells_callers_where_the_primary_is(error: Rejected, told: dict[str, str]) -> None:
    """As far as the interceptor that refused knows it."""
    answer = Bench(_refusing(error)).dispatch(call_of("echo", binary(ECHO, "x")))
    assert answer is not None and answer.headers is not None
    headers = dict(answer.headers)
    assert (headers.pop("zkrpc-error"), headers.pop("zkrpc-executed")) == (type(error).__name__, "no")
    assert headers == told


def test_dispatcher_says_the_epoch_of_the_primary_that_answered() -> None:
    """On a value and on a declared exception, if the interceptor that guards the method noted it on the call."""

    def primary(call: Any, proceed: Any) -> Any:
        call.epoch = 7
        return proceed(call)

    bench = Bench(primary)
    answer = bench.dispatch(call_of("echo", binary(ECHO, "x")))
    assert answer is not None and (answer.kind, answer.headers) == (MessageKind.REPLY, {"zkrpc-epoch": "7"})
    bench.handler.raises(idl.Oops(why="as declared"))
    answer = bench.dispatch(call_of("fail", binary(FAIL, "x")))
    assert answer is not None and (answer.kind, answer.headers) == (MessageKind.REPLY, {"zkrpc-epoch": "7"})


@pytest.mark.parametrize("outcome", ["value", "declared", "undeclared", "stale"])
def test_dispatcher_answers_what_an_interceptor_put_in_the_outcomes_place(outcome: str) -> None:
    """Whatever the handler returned or raised; only what nobody else would see goes to the log."""
    revoked = NotPrimary("lapsed", epoch=7, executed=Executed.MAYBE)

    def revoke(call: Any, proceed: Any) -> Any:
        call.revoked = revoked
        return proceed(call)

    bench = Bench(revoke)
    raised = {"declared": idl.Oops(why="so"), "undeclared": ValueError(), "stale": StaleEpoch("x", seen=8, current=7)}
    if outcome in raised:
        bench.handler.raises(raised[outcome])
    method, name = (ECHO, "echo") if outcome == "value" else (FAIL, "fail")
    answer = bench.dispatch(call_of(name, binary(method, "x")))
    assert failure(answer) == ("lapsed", FailureKind.INTERNAL_ERROR, "NotPrimary", "maybe")
    assert answer is not None and answer.headers is not None and answer.headers["zkrpc-epoch"] == "7"
    assert len(bench.failures) == (outcome == "undeclared") and bench.handler.calls
    assert bench.dispatch(oneway_of("note", binary(NOTE, "x"))) is None


def test_dispatcher_takes_a_refusal_after_the_handler_for_a_failure() -> None:
    """Once the handler ran, nobody may claim that nothing was done."""

    def too_late(call: Any, proceed: Any) -> Any:
        proceed(call)
        raise Overloaded("not now")

    bench = Bench(too_late)
    assert failure(bench.dispatch(call_of("echo", binary(ECHO, "x"))))[3] == "yes"
    assert bench.handler.calls == [("x",)] and len(bench.failures) == 1


def test_dispatcher_reports_a_broken_interceptor() -> None:
    """A mistake in one is an internal error like a handler's."""
    bench = Bench(_refusing(KeyError("typo")))
    assert failure(bench.dispatch(call_of("echo", binary(ECHO, "x"))))[2] == "RemoteError"
    assert bench.failures[0][0] == "echo" and not bench.handler.calls


def test_dispatcher_lets_interceptors_answer_and_change() -> None:
    """They see the call, may answer in the handler's place, raise what the IDL declares, or alter the result."""

    def changing(call: Any, proceed: Any) -> Any:
        if call.method == "pair":
            raise idl.Oops(why="guarded")
        return f"<{call.peer} {call.headers['tenant']} {proceed(call)}>"

    bench = Bench(changing)
    answer = bench.dispatch(call_of("echo", binary(ECHO, "x"), headers={"tenant": "blue"}))
    assert answer is not None and ECHO.read_result(answer.body, 0) == "<10.0.0.1:5 blue x>"
    answer = bench.dispatch(call_of("pair", binary(PAIR, idl.Pair(left="a"))))
    assert answer is not None
    with pytest.raises(idl.Oops, match="guarded"):
        PAIR.read_result(answer.body, 0)


def test_dispatcher_shows_the_call_to_the_handler_alone(bench: Bench) -> None:
    """``current_call`` is there inside, and gone afterwards whatever happened."""
    seen: list[Any] = []
    bench.handler.script = lambda *_: seen.append(current_call()) or "x"  # type: ignore[func-returns-value]  # to note
    bench.dispatch(call_of("echo", binary(ECHO, "x"), received_at=3.0), now=3.0)
    assert (seen[0].method, seen[0].peer, seen[0].received_at) == ("echo", "10.0.0.1:5", 3.0)
    assert current_call() is None
    bench.handler.raises(ValueError())
    bench.dispatch(call_of("echo", binary(ECHO, "x")))
    assert current_call() is None


def test_dispatcher_wants_a_complete_handler() -> None:
    """What is missing is named before anything is served; an attribute that cannot be called counts as missing."""

    class Half(Handler):
        slow = None  # type: ignore[assignment]  # the mistake

    with pytest.raises(
        ConfigError, match=r"(?s)Half does not fit Echo:.*Half\.slow is missing; write def slow\(self, text, milli"
    ):
        Dispatcher(idl.Echo, Half(), on_failure=lambda failure: None)


def test_dispatcher_knows_which_handlers_may_be_interrupted() -> None:
    """All but the marked ones; the mark changes nothing else of a method."""

    class Careful(Handler):
        @uninterruptible
        def pair(self, pair: Any) -> Any:
            """Moves money in two steps."""
            return pair

    dispatcher = Dispatcher(idl.Echo, Careful(), on_failure=lambda failure: None)
    assert dispatcher.may_interrupt(call_of("echo"))
    assert not dispatcher.may_interrupt(call_of("pair"))
    assert not dispatcher.may_interrupt(call_of("Echo:pair"))
    assert dispatcher.may_interrupt(call_of("nothing"))
    assert not dispatcher.may_interrupt(call_of("note"))
    assert not dispatcher.may_interrupt(oneway_of("echo"))
    assert Careful().pair(1) == 1


SEVERAL = load_text("""
    service Base { string ping() }
    service Users extends Base { string get(1: i64 id) }
    service Audit extends Base { string get(1: i64 id), oneway void log() }
    """)


class Named:
    """Answers with its name and that of the method being served."""

    def __init__(self, name: str) -> None:
        self.name = name

    def ping(self) -> str:
        call = current_call()
        assert call is not None
        return f"{self.name} {call.method}"

    def get(self, id: int) -> str:
        if id < 0:
            raise ValueError("negative")
        return f"{self.ping()} {id}"

    def log(self) -> None:
        raise ValueError("nobody hears this")


def test_dispatcher_runs_the_methods_of_several_interfaces() -> None:
    """Each on its own handler; plain names and the registry's are the first one's, a parent's those of the first that
    extends it, and whoever logs or intercepts sees which it is."""
    failures: list[str] = []
    served = ServedInterface([SEVERAL.Users, SEVERAL.Audit], "users")
    handlers = Handlers(served, [Named("one"), Named("two")])
    dispatcher = Dispatcher(served, handlers, on_failure=lambda failure: failures.append(failure.method))
    get, ping = SEVERAL.Users.methods["get"], SEVERAL.Users.methods["ping"]

    def ask(name: str, method: Any, *arguments: Any) -> Any:
        answer = dispatcher.dispatch(call_of(name, binary(method, *arguments)), PEER, 0.0)
        assert answer is not None
        return method.read_result(answer.body, 0) if answer.kind is MessageKind.REPLY else failure(answer)[:2]

    assert [ask(name, get, 7) for name in ("get", "Users:get", "users:get")] == ["one get 7"] * 3
    assert [ask(name, ping) for name in ("ping", "Base:ping", "Audit:ping")] == ["one ping"] * 2 + ["two Audit:ping"]
    assert ask("Audit:get", get, 7) == "two Audit:get 7"
    assert ask("Third:get", get, 7) == (
        "there is no service 'Third' here; there are Audit, Base, Users, users", FailureKind.UNKNOWN_METHOD
    )  # fmt: skip
    unknown = ("Base:get", "Audit:put", "log", "Audit:Users:get")
    assert [ask(name, get, 7) for name in unknown] == [
        (f"unknown method {name!r}", FailureKind.UNKNOWN_METHOD) for name in unknown
    ]
    assert ask("Audit:get", get, -1)[1] == FailureKind.INTERNAL_ERROR
    assert dispatcher.dispatch(oneway_of("Audit:log"), PEER, 0.0) is None
    dispatcher.failed(call_of("Users:get"), PEER, Strongest())
    assert failures == ["Audit:get", "Audit:log", "get"]
    assert not dispatcher.may_interrupt(call_of("Audit:log")) and dispatcher.may_interrupt(call_of("Audit:get"))


def test_dispatcher_checks_each_handler_by_its_own_interface() -> None:
    """The error names the interface that is not served, and its handler."""
    served = ServedInterface([SEVERAL.Users, SEVERAL.Audit])

    class Half:
        def get(self, id: int) -> str:
            return "half"

        def ping(self) -> str:
            return "half"

    with pytest.raises(ConfigError, match=r"Half does not fit Audit:\n.*Half.log is missing"):
        Dispatcher(served, Handlers(served, [Named("one"), Half()]), on_failure=pytest.fail)
