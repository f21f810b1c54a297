"""How an error travels: what an answer of kind EXCEPTION holds beside its text, and which error the caller raises for
it.

Thrift's own exception is a text and a number, its kind. A zkrpc server adds headers, which other clients ignore:

========================  ====================================================  ========================
header                    says                                                  on
========================  ====================================================  ========================
``zkrpc-error``           the class to raise, by its name in ``zkrpc.errors``   every failure
``zkrpc-executed``        whether the handler ran: no, maybe or yes             every failure
``zkrpc-retry-after-ms``  for how long to leave this instance alone, if known   Overloaded
``zkrpc-primary``         the place of the primary, if known                    NotPrimary
``zkrpc-group``           the group whose primary the call wants, if known      NotPrimary
``zkrpc-epoch``           the newest epoch the instance knows of, if any        NotPrimary
``zkrpc-epoch``           the epoch that the instance served in                 StaleEpoch
``zkrpc-seen``            the epoch that the caller had seen                    StaleEpoch
========================  ====================================================  ========================

Without headers only the kind is known: an unknown method has certainly not run, for everything else the worst is
assumed. For a name that this version does not know (of a later version, or of an application's own class) the error is
chosen by ``zkrpc-executed``.

A server's own refusals are constants here; :func:`status_of` makes a status of what an interceptor or an election
raised. Writing and reading are both in this module, and reading never raises, whatever a peer has written.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple

from zkrpc.codec import FailureKind
from zkrpc.endpoint import NO_EPOCH, Endpoint, read_epoch
from zkrpc.errors import (
    CallError,
    ConfigError,
    DeadlineExceeded,
    Draining,
    Executed,
    NotPrimary,
    Overloaded,
    PermissionDenied,
    ProtocolError,
    Rejected,
    RemoteError,
    RpcError,
    StaleEpoch,
    TooLarge,
    UnknownMethod,
)
from zkrpc.wire import headers as keys
from zkrpc.wire.theader import NO_HEADERS

_LONGEST_RETRY_AFTER = 3600.0
"""Seconds; a longer hint counts as this."""


class Status(NamedTuple):
    """What an answer of kind EXCEPTION says beside its text."""

    kind: FailureKind
    headers: Mapping[str, str]

    @property
    def error(self) -> str:
        """The name of the class to raise; empty if only the kind is known."""
        return self.headers.get(keys.ERROR, "")

    @property
    def executed(self) -> str:
        """Whether the handler ran, as a value of :class:`~zkrpc.errors.Executed`; empty if only the kind is known."""
        return self.headers.get(keys.EXECUTED, "")


def _status(
    error: type[RpcError], executed: Executed = Executed.NO, kind: FailureKind = FailureKind.INTERNAL_ERROR
) -> Status:
    return Status(kind, MappingProxyType(_headers(error, executed)))


def _headers(error: type[RpcError], executed: Executed) -> dict[str, str]:
    return {keys.ERROR: error.__name__, keys.EXECUTED: executed.value}


OVERLOADED = _status(Overloaded)
"""There is no place for the call, and none in the queue; or the peer does not read its replies."""
DRAINING = _status(Draining)
"""The server is stopping, and the call was not begun."""
STOPPED = _status(Draining, Executed.MAYBE)
"""The server stopped while the handler ran."""
TOO_LATE = _status(DeadlineExceeded)
"""The caller's deadline passed before the handler ran."""
EXPIRED = _status(DeadlineExceeded, Executed.YES)
"""The caller's deadline passed while the handler ran, in a call that the handler made and that inherited it."""
UNKNOWN_METHOD = _status(UnknownMethod, kind=FailureKind.UNKNOWN_METHOD)
UNREADABLE = _status(ProtocolError, kind=FailureKind.PROTOCOL_ERROR)
"""The arguments do not fit the IDL."""
PERMISSION_DENIED = _status(PermissionDenied)
"""The caller is on no list of those who may call the method."""
TOO_LARGE = _status(TooLarge, kind=FailureKind.PROTOCOL_ERROR)
FAILED = _status(RemoteError, Executed.YES)
"""The handler failed in a way that the IDL does not declare; or its reply is too large for the connection."""
REPLY_TOO_LARGE = _status(RemoteError, Executed.YES, FailureKind.PROTOCOL_ERROR)
"""The client's own status for a reply that was too large to be read."""
NO_CALL = Status(FailureKind.INVALID_MESSAGE_TYPE, NO_HEADERS)
"""The message is well framed and is not a call."""
MALFORMED = Status(FailureKind.PROTOCOL_ERROR, NO_HEADERS)
"""The message's envelope could not be read."""

_ERRORS: dict[str, type[CallError]] = {
    error.__name__: error
    for error in (
        Overloaded,
        Draining,
        UnknownMethod,
        TooLarge,
        PermissionDenied,
        NotPrimary,
        StaleEpoch,
        Rejected,
        DeadlineExceeded,
        RemoteError,
    )
}
_EXECUTED = {executed.value: executed for executed in Executed}


def overloaded(retry_after: float | None) -> Status:
    """OVERLOADED, with a hint in seconds; None for no hint."""
    hint = _hint(retry_after)
    return OVERLOADED if hint is None else Status(OVERLOADED.kind, {**OVERLOADED.headers, keys.RETRY_AFTER: str(hint)})


def status_of(error: CallError, executed: Executed) -> Status:
    """The status for an error that was raised in front of the handler.

    ``executed`` is what the server knows; the error's own ``executed`` may be about a call that the handler made to
    another server.
    """
    told: dict[str, object] = {}
    if isinstance(error, Overloaded):
        told = {keys.RETRY_AFTER: _hint(error.retry_after)}
    elif isinstance(error, NotPrimary):
        told = {keys.PRIMARY: error.primary, keys.EPOCH: error.epoch, keys.GROUP: error.group}
    elif isinstance(error, StaleEpoch):
        told = {keys.EPOCH: error.current, keys.SEEN: error.seen}
    headers = _headers(type(error), executed)
    headers.update((key, str(value)) for key, value in told.items() if value is not None)
    return Status(FailureKind.INTERNAL_ERROR, headers)


def error_of(headers: Mapping[str, str], kind: int, message: str) -> CallError:
    """The error that an answer stands for, made of its kind, its headers and its text."""
    executed = _EXECUTED.get(headers.get(keys.EXECUTED, ""))
    error = _ERRORS.get(headers.get(keys.ERROR, ""))
    if error is None:
        unknown = Rejected if executed is Executed.NO else RemoteError
        error = UnknownMethod if kind == FailureKind.UNKNOWN_METHOD else unknown
    if error is Overloaded:
        return Overloaded(message, executed=executed, retry_after=_retry_after(headers))
    if error is NotPrimary:
        primary, epoch, group = _primary(headers), epoch_of(headers), headers.get(keys.GROUP)
        return NotPrimary(message, executed=executed, primary=primary, epoch=epoch, group=group)
    if error is StaleEpoch:
        seen, current = epoch_of(headers, keys.SEEN) or NO_EPOCH, epoch_of(headers) or NO_EPOCH
        return StaleEpoch(message, executed=executed, seen=seen, current=current)
    return error(message, executed=executed)


def epoch_headers(epoch: int) -> dict[str, str]:
    """The headers of a reply that carry the epoch of the primary that served it."""
    return {keys.EPOCH: str(epoch)}


def epoch_of(headers: Mapping[str, str], key: str = keys.EPOCH) -> int | None:
    """The epoch in headers; None if there is none, or no valid one."""
    return read_epoch(headers.get(key, ""))


def _hint(retry_after: float | None) -> int | None:
    """Milliseconds; None if there is no hint, or it is no time."""
    if retry_after is None or not retry_after >= 0:
        return None
    return int(min(retry_after, _LONGEST_RETRY_AFTER) * 1000)


def _retry_after(headers: Mapping[str, str]) -> float | None:
    text = headers.get(keys.RETRY_AFTER, "")
    if not (text.isascii() and text.isdigit()):
        return None
    return min(int(text[:10]) / 1000, _LONGEST_RETRY_AFTER)


def _primary(headers: Mapping[str, str]) -> Endpoint | None:
    try:
        return Endpoint.parse(headers.get(keys.PRIMARY, ""))
    except ConfigError:
        return None
