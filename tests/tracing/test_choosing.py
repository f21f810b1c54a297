"""What tells unrecorded calls and requests from the others, in both forms."""

from __future__ import annotations

import gc
import sys
import tracemalloc
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.caller import NOBODY
from zkrpc.codec import Payload
from zkrpc.idl import load_text
from zkrpc.tracing.choosing import (
    choose_calls,
    choose_plain_requests,
    choose_requests,
    pure_choose_calls,
    pure_choose_requests,
)
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Dialect, Request

CALLS = (pure_choose_calls, choose_calls)
REQUESTS = (pure_choose_requests, choose_requests)
IS_COMPILED = choose_calls is not pure_choose_calls
KEYS = ("traceparent", "baggage")
HEADERS = [MappingProxyType(dict.fromkeys(keys, "x")) for keys in ((), ("a",), KEYS[:1], KEYS[1:], ("a", *KEYS))]


def request_of(headers: Any) -> Request:
    """A request with these headers."""
    return Request(b"echo", 7, MessageKind.CALL, headers, b"", 0, Dialect.HEADER_BINARY, 1.0, 7, 0, None)


def plainly(*given: Any) -> Any:
    """An outcome, with what was given."""
    return "plain", *given


def otherwise(*given: Any) -> Any:
    """Another."""
    return "other", *given


@pytest.mark.parametrize("choose", CALLS)
def test_call_is_plain_unless_a_trace_begins_or_the_context_has_something(choose: Any) -> None:
    """The other way is told which; the dice decide first."""
    casts, contexts = [0.5, 0.4, 0.5, 0.4], [{}, {"span": 1}]
    make = choose(plainly, otherwise, lambda: casts.pop(0), 0.5, lambda: contexts.pop(0))
    assert [make("call") for _ in range(4)] == [
        ("plain", "call"),
        ("other", "call", True),
        ("other", "call", False),
        ("other", "call", True),
    ]
    assert not casts and not contexts


@pytest.mark.parametrize("choose", REQUESTS)
def test_request_is_plain_unless_a_trace_begins_or_its_headers_have_a_key(choose: Any) -> None:
    """However often the same headers come."""
    casts = [0.5] * 10 + [0.4] * 5
    run = choose(plainly, otherwise, lambda: casts.pop(0), 0.5, KEYS)
    requests = [request_of(headers) for headers in HEADERS]
    ways = [run(request, "peer", 2.0, NOBODY) for _ in range(3) for request in requests]
    rest = [(request, "peer", 2.0, NOBODY) for request in requests]
    wanted = [("plain", *one) for one in rest[:2]] + [("other", *one, False) for one in rest[2:]]
    assert ways == [*wanted, *wanted, *(("other", *one, True) for one in rest)]


@given(st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.booleans(), st.integers(0, 4))), st.floats(0, 1))
def test_both_forms_choose_the_same(steps: list[tuple[float, bool, int]], ratio: float) -> None:
    """Whatever the dice, the context and the headers are, and for whatever ratio."""
    found, asked = [], [request_of(headers) for headers in HEADERS]
    for calls, requests in zip(CALLS, REQUESTS):
        now: list[Any] = [None]
        dice, context = (lambda now=now: now[0][0]), (lambda now=now: {"span": 1} if now[0][1] else {})
        make, run = calls(plainly, otherwise, dice, ratio, context), requests(plainly, otherwise, dice, ratio, KEYS)
        ways = []
        for step in steps:
            now[0] = step
            ways.append((make("call"), run(asked[step[2]], "peer", 2.0, NOBODY)))
        found.append(ways)
    assert found[0] == found[1]


@pytest.mark.parametrize("choose", CALLS)
def test_what_the_ways_raise_is_raised(choose: Any) -> None:
    """And what the dice and the context do."""

    def fail(*_: Any) -> Any:
        raise ValueError("mine")

    makers = [
        choose(fail, otherwise, float, 0.0, dict),
        choose(plainly, fail, float, 1.0, dict),
        choose(plainly, otherwise, fail, 1.0, dict),
        choose(plainly, otherwise, float, 0.0, fail),
    ]
    for make in makers:
        with pytest.raises(ValueError, match="mine"):
            make("call")


@pytest.mark.parametrize("choose", REQUESTS)
def test_what_dice_and_headers_raise_is_raised(choose: Any) -> None:
    """Headers are whatever they are."""
    with pytest.raises(TypeError):
        choose(plainly, otherwise, float, 0.0, KEYS)(request_of(7), "peer", 2.0, NOBODY)
    with pytest.raises(ZeroDivisionError):
        choose(plainly, otherwise, lambda: 1 / 0, 1.0, KEYS)(request_of({}), "peer", 2.0, NOBODY)


def test_request_of_a_peer_that_has_not_introduced_itself_may_name_its_parent_in_the_arguments() -> None:
    """Then that stands for the headers; which of them count is decided by the other way."""
    agent = load_text("service Echo { string echo(1: string text, 8888: map<string, string> context) }")
    echo = agent.Echo.methods["echo"]
    casts = [0.5, 0.5, 0.4, 0.5]
    run = choose_plain_requests(plainly, otherwise, lambda: casts.pop(0), 0.5)
    given = {"traceparent": "x"}
    body = echo.encode_arguments(echo.bind(("x", given), {}), Payload.BINARY)
    there = request_of({})._replace(frame=body, dialect=Dialect.FRAMED_BINARY)
    rest = "peer", 2.0, NOBODY
    assert run(there, *rest) == ("other", there, *rest, given, False)
    for headers, way in ((HEADERS[1], ("plain",)), (HEADERS[1], ("other", True)), (HEADERS[3], ("other", False))):
        request = request_of(headers)
        assert run(request, *rest) == (way[0], request, *rest, *((headers, *way[1:]) if way[1:] else ()))


@pytest.mark.skipif(not IS_COMPILED, reason="in pure Python there is nothing to be told")
def test_compiled_form_refuses_what_is_no_call_and_no_request() -> None:
    """It takes a request apart without looking again."""
    make = choose_calls(plainly, otherwise, float, 0.0, dict)
    run: Any = choose_requests(plainly, otherwise, float, 0.0, KEYS)
    for wrong in (
        lambda: make(),  # type: ignore[call-arg]
        lambda: make(call=1),  # type: ignore[call-arg]
        lambda: run(request_of({}), "peer", 2.0),
        lambda: run(("no", "request"), "peer", 2.0, NOBODY),
        lambda: choose_requests(plainly, otherwise, float, 0.0, ["traceparent"]),  # type: ignore[arg-type]
        lambda: choose_calls(plainly, otherwise, float, "0", dict),  # type: ignore[arg-type]
    ):
        with pytest.raises(TypeError):
            wrong()


@pytest.mark.parametrize(("calls", "requests"), list(zip(CALLS, REQUESTS)))
def test_nothing_is_kept_of_what_was_chosen(calls: Any, requests: Any) -> None:
    """Ten thousand of both later as much is held as before, and what was chosen with is freed with it."""
    casts = [0.9, 0.1]
    headers = MappingProxyType({"b": "y"})

    def dice() -> float:
        casts.reverse()
        return casts[0]

    def work() -> None:
        make = calls(plainly, otherwise, dice, 0.5, dict)
        run = requests(plainly, otherwise, dice, 0.5, KEYS)
        for _ in range(10_000):
            make("call")
            run(request_of(headers), "peer", 2.0, NOBODY)

    def held() -> tuple[int, int]:
        gc.collect()
        return tracemalloc.get_traced_memory()[0], sum(map(sys.getrefcount, (headers, dice, plainly, otherwise, KEYS)))

    tracemalloc.start()
    try:
        work()
        before = held()
        work()
        after = held()
    finally:
        tracemalloc.stop()
    assert after[0] - before[0] < 10_000 and after[1] == before[1]
