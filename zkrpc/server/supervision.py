"""When to start, restart and end worker processes: a machine that knows neither processes nor signals.

A worker that dies is started again at once if it had been up for a while, and with a growing pause if it keeps dying.
One that exits with EXIT_CONFIG says that trying again cannot help; then everything is stopped with that status. Only a
slot that was never ready can end the others so: once a service runs, a bad file that meets one worker's restart must
not take the rest down.

A reload replaces one worker after another: the next one is asked to drain when the one before has a successor that is
ready. A successor that does not come up keeps the others as they are.

=========  ============================================  ======================================================
state      leaves it when                                effects
=========  ============================================  ======================================================
RUNNING    ``stop``                                      Terminate every worker
STOPPING   all workers are gone                          Exit; a second ``stop`` gives Kill for each that is left
DONE       never
=========  ============================================  ======================================================

Order that safety rests on: CloseSession(slot) is only given after that worker's exit was observed (``waitpid``); a
session that is closed while its owner lives would take a living instance out of the registry.
"""

from __future__ import annotations

import dataclasses
import enum

EXIT_CONFIG = 78
"""sysexits.h's EX_CONFIG: the worker cannot run with what it was given."""


class SupervisionState(enum.Enum):
    """What the supervisor as a whole is doing."""

    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"


@dataclasses.dataclass(frozen=True, slots=True)
class Spawn:
    """Start the worker of this slot."""

    slot: int


@dataclasses.dataclass(frozen=True, slots=True)
class CloseSession:
    """Close the ZooKeeper session that the dead worker of this slot had, if it had one."""

    slot: int


@dataclasses.dataclass(frozen=True, slots=True)
class Terminate:
    """Ask the worker of this slot to drain."""

    slot: int


@dataclasses.dataclass(frozen=True, slots=True)
class Kill:
    """End the worker of this slot now."""

    slot: int


@dataclasses.dataclass(frozen=True, slots=True)
class Exit:
    """Nothing is left to supervise; end with this status."""

    status: int


Effect = Spawn | CloseSession | Terminate | Kill | Exit


@dataclasses.dataclass(slots=True)
class _Slot:
    running: bool = False
    started_at: float = 0.0
    failures: int = 0
    restart_at: float | None = None
    draining: bool = False
    """Asked to make room for its successor."""
    was_ready: bool = False
    """Some worker of this slot was ready once."""


class Supervision:
    """The machine. ``backoff`` and ``max_backoff`` are the pauses in seconds before the second restart in a row and at
    most; a worker that was up for ``healthy_after`` seconds starts from the beginning."""

    def __init__(
        self, workers: int, *, backoff: float = 0.2, max_backoff: float = 10.0, healthy_after: float = 10.0
    ) -> None:
        self.state = SupervisionState.RUNNING
        self._slots = [_Slot() for _ in range(workers)]
        self._backoff = backoff
        self._max_backoff = max_backoff
        self._healthy_after = healthy_after
        self._effects: list[Effect] = []
        self._status = 0
        self._outdated: list[int] = []
        self._replacing: int | None = None

    def __repr__(self) -> str:
        """State and how many workers are up."""
        up = sum(slot.running for slot in self._slots)
        return f"<Supervision {self.state.value} workers={up}/{len(self._slots)}>"

    def effects(self) -> list[Effect]:
        """What to do now, in this order; handed out once."""
        effects, self._effects = self._effects, []
        return effects

    def next_timer(self) -> float | None:
        """When the next restart is due."""
        return min((slot.restart_at for slot in self._slots if slot.restart_at is not None), default=None)

    def handle_timer(self, now: float) -> None:
        """Starts the workers whose pause is over."""
        for number, slot in enumerate(self._slots):
            if slot.restart_at is not None and slot.restart_at <= now:
                self._spawn(number, now)

    def start(self, now: float) -> None:
        """Start every worker."""
        for number in range(len(self._slots)):
            self._spawn(number, now)

    def reload(self, now: float) -> None:
        """Replace every worker, one after another; those that wait for their restart start now."""
        if self.state is not SupervisionState.RUNNING:
            return
        for slot in self._slots:
            if slot.restart_at is not None:
                slot.restart_at = now
        self._outdated = [number for number, slot in enumerate(self._slots) if slot.running and not slot.draining]
        if self._replacing in self._outdated:
            # A successor that is outdated before it was ready goes first: it is of no use to anybody.
            self._outdated.sort(key=lambda number: number != self._replacing)
            self._replacing = None
        self._replace_next()

    def receive_ready(self, number: int) -> None:
        """A worker serves, and whoever looks for it can find it."""
        self._slots[number].was_ready = True
        if number == self._replacing and not self._slots[number].draining:
            self._replacing = None
            self._replace_next()

    def stop(self, now: float) -> None:
        """Drain every worker; asked a second time, end those that are left."""
        if self.state is SupervisionState.RUNNING:
            self._become_stopping(0)
        elif self.state is SupervisionState.STOPPING:
            self._effects += [Kill(number) for number, slot in enumerate(self._slots) if slot.running]

    def receive_exit(self, number: int, status: int, now: float) -> None:
        """A worker's end was observed. ``status`` is its exit status, negative for a signal."""
        slot = self._slots[number]
        slot.running = False
        self._outdated = [other for other in self._outdated if other != number]
        self._effects.append(CloseSession(number))
        if self.state is SupervisionState.RUNNING:
            if status == EXIT_CONFIG and not slot.was_ready:
                self._become_stopping(status)
            else:
                slot.restart_at = now + self._pause(slot, now)
        self._end_if_empty()

    def _pause(self, slot: _Slot, now: float) -> float:
        if slot.draining:
            slot.draining = False
            return 0.0
        slot.failures = 1 if now - slot.started_at >= self._healthy_after else slot.failures + 1
        if slot.failures == 1:
            return 0.0
        return min(self._max_backoff, self._backoff * 2.0 ** min(slot.failures - 2, 30))

    def _replace_next(self) -> None:
        if self._replacing is None and self._outdated:
            number = self._replacing = self._outdated.pop(0)
            self._slots[number].draining = True
            self._effects.append(Terminate(number))

    def _spawn(self, number: int, now: float) -> None:
        slot = self._slots[number]
        slot.running, slot.started_at, slot.restart_at = True, now, None
        self._effects.append(Spawn(number))

    def _become_stopping(self, status: int) -> None:
        self.state = SupervisionState.STOPPING
        self._status = status
        self._outdated = []
        for number, slot in enumerate(self._slots):
            slot.restart_at = None
            # A worker that drains takes being asked again for a kill.
            if slot.running and not slot.draining:
                self._effects.append(Terminate(number))
        self._end_if_empty()

    def _end_if_empty(self) -> None:
        if self.state is SupervisionState.STOPPING and not any(slot.running for slot in self._slots):
            self.state = SupervisionState.DONE
            self._effects.append(Exit(self._status))
