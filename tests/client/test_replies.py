"""What an answer means to the caller."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from zkrpc.client.replies import failure_of, is_refusal, misfit, tell_more, unreadable
from zkrpc.codec import FailureKind, encode_failure
from zkrpc.endpoint import Endpoint
from zkrpc.errors import (
    CallError,
    ConnectionLost,
    DeadlineExceeded,
    Draining,
    Executed,
    NotPrimary,
    Overloaded,
    PermissionDenied,
    Rejected,
    RemoteError,
    RemoteProtocolError,
    StaleEpoch,
    TooLarge,
    Unavailable,
    UnknownMethod,
)
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.message import Dialect, Reply

METHOD: Any = SimpleNamespace(interface="Users", name="get")


def failure(body: bytes, headers: Mapping[str, str] = {}, dialect: Dialect = Dialect.HEADER_BINARY) -> CallError:
    """The error that an EXCEPTION with this body becomes."""
    return failure_of(METHOD, Reply(MessageKind.EXCEPTION, headers, b"\xff\xff" + body, 2, dialect))


@pytest.mark.parametrize(
    ("name", "executed", "error", "means"),
    [
        ("Overloaded", "no", Overloaded, Executed.NO),
        ("Draining", "no", Draining, Executed.NO),
        ("Draining", "maybe", Draining, Executed.MAYBE),
        ("UnknownMethod", "no", UnknownMethod, Executed.NO),
        ("NotPrimary", "no", NotPrimary, Executed.NO),
        ("StaleEpoch", "no", StaleEpoch, Executed.NO),
        ("DeadlineExceeded", "no", DeadlineExceeded, Executed.NO),
        ("RemoteError", "yes", RemoteError, Executed.YES),
        ("ProtocolError", "no", Rejected, Executed.NO),
        ("OfALaterVersion", "no", Rejected, Executed.NO),
        ("OfALaterVersion", "maybe", RemoteError, Executed.MAYBE),
        ("RpcError", "perhaps", RemoteError, Executed.YES),
    ],
)
def test_headers_name_the_error_and_say_whether_the_handler_ran(
    name: str, executed: str, error: type[CallError], means: Executed
) -> None:
    """Only known names become classes; what is unknown is told apart by what it did."""
    headers = {"zkrpc-error": name, "zkrpc-executed": executed}
    got = failure(encode_failure("because", FailureKind.INTERNAL_ERROR), headers)
    assert (type(got), got.executed) == (error, means)
    assert "Users.get: because" in str(got)


@pytest.mark.parametrize(
    ("kind", "error", "means"),
    [
        (FailureKind.UNKNOWN_METHOD, UnknownMethod, Executed.NO),
        (FailureKind.INTERNAL_ERROR, RemoteError, Executed.YES),
        (FailureKind.PROTOCOL_ERROR, RemoteError, Executed.YES),
        (99, RemoteError, Executed.YES),
    ],
)
def test_without_headers_only_the_kind_speaks(kind: int, error: type[CallError], means: Executed) -> None:
    """Of everything but an unknown method the worst is assumed."""
    got = failure(encode_failure("no", kind), dialect=Dialect.FRAMED_BINARY)
    assert (type(got), got.executed) == (error, means)


@pytest.mark.parametrize(
    ("text", "seconds"), [("250", 0.25), ("99999999999", 3600.0), ("", None), ("-5", None), ("٣", None)]
)
def test_retry_after_is_a_bounded_number_of_seconds_or_nothing(text: str, seconds: float | None) -> None:
    """A peer's text is not trusted."""
    got = failure(encode_failure("full", 6), {"zkrpc-error": "Overloaded", "zkrpc-retry-after-ms": text})
    assert isinstance(got, Overloaded)
    assert got.retry_after == seconds


def test_not_primary_says_where_to_go() -> None:
    """Place, epoch and group, each as far as it can be read."""
    told = {"zkrpc-error": "NotPrimary", "zkrpc-primary": "[::1]:90", "zkrpc-epoch": "7", "zkrpc-group": "g"}
    got = failure(encode_failure("not here", 6), told)
    assert isinstance(got, NotPrimary)
    assert (got.primary, got.epoch, got.group) == (Endpoint("::1", 90), 7, "g")
    got = failure(encode_failure("not here", 6), {**told, "zkrpc-primary": "nowhere", "zkrpc-epoch": "seven"})
    assert isinstance(got, NotPrimary)
    assert (got.primary, got.epoch, got.group) == (None, None, "g")


def test_stale_epoch_says_both_epochs() -> None:
    """The one that was demanded and the one that is served; nothing told is before all epochs."""
    got = failure(encode_failure("over", 6), {"zkrpc-error": "StaleEpoch", "zkrpc-epoch": "6", "zkrpc-seen": "7"})
    assert isinstance(got, StaleEpoch) and (got.seen, got.current) == (7, 6)
    got = failure(encode_failure("over", 6), {"zkrpc-error": "StaleEpoch"})
    assert isinstance(got, StaleEpoch) and (got.seen, got.current) == (0, 0)


def test_unreadable_failure_is_still_a_failure() -> None:
    """Garbage where the reason should be leaves what the headers say."""
    got = failure(b"\x0b\x00", {"zkrpc-executed": "no"})
    assert (type(got), got.executed) == (Rejected, Executed.NO)
    assert "unreadable failure" in str(got)


def test_message_of_a_peer_is_cut_to_a_sensible_length() -> None:
    """Somebody else's text may be long, or missing."""
    assert len(str(failure(encode_failure("x" * 5000, 6)))) < 1100
    assert "no reason given" in str(failure(b"\x00"))


def test_message_of_a_peer_is_no_order_to_a_terminal() -> None:
    """It ends up in logs and on screens; what is visible stays."""
    error = failure(encode_failure("grüße\x1b[2J\nzkrpc: all is well", 6))
    assert "grüße\\x1b[2J\\nzkrpc: all is well" in str(error) and str(error).isprintable()


def test_unreadable_reply_says_that_the_handler_ran() -> None:
    """It must not be sent again on account of our reading."""
    error = unreadable(METHOD, RemoteProtocolError("truncated"))
    assert (type(error), error.executed) == (RemoteError, Executed.YES)
    assert "same IDL" in str(error)


def test_is_refusal_is_about_the_instance_not_about_the_call() -> None:
    """An unknown method says nothing of how well the instance is; nor does another instance's being the primary."""
    assert all(is_refusal(error("x")) for error in (Overloaded, Draining, Rejected))
    assert not any(is_refusal(error("x")) for error in (UnknownMethod, PermissionDenied, NotPrimary, RemoteError))
    assert not is_refusal(StaleEpoch("x", seen=2, current=1))


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("missing a required argument: 'id'", "Users.get(): missing a required argument: 'id'"),
        ("Users.get(): too many arguments", "Users.get(): too many arguments"),
    ],
)
def test_arguments_that_do_not_fit_are_told_with_the_method_once(text: str, told: str) -> None:
    """Whoever reads it knows which call is meant, and reads the name a single time."""
    error = misfit(METHOD, TypeError(text))
    assert type(error) is TypeError and str(error) == told


def test_expired_deadline_says_which_method_and_after_how_long() -> None:
    """Where it was noticed neither is known; the rest of the error stays as it was."""
    error = DeadlineExceeded("no reply in time", executed=Executed.MAYBE, endpoint=Endpoint("10.0.0.1", 90))
    before = str(DeadlineExceeded("no reply in time", executed=Executed.MAYBE, endpoint=Endpoint("10.0.0.1", 90)))
    tell_more(error, METHOD, 1.23456)
    assert str(error) == before.replace("no reply in time", "Users.get: no reply in time, after 1.23 s")
    assert (error.executed, error.endpoint) == (Executed.MAYBE, Endpoint("10.0.0.1", 90))


@pytest.mark.parametrize("error", [ConnectionLost("x"), TooLarge("x"), Unavailable("x")])
def test_errors_born_on_the_way_say_which_method_was_called(error: CallError) -> None:
    """A connection, a limit and a channel know no methods."""
    tell_more(error, METHOD, 1.0)
    assert error.args[0] == "Users.get: x"


def test_errors_of_a_reply_are_told_no_more() -> None:
    """They name the method already."""
    error = failure(encode_failure("full", 6), {"zkrpc-error": "Overloaded"})
    before = str(error)
    tell_more(error, METHOD, 1.0)
    assert str(error) == before and before.count("Users.get") == 1
