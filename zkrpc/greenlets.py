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
    result: T = gevent.get_hub().threadpool.apply(_run_here, (os.getpid(), function, arguments, options))
    return result


def _run_here(pid: int, function: Callable[..., T], arguments: tuple[Any, ...], options: dict[str, Any]) -> T:
    """In the thread. A forked child that comes back has no one to come back to: its parent's hub is not here."""
    try:
        result = function(*arguments, **options)
    except BaseException as error:
        if os.getpid() != pid:
            exit_child(status_of(error))
        raise
    if os.getpid() != pid:
        exit_child()
    return result
