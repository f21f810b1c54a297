"""What an answer means: a value, an exception the IDL declares, or a CallError.

A zkrpc server says in headers which error to raise and whether the handler ran. Any other Thrift server only gives a
number and a text; then an unknown method is known not to have run, and of everything else the worst is assumed.
"""

from __future__ import annotations

from collections.abc import Mapping

from zkrpc.codec import FailureKind, decode_failure
from zkrpc.endpoint import NO_EPOCH, Endpoint, read_epoch
from zkrpc.errors import (
    CallError,
    ConfigError,
    ConnectionLost,
    DeadlineExceeded,
    Draining,
    Executed,
    NotPrimary,
    Overloaded,
    Rejected,
    RemoteError,
    RemoteProtocolError,
    StaleEpoch,
    TooLarge,
    Unavailable,
    UnknownMethod,
)
from zkrpc.idl import Method
from zkrpc.legible import legible
from zkrpc.wire import headers as keys
from zkrpc.wire.message import Reply

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
_LONGEST_RETRY_AFTER = 3600.0


def unreadable(method: Method, error: RemoteProtocolError) -> RemoteError:
    """The error for a reply whose frame was sound but whose content was not: the handler did run."""
    return RemoteError(f"{_name(method)}: the reply could not be read ({error}); do both sides use the same IDL?")


def misfit(method: Method, error: TypeError) -> TypeError:
    """The same error, of arguments that do not fit, with the method's name."""
    text, name = str(error), _name(method)
    return TypeError(text if text.startswith(name) else f"{name}(): {text}")


def tell_more(error: CallError, method: Method, seconds: float) -> None:
    """Has an error that was born on the way to an instance say which method was called, and how long it was tried."""
    if isinstance(error, DeadlineExceeded):
        error.args = (f"{_name(method)}: {error.args[0]}, after {seconds:.3g} s",)
    elif isinstance(error, (ConnectionLost, TooLarge, Unavailable)):
        error.args = (f"{_name(method)}: {error.args[0]}",)


def failure_of(method: Method, reply: Reply) -> CallError:
    """The error that a reply of kind EXCEPTION stands for."""
    try:
        text, kind = decode_failure(reply.frame, reply.offset, reply.dialect.payload)
    except RemoteProtocolError as error:
        text, kind = f"unreadable failure ({error})", int(FailureKind.UNKNOWN)
    executed = _EXECUTED.get(reply.headers.get(keys.EXECUTED, ""))
    message = f"{_name(method)}: {legible(text or 'no reason given')}"
    error_class = _class_of(reply.headers.get(keys.ERROR, ""), kind, executed)
    headers = reply.headers
    if error_class is Overloaded:
        return Overloaded(message, executed=executed, retry_after=_retry_after(reply))
    if error_class is NotPrimary:
        primary, epoch, group = _primary(headers), epoch_of(headers), headers.get(keys.GROUP)
        return NotPrimary(message, executed=executed, primary=primary, epoch=epoch, group=group)
    if error_class is StaleEpoch:
        seen, current = epoch_of(headers, keys.SEEN) or NO_EPOCH, epoch_of(headers) or NO_EPOCH
        return StaleEpoch(message, executed=executed, seen=seen, current=current)
    return error_class(message, executed=executed)


def epoch_of(headers: Mapping[str, str], key: str = keys.EPOCH) -> int | None:
    """The epoch that a reply's headers say; None if there is none, or something else in its place."""
    return read_epoch(headers.get(key, ""))


def is_refusal(error: CallError) -> bool:
    """True if the instance was not well enough to take the call; says nothing good of it, however fast it said so."""
    return isinstance(error, Rejected) and not isinstance(error, (UnknownMethod, TooLarge, NotPrimary, StaleEpoch))


def _class_of(name: str, kind: int, executed: Executed | None) -> type[CallError]:
    known = _ERRORS.get(name)
    if known is not None:
        return known
    if kind == FailureKind.UNKNOWN_METHOD:
        return UnknownMethod
    # Names of a later version, and refusals that have no class of their own, are told apart by what they did.
    return Rejected if executed is Executed.NO else RemoteError


def _retry_after(reply: Reply) -> float | None:
    text = reply.headers.get(keys.RETRY_AFTER, "")
    if not (text.isascii() and text.isdigit()):
        return None
    return min(int(text[:10]) / 1000, _LONGEST_RETRY_AFTER)


def _primary(headers: Mapping[str, str]) -> Endpoint | None:
    try:
        return Endpoint.parse(headers.get(keys.PRIMARY, ""))
    except ConfigError:
        return None


def _name(method: Method) -> str:
    return f"{method.interface}.{method.name}"
