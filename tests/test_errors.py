"""The exception tree."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable

import pytest

from zkrpc import errors
from zkrpc.endpoint import Endpoint
from zkrpc.errors import CallError, Executed, IdlError, JsonError, NotPrimary, Overloaded, StaleEpoch, Unavailable


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


def test_json_error_names_the_place_from_the_outermost_value_inwards() -> None:
    """The reader of an inner value does not know where it is; each one around it puts its part in front."""
    error = JsonError('expected i64, got "a"')
    assert str(error) == '$: expected i64, got "a"'
    assert error.inside(".id").inside("[2]").inside('["key"]') is error
    assert error.path == '$["key"][2].id' and str(error) == '$["key"][2].id: expected i64, got "a"'


def test_json_error_of_a_very_deep_place_shows_where_it_begins_and_ends() -> None:
    """A text nested by an attacker makes no long line in a log; the attribute keeps the whole place."""
    longest = JsonError("bad", "$" + ".abcd" * 39 + ".end")
    assert len(longest.path) == 200 and str(longest) == f"{longest.path}: bad"
    deep = JsonError("bad", "$.first" + "[0]" * 1000 + ".last")
    assert str(deep).startswith("$.first[0]") and " ... " in str(deep) and str(deep).endswith("[0].last: bad")
    assert len(str(deep)) == 100 + len(" ... ") + 100 + len(": bad") and len(deep.path) > 3000


@pytest.mark.parametrize("again", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))])
def test_json_error_keeps_its_place_in_another_process(again: Callable[[JsonError], JsonError]) -> None:
    """The place that it was given after it was made, too."""
    error = again(JsonError("bad").inside(".id"))
    assert type(error) is JsonError and (error.problem, error.path) == ("bad", "$.id") and str(error) == "$.id: bad"


def test_every_error_has_the_one_root() -> None:
    """``except RpcError`` catches whatever zkrpc raises on purpose."""
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, Exception)]
    assert len(kinds) > 15 and all(issubclass(kind, errors.RpcError) for kind in kinds)
