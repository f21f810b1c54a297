"""What the log says of a handler that did what it should not have done."""

from __future__ import annotations

import functools
import logging
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.echo import EchoHandler, idl
from tests.support.requests import binary, call_of
from tests.support.waiting import eventually
from zkrpc.server.failures import Failure, describe, traceback_of
from zkrpc.testing.loopback import Loopback

FAST = zkrpc.ServerConfig(linger=0, drain_timeout=2)
REQUEST = call_of("echo", binary(idl.Echo.methods["echo"], "x"))
HERE = f"{__file__}:"


def complain(handler: Any, call: Any, caplog: pytest.LogCaptureFixture) -> logging.LogRecord:
    """The one record that a call of a service called ``echoes`` leaves."""

    def complaints() -> list[logging.LogRecord]:
        told = [one for one in caplog.records if one.name.startswith("zkrpc.server")]
        return [one for one in told if one.levelno >= logging.WARNING]

    with Loopback(zkrpc.Service(idl.Echo, handler, name="echoes", config=FAST)) as stub:
        try:
            call(stub)
        except (zkrpc.CallError, idl.Oops):
            pass
        eventually(complaints)  # nobody waits for what a oneway call came to
    (record,) = complaints()
    return record


@pytest.mark.parametrize("undeclared", [ValueError("a detail"), gevent.Timeout(0.1)])
def test_exception_is_logged_with_service_method_call_and_caller(
    undeclared: BaseException, caplog: pytest.LogCaptureFixture
) -> None:
    """And with its own traceback; so is what no ``except Exception`` stops."""

    class Failing(EchoHandler):
        def fail(self, how: str) -> None:
            raise undeclared

    record = complain(Failing, lambda stub: stub.fail("now"), caplog)
    line = Failing.fail.__code__.co_firstlineno
    wanted = "echoes: fail (call 1 from memory:0) failed with an exception that the IDL does not declare"
    assert record.getMessage() == f"{wanted} [{HERE}{line}]"
    assert record.exc_info is not None and record.exc_info[1] is undeclared


@pytest.mark.parametrize(
    ("value", "complaint"),
    [
        (7, "the result of Echo.pair() must be a Pair, got 7"),
        (None, "Echo.pair() returned None and must return Pair"),
        (idl.Pair(left=7), "Pair.left must be a str, got 7"),
        (idl.Pair(left="a", right=2**31), "Pair.right must be an i32, got 2147483648"),
        (idl.Pair(right=1), "Pair.left is required"),
    ],
)
def test_wrong_result_is_logged_with_method_and_field(
    value: Any, complaint: str, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line with the handler's place: a traceback would only lead through zkrpc."""

    class Wrong(EchoHandler):
        def pair(self, pair: Any) -> Any:
            return value

    record = complain(Wrong, lambda stub: stub.pair(idl.Pair(left="", right=0)), caplog)
    line = Wrong.pair.__code__.co_firstlineno
    wanted = f"echoes: pair (call 1 from memory:0) returned what the IDL does not allow: {complaint}"
    assert record.getMessage() == f"{wanted} [{HERE}{line}]" and not record.exc_info


def test_declared_exception_that_does_not_fit_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """With the field, and the traceback of where it was raised."""

    class Misshapen(EchoHandler):
        def fail(self, how: str) -> None:
            raise idl.Oops(why=7)

    record = complain(Misshapen, lambda stub: stub.fail("now"), caplog)
    assert "fail (call 1 from memory:0) raised Oops with what the IDL does not allow: " in record.getMessage()
    assert "why must be a str, got 7" in record.getMessage()
    assert record.exc_info is not None and isinstance(record.exc_info[1], idl.Oops)


@pytest.mark.parametrize("method", ["fail", "note"])
@pytest.mark.parametrize("kind", ["coroutine", "generator"])
def test_method_that_has_not_run_is_no_success(method: str, kind: str, caplog: pytest.LogCaptureFixture) -> None:
    """A decorator may hide a coroutine; where nothing is returned, nobody would notice that nothing was done."""

    async def coroutine() -> None:
        raise AssertionError("never run")

    def make(text: str) -> Any:
        return coroutine() if kind == "coroutine" else (x for x in ())

    class Hidden(EchoHandler):
        def fail(self, how: str) -> Any:
            return make(how)

        def note(self, text: str) -> Any:
            return make(text)

    record = complain(Hidden, lambda stub: getattr(stub, method)("x"), caplog)
    assert f"Echo.{method}() returned a {kind}, which nobody will run" in record.getMessage()


def test_names_that_callers_chose_are_made_legible() -> None:
    """A method's name comes from the caller, and is not known to be one where a handler was ended."""
    failure = Failure("a\x1b[2J\n", REQUEST, "10.0.0.1:5", None, ValueError())
    assert describe("users", failure).startswith("users: a\\x1b[2J\\n (call 7 from 10.0.0.1:5) failed")
    assert traceback_of(failure) is failure.error and traceback_of(failure._replace(returned=True)) is None


def test_handler_that_is_no_function_has_the_place_that_can_be_told() -> None:
    """A partial is where its function is; of what was written in C nothing is said."""
    partial = functools.partial(EchoHandler.echo, EchoHandler())
    assert "echo.py:" in describe("users", Failure("echo", REQUEST, "h:1", partial, ValueError()))
    assert describe("users", Failure("echo", REQUEST, "h:1", print, ValueError())).endswith("does not declare")
