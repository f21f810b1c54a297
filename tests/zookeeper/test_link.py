"""The door to kazoo: what it relies on inside kazoo, and what it makes of kazoo's errors."""

from __future__ import annotations

import inspect
import random

import pytest
from kazoo import exceptions
from kazoo.protocol.connection import ConnectionHandler

from zkrpc.config import RegistryConfig
from zkrpc.endpoint import Endpoint
from zkrpc.errors import (
    CoordinationError,
    NodeExists,
    NodeMissing,
    OutcomeUnknown,
    SessionLost,
    SessionSuspended,
    VersionConflict,
)
from zkrpc.zookeeper.diagnosis import Diagnosis
from zkrpc.zookeeper.ensemble import ServerList
from zkrpc.zookeeper.link import Link, is_consequence, translated
from zkrpc.zookeeper.operations import ConnectString


@pytest.mark.parametrize(
    ("method", "parameters"),
    [
        ("_submit", ["self", "request", "timeout", "xid"]),
        ("_read_header", ["self", "timeout"]),
        ("_invoke", ["self", "timeout", "request", "xid"]),
    ],
)
def test_kazoo_still_has_the_methods_we_wrap(method: str, parameters: list[str]) -> None:
    """A kazoo that renames them would silently take the watchdog and the negotiated timeout away."""
    assert list(inspect.signature(getattr(ConnectionHandler, method)).parameters) == parameters


@pytest.mark.parametrize(
    ("theirs", "ours"),
    [
        (exceptions.NoNodeError, NodeMissing),
        (exceptions.NodeExistsError, NodeExists),
        (exceptions.BadVersionError, VersionConflict),
        (exceptions.SessionExpiredError, SessionLost),
        (exceptions.ConnectionClosedError, OutcomeUnknown),
        (exceptions.ConnectionLoss, OutcomeUnknown),
        (exceptions.OperationTimeoutError, OutcomeUnknown),
        (exceptions.RequestTimeoutError, OutcomeUnknown),
        (exceptions.SessionMovedError, OutcomeUnknown),
        (exceptions.NoAuthError, CoordinationError),
        (exceptions.NotEmptyError, CoordinationError),
    ],
)
def test_errors_are_translated_by_what_they_mean(theirs: type[Exception], ours: type[CoordinationError]) -> None:
    """The message says what was asked and what ZooKeeper called it."""
    error = translated(theirs("why"), "get /a")
    assert type(error) is ours
    assert str(error).startswith(f"ZooKeeper get /a: {theirs.__name__.removesuffix('Error')} (why)")
    assert ("RegistryConfig.username" in str(error)) == (theirs is exceptions.NoAuthError)
    assert str(translated(theirs(), "get /a")).partition(": ")[2].startswith(theirs.__name__.removesuffix("Error"))


def test_a_transactions_consequences_are_told_from_its_cause() -> None:
    """Steps that failed only because another one did carry these two."""
    assert is_consequence(exceptions.RolledBackError()) and is_consequence(exceptions.RuntimeInconsistency())
    assert not is_consequence(exceptions.NoNodeError())


def test_a_link_that_was_never_started_is_closed_and_refuses() -> None:
    """Stopping is safe at any moment."""
    link = Link(
        ConnectString.parse("127.0.0.1:1"),
        RegistryConfig(),
        servers=ServerList([Endpoint("127.0.0.1", 1)], random.random),
        identity=None,
        diagnosis=Diagnosis(()),
        on_change=lambda: None,
    )
    assert not (link.connected or link.dead or link.expired) and link.identity is None and link.overdue_in() is None
    with pytest.raises(SessionSuspended, match="get /a: not sent, not connected"):
        link.call("get /a", lambda kazoo: kazoo.get_async("/a"), 1.0)
    link.drop()
    link.stop(0.1)
