"""Greenlets that keep the caller's context, and threads for blocking work: for handlers that start work of their own.

A gevent greenlet starts with an empty contextvars context, however it is spawned, so the deadline and the trace of the
call being served would be lost at the first spawn. Use this for work *on behalf of a call*, and ``gevent.spawn`` for
background work that belongs to no call.
"""

from __future__ import annotations

import contextvars
import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import gevent

from zkrpc.forking import exit_child, status_of

P = ParamSpec("P")
T = TypeVar("T")


def spawn(function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> gevent.Greenlet[..., Any]:
    """Runs ``function`` in a new greenlet that sees a copy of this greenlet's context."""
    return gevent.spawn(contextvars.copy_context().run, function, *args, **kwargs)


def offload(function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Runs a blocking or CPU-bound function in a thread, while the hub goes on serving; returns what it returns.

    Stubs belong to the thread that made them: make calls before or after this, not in ``function``.
    """
    done: Any = gevent.get_hub().threadpool.apply(_run_here, (os.getpid(), function, arguments, options))
    result: T = done[0]
    error: BaseException | None = done[1]
    del done
    try:
        if error is not None:
            raise error
        return result
    finally:
        del error  # its traceback knows this frame


def _run_here(
    pid: int, function: Callable[..., T], arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[T | None, BaseException | None]:
    """Runs in the thread. Returns errors instead of raising them, as gevent would print them, and reporting them is up
    to the caller.

    A child that was forked by the function ends here, as its parent's hub does not exist in it.
    """
    try:
        result = function(*arguments, **options)
    except BaseException as error:
        if os.getpid() != pid:
            exit_child(status_of(error))
        return None, error
    if os.getpid() != pid:
        exit_child()
    return result, None
