"""What an answer means to the caller."""

from __future__ import annotations

from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import pytest

from zkrpc.client.replies import failure_of, is_refusal, unreadable
from zkrpc.codec import FailureKind, encode_failure
from zkrpc.errors import (
    CallError,
    DeadlineExceeded,
    Draining,
    Executed,
    Overloaded,
    Rejected,
    RemoteError,
    RemoteProtocolError,
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


def test_unreadable_failure_is_still_a_failure() -> None:
    """Garbage where the reason should be leaves what the headers say."""
    got = failure(b"\x0b\x00", {"zkrpc-executed": "no"})
    assert (type(got), got.executed) == (Rejected, Executed.NO)
    assert "unreadable failure" in str(got)


def test_message_of_a_peer_is_cut_to_a_sensible_length() -> None:
    """Somebody else's text may be long, or missing."""
    assert len(str(failure(encode_failure("x" * 5000, 6)))) < 1100
    assert "no reason given" in str(failure(b"\x00"))


def test_unreadable_reply_says_that_the_handler_ran() -> None:
    """It must not be sent again on account of our reading."""
    error = unreadable(METHOD, RemoteProtocolError("truncated"))
    assert (type(error), error.executed) == (RemoteError, Executed.YES)
    assert "same IDL" in str(error)


def test_is_refusal_is_about_the_instance_not_about_the_call() -> None:
    """An unknown method says nothing of how well the instance is."""
    assert [is_refusal(error("x")) for error in (Overloaded, Draining, Rejected, UnknownMethod, RemoteError)] == [
        True,
        True,
        True,
        False,
        False,
    ]
