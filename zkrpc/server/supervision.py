"""When to start, restart and end worker processes: a machine that knows neither processes nor signals.

A *slot* is a place for one worker, with its name and its port. Its worker may change: one that dies is started again,
at once if it had been up for a while, and with a growing pause if it keeps dying. One that exits with EXIT_CONFIG says
that trying again cannot help; then everything is stopped with that status. Only a slot that was never ready can end the
others so: once a service runs, a bad file that meets one worker's restart must not take the rest down.

A reload replaces the workers slot by slot. The successor is started beside the old worker, and only when it is ready is
the old one asked to drain; the next slot is taken when that one is gone, so that there is never more than one process
beyond those that were asked for. A successor that does not come up leaves the old worker as it is.

=========  ============================================  ======================================================
state      leaves it when                                effects
=========  ============================================  ======================================================
RUNNING    ``stop``                                      Terminate every worker that was not asked yet
STOPPING   all workers are gone                          Exit; being told to stop again changes nothing
DONE       never
=========  ============================================  ======================================================

*A drain is begun once and is bounded.* Signals come twice, from whoever stops a service and by way of us, and in any
order; so none that asks for a drain ever ends one. Whoever cannot wait says ``kill``. A worker that was asked has as
long as it said its stop may take, and then some; one that has not ended by then does not answer, and is killed.

Order that safety rests on: CloseSession(worker) is only given after that worker's exit was observed (``waitpid``); a
session that is closed while its owner lives would take a living instance out of the registry.
"""

from __future__ import annotations

import dataclasses
import enum

EXIT_CONFIG = 78
"""sysexits.h's EX_CONFIG: the worker cannot run with what it was given."""

KILL_GRACE = 6.0
"""Seconds that a worker has to end beyond what it said that finishing its calls may take: for leaving the registry, for
closing, and for a machine under load. All there is for one that has not said anything, as it has no calls yet."""


class SupervisionState(enum.Enum):
    """What the supervisor as a whole is doing."""

    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"


@dataclasses.dataclass(frozen=True, slots=True)
class Spawn:
    """Start a worker in this slot; ``worker`` is its number, which no other one ever had."""

    slot: int
    worker: int


@dataclasses.dataclass(frozen=True, slots=True)
class CloseSession:
    """Close the ZooKeeper session that this dead worker had, if it had one."""

    worker: int


@dataclasses.dataclass(frozen=True, slots=True)
class Terminate:
    """Ask this worker to drain."""

    worker: int


@dataclasses.dataclass(frozen=True, slots=True)
class Kill:
    """End this worker now. ``overdue`` if it was asked and has not ended in time."""

    worker: int
    overdue: bool = False


@dataclasses.dataclass(frozen=True, slots=True)
class Exit:
    """Nothing is left to supervise; end with this status."""

    status: int


Effect = Spawn | CloseSession | Terminate | Kill | Exit


@dataclasses.dataclass(slots=True)
class _Worker:
    slot: int
    started_at: float
    ready: bool = False
    bound: float = 0.0
    """Seconds that finishing its calls may take, as it said."""
    asked_at: float | None = None
    killed: bool = False


@dataclasses.dataclass(slots=True)
class _Slot:
    worker: int | None = None
    """Who has the place."""
    successor: int | None = None
    """Who is to have it, and is not ready yet."""
    outdated: bool = False
    """A successor is to be started as soon as there is room for one."""
    failures: int = 0
    restart_at: float | None = None
    waiting_since: float | None = None
    """Since when somebody else has had its port."""
    was_ready: bool = False
    """Some worker of this slot was ready once."""


class Supervision:
    """The machine. ``backoff`` and ``max_backoff`` are the pauses in seconds before the second restart in a row and at
    most; a worker that was up for ``healthy_after`` seconds starts from the beginning. A port that is taken is waited
    for for ``port_patience`` seconds at the start, as an orphan of an earlier run gives it up while it drains."""

    def __init__(
        self,
        workers: int,
        *,
        backoff: float = 0.2,
        max_backoff: float = 10.0,
        healthy_after: float = 10.0,
        port_patience: float = 8.0,
    ) -> None:
        self.state = SupervisionState.RUNNING
        self._slots = [_Slot() for _ in range(workers)]
        self._workers: dict[int, _Worker] = {}
        self._backoff = backoff
        self._max_backoff = max_backoff
        self._healthy_after = healthy_after
        self._port_patience = port_patience
        self._effects: list[Effect] = []
        self._status = 0
        self._started = 0
        self._outdated: list[int] = []
        self._replacing: int | None = None

    def __repr__(self) -> str:
        """State and how many workers are up."""
        return f"<Supervision {self.state.value} workers={len(self._workers)}/{len(self._slots)}>"

    @property
    def running(self) -> int:
        """Workers whose end has not been observed."""
        return len(self._workers)

    @property
    def headcount(self) -> str:
        """The same in words."""
        return f"{self.running} worker{'s' if self.running != 1 else ''}"

    def effects(self) -> list[Effect]:
        """What to do now, in this order; handed out once."""
        effects, self._effects = self._effects, []
        return effects

    def next_timer(self) -> float | None:
        """When the next restart is due, or the next kill."""
        restarts = [slot.restart_at for slot in self._slots if slot.restart_at is not None]
        return min(restarts + [_kill_at(worker) for worker in self._drainers()], default=None)

    def handle_timer(self, now: float) -> None:
        """Starts the workers whose pause is over, and has those killed that do not answer."""
        for number, slot in enumerate(self._slots):
            if slot.restart_at is not None and slot.restart_at <= now:
                self._spawn(number, now)
        for number, worker in self._workers.items():
            if worker.asked_at is not None and not worker.killed and _kill_at(worker) <= now:
                worker.killed = True
                self._effects.append(Kill(number, overdue=True))

    def start(self, now: float) -> None:
        """Start every worker."""
        for number in range(len(self._slots)):
            self._spawn(number, now)

    # -- what people want

    def reload(self, now: float) -> bool:
        """Replace every worker, one after another; those that wait for their restart start now. False if we stop."""
        if self.state is not SupervisionState.RUNNING:
            return False
        for slot in self._slots:
            slot.outdated = False
            if slot.restart_at is not None:
                slot.restart_at = now
            if slot.successor is not None:
                # Outdated before it was ready: of no use to anybody.
                self._ask(slot.successor, now)
                slot.successor = None
        first, self._replacing = self._replacing, None
        running = [number for number, slot in enumerate(self._slots) if slot.worker is not None]
        self._outdated = sorted(running, key=lambda number: number != first)
        self._advance(now)
        return True

    def stop(self, now: float) -> bool:
        """Drain every worker. False if that was begun before; then nothing changes."""
        if self.state is not SupervisionState.RUNNING:
            return False
        self._become_stopping(0, now)
        return True

    def kill(self, now: float) -> None:
        """End everything without waiting for anybody."""
        self.stop(now)
        self._effects = [effect for effect in self._effects if not isinstance(effect, Terminate)]
        for number, worker in self._workers.items():
            if not worker.killed:
                worker.killed = True
                self._effects.append(Kill(number))

    # -- what happens

    def receive_bound(self, number: int, seconds: float) -> None:
        """A worker says how long finishing its calls may take, before it has any."""
        if number in self._workers:
            self._workers[number].bound = seconds

    def receive_done(self, number: int, now: float) -> None:
        """A worker has nothing left to do but to end; it may hang there, in a thread of the service's for one."""
        worker = self._workers.get(number)
        if worker is not None:
            worker.asked_at, worker.bound = now, 0.0

    def receive_ready(self, number: int, now: float) -> None:
        """A worker serves, and whoever looks for it can find it."""
        worker = self._workers.get(number)
        if worker is None or self.state is not SupervisionState.RUNNING:
            return
        slot = self._slots[worker.slot]
        worker.ready = slot.was_ready = True
        slot.waiting_since = None
        if slot.successor == number:
            old, slot.worker, slot.successor = slot.worker, number, None
            if old is not None:
                self._ask(old, now)
        self._advance(now)

    def receive_exit(self, number: int, status: int, now: float) -> None:
        """A worker's end was observed. ``status`` is its exit status, negative for a signal."""
        worker = self._workers.pop(number)
        self._effects.append(CloseSession(number))
        if self.state is SupervisionState.RUNNING:
            self._mend(number, worker, status, now)
            self._advance(now)
        self._end_if_empty()

    def receive_port_taken(self, number: int, now: float) -> None:
        """A worker could not be started, as somebody else has its port."""
        worker = self._workers.pop(number)
        slot = self._slots[worker.slot]
        slot.worker = slot.successor = None
        slot.waiting_since = now if slot.waiting_since is None else slot.waiting_since
        if self.state is SupervisionState.RUNNING:
            if not slot.was_ready and now >= slot.waiting_since + self._port_patience:
                self._become_stopping(EXIT_CONFIG, now)
            else:
                slot.restart_at = now + self._backoff
        self._end_if_empty()

    def _mend(self, number: int, worker: _Worker, status: int, now: float) -> None:
        """Does what the end of a worker calls for while the others go on."""
        slot = self._slots[worker.slot]
        if number == slot.successor:
            slot.successor = None
            if slot.worker is None:
                slot.restart_at = now + self._pause(slot, worker, now)
            elif status == EXIT_CONFIG:
                # The code is wrong: for the others, too. They stay as they are until somebody mends it.
                self._outdated, self._replacing = [], None
            else:
                slot.outdated, slot.restart_at = True, now + self._pause(slot, worker, now)
        elif number == slot.worker:
            slot.worker = slot.successor
            slot.successor = None
            if slot.worker is None:
                # Whoever comes now is as new as can be.
                slot.outdated = False
                self._outdated = [other for other in self._outdated if other != worker.slot]
                if status == EXIT_CONFIG and not slot.was_ready:
                    self._become_stopping(status, now)
                else:
                    slot.restart_at = now + self._pause(slot, worker, now)

    # -- steps

    def _advance(self, now: float) -> None:
        """Takes the next step of a reload, if there is one to take."""
        while self.state is SupervisionState.RUNNING:
            if self._replacing is None:
                if not self._outdated:
                    return
                self._replacing = self._outdated.pop(0)
                self._slots[self._replacing].outdated = True
            slot = self._slots[self._replacing]
            if slot.restart_at is not None or slot.successor is not None or self._is_left(self._replacing):
                return
            if slot.outdated:
                self._spawn(self._replacing, now)
                return
            if slot.worker is not None and not self._workers[slot.worker].ready:
                return
            self._replacing = None

    def _is_left(self, number: int) -> bool:
        """Whether a worker of this slot was asked to end, and has not."""
        return any(worker.slot == number and worker.asked_at is not None for worker in self._workers.values())

    def _pause(self, slot: _Slot, worker: _Worker, now: float) -> float:
        slot.failures = 1 if now - worker.started_at >= self._healthy_after else slot.failures + 1
        if slot.failures == 1:
            return 0.0
        return min(self._max_backoff, self._backoff * 2.0 ** min(slot.failures - 2, 30))

    def _spawn(self, number: int, now: float) -> None:
        slot = self._slots[number]
        worker, self._started = self._started, self._started + 1
        slot.restart_at, slot.outdated = None, False
        if slot.worker is None:
            slot.worker = worker
        else:
            slot.successor = worker
        self._workers[worker] = _Worker(number, now)
        self._effects.append(Spawn(number, worker))

    def _ask(self, number: int, now: float) -> None:
        worker = self._workers[number]
        if worker.asked_at is None:
            worker.asked_at = now
            self._effects.append(Terminate(number))

    def _drainers(self) -> list[_Worker]:
        """Those that were asked to end, and may still do so by themselves."""
        return [worker for worker in self._workers.values() if worker.asked_at is not None and not worker.killed]

    def _become_stopping(self, status: int, now: float) -> None:
        self.state = SupervisionState.STOPPING
        self._status = status
        self._outdated, self._replacing = [], None
        for slot in self._slots:
            slot.restart_at = None
        for number in self._workers:
            self._ask(number, now)
        self._end_if_empty()

    def _end_if_empty(self) -> None:
        if self.state is SupervisionState.STOPPING and not self._workers:
            self.state = SupervisionState.DONE
            self._effects.append(Exit(self._status))


def _kill_at(worker: _Worker) -> float:
    assert worker.asked_at is not None
    return worker.asked_at + worker.bound + KILL_GRACE
