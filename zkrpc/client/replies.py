"""What went wrong with a call, in words that name its method: an answer of kind EXCEPTION, an answer that cannot be
read, arguments that do not fit, an attempt that failed on its way.

Which error an answer stands for, :mod:`zkrpc.wire.status` knows.
"""

from __future__ import annotations

from zkrpc.codec import FailureKind, decode_failure
from zkrpc.errors import (
    CallError,
    ConnectionLost,
    DeadlineExceeded,
    NotPrimary,
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
from zkrpc.wire.message import Reply
from zkrpc.wire.status import error_of


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
    return error_of(reply.headers, kind, f"{_name(method)}: {legible(text or 'no reason given')}")


def is_refusal(error: CallError) -> bool:
    """True if the instance was not well enough to take the call; says nothing good of it, however fast it said so."""
    return isinstance(error, Rejected) and not isinstance(error, (UnknownMethod, TooLarge, NotPrimary, StaleEpoch))


def _name(method: Method) -> str:
    return f"{method.interface}.{method.name}"
