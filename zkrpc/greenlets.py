"""Spawning with the context kept, and work for threads: what handlers start beside themselves.

A gevent greenlet starts with an empty contextvars context, however it is spawned, so the deadline and the trace of the
call being served would vanish at the first spawn. Whoever spawns work *on behalf of a call* uses this; background work
that belongs to no call uses ``gevent.spawn``.
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
    """In the thread. Raises nothing: gevent prints what a thread raises, and the error is the caller's to tell of.

    A forked child that comes back has no one to come back to: its parent's hub is not here.
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
