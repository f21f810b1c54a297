"""The errors of calls, with texts that name the method: for an answer of kind EXCEPTION, an answer that cannot be read,
arguments that do not fit, and an attempt that failed before its answer.

:mod:`zkrpc.wire.status` decides which error an answer stands for.
"""

from __future__ import annotations

from zkrpc.codec import FailureKind, decode_failure
from zkrpc.errors import (
    CallError,
    ConnectionLost,
    DeadlineExceeded,
    NotPrimary,
    PermissionDenied,
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
    """Adds the method's name to the error of arguments that do not fit."""
    text, name = str(error), _name(method)
    return TypeError(text if text.startswith(name) else f"{name}(): {text}")


def tell_more(error: CallError, method: Method, seconds: float) -> None:
    """Adds the method's name, and for a deadline the time that passed, to an error of an attempt that got no answer."""
    if isinstance(error, DeadlineExceeded):
        error.args = (f"{_name(method)}: {error.args[0]}, after {seconds:.3g} s",)
    elif isinstance(error, (ConnectionLost, TooLarge, Unavailable)):
        error.args = (f"{_name(method)}: {error.args[0]}",)


def hint_at_dialect(error: CallError, dialect: str) -> None:
    """Adds what may be wrong with a server that has never sent a byte."""
    error.args = (
        f"{error.args[0]}; not a byte has come from the server: perhaps it does not speak {dialect} (see dialect=), "
        "or has no thread free",
    )


def failure_of(method: Method, reply: Reply) -> CallError:
    """The error that a reply of kind EXCEPTION stands for."""
    try:
        text, kind = decode_failure(reply.frame, reply.offset, reply.dialect.payload)
    except RemoteProtocolError as error:
        text, kind = f"unreadable failure ({error})", int(FailureKind.UNKNOWN)
    return error_of(reply.headers, kind, f"{_name(method)}: {legible(text or 'no reason given')}")


def is_refusal(error: CallError) -> bool:
    """True if the instance did not take the call, because it is overloaded or drains. Such an answer does not count as
    a fast one."""
    others = (UnknownMethod, TooLarge, PermissionDenied, NotPrimary, StaleEpoch)
    return isinstance(error, Rejected) and not isinstance(error, others)


def _name(method: Method) -> str:
    return f"{method.interface}.{method.name}"
