"""What the log says when a handler fails: which service and method, whose request, and what was wrong.

Pure. A handler that raised is shown with its traceback, for that tells where. A value that the IDL does not allow is
one line that names its field and the handler: a traceback would only lead through zkrpc.
"""

from __future__ import annotations

import inspect
from typing import Any, NamedTuple

from zkrpc.legible import legible
from zkrpc.server.signatures import place_of
from zkrpc.wire.message import Request


class Failure(NamedTuple):
    """One call that went wrong in a way that its caller is not told of."""

    method: str
    request: Request
    peer: str
    """The caller's ``host:port``."""
    handler: object
    """The bound method that ran; None if that is not known any more."""
    error: BaseException
    """What the handler raised; or, with ``returned``, what does not fit in its value."""
    returned: bool = False
    misfit: TypeError | None = None
    """What does not fit in the declared exception that it raised."""


def describe(service: str, failure: Failure) -> str:
    """The line of the log."""
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
    """The exception whose traceback tells more than the line does; None if none does."""
    return None if failure.returned else failure.error


def forget(value: Any) -> None:
    """Ends a coroutine that nobody will ever run, so that Python does not complain of it a second time."""
    if inspect.iscoroutine(value):
        value.close()
