"""Calls, their context, and stacking."""

from __future__ import annotations

from typing import Any

from zkrpc.call import (
    Call,
    Proceed,
    ServerCall,
    compose,
    current_call,
    detach,
    enter_call,
    find_current_call,
    leave_call,
    make_call,
    make_server_call,
    outcome_of,
    run_handler,
)
from zkrpc.client.primary_router import Route
from zkrpc.deadline import Deadline
from zkrpc.endpoint import Endpoint
from zkrpc.errors import Executed, Unavailable


def server_call(**headers: str) -> ServerCall:
    return ServerCall("add", lambda a, b: a + b, (1, 2), headers, "127.0.0.1:5", 100.0)


def test_compose_runs_the_first_interceptor_outermost() -> None:
    """The list reads from the outside in, and the last function is the core."""
    seen: list[str] = []

    def noting(name: str) -> Any:
        def interceptor(call: ServerCall, proceed: Proceed[ServerCall]) -> Any:
            seen.append(f"{name} in")
            result = proceed(call)
            seen.append(f"{name} out")
            return result

        return interceptor

    assert compose([noting("outer"), noting("inner")], run_handler)(server_call()) == 3
    assert seen == ["outer in", "inner in", "inner out", "outer out"]


def test_run_handler_notes_that_the_handler_was_entered() -> None:
    """From then on an error may have left something done."""
    call = server_call()
    assert not call.entered
    run_handler(call)
    assert call.entered


def test_current_call_is_the_one_entered_last() -> None:
    """A handler sees its own call, and nobody sees it afterwards."""
    call = server_call()
    assert current_call() is None
    token = enter_call(call)
    assert current_call() is find_current_call() is call
    leave_call(token)
    assert current_call() is None


def test_server_call_reads_its_deadline_from_the_budget() -> None:
    """Remaining milliseconds count from the moment the request was read; nonsense and silence mean none."""
    assert server_call(**{"Deadline-Budget": "250"}).deadline == Deadline(100.25)
    assert server_call(**{"Deadline-Budget": "soon"}).deadline is None
    assert server_call().deadline is None


def test_calls_show_themselves() -> None:
    """Both kinds of call name their method when printed."""
    assert "add" in repr(server_call()) and "get" in repr(Call("get", None, Deadline(1.0)))


def test_calls_made_the_short_way_are_like_all_others() -> None:
    """No field is forgotten."""
    method, deadline, plan = object(), Deadline(5.0), Any
    usual = Call("get", "body", deadline, headers={"k": "v"}, idempotent=True, oneway=True, descriptor=method)
    usual.plan, usual.began = plan, 4.0  # type: ignore[assignment]  # anything
    short = make_call("get", "body", deadline, {"k": "v"}, True, True, method, plan, 4.0)  # type: ignore[arg-type]
    assert [getattr(short, name) for name in Call.__slots__] == [getattr(usual, name) for name in Call.__slots__]
    usual_served = server_call(k="v")
    served = make_server_call("add", usual_served.handler, (1, 2), {"k": "v"}, "127.0.0.1:5", 100.0)
    names = ServerCall.__slots__
    assert [getattr(served, name) for name in names] == [getattr(usual_served, name) for name in names]


def test_copy_of_a_call_goes_its_own_way() -> None:
    """What it tries, and where it is, is not the original's."""
    call = Call("get", "body", Deadline(5.0), headers={"k": "v"}, idempotent=True)
    call.endpoint, call.attempt = Endpoint("h", 1), 2
    call.tried = {Endpoint("h", 9)}
    copy = call.copy()
    copy.tried = copy.tried | {Endpoint("h", 2)}
    assert (copy.method, copy.body, copy.deadline, copy.headers) == ("get", "body", Deadline(5.0), {"k": "v"})
    assert (copy.idempotent, copy.attempt, copy.endpoint) == (True, 2, None)
    assert call.tried == {Endpoint("h", 9)}


def test_epoch_of_a_call_is_that_of_its_route() -> None:
    """A call that any instance may serve has none."""
    call = Call("m", None, Deadline(1.0))
    assert call.epoch is None
    call.route = Route("main")
    assert call.epoch is None
    call.route.epoch = 7
    assert call.epoch == 7


def test_detached_calls_belong_to_nobody() -> None:
    """Within the block, and not after it."""
    served = ServerCall("x", print, (), {}, "peer", 0.0)
    token = enter_call(served)
    try:
        with detach():
            assert current_call() is None
        assert current_call() is served
    finally:
        leave_call(token)


def test_outcome_is_named_declared_or_not_and_executed_or_not() -> None:
    """What a call returned, or raised: a call's error, one of the IDL, arguments that do not fit, and whatever else."""

    class Oops(Exception):
        """Declared."""

    descriptor: Any = type("Descriptor", (), {"throws": (Oops,)})
    call = Call("get", None, Deadline(1.0), descriptor=descriptor)
    for error, told in (
        (None, ("", False, "yes")),
        (Unavailable("x", executed=Executed.NO), ("Unavailable", False, "no")),
        (Oops(), ("Oops", True, "yes")),
        (TypeError("x"), ("TypeError", False, "no")),
        (ValueError("x"), ("ValueError", False, "maybe")),
        (KeyboardInterrupt(), ("Cancelled", False, "maybe")),
    ):
        assert outcome_of(call, error) == told
