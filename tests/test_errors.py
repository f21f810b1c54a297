"""The exception tree."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from zkrpc import errors
from zkrpc.endpoint import Endpoint
from zkrpc.errors import CallError, Executed, IdlError, NotPrimary, Overloaded, StaleEpoch, Unavailable


@pytest.mark.parametrize(
    ("kind", "executed"),
    [
        (errors.Unavailable, Executed.NO),
        (errors.Draining, Executed.NO),
        (errors.UnknownMethod, Executed.NO),
        (errors.NotPrimary, Executed.NO),
        (lambda text, **more: errors.StaleEpoch(text, seen=2, current=1, **more), Executed.NO),
        (errors.Overloaded, Executed.NO),
        (errors.ConnectionLost, Executed.MAYBE),
        (errors.DeadlineExceeded, Executed.MAYBE),
        (errors.RemoteError, Executed.YES),
    ],
)
def test_call_error_says_whether_it_was_executed(kind: Callable[..., CallError], executed: Executed) -> None:
    """Each kind has the answer its name implies, and can be told better."""
    assert kind("x").executed is executed
    assert kind("x", executed=Executed.NO).executed is Executed.NO


def test_call_error_shows_an_operator_where_and_how_often() -> None:
    """The text names the fact, the instance and the attempts."""
    error = Overloaded("at its limit", retry_after=0.5, endpoint=Endpoint("h", 1), attempts=3)
    assert str(error) == "at its limit (executed=NO at h:1, 3 attempts)"
    assert error.retry_after == 0.5


def test_error_of_a_service_without_instances_counts_no_attempts() -> None:
    """There was nobody to try; where an instance was tried before, or may have run the call, they are counted."""
    assert str(Unavailable("no instance", nobody=True, attempts=2)) == "no instance (executed=NO)"
    assert (
        str(Unavailable("refused", endpoint=Endpoint("h", 1), attempts=2)) == "refused (executed=NO at h:1, 2 attempts)"
    )
    maybe = Unavailable("no instance", nobody=True, attempts=2, executed=Executed.MAYBE)
    assert str(maybe) == "no instance (executed=MAYBE, 2 attempts)"


def test_errors_of_epochs_carry_what_the_caller_needs() -> None:
    """Where to go, since when, of which group; what was seen, and what is served."""
    elsewhere = NotPrimary("not here", primary=Endpoint("h", 1), epoch=7, group="g", attempts=2)
    assert (elsewhere.primary, elsewhere.epoch, elsewhere.group) == (Endpoint("h", 1), 7, "g")
    assert str(elsewhere) == "not here (executed=NO, 2 attempts)"
    stale = StaleEpoch("over", seen=8, current=7)
    assert (stale.seen, stale.current) == (8, 7)


def test_idl_error_reads_like_a_compiler_message() -> None:
    """file:line: message, as editors and people know it."""
    assert str(IdlError("expected ';'", file="a.thrift", line=3)) == "a.thrift:3: expected ';'"
    assert str(IdlError("no such file")) == "no such file"


def test_every_error_has_the_one_root() -> None:
    """``except RpcError`` catches whatever zkrpc raises on purpose."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) > 15 and all(issubclass(kind, errors.RpcError) for kind in kinds)
