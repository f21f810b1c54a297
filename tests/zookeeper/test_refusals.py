"""What ZooKeeper's refusals mean."""

from __future__ import annotations

import pytest
from kazoo import exceptions

from zkrpc.credentials import ZooKeeperSecurity
from zkrpc.errors import CoordinationError, NodeExists, NodeMissing, OutcomeUnknown, SessionLost, VersionConflict
from zkrpc.zookeeper.access import Right
from zkrpc.zookeeper.refusals import denied, is_consequence, is_denied, is_unauthorized, translated


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
    assert str(translated(theirs(), "get /a")).partition(": ")[2].startswith(theirs.__name__.removesuffix("Error"))


def test_a_transactions_consequences_are_told_from_its_cause() -> None:
    """Steps that failed only because another one did carry these two."""
    assert is_consequence(exceptions.RolledBackError()) and is_consequence(exceptions.RuntimeInconsistency())
    assert not is_consequence(exceptions.NoNodeError())


def test_not_being_known_is_told_from_not_being_allowed() -> None:
    """And is said with what to do."""
    assert is_unauthorized(exceptions.AuthFailedError()) and not is_unauthorized(exceptions.NoAuthError())
    error = translated(exceptions.SessionClosedRequireSaslError(), "get /a")
    assert "it serves only those whom it knows; set ZKRPC_ZOOKEEPER_USERNAME" in str(error)
    assert "our nodes are to be ours, and ZooKeeper knows us by" in str(translated(exceptions.InvalidACLError(), "x"))


def test_a_denial_names_the_node_the_right_and_us() -> None:
    """And what to do; it is found again behind our own exception."""
    error = denied("create /a/b", "/a", Right.CREATE, ZooKeeperSecurity(username="svc", password="s3cret"))
    error.__cause__ = exceptions.NoAuthError()
    assert (
        is_denied(error) and is_denied(error.__cause__) and not is_denied(CoordinationError()) and not is_denied(None)
    )
    assert error.path == "/a"
    assert str(error) == (
        "ZooKeeper create /a/b: NoAuth: the access list of /a does not let us create, who come as digest svc; come as "
        "its owner, or have that one run zkrpc acl fix (docs/zookeeper-security.md)"
    )
