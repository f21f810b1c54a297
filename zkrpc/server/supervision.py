"""When to start, restart and end worker processes: a state machine that touches neither processes nor signals.

A *slot* is a place for one worker, with its name and its port. A worker that dies is replaced by another in the same
slot, at once if it had been up for a while, and with a growing pause if workers keep dying. Exit status EXIT_CONFIG
means that trying again cannot help; then everything is stopped with that status. That holds only for a slot that was
never ready: once a service runs, a bad file that is there when one worker restarts must not stop the others. Where
files are watched, such a slot stays empty until the next reload instead: its author is about to mend the service.

A reload replaces the workers slot by slot, and a worker that is worn is replaced in the same way when it is its turn.
The successor is started beside the old worker, and only when it is ready is the old one asked to drain; the next slot
is taken when that one is gone, so that there is never more than one process beyond those that were asked for. A
successor that does not come up leaves the old worker as it is.

=========  ============================================  ======================================================
state      leaves it when                                effects
=========  ============================================  ======================================================
RUNNING    ``stop``                                      Terminate every worker that was not asked yet
STOPPING   all workers are gone                          Exit; being told to stop again changes nothing
DONE       never
=========  ============================================  ======================================================

*A drain is begun once and is bounded.* A signal may reach a worker twice, from the operator and from its supervisor,
and in any order; so no signal that asks for a drain ever cuts one short. To end without waiting there is ``kill``. A
worker that was asked to drain has as long as it has announced, and KILL_GRACE on top; one that has not ended by then
hangs, and is killed.

Order that safety rests on: CloseSession(worker) is only given after that worker's exit was observed (``waitpid``); a
session that is closed while its owner lives would take a living instance out of the registry.
"""

from __future__ import annotations

import dataclasses
import enum
import os
from collections.abc import Iterable

EXIT_CONFIG = os.EX_CONFIG
"""78, by sysexits.h: the worker cannot run with what it was given."""

KILL_GRACE = 6.0
"""Seconds that a worker has to end on top of the time that it announced for finishing its calls: for leaving the
registry, for closing, and for a machine under load. A worker that has announced nothing has no calls yet, and gets only
these."""


class SupervisionState(enum.Enum):
    """The state of the supervisor as a whole."""

    RUNNING = "running"
    STOPPING = "stopping"
    DONE = "done"


@dataclasses.dataclass(frozen=True, slots=True)
class Spawn:
    """Start a worker in this slot; ``worker`` is its number, which is never used again."""

    slot: int
    worker: int


@dataclasses.dataclass(frozen=True, slots=True)
class CloseSession:
    """Close the ZooKeeper session of this dead worker, if it had one."""

    worker: int


@dataclasses.dataclass(frozen=True, slots=True)
class Terminate:
    """Ask this worker to drain."""

    worker: int


@dataclasses.dataclass(frozen=True, slots=True)
class Kill:
    """Kill this worker now. ``overdue`` is True if it was asked to drain and has not ended in time."""

    worker: int
    overdue: bool = False
    hung: bool = False
    """True if its event loop gives no sign of life."""


@dataclasses.dataclass(frozen=True, slots=True)
class Exit:
    """Nothing is left to supervise; end with this status."""

    status: int


Effect = Spawn | CloseSession | Terminate | Kill | Exit


@dataclasses.dataclass(slots=True)
class _WorkerRecord:
    slot: int
    started_at: float
    ready: bool = False
    bound: float = 0.0
    """Seconds that finishing its calls may take, as the worker announced."""
    asked_at: float | None = None
    beat_at: float | None = None
    """When it last gave a sign of life; None if it gives none."""
    killed: bool = False


@dataclasses.dataclass(slots=True)
class _Slot:
    worker: int | None = None
    """The number of the slot's worker; None if it has none."""
    successor: int | None = None
    """The number of its successor that is not ready yet; None if there is none."""
    outdated: bool = False
    """True if a successor is to be started as soon as there is room for one more process."""
    failures: int = 0
    restart_at: float | None = None
    waiting_since: float | None = None
    """Since when another process has had its port; None if none has."""
    was_ready: bool = False
    """True if a worker of this slot was ready once."""

    @property
    def is_empty(self) -> bool:
        """No worker has this slot, and none is to have it."""
        return self.worker is None and self.successor is None


class Supervision:
    """The state machine. ``backoff`` is the pause in seconds before the second restart in a row, and doubles up to
    ``max_backoff``; after a worker was up for ``healthy_after`` seconds it begins anew. At the start, a port that is in
    use is waited for during ``port_patience`` seconds, as an orphaned worker of an earlier run frees it when it
    drains. With ``awaits_changes`` a service that cannot start waits for a reload, which follows when files change. A
    worker that has given signs of life, and gives none for ``watch`` seconds, is killed; None for never."""

    def __init__(
        self,
        workers: int,
        *,
        backoff: float = 0.2,
        max_backoff: float = 10.0,
        healthy_after: float = 10.0,
        port_patience: float = 8.0,
        awaits_changes: bool = False,
        watch: float | None = None,
    ) -> None:
        self.state = SupervisionState.RUNNING
        self._slots = [_Slot() for _ in range(workers)]
        self._workers: dict[int, _WorkerRecord] = {}
        self._backoff = backoff
        self._max_backoff = max_backoff
        self._healthy_after = healthy_after
        self._port_patience = port_patience
        self._awaits_changes = awaits_changes
        self._watch = watch
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
        """The workers whose end has not been observed."""
        return len(self._workers)

    @property
    def standing(self) -> tuple[int, bool]:
        """How many slots have a worker that is ready; and whether all have, and none is being replaced or about to
        be."""
        serving = {number for number, worker in self._workers.items() if worker.ready}
        ready = sum(1 for slot in self._slots if slot.worker in serving)
        return ready, ready == len(self._slots) and self._replacing is None and not self._outdated

    @property
    def headcount(self) -> str:
        """The number of running workers in words."""
        return f"{self.running} worker{'s' if self.running != 1 else ''}"

    def effects(self) -> list[Effect]:
        """What to do now, in this order; each effect is given once."""
        effects, self._effects = self._effects, []
        return effects

    def next_timer(self) -> float | None:
        """When the next restart or kill is due; None if none is."""
        restarts = [slot.restart_at for slot in self._slots if slot.restart_at is not None]
        workers = [worker for worker in self._workers.values() if not worker.killed]
        drains = [_kill_at(worker) for worker in workers if worker.asked_at is not None]
        beats = [at for worker in workers if (at := self._hung_at(worker)) is not None]
        return min(restarts + beats + drains, default=None)

    def handle_timer(self, now: float) -> None:
        """Starts workers whose pause is over, and kills those that have not ended in time."""
        for number, slot in enumerate(self._slots):
            if slot.restart_at is not None and slot.restart_at <= now:
                self._spawn(number, now)
        for number, worker in self._workers.items():
            if worker.asked_at is not None and not worker.killed and _kill_at(worker) <= now:
                worker.killed = True
                self._effects.append(Kill(number, overdue=True))
            hung_at = self._hung_at(worker)
            if hung_at is not None and hung_at <= now and not worker.killed:
                worker.killed = True
                self._effects.append(Kill(number, hung=True))

    def start(self, now: float) -> None:
        """Starts every worker."""
        for number in range(len(self._slots)):
            self._spawn(number, now)

    # -- what people want

    def reload(self, now: float) -> bool:
        """Replaces every worker, one after another; those that wait for their restart start now. False while
        stopping."""
        if self.state is not SupervisionState.RUNNING:
            return False
        for slot in self._slots:
            slot.outdated = False
            if slot.restart_at is not None or slot.is_empty:
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
        """Drains every worker. False if that was begun before; then nothing changes."""
        if self.state is not SupervisionState.RUNNING:
            return False
        self._become_stopping(0, now)
        return True

    def kill(self, now: float) -> None:
        """Kills every worker without waiting for calls."""
        self.stop(now)
        self._effects = [effect for effect in self._effects if not isinstance(effect, Terminate)]
        for number, worker in self._workers.items():
            if not worker.killed:
                worker.killed = True
                self._effects.append(Kill(number))

    # -- what happens

    def receive_bound(self, number: int, seconds: float) -> None:
        """A worker announces how long finishing its calls may take, before it serves any."""
        if number in self._workers:
            self._workers[number].bound = seconds

    def receive_done(self, number: int, now: float) -> None:
        """A worker has nothing left to do but to exit. It may hang at that, for instance in a thread of the service."""
        worker = self._workers.get(number)
        if worker is not None:
            worker.asked_at, worker.bound = now, 0.0

    def receive_ready(self, number: int, now: float) -> None:
        """A worker serves and is registered."""
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

    def receive_beat(self, number: int, now: float) -> None:
        """A worker gives a sign of life."""
        if number in self._workers:
            self._workers[number].beat_at = now

    def receive_worn(self, number: int, now: float) -> bool:
        """A worker is to be replaced as soon as it is its turn. False if it is replaced already, or cannot be."""
        worker = self._workers.get(number)
        if worker is None or worker.asked_at is not None or self.state is not SupervisionState.RUNNING:
            return False
        known = self._slots[worker.slot].worker != number or worker.slot in (*self._outdated, self._replacing)
        if not known:
            self._outdated.append(worker.slot)
            self._advance(now)
        return not known

    def receive_exit(self, number: int, status: int, now: float, *, by_address: bool = False) -> None:
        """A worker's end was observed. ``status`` is its exit status, negative for a signal; ``by_address`` if it could
        not be started because of the address that it was to have, which no change of a file mends."""
        worker = self._workers.pop(number)
        self._effects.append(CloseSession(number))
        if self.state is SupervisionState.RUNNING:
            self._mend(number, worker, status, now, waits=self._awaits_changes and not by_address)
            self._advance(now)
        self._end_if_empty()

    def receive_port_taken(self, number: int, now: float) -> None:
        """A worker could not be started, as another process has its port."""
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

    def _mend(self, number: int, worker: _WorkerRecord, status: int, now: float, *, waits: bool) -> None:
        """Deals with the end of one worker while the others go on."""
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
                    if not waits:
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
            if (
                slot.restart_at is not None
                or slot.successor is not None
                or _is_left(self._workers.values(), self._replacing)
            ):
                return
            if slot.outdated:
                self._spawn(self._replacing, now)
                return
            if slot.worker is not None and not self._workers[slot.worker].ready:
                return
            self._replacing = None

    def _pause(self, slot: _Slot, worker: _WorkerRecord, now: float) -> float:
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
        self._workers[worker] = _WorkerRecord(number, now)
        self._effects.append(Spawn(number, worker))

    def _ask(self, number: int, now: float) -> None:
        worker = self._workers[number]
        if worker.asked_at is None:
            worker.asked_at = now
            self._effects.append(Terminate(number))

    def _hung_at(self, worker: _WorkerRecord) -> float | None:
        """When a worker counts as hanging, unless it gives a sign of life; None for one that gives none anyway, or was
        asked to end, which has a bound of its own."""
        if self._watch is None or worker.beat_at is None or worker.asked_at is not None:
            return None
        return worker.beat_at + self._watch

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


def _kill_at(worker: _WorkerRecord) -> float:
    assert worker.asked_at is not None
    return worker.asked_at + worker.bound + KILL_GRACE


def _is_left(workers: Iterable[_WorkerRecord], slot: int) -> bool:
    """Whether a worker of this slot was asked to end and has not ended."""
    return any(worker.slot == slot and worker.asked_at is not None for worker in workers)
