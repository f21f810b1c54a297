"""Greenlets that keep the caller's context, and threads for blocking work: for handlers that start work of their own.

A gevent greenlet starts with an empty contextvars context, however it is spawned, so the deadline and the trace of the
call being served would be lost at the first spawn. Use this for work *on behalf of a call*, and ``gevent.spawn`` for
background work that belongs to no call.
"""

from __future__ import annotations

import contextvars
import os
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar, overload

import gevent

from zkrpc.callables import OFFLOADED, Kind, can_take, kind_of, name_of
from zkrpc.errors import ConfigError
from zkrpc.forking import exit_child, status_of

P = ParamSpec("P")
T = TypeVar("T")
MethodT = TypeVar("MethodT", bound=Callable[..., Any])


def spawn(function: Callable[P, Any], /, *args: P.args, **kwargs: P.kwargs) -> gevent.Greenlet[..., Any]:
    """Runs ``function`` in a new greenlet that sees a copy of this greenlet's context."""
    return gevent.spawn(contextvars.copy_context().run, function, *args, **kwargs)


@overload
def offload() -> Callable[[MethodT], MethodT]: ...


@overload
def offload(function: Callable[[], T], /) -> T: ...


@overload
def offload(method: MethodT, /) -> MethodT: ...


@overload
def offload(function: Callable[..., T], /, *arguments: Any, **options: Any) -> T: ...


def offload(function: Any = None, /, *arguments: Any, **options: Any) -> Any:
    """Runs a blocking or CPU-bound function in a thread, or marks a handler's method as one that always runs in one.

    ``offload(function, *arguments)`` runs the function in a thread now, while the hub goes on serving, and returns what
    it returns. ``@offload`` above a method has the server run its calls in threads of its own, as many at once as its
    config's ``offload_threads``; the method itself is not changed. Which of the two is meant follows from the function:
    one that is given alone and cannot be called without arguments, as a method, is marked. ``@offload()`` marks any.

    The function sees the context of the call that is served (``current_call``). Stubs of ``zkrpc.connect`` belong to
    the thread that made them: in ``function`` make calls by one of ``zkrpc.threads``. Raises ConfigError for what is no
    function, and for an ``async def``, which runs in no thread of a pool.
    """
    if function is None:
        return _mark
    if not callable(function):
        raise ConfigError(f"offload wants a function and its arguments, got {function!r:.80}")
    if not arguments and not options and not can_take(function, 0):
        return _mark(function)
    done: Any = gevent.get_hub().threadpool.apply(
        attempt, (os.getpid(), contextvars.copy_context().run, (function, *arguments), options)
    )
    result, error = done
    del done
    try:
        if error is not None:
            raise error
        return result
    finally:
        del error  # its traceback knows this frame


def _mark(method: MethodT) -> MethodT:
    if not callable(method):
        raise ConfigError(f"offload marks a method, and {method!r:.80} is none")
    if kind_of(method) is Kind.TASK:
        raise ConfigError(f"{name_of(method)} is async and runs on an event loop: @zkrpc.offload is for a plain def")
    setattr(method, OFFLOADED, True)
    return method


def attempt(
    pid: int, function: Callable[..., T], arguments: tuple[Any, ...], options: dict[str, Any]
) -> tuple[T | None, BaseException | None]:
    """Runs a function in a native thread of process ``pid``. Returns errors instead of raising them, as gevent would
    print them, and reporting them is up to the caller.

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
