"""Makes the calls of an open loop."""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import math
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import gevent
from gevent import get_hub, sleep
from gevent.event import Event

from zkrpc.greenlets import spawn
from zkrpc.loadtest.open_loop import OpenLoop
from zkrpc.loadtest.tally import Tally

Ended = tuple[str, str]
"""How a call ended, and whether it was executed; see :class:`~zkrpc.loadtest.tally.Tally`."""

_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC, _ABSOLUTE = 1, 0o2004000, 1


class Pacer:
    """Waits for moments, for one greenlet; ended by ``close``.

    The event loop's timers are late by up to a millisecond, which is more than many a call takes. On Linux a timerfd is
    a timer that the loop can wait for as for a socket, to some microseconds.
    """

    def __init__(self) -> None:
        self._libc: Any = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None
        self._timer: int = -1 if self._libc is None else self._libc.timerfd_create(_CLOCK_MONOTONIC, _NONBLOCK_CLOEXEC)
        self._watcher = get_hub().loop.io(self._timer, 1) if self._timer >= 0 else None

    def wait(self, at: float) -> None:
        """Returns at this monotonic time, after having let others run."""
        left = at - time.monotonic()
        if self._watcher is None or left <= 0:
            sleep(max(0.0, left))
            return
        seconds, rest = divmod(at, 1.0)
        once = (ctypes.c_long * 4)(0, 0, int(seconds), int(rest * 1e9))
        self._libc.timerfd_settime(self._timer, _ABSOLUTE, once, None)
        get_hub().wait(self._watcher)
        with contextlib.suppress(BlockingIOError):
            os.read(self._timer, 8)

    def close(self) -> None:
        """Frees the timer."""
        if self._watcher is not None:
            self._watcher.close()
            os.close(self._timer)
            self._watcher = None


class Generator:
    """Runs one loop. ``calls`` are made in turns, each by a greenlet of its own, and return how they ended; they must
    end by themselves."""

    def __init__(self, calls: Sequence[Callable[[], Ended]], loop: OpenLoop, tally: Tally) -> None:
        self._calls = itertools.cycle(calls)
        self._loop = loop
        self._tally = tally
        self._ended = Event()
        self._under_way: set[gevent.Greenlet[..., Any]] = set()

    def __repr__(self) -> str:
        """The loop."""
        return f"<Generator {self._loop!r}>"

    def run(self) -> None:
        """Makes all calls and waits for the last of them to end. Whatever interrupts it ends those under way."""
        pacer = Pacer()
        try:
            self._start_all(pacer)
            while self._under_way:
                self._ended.clear()
                self._ended.wait()
        finally:
            pacer.close()
            self._tally.abandoned = len(self._under_way)
            self._tally.unsent = self._loop.unsent(time.monotonic())
            gevent.killall([*self._under_way])

    def _start_all(self, pacer: Pacer) -> None:
        while (next_at := self._loop.next_at(time.monotonic())) is not None:
            if next_at == math.inf:
                self._ended.clear()
                self._ended.wait(max(0.01, self._loop.ends_at - time.monotonic()))
            else:
                pacer.wait(next_at)
            while (due := self._loop.take(time.monotonic())) is not None:
                self._under_way.add(spawn(self._call, next(self._calls), due))

    def _call(self, call: Callable[[], Ended], due: float) -> None:
        started = time.monotonic()
        try:
            kind, executed = call()
            self._tally.record(due, started, time.monotonic(), kind, executed)
        finally:
            self._under_way.discard(gevent.getcurrent())
            self._loop.receive_end()
            self._ended.set()
