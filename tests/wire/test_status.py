"""How an error travels: written and read again, by a peer who means well and by one who does not."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.codec import FailureKind
from zkrpc.endpoint import MAX_EPOCH, Endpoint
from zkrpc.errors import (
    CallError,
    DeadlineExceeded,
    Draining,
    Executed,
    NotPrimary,
    Overloaded,
    PermissionDenied,
    Rejected,
    RemoteError,
    StaleEpoch,
    TooLarge,
    UnknownMethod,
)
from zkrpc.wire import headers as keys
from zkrpc.wire import status
from zkrpc.wire.status import Status, epoch_headers, epoch_of, error_of, overloaded, status_of

epochs = st.integers(0, MAX_EPOCH)
hosts = st.sampled_from(["h", "10.0.0.1", "::1", "node-3.example"])
endpoints = st.builds(Endpoint, hosts, st.integers(1, 65535))
executed = st.sampled_from(Executed)
simple = st.sampled_from([Draining, UnknownMethod, TooLarge, PermissionDenied, Rejected, DeadlineExceeded, RemoteError])
errors: st.SearchStrategy[CallError] = st.one_of(
    st.builds(lambda kind, executed: kind("x", executed=executed), simple, executed),
    st.builds(
        Overloaded,
        st.just("x"),
        retry_after=st.none() | st.integers(0, 3_600_000).map(lambda number: number / 1000),
        executed=executed,
    ),
    st.builds(
        NotPrimary,
        st.just("x"),
        primary=st.none() | endpoints,
        epoch=st.none() | epochs,
        group=st.none() | st.text(min_size=1),
        executed=executed,
    ),
    st.builds(StaleEpoch, st.just("x"), seen=epochs, current=epochs, executed=executed),
)


@given(errors)
def test_error_arrives_as_it_was_sent(error: CallError) -> None:
    """Class, executed, and all that comes with it; of a pause whole milliseconds, rounded down."""
    told = status_of(error, error.executed)
    found = error_of(told.headers, told.kind, "x")
    assert type(found) is type(error)
    said, expected = vars(found), vars(error)
    if isinstance(error, Overloaded):
        before, after = expected.pop("retry_after"), said.pop("retry_after")
        assert (before is None) is (after is None)
        assert before is None or 0 <= before - after < 0.0011
    assert said == expected


names = st.sampled_from([*status._ERRORS, "OfALaterVersion", ""]) | st.text(max_size=9)
numbers = st.text(max_size=30) | st.integers().map(str)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            keys.ERROR: names,
            keys.EXECUTED: st.sampled_from(["no", "maybe", "yes"]) | st.text(max_size=5),
            keys.RETRY_AFTER: numbers,
            keys.EPOCH: numbers,
            keys.SEEN: numbers,
            keys.PRIMARY: st.text(max_size=30),
            keys.GROUP: st.text(max_size=9),
        },
    ),
    st.integers(-1, 99),
)
def test_whatever_a_peer_writes_is_an_error_and_never_fails(headers: dict[str, str], kind: int) -> None:
    """What it says of executed is believed; without a word of it, the class tells."""
    found = error_of(headers, kind, "x")
    said = headers.get(keys.EXECUTED)
    if said in ("no", "maybe", "yes"):
        assert found.executed is Executed(said)
    else:
        assert found.executed is type(found).default_executed
    again = status_of(found, found.executed)
    assert vars(error_of(again.headers, again.kind, "x")) == vars(found)


@pytest.mark.parametrize(
    ("told", "kind", "name", "executed"),
    [
        (status.OVERLOADED, FailureKind.INTERNAL_ERROR, "Overloaded", "no"),
        (status.DRAINING, FailureKind.INTERNAL_ERROR, "Draining", "no"),
        (status.STOPPED, FailureKind.INTERNAL_ERROR, "Draining", "maybe"),
        (status.TOO_LATE, FailureKind.INTERNAL_ERROR, "DeadlineExceeded", "no"),
        (status.UNKNOWN_METHOD, FailureKind.UNKNOWN_METHOD, "UnknownMethod", "no"),
        (status.UNREADABLE, FailureKind.PROTOCOL_ERROR, "ProtocolError", "no"),
        (status.PERMISSION_DENIED, FailureKind.INTERNAL_ERROR, "PermissionDenied", "no"),
        (status.TOO_LARGE, FailureKind.PROTOCOL_ERROR, "TooLarge", "no"),
        (status.FAILED, FailureKind.INTERNAL_ERROR, "RemoteError", "yes"),
        (status.REPLY_TOO_LARGE, FailureKind.PROTOCOL_ERROR, "RemoteError", "yes"),
    ],
)
def test_what_a_server_says_by_itself(told: Status, kind: FailureKind, name: str, executed: str) -> None:
    """Older peers know these names; that is why they are written out here."""
    assert told == Status(kind, {"zkrpc-error": name, "zkrpc-executed": executed})
    assert (told.error, told.executed) == (name, executed)


def test_what_is_no_call_is_answered_in_thrifts_own_words() -> None:
    """Whoever sends such a thing is no zkrpc peer, and reads no headers."""
    assert status.NO_CALL == (FailureKind.INVALID_MESSAGE_TYPE, {})
    assert status.MALFORMED == (FailureKind.PROTOCOL_ERROR, {})
    assert (status.MALFORMED.error, status.MALFORMED.executed) == ("", "")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (None, None),
        (0.0, "0"),
        (0.0259, "25"),
        (3601.0, "3600000"),
        (math.inf, "3600000"),
        (math.nan, None),
        (-1.0, None),
    ],
)
def test_hint_when_to_come_back_is_whole_milliseconds_of_an_hour_at_most(
    seconds: float | None, text: str | None
) -> None:
    """What is no time is left out: an application's mistake there must not cost the answer."""
    assert overloaded(seconds).headers.get("zkrpc-retry-after-ms") == text
    told = status_of(Overloaded("full", retry_after=seconds), Executed.NO)
    assert told.headers == overloaded(seconds).headers


def test_error_of_an_application_is_told_by_its_own_name_and_read_as_what_it_did() -> None:
    """The other side need not have the class."""

    class Blocked(Rejected):
        """An interceptor's own."""

    told = status_of(Blocked("you are"), Executed.NO)
    assert told.headers == {"zkrpc-error": "Blocked", "zkrpc-executed": "no"}
    assert type(error_of(told.headers, told.kind, "x")) is Rejected


@given(epochs)
def test_epoch_of_a_reply_arrives(epoch: int) -> None:
    """Written by the server's dispatcher, read by the client's router."""
    assert epoch_of(epoch_headers(epoch)) == epoch


@pytest.mark.parametrize(
    ("text", "epoch"),
    [
        ("0", 0),
        ("7", 7),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        ("9" * 20, None),
        ("-1", None),
        ("٣", None),
        ("", None),
    ],
)
def test_epoch_is_a_number_of_63_bits_or_nothing(text: str, epoch: int | None) -> None:
    """What grows for ever must not be poisoned by what is no epoch."""
    assert epoch_of({"zkrpc-epoch": text}) == epoch
