"""Checks of functions that users hand in: whether they can be called as zkrpc does, and whether calling them does
anything.

They are checked when they are handed in. A coroutine function, when called, returns a coroutine and runs nothing: an
``async def`` as ``is_ready`` would always count as True.
"""

from __future__ import annotations

import enum
import functools
import inspect
from collections.abc import Callable
from typing import Any

from zkrpc.errors import ConfigError

_ANY = object()
OFFLOADED = "zkrpc_offloaded"
"""The mark that ``zkrpc.offload`` leaves on a handler's method."""


class Kind(enum.Enum):
    """Where a handler's method runs."""

    GREENLET = "on the hub"
    TASK = "on the event loop of asyncio"
    THREAD = "in a native thread"


def attribute_of(holder: object, name: str, default: Any = None) -> Any:
    """An attribute of an object that a user of zkrpc wrote; ``default`` if there is none.

    Raises ConfigError if reading it raises anything but AttributeError, as a ``__getattr__`` over a dict does.
    """
    try:
        return getattr(holder, name, default)
    except Exception as error:
        raise ConfigError(
            f"{type(holder).__name__}.{name} cannot be read: {type(error).__name__}: {error}; for what is not there a "
            "__getattr__ has to raise AttributeError"
        ) from error


def name_of(subject: object) -> str:
    """Its own name, if it is a function or a class, else that of its class."""
    try:
        return str(getattr(subject, "__name__", type(subject).__name__))
    except Exception:  # its __getattr__ raises something else than AttributeError
        return type(subject).__name__


def kind_of(function: Any) -> Kind:
    """Where a handler's method runs: on the event loop if it is ``async def``, in a thread if ``zkrpc.offload`` marks
    it, else on the hub."""
    if _has_flags_of(function, inspect.iscoroutinefunction):
        return Kind.TASK
    return Kind.THREAD if getattr(function, OFFLOADED, False) is True else Kind.GREENLET


def _has_flags_of(function: Any, question: Callable[[Any], bool]) -> bool:
    """Whether the answer to a question about a function's code is yes for it or for what is called if it is called."""
    while isinstance(function, functools.partial):
        function = function.func
    for called in (function, getattr(type(function), "__call__", None)):
        # A mock that is made like a function says yes to every question.
        if isinstance(getattr(getattr(called, "__code__", None), "co_flags", 0), int) and question(called):
            return True
    return False


def never_run(function: Any, instead: str = "return a list") -> str:
    """Why calling a function would run nothing, as text to follow its name; empty if it would run."""
    if _has_flags_of(function, _is_async):
        return " is async, and nobody would await it; zkrpc uses gevent: write def, and block where async awaits"
    if _has_flags_of(function, inspect.isgeneratorfunction):
        return f" is a generator, and nothing would iterate it; {instead}"
    return ""


def _is_async(function: Any) -> bool:
    return inspect.iscoroutinefunction(function) or inspect.isasyncgenfunction(function)


def can_take(function: Any, arguments: int) -> bool:
    """Whether a function can be called with so many arguments, as far as that can be known."""
    try:
        signature = inspect.signature(function)
    except (TypeError, ValueError):  # written in C, and without a signature, or a mock that cannot say one
        return callable(function)
    try:
        signature.bind(*[_ANY] * arguments)
    except TypeError:
        return False
    return True


def require_callable(what: str, function: Any, *arguments: str) -> None:
    """Raises a ConfigError that begins with ``what``, if the function cannot be called or would run nothing."""
    name = getattr(function, "__qualname__", None) or repr(function)
    if not callable(function):
        raise ConfigError(f"{what} must be a function of ({', '.join(arguments)}), got {name:.80}")
    if reason := never_run(function):
        raise ConfigError(f"{what} {name}{reason}")
    if not can_take(function, len(arguments)):
        hint = "; give an instance of the class" if isinstance(function, type) else ""
        raise ConfigError(f"{what} {name} must take ({', '.join(arguments)}){hint}")


def require_interceptors(given: Any) -> tuple[Any, ...]:
    """The interceptors as a tuple. Raises ConfigError if they are no sequence of functions of a call and the rest."""
    try:
        interceptors = tuple(given)
    except TypeError:
        raise ConfigError(f"interceptors must be a list of functions of (call, proceed), got {given!r:.80}") from None
    for interceptor in interceptors:
        require_callable("the interceptor", interceptor, "call", "proceed")
    return interceptors
