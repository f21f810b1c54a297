"""What the log says when a handler fails: which service and method, whose request, and what was wrong.

Pure. An exception of a handler is logged with its traceback. A value that the IDL does not allow is one line that names
the field and the handler: a traceback would only show zkrpc's own code.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol

from zkrpc.legible import legible
from zkrpc.server.complaints import ComplaintKind, PeerLog
from zkrpc.server.shares import host_of
from zkrpc.server.signatures import place_of
from zkrpc.telemetry.log_records import fields
from zkrpc.wire.message import Request


class Failure(NamedTuple):
    """One call that failed in a way whose details its caller does not get."""

    method: str
    """Its name in the IDL, of interfaces beside the default one with the interface's before it: ``Audit:log``."""
    request: Request
    peer: str
    """The caller's ``host:port``."""
    handler: object
    """The bound method that ran; None if it is no longer known."""
    error: BaseException
    """What the handler raised; or, with ``returned``, the error that says how its result does not fit."""
    returned: bool = False
    misfit: TypeError | None = None
    """The error that says how the declared exception that it raised does not fit the IDL."""


def describe(service: str, failure: Failure) -> str:
    """The line for the log."""
    call = f"call {failure.request.seqid} from {failure.peer}"
    subject = f"{service}: {legible(failure.method, 200)} ({call})"
    place = place_of(failure.handler).rstrip(": ")
    where = f" [{place}]" if place else ""
    if failure.returned:
        return f"{subject} returned what the IDL does not allow: {failure.error}{where}"
    if failure.misfit is not None:
        kind = type(failure.error).__name__
        return f"{subject} raised {kind} with what the IDL does not allow: {failure.misfit}{where}"
    return f"{subject} failed with an exception that the IDL does not declare{where}"


def traceback_of(failure: Failure) -> BaseException | None:
    """The exception whose traceback is worth logging; None if the line says it all."""
    return None if failure.returned else failure.error


def forget(value: Any) -> None:
    """Closes a coroutine that will never run, so that Python does not warn about it as well."""
    if inspect.iscoroutine(value):
        value.close()


class Greenlets(Protocol):
    """The greenlets in which handlers run."""

    disbanded: bool
    """Whether this is a child that a handler has forked."""


def receive_failure(
    greenlets: Greenlets,
    peer_log: PeerLog,
    clock: Callable[[], float],
    service: str,
    interface: str,
    failure: Failure,
) -> None:
    """Logs a failure; to be bound to all but the last."""
    if greenlets.disbanded:  # the handler forked, and this is its child: it ends as a program does
        raise failure.error
    text, error = describe(service, failure), traceback_of(failure)
    scope, _, method = failure.method.rpartition(":")
    method = f"{scope or interface}/{method}"
    about = fields(method=method, error=type(failure.error).__name__, service=service, peer=failure.peer)
    peer_log.complain(ComplaintKind.FAILED, host_of(failure.peer), clock(), "%s", text, error=error, about=about)
