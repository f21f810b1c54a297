"""Runs a machine that wants things done: the one loop that all shells around such machines share.

A machine decides and does nothing; a shell does and decides nothing. Between the two lies a loop that is the same for
an election, a registration or a list of members, and it is here. One greenlet makes *turns*:

1. ``observe`` tells the machine what the shell sees now.
2. ``handle_timer`` tells it the time.
3. What it wants done is done by ``obey``, effect by effect, until it wants nothing more; then ``settled`` is called.
4. It waits for the machine's timer, for ``changed`` or for ``nudged``, whichever comes first.

**What a machine must have** is :class:`Machine`: ``effects()`` hands each effect out once, in order; ``next_timer()``
and ``handle_timer(now)`` tell when and that it is time, and a call too early or too many does no harm.

**Order.** Effects are obeyed one at a time, in the order in which the machine wanted them. Any greenlet may tell the
machine something and then call :meth:`Driver.carry_out`. If somebody is obeying at that moment, by a call further up or
because ``obey`` waits, it returns at once, and what is new is obeyed by them, after what was wanted before.

**Failures.** What ``obey`` raises reaches whoever called ``carry_out``, and that effect is not tried again; those after
it are obeyed in the next turn. In a turn it ends the driver, and gevent prints it. So a shell that has to survive
a failure catches it in ``obey`` and tells the machine. The same goes for exceptions that are no ``Exception``, as
gevent's and kazoo's timeouts are.

**The end.** After :meth:`Driver.kill` nothing is obeyed any more, and nothing is waited for. :meth:`Driver.close` lets
the effect in hand end, calls ``finish`` in the driver's greenlet, and waits for all that within a bound; what the
machine wants in the meantime still goes to ``obey``, which looks at ``closing`` if it is to be left out.

**Timers in the past.** One turn follows at once, because obeying may have taken longer than the timer. If the timer is
in the past even then, turns are 10 ms apart: a machine whose timer does not move costs little and holds up nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import Generic, Protocol, TypeVar

import gevent
from gevent.event import Event

_LATE_PAUSE = 0.01
_CLOSE_TIMEOUT = 0.5
_KILL_TIMEOUT = 0.5

Effect = TypeVar("Effect")
Wanted = TypeVar("Wanted", covariant=True)


class Machine(Protocol[Wanted]):
    """What the driver needs of a machine; see the module's text."""

    def effects(self) -> Sequence[Wanted]:
        """What is to be done, each once, in order."""

    def next_timer(self) -> float | None:
        """When to call ``handle_timer``; None if no time is waited for."""

    def handle_timer(self, now: float) -> None:
        """It is that time, or not yet."""


class Driver(Generic[Effect]):
    """Drives one machine, from ``start`` until ``close`` or ``kill``.

    Args:
        machine: what decides.
        obey: does one effect. It may wait.
        clock: the machine's time.
        observe: called first in each turn, with whether ``changed`` was set; tells the machine what there is to tell.
            It may wait, and may return a time at which to be called again even if nothing happens.
        settled: called whenever all effects have been obeyed, by whoever obeyed them. It must not wait.
        finish: called once, after the last turn, if the driver is closed and not killed.
    """

    def __init__(
        self,
        machine: Machine[Effect],
        obey: Callable[[Effect], object],
        *,
        clock: Callable[[], float],
        observe: Callable[[bool], float | None] = lambda changed: None,
        settled: Callable[[], object] = lambda: None,
        finish: Callable[[], object] = lambda: None,
    ) -> None:
        self.changed = Event()
        """To be set when something that the shell watches may have changed: ZooKeeper's watches take it."""
        self.nudged = Event()
        """To be set when there is a reason for a turn, but nothing that is watched has changed."""
        self.closing = False
        """The end has come, or is near."""
        self._machine = machine
        self._obey = obey
        self._clock = clock
        self._observe = observe
        self._settled = settled
        self._finish = finish
        self._wanted: deque[Effect] = deque()
        self._obeying = False
        self._killed = False
        self._late = False
        self._greenlet: gevent.Greenlet[..., None] | None = None

    def __repr__(self) -> str:
        """The machine, and what the driver is about."""
        if self._greenlet is None:
            doing = "not started"
        elif self._greenlet.dead:
            doing = "ended"
        else:
            doing = "obeying" if self._obeying else "waiting"
        return f"<Driver {doing} {self._machine!r}>"

    def start(self) -> None:
        """Begins to make turns, and returns at once. Does nothing the second time, or at the end."""
        if self._greenlet is None and not self.closing:
            self._greenlet = gevent.spawn(self._run)

    def carry_out(self) -> None:
        """Does what the machine wants done, after it has been told something; the driver then reads its timer anew."""
        if self._obeying or self._killed:
            return
        self._obeying = True
        try:
            while self._wants_something():
                self._obey(self._wanted.popleft())
        finally:
            self._obeying = False
            if gevent.getcurrent() is not self._greenlet:
                self.nudged.set()
        if not self._killed:
            self._settled()

    def kill(self) -> None:
        """Ends at once, without waiting: nothing more is obeyed, and what is being obeyed in a turn is broken off."""
        self.closing = self._killed = True
        self.nudged.set()
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.kill(block=False)

    def close(self) -> None:
        """Ends after what is being obeyed, within about a second: then it is broken off."""
        self.closing = True
        self.nudged.set()
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.join(_CLOSE_TIMEOUT)
            self._greenlet.kill(timeout=_KILL_TIMEOUT)

    def _wants_something(self) -> bool:
        if self._killed:
            return False
        self._wanted.extend(self._machine.effects())
        return bool(self._wanted)

    def _run(self) -> None:
        while not self.closing:
            changed = self.changed.is_set()
            self.changed.clear()
            self.nudged.clear()
            again_at = self._observe(changed)
            self._machine.handle_timer(self._clock())
            self.carry_out()
            gevent.wait([self.changed, self.nudged], self._pause(again_at), count=1)
        if not self._killed:
            self._finish()
            self.carry_out()

    def _pause(self, again_at: float | None) -> float | None:
        """Seconds until the next turn, if nothing happens before."""
        due = min((at for at in (self._machine.next_timer(), again_at) if at is not None), default=None)
        pause = None if due is None else due - self._clock()
        was_late, self._late = self._late, pause is not None and pause <= 0
        if pause is None or pause > 0:
            return pause
        return _LATE_PAUSE if was_late else 0.0
