"""How an error travels: what an answer of kind EXCEPTION says beside its text, and what a caller makes of it.

Thrift's own exception is a text and a number, its kind. A zkrpc server says more in headers, which peers of other makes
pass over:

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

Without headers only the kind speaks: an unknown method is known not to have run, of everything else the worst is
assumed. A name that is not known (of a later version, or of an application's own class) is told apart by what it did.

What a server says by itself is a constant here; what an interceptor or an election raised becomes a status by
:func:`status_of`. Both ends are in this module, and neither raises for what the other may have written.
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
"""Seconds; who asks for more is given no more."""


class Status(NamedTuple):
    """What an answer of kind EXCEPTION says beside its text."""

    kind: FailureKind
    headers: Mapping[str, str]

    @property
    def error(self) -> str:
        """The name of the class to raise; empty if only the kind speaks."""
        return self.headers.get(keys.ERROR, "")

    @property
    def executed(self) -> str:
        """Whether the handler ran, in the words of :class:`~zkrpc.errors.Executed`; empty if only the kind speaks."""
        return self.headers.get(keys.EXECUTED, "")


def _status(
    error: type[RpcError], executed: Executed = Executed.NO, kind: FailureKind = FailureKind.INTERNAL_ERROR
) -> Status:
    return Status(kind, MappingProxyType(_headers(error, executed)))


def _headers(error: type[RpcError], executed: Executed) -> dict[str, str]:
    return {keys.ERROR: error.__name__, keys.EXECUTED: executed.value}


OVERLOADED = _status(Overloaded)
"""There is no place for the call, nor in the queue; or the peer does not read its replies."""
DRAINING = _status(Draining)
"""The server is stopping, and the call was not begun."""
STOPPED = _status(Draining, Executed.MAYBE)
"""The server stopped while the handler ran."""
TOO_LATE = _status(DeadlineExceeded)
"""The caller's time was over before the handler ran."""
UNKNOWN_METHOD = _status(UnknownMethod, kind=FailureKind.UNKNOWN_METHOD)
UNREADABLE = _status(ProtocolError, kind=FailureKind.PROTOCOL_ERROR)
"""The arguments are not what the IDL says."""
TOO_LARGE = _status(TooLarge, kind=FailureKind.PROTOCOL_ERROR)
FAILED = _status(RemoteError, Executed.YES)
"""The handler did what the IDL does not allow; or its reply is too large for the connection."""
REPLY_TOO_LARGE = _status(RemoteError, Executed.YES, FailureKind.PROTOCOL_ERROR)
"""A client says so to itself, of a reply that it did not read."""
NO_CALL = Status(FailureKind.INVALID_MESSAGE_TYPE, NO_HEADERS)
"""The message is framed well and asks for nothing."""
MALFORMED = Status(FailureKind.PROTOCOL_ERROR, NO_HEADERS)
"""The message's envelope could not be read."""

_ERRORS: dict[str, type[CallError]] = {
    error.__name__: error
    for error in (
        Overloaded,
        Draining,
        UnknownMethod,
        TooLarge,
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
    if retry_after is None or not retry_after >= 0:
        return OVERLOADED
    milliseconds = int(min(retry_after, _LONGEST_RETRY_AFTER) * 1000)
    return Status(OVERLOADED.kind, {**OVERLOADED.headers, keys.RETRY_AFTER: str(milliseconds)})


def status_of(error: CallError, executed: Executed) -> Status:
    """How a server tells an error that something in front of the handler raised.

    ``executed`` is what the server knows; what the error says of itself may be about a call that it made further on.
    """
    told: dict[str, object] = {}
    if isinstance(error, Overloaded):
        told = {keys.RETRY_AFTER: overloaded(error.retry_after).headers.get(keys.RETRY_AFTER)}
    elif isinstance(error, NotPrimary):
        told = {keys.PRIMARY: error.primary, keys.EPOCH: error.epoch, keys.GROUP: error.group}
    elif isinstance(error, StaleEpoch):
        told = {keys.EPOCH: error.current, keys.SEEN: error.seen}
    headers = _headers(type(error), executed)
    headers.update((key, str(value)) for key, value in told.items() if value is not None)
    return Status(FailureKind.INTERNAL_ERROR, headers)


def error_of(headers: Mapping[str, str], kind: int, message: str) -> CallError:
    """The error that an answer stands for: of ``kind``, with these headers, and this text to show to people."""
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
    """How a reply tells the epoch of the primary that gave it."""
    return {keys.EPOCH: str(epoch)}


def epoch_of(headers: Mapping[str, str], key: str = keys.EPOCH) -> int | None:
    """The epoch that headers say; None if there is none, or something else in its place."""
    return read_epoch(headers.get(key, ""))


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
