"""Checks of functions that users hand in: whether they can be called as zkrpc does, and whether calling them does
anything.

They are checked when they are handed in. A coroutine function, when called, returns a coroutine and runs nothing: an
``async def`` as ``is_ready`` would always count as True.
"""

from __future__ import annotations

import functools
import inspect
from typing import Any

from zkrpc.errors import ConfigError

_ANY = object()


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


def never_run(function: Any, instead: str = "return a list") -> str:
    """Why calling a function would run nothing, as text to follow its name; empty if it would run."""
    while isinstance(function, functools.partial):
        function = function.func
    for called in (function, getattr(type(function), "__call__", None)):
        if not isinstance(getattr(getattr(called, "__code__", None), "co_flags", 0), int):
            continue  # a mock that is made like a function says yes to every question
        if inspect.iscoroutinefunction(called) or inspect.isasyncgenfunction(called):
            return " is async, and nobody would await it; zkrpc uses gevent: write def, and block where async awaits"
        if inspect.isgeneratorfunction(called):
            return f" is a generator, and nothing would iterate it; {instead}"
    return ""


def can_take(function: Any, arguments: int) -> bool:
    """Whether a function can be called with so many arguments, as far as that can be known."""
    try:
        inspect.signature(function).bind(*[_ANY] * arguments)
    except TypeError:
        return False
    except ValueError:  # written in C, and without a signature
        return True
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
