"""Forking: a child does not get its parent's hub, nor any greenlet but the one that forked.

A fork copies the hub with all that is scheduled on it: the handlers in flight would go on in both processes, timers
would fire in both, and both would read from one socket. gevent's own way (``reinit``) keeps all of it, as some programs
want. If any object of zkrpc is open on the hub, the hub is left behind instead, as a fork leaves threads behind: in the
child only the greenlet that called ``fork`` goes on, on a hub of its own that is made when it first waits.

The old hub must never be switched to again, since its loop is gone. That would happen only when the greenlet that
forked ends, as the hub is its parent. So that greenlet gets another parent, which ends the process, as the end of the
main program would.

What was left behind is never freed: freeing a greenlet that waits would run the rest of it.
"""

from __future__ import annotations

import atexit
import contextlib
import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Iterator
from typing import Any

import gevent
from gevent import GreenletExit, getcurrent
from gevent._greenlet_primitives import SwitchOutGreenletWithLoop
from gevent._hub_local import get_hub_if_exists, set_hub, set_loop
from gevent.hub import Hub
from gevent.monkey import get_original

_HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)
"""Signals that the old loop may have taken over from Python. Its watchers are gone, so the signals would be lost."""
_SIGACTION_SIZE = 1024
"""Bytes, at least those of a ``struct sigaction``, which has some 152."""

_set_signal: Any = get_original("signal", "signal")
_get_signal: Any = get_original("signal", "getsignal")
_config: Any = gevent.config

_left_behind: list[Any] = []


def leave_behind(*objects: object) -> None:
    """Keeps what belongs to the parent from being freed, which could wake greenlets."""
    _left_behind.extend(objects)


def leave_hub() -> None:
    """In a forked child: goes on without the hub of this thread.

    In a callback of the hub itself the hub is needed to go on: then only its loop is made usable in the child.
    """
    hub = get_hub_if_exists()
    if hub is None:
        return
    if getcurrent() is hub:
        hub.loop.reinit()
        return
    leave_behind(hub, hub.loop)
    _restore_signals()
    _end_with_this_greenlet(hub)
    with _children_waited_for_as_before():
        hub.loop.destroy()
    _NextLoop.announce()
    nothing: Any = None
    set_loop(nothing)
    set_hub(nothing)


def exit_child(status: object = None) -> None:
    """Ends a forked child as the end of its main program would, without running the parent's greenlets.

    ``status`` is what ``sys.exit`` takes.
    """
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(Exception):
            stream.flush()
    os._exit(status or 0)


def status_of(error: BaseException) -> object:
    """The exit status of a program that ends with this exception; the exception is printed if Python would print it."""
    if isinstance(error, SystemExit):
        return error.code
    if isinstance(error, GreenletExit):
        return None
    traceback.print_exception(error)
    return 1


@contextlib.contextmanager
def _children_waited_for_as_before() -> Iterator[None]:
    """Restores SIGCHLD afterwards, as a raw kernel structure, since Python cannot represent a handler written in C."""
    sigaction = ctypes.CDLL(None).sigaction
    before = ctypes.create_string_buffer(_SIGACTION_SIZE)
    sigaction(int(signal.SIGCHLD), None, before)
    try:
        yield
    finally:
        sigaction(int(signal.SIGCHLD), before, None)


class _NextLoop:
    """Stands for the class of gevent's loops until the child's own default loop is made.

    A second default loop of a process takes SIGCHLD for itself, which gevent undoes for the first one only, and then
    reaps every child that ends: ``waitpid`` finds none, and ``subprocess`` reports success of what has failed. Where
    the parent's loop had the signal, for the children that gevent watches, the new one has it as well.
    """

    _class: Any = None

    @classmethod
    def announce(cls) -> None:
        """Has the next default loop count as not the first one."""
        if _config.loop is not cls:
            cls._class, _config.loop = _config.loop, cls

    def __new__(cls, flags: Any = None, default: Any = None) -> Any:
        """Makes a loop of the real class."""
        with _children_waited_for_as_before():
            loop = cls._class(flags=flags, default=default)
        if loop.default:
            _config.loop = cls._class
        return loop


def _restore_signals() -> None:
    for number in _HANDLED:
        with contextlib.suppress(ValueError, TypeError):  # not in the main thread; not set from Python
            _set_signal(number, _get_signal(number))


def _end_with_this_greenlet(hub: Hub) -> None:
    """Has the process end when the greenlet that runs now ends, if that would switch to ``hub``."""
    current = top = getcurrent()
    while top.parent is not None and top.parent is not hub:
        top = top.parent
    if top.parent is hub:
        end: Any = _End(current, root_of_thread())
        top.parent = end
        end.switch()


class _Deaf:
    """Stands for the loop that a greenlet uses at its end to notify waiting greenlets; in the child there are none."""

    def run_callback(self, *_: object) -> None:
        """Does nothing."""


class _End(SwitchOutGreenletWithLoop):
    """The parent of the greenlet that forked: when that ends the process does, with a status that says how."""

    def __init__(self, greenlet: Any, root: Any) -> None:
        super().__init__(None, root)
        self.loop: Any = _Deaf()
        self._greenlet = greenlet
        self._status: object = None

    def handle_error(self, context: object, kind: Any, value: Any, trace: Any) -> None:
        """Called by a ``gevent.Greenlet`` that ends with an exception."""
        self._status = status_of(value if isinstance(value, BaseException) else kind(value))

    def run(self) -> None:
        """Switches back to the greenlet at once, and goes on here when that has ended."""
        try:
            self._greenlet.switch()
        except BaseException as error:  # of a raw greenlet
            self.handle_error(None, type(error), error, error.__traceback__)
        exit_child(self._status)


def hub_of_thread() -> Any:
    """This thread's hub, or None; without making one."""
    return get_hub_if_exists()


def root_of_thread() -> Any:
    """The greenlet in which this thread began."""
    root = getcurrent()
    while root.parent is not None:
        root = root.parent
    return root
