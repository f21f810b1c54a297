"""Drives a state machine that gives effects: the loop that the shells of all such machines share.

A machine decides and carries out nothing; a shell carries out and decides nothing. The loop between the two is the same
for an election, a registration and a list of members, and it is written here once. One greenlet makes *turns*:

1. ``observe`` tells the machine what the shell knows now.
2. ``handle_timer`` tells it the time.
3. ``obey`` carries out the machine's effects, one by one, until there are no more; then ``settled`` is called.
4. The greenlet waits for the machine's timer, for ``changed`` or for ``nudged``, whichever comes first.

**What a machine must have** is :class:`Machine`: ``effects()`` gives each effect once, in order; ``next_timer()`` says
when to call ``handle_timer(now)``, which may also be called early, or twice.

**Order.** Effects are carried out one at a time, in the order in which the machine gave them. Any greenlet may tell the
machine something and then call :meth:`Driver.carry_out`. If effects are being carried out at that moment, by a caller
further up the stack or by a greenlet that waits in ``obey``, it returns at once, and that caller or greenlet also
carries out the new effects, after the earlier ones.

**Failures.** An exception of ``obey`` is raised from ``carry_out``, and that effect is not tried again; the effects
after it are carried out in the next turn. An exception in a turn ends the driver, and gevent prints it. So a shell that
has to survive a failure catches it in ``obey`` and tells the machine. The same holds for exceptions that are not an
``Exception``, such as gevent's and kazoo's timeouts.

**The end.** After :meth:`Driver.kill` no effect is carried out, and nothing is waited for. :meth:`Driver.close` lets
the current effect end, calls ``finish`` in the driver's greenlet, and waits for both within a bound; effects that the
machine gives in the meantime still go to ``obey``, which checks ``closing`` to leave them out.

**Timers in the past.** One turn follows at once, because obeying may have taken longer than the timer. If the timer is
in the past even then, turns are 10 ms apart: a machine whose timer does not move costs little and blocks nothing.
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
        """The effects to carry out, each once, in order."""

    def next_timer(self) -> float | None:
        """When to call ``handle_timer``; None while no timer runs."""

    def handle_timer(self, now: float) -> None:
        """Does what is due at ``now``; nothing if that is too early."""


class Driver(Generic[Effect]):
    """Drives one machine, from ``start`` until ``close`` or ``kill``.

    Args:
        machine: the state machine.
        obey: carries out one effect. It may wait.
        clock: monotonic seconds, the machine's time.
        observe: called first in each turn, with whether ``changed`` was set; tells the machine what has changed. It may
            wait, and may return a time at which it is to be called again even if nothing happens.
        settled: called whenever all effects have been carried out, by the greenlet that did so. It must not wait.
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
        """Set it when something that the shell watches may have changed; ZooKeeper watches set it."""
        self.nudged = Event()
        """Set it when a turn is needed although nothing that is watched has changed."""
        self.closing = False
        """True once the driver is being closed or killed."""
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
        """The machine, and the driver's state."""
        if self._greenlet is None:
            doing = "not started"
        elif self._greenlet.dead:
            doing = "ended"
        else:
            doing = "obeying" if self._obeying else "waiting"
        return f"<Driver {doing} {self._machine!r}>"

    def start(self) -> None:
        """Begins to make turns, and returns at once. Does nothing if the driver was started or ended before."""
        if self._greenlet is None and not self.closing:
            self._greenlet = gevent.spawn(self._run)

    def carry_out(self) -> None:
        """Carries out the machine's effects, after the machine has been told something; the driver then reads its timer
        anew."""
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
        """Ends at once, without waiting: no more effects are carried out, and one that runs in a turn is aborted."""
        self.closing = self._killed = True
        self.nudged.set()
        if self._greenlet is not None and self._greenlet is not gevent.getcurrent():
            self._greenlet.kill(block=False)

    def close(self) -> None:
        """Ends after the current effect, which is aborted if it takes longer than about a second."""
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
