"""What ZooKeeper's refusals mean: zkrpc's exceptions for kazoo's, with words that say what to do."""

from __future__ import annotations

from kazoo.exceptions import (
    AuthFailedError,
    BadVersionError,
    ConnectionClosedError,
    ConnectionLoss,
    InvalidACLError,
    KazooException,
    NoAuthError,
    NodeExistsError,
    NoNodeError,
    OperationTimeoutError,
    RequestTimeoutError,
    RolledBackError,
    RuntimeInconsistency,
    SessionClosedRequireSaslError,
    SessionExpiredError,
    SessionMovedError,
)

from zkrpc.credentials import ZooKeeperSecurity
from zkrpc.errors import (
    AccessDenied,
    CoordinationError,
    NodeExists,
    NodeMissing,
    OutcomeUnknown,
    SessionLost,
    VersionConflict,
)
from zkrpc.legible import legible
from zkrpc.zookeeper.access import Right, spelled

# The order matters: kazoo's ConnectionClosedError is a subclass of its SessionExpiredError, but does not mean that the
# session has expired.
_TRANSLATIONS: tuple[tuple[type[KazooException], type[CoordinationError]], ...] = (
    (NoNodeError, NodeMissing),
    (NodeExistsError, NodeExists),
    (BadVersionError, VersionConflict),
    (ConnectionClosedError, OutcomeUnknown),
    (SessionExpiredError, SessionLost),
    (ConnectionLoss, OutcomeUnknown),
    (SessionMovedError, OutcomeUnknown),
    (OperationTimeoutError, OutcomeUnknown),
    (RequestTimeoutError, OutcomeUnknown),
)


def translated(error: KazooException, action: str) -> CoordinationError:
    """zkrpc's exception for one of kazoo's; a plain CoordinationError if there is no special one."""
    for theirs, ours in _TRANSLATIONS:
        if isinstance(error, theirs):
            return ours(f"ZooKeeper {action}: {_reason(error)}")
    return CoordinationError(f"ZooKeeper {action}: {_reason(error)}")


def _reason(error: KazooException) -> str:
    name = type(error).__name__.removesuffix("Error")
    text = f"{name} ({error})" if str(error) else name
    if isinstance(error, InvalidACLError):
        return (
            f"{text}: our nodes are to be ours, and ZooKeeper knows us by nothing, or does not know an identity of our "
            "owners and users: for certificates it needs ssl.clientAuth and the X509AuthenticationProvider"
        )
    if is_unauthorized(error):
        return (
            f"{text}: it serves only those whom it knows; set ZKRPC_ZOOKEEPER_USERNAME and its like, or a certificate "
            "(docs/zookeeper-security.md)"
        )
    return text


def is_denied(error: BaseException | None) -> bool:
    """True if ZooKeeper refused a request, or a step of a transaction, because of a node's access list."""
    return isinstance(error, NoAuthError) or isinstance(error, CoordinationError) and is_denied(error.__cause__)


def denied(action: str, path: str, right: Right, security: ZooKeeperSecurity) -> AccessDenied:
    """The error for a request that needs the ``right`` to the node at ``path``."""
    return AccessDenied(
        f"ZooKeeper {action}: NoAuth: the access list of {legible(path)} does not let us {spelled(right)}, who come as "
        f"{security}; come as its owner, or have that one run zkrpc acl fix (docs/zookeeper-security.md)",
        path,
    )


def is_consequence(error: object) -> bool:
    """True for the error of a transaction's step that failed only because another step did."""
    return isinstance(error, (RolledBackError, RuntimeInconsistency))


def is_unauthorized(error: KazooException) -> bool:
    """True if ZooKeeper serves nobody whom it does not know, and does not know us."""
    return isinstance(error, (AuthFailedError, SessionClosedRequireSaslError))
