"""A tap takes a sample, holds so much of it, and ends when nobody asks any more."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from zkrpc.call import ServerCall, run_handler
from zkrpc.errors import Unavailable
from zkrpc.idl import load_text
from zkrpc.idl.served import ServedInterface
from zkrpc.server.bodies import Bodies, Body
from zkrpc.server.tap import LEASE, MOST_TAPS, RING, Tap, Taps
from zkrpc.telemetry.events import RequestFinished, RequestRefused

IDL = load_text(
    "exception Gone { 1: i64 id } service Users { string get(1: i64 id) throws (1: Gone gone), string put(1: i64 id) }"
).Users
GONE = IDL.methods["get"].throws[0]


def finished(method: str = "get") -> RequestFinished:
    """A request that went well."""
    about = {"service": "users", "interface": "Users", "peer": "10.0.0.1:5", "caller": "billing"}
    return RequestFinished(method=method, queued=0.0, seconds=0.1, **about)  # type: ignore[arg-type]


class Bench:
    """The taps of a server, the time, and whether they are told of requests."""

    def __init__(self) -> None:
        self.now = 0.0
        self.attached: list[bool] = []
        self.intercepts = False
        self.bodies = Bodies(IDL, ["get"])
        self.taps = Taps(self._attach, lambda: self.now, lambda: 1000.0 + self.now, self.bodies)

    def _attach(self, attended: bool, intercepts: bool) -> None:
        if self.attached[-1:] != [attended]:
            self.attached.append(attended)
        self.intercepts = intercepts

    def call(self, method: str = "get", handler: Any = lambda id: f"user {id}", revoked: bool = False) -> Any:
        """A call of a handler, as the dispatcher makes it."""
        call = ServerCall(method, handler, (42,), {}, "10.0.0.1:5", self.now)

        def run(one: ServerCall) -> Any:
            if revoked:
                one.revoked = Unavailable("too late")
            return run_handler(one)

        try:
            return self.taps.intercept(call, run)
        finally:
            self.taps.receive(finished(method))

    def open(self, name: str = "t", method: str = "", sample: float = 1.0, bodies: bool = False) -> Tap:
        """A tap that there is room for."""
        tap = self.taps.open(name, method, sample, bodies)
        assert tap is not None
        return tap


def test_tap_takes_what_it_was_asked_for() -> None:
    """All methods or one, with the time at which each call ended, in their order."""
    bench = Bench()
    every, some = bench.open("a"), bench.open("b", "put")
    for method in ("get", "put", "get"):
        bench.now += 1
        bench.taps.receive(finished(method))
    assert [(one.at, one.event.method) for one in every.fetch(2)] == [(1001.0, "get"), (1002.0, "put")]
    assert [one.event.method for one in some.fetch(9)] == ["put"] and some.seen == 1
    assert (every.seen, every.dropped, len(every.held)) == (3, 0, 1)
    assert "seen=3" in repr(every) and repr(bench.taps) == "<Taps 2>"


def test_sample_is_a_share_of_the_calls() -> None:
    """The first one is in it, so that a tap of a quiet method shows something."""
    bench = Bench()
    tap = bench.open(sample=0.01)
    bench.taps.receive(finished())
    assert len(tap.held) == 1
    for _ in range(999):
        bench.taps.receive(finished())
    assert 10 <= len(tap.held) <= 11 and tap.seen == 1000


def test_what_nobody_fetches_is_dropped_and_counted() -> None:
    """The newest stay."""
    bench = Bench()
    tap = bench.open()
    for number in range(RING + 10):
        bench.now = number / 1000
        bench.taps.receive(finished())
    assert (len(tap.held), tap.dropped, tap.seen) == (RING, 10, RING + 10)
    assert tap.held[0].at == 1000.01


def test_requests_are_told_only_while_somebody_taps() -> None:
    """From the first tap to the end of the last one, closed or run out."""
    bench = Bench()
    first = bench.open("a")
    bench.open("b")
    assert bench.attached == [True]
    bench.taps.close(first)
    bench.taps.close(first)
    assert bench.attached == [True] and bench.taps.find("a") is None
    bench.now = LEASE
    bench.taps.receive(finished())
    assert bench.attached == [True, False] and bench.taps.find("b") is None


def test_tap_lives_while_it_is_fetched_from() -> None:
    """And a few seconds longer."""
    bench = Bench()
    tap = bench.open()
    bench.taps.begin_fetch(tap)
    bench.now = 10 * LEASE
    assert bench.taps.find("t") is tap
    bench.taps.end_fetch(tap)
    bench.now += LEASE - 0.1
    assert bench.taps.find("t") is tap
    bench.now += 0.1
    assert bench.taps.find("t") is None


def test_taps_are_few() -> None:
    """One more finds room when another has run out."""
    bench = Bench()
    for number in range(MOST_TAPS):
        bench.open(str(number))
    assert bench.taps.open("more", "", 1.0) is None
    bench.now = LEASE
    assert bench.taps.open("more", "", 1.0) is not None and bench.attached == [True, False, True]


def test_refused_requests_are_taken_too() -> None:
    """They have not been run."""
    bench = Bench()
    tap = bench.open()
    bench.taps.receive(
        RequestRefused(
            service="users",
            interface="Users",
            method="get",
            peer="10.0.0.1:5",
            caller="billing",
            queued=0.2,
            error="Overloaded",
        )
    )
    assert tap.held[0].event.error == "Overloaded"


def test_bodies_are_noted_only_while_a_tap_wants_them() -> None:
    """And only that one is given them."""
    bench = Bench()
    plain = bench.open("plain")
    assert not bench.intercepts
    whole = bench.open("whole", bodies=True)
    assert bench.intercepts and bench.attached == [True]
    assert bench.call() == "user 42"
    assert [one.body for one in plain.fetch(9)] == [None]
    assert [one.body for one in whole.fetch(9)] == [Body('{"id": 42}', '"user 42"')]
    bench.taps.close(whole)
    assert not bench.intercepts and bench.attached == [True]


def test_body_has_what_the_caller_is_told_and_nothing_else() -> None:
    """A declared exception; not an undeclared one, and not an outcome that an interceptor has revoked."""
    bench = Bench()
    tap = bench.open(bodies=True)

    def fail(error: BaseException) -> Any:
        def handler(id: int) -> None:
            raise error

        return handler

    for error in (GONE(id=7), ValueError("secret"), KeyboardInterrupt("secret")):
        with pytest.raises(type(error)):
            bench.call(handler=fail(error))
    bench.call(revoked=True)
    gone, *others = (one.body for one in tap.fetch(9))
    assert gone == Body('{"id": 42}', None, '{"type": "Gone", "value": {"id": 7}}')
    assert others == [Body('{"id": 42}')] * 3
    bench.call(handler=lambda id: "x" * 5000)
    (large,) = tap.fetch(9)
    assert large.body is not None and large.body.cut and len(large.body.result or "") < 1100


def test_bodies_of_other_methods_are_not_shown() -> None:
    """Their calls are, as a sample has them; and so are those that never ran."""
    bench = Bench()
    tap = bench.open(bodies=True)
    bench.call("put")
    bench.taps.receive(finished("put"))
    assert [(one.event.method, one.body) for one in tap.fetch(9)] == [("put", None)] * 2
    other = bench.open("other", "put", bodies=True)
    bench.call()
    assert other.seen == 0 and tap.fetch(9)[0].body is not None


def test_nothing_is_written_down_of_calls_that_are_not_in_the_sample(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is decided before they run, and each counts once."""
    bench = Bench()
    tap = bench.open(sample=0.25, bodies=True)
    written, write = [], bench.bodies.arguments
    monkeypatch.setattr(bench.bodies, "arguments", lambda *call: written.append(call) or write(*call))
    shown = [bool(bench.call() and tap.fetch(9)) for _ in range(8)]
    assert sum(shown) == len(written) == 3 and tap.seen == 8
    bench.open("plain")
    bench.taps.close(tap)
    bench.call()
    assert len(written) == 3


def test_operators_word_counts_for_what_is_held_and_what_runs() -> None:
    """From the moment on at which it is heard."""
    bench = Bench()
    tap = bench.open(bodies=True)
    bench.call()

    def handler(id: int) -> str:
        bench.taps.narrow(True, ["id"])
        return "late"

    bench.call(handler=handler)
    bench.call()
    assert [one.body for one in tap.fetch(9)] == [None, None, Body('{"id": "<masked>"}', '"user 42"')]
    bench.taps.narrow(False, [])
    bench.call()
    assert [one.body for one in tap.fetch(9)] == [None]


def test_body_is_not_taken_for_that_of_another_request() -> None:
    """An event of another method or peer gets none."""
    bench = Bench()
    tap = bench.open(bodies=True)
    bench.taps.intercept(ServerCall("get", lambda id: "x", (1,), {}, "10.0.0.9:9", 0.0), run_handler)
    bench.taps.receive(finished())
    bench.taps.intercept(ServerCall("get", lambda id: "x", (1,), {}, "10.0.0.1:5", 0.0), run_handler)
    bench.taps.receive(finished("put"))
    assert [one.body for one in tap.fetch(9)] == [None, None]


def test_methods_of_other_interfaces_have_their_labels() -> None:
    """A tap of ``Audit:get`` is not one of ``get``, and shows what its own calls were asked."""
    bench = Bench()
    audit = load_text("service Audit { string get(1: string text) }").Audit
    bench.taps.bodies = Bodies(ServedInterface([IDL, audit]), ["get", "Audit:get"], ["Audit:get.text"])
    taps = [bench.open(name, name, bodies=True) for name in ("get", "Audit:get")]
    other = dataclasses.replace(finished(), interface="Audit")
    bench.taps.intercept(ServerCall("Audit:get", lambda text: text, ("x",), {}, "10.0.0.1:5", 0.0), run_handler)
    bench.taps.receive(other)
    bench.call()
    shown = [[(one.method, one.body) for one in tap.fetch(9)] for tap in taps]
    assert shown == [
        [("get", Body('{"id": 42}', '"user 42"'))],
        [("Audit:get", Body('{"text": "<masked>"}', '"x"'))],
    ]
    assert [tap.seen for tap in taps] == [1, 1]
