"""Spawning with the context kept, and work for threads: what handlers start beside themselves.

A gevent greenlet starts with an empty contextvars context, however it is spawned, so the deadline and the trace of the
call being served would vanish at the first spawn. Whoever spawns work *on behalf of a call* uses this; background work
that belongs to no call uses ``gevent.spawn``.
"""

from __future__ import annotations

import contextvars
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

import gevent

P = ParamSpec("P")
T = TypeVar("T")


def spawn(function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> gevent.Greenlet[..., Any]:
    """Runs ``function`` in a new greenlet that sees a copy of this greenlet's context."""
    return gevent.spawn(contextvars.copy_context().run, function, *args, **kwargs)


def offload(function: Callable[..., T], *arguments: Any, **options: Any) -> T:
    """Runs a blocking or CPU-bound function in a thread, while the hub goes on serving; returns what it returns."""
    result: T = gevent.get_hub().threadpool.apply(function, arguments, options)
    return result
