"""The bank under fault: a real three-node ZooKeeper, three replicas of the bank, and callers that move money.

What is common to the suites that break a primary. It records what callers saw; it neither breaks nor judges anything.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import random
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore

import zkrpc
from faults import bank
from faults.cluster import Replica, members, wait_until
from faults.ensemble import Lab
from faults.spinning import Spinning
from zkrpc.election.inspection import GroupReport, look

TARGET = "faults.bank:service"
NAMES = ("ann", "ben", "cat")
TIMEOUT = 6.0
TICK = 500
# Longer than the session, so that a follower that is cut off goes on answering pings after the session has ended.
SYNC_LIMIT = 16
ACCOUNTS = [f"account-{number}" for number in range(8)]
AMOUNT = 1_000_000


@dataclasses.dataclass(slots=True)
class Call:
    """One call as its caller saw it; ``balance`` is None without an answer."""

    began: float
    ended: float
    source: str
    target: str
    amount: int
    request_id: str
    balance: int | None
    error: zkrpc.CallError | None = None


class Scene:
    """The ensemble, the replicas, the callers, and what they saw."""

    def __init__(self, lab: Lab, folder: Path, rng: random.Random) -> None:
        self.lab = lab
        self.folder = folder
        self.rng = rng
        self.calls: list[Call] = []
        self.repeated: list[float] = []
        """When calls ended, answered or not, that had taken more than one attempt: an instance refused or was lost."""
        self.replicas: dict[str, Replica] = {}
        self.elected_while_sick: list[int] = []
        """How often a replica that had been made sick was elected, by the times that one was."""
        self.burns: list[tuple[float, float]] = []
        """From when until when some handler computed because a fault wanted it."""
        self._turns = {name: BoundedSemaphore() for name in NAMES}
        self.registry = zkrpc.Registry(lab.hosts_for("observer"), config=zkrpc.RegistryConfig(session_timeout=TIMEOUT))
        self._running = True
        for name in NAMES:
            self.start(name)

    def start(self, name: str) -> None:
        """Starts a replica that reaches ZooKeeper through links of its own."""
        hosts = self.lab.hosts_for(name)
        self.replicas[name] = Replica(TARGET, name, hosts, self.folder, session_timeout=TIMEOUT, drain_timeout=2)

    def report(self) -> GroupReport | None:
        """What ZooKeeper says of the election; None while it cannot be asked."""
        try:
            reports = look(self.registry.session, "bank")
        except zkrpc.CoordinationError:
            return None
        return reports[0] if reports else None

    def primary(self) -> tuple[str, int]:
        """The name and the epoch of the primary, once there is one that is registered."""
        found: list[tuple[str, int]] = []

        def look_again() -> bool:
            report = self.report()
            if report is not None and report.primary is not None:
                found.append((report.primary.instance.removesuffix("-0"), int(report.epoch)))
            return bool(found)

        wait_until(look_again, 60, "a primary")
        return found[-1]

    def next_in_line(self) -> str:
        """The name of the replica that stands next to the primary, once there is one that is registered."""
        found: list[str] = []

        def look_again() -> bool:
            report = self.report()
            if report is not None and report.primary is not None:
                waiting = [one for one in report.candidates if one != report.primary.instance]
                found[:] = filter(self.is_registered, (one.removesuffix("-0") for one in waiting))
            return bool(found)

        wait_until(look_again, 60, "a candidate beside the primary", interval=0.05)
        return found[0]

    def is_registered(self, name: str) -> bool:
        """Whether callers can find a replica."""
        return f"{name}-0" in members(self.registry, "bank")

    def worker_pid(self, name: str) -> int:
        """The process id of a replica's only worker, once it is registered."""
        wait_until(lambda: self.is_registered(name), 60, f"{name} registered")
        return int(members(self.registry, "bank")[f"{name}-0"].metadata["pid"])

    @contextlib.contextmanager
    def alone_with(self, name: str) -> Iterator[None]:
        """While one fault ends a replica's processes and starts them anew, no other does."""
        with self._turns[name]:
            yield

    @contextlib.contextmanager
    def sick(self, name: str, how: str) -> Iterator[None]:
        """While this lasts, a replica that is elected raises (``raise``) or never begins (``hang``)."""
        illness = bank.illness_of(self.folder, name)
        illness.write_text(f"{how}\n")
        try:
            yield
        finally:
            self.elected_while_sick.append(illness.read_text().count("elected"))
            illness.unlink()

    def mark_again(self, timeout: float = 60.0) -> float:
        """Waits until the primary can write to ZooKeeper again; returns the seconds that took."""
        began = time.monotonic()
        with zkrpc.connect(bank.idl.Bank, "bank", zookeeper=self.registry) as stub:
            wait_until(lambda: self._marked(stub), timeout, "a guarded transaction after the fault", interval=0.05)
        return time.monotonic() - began

    def _marked(self, stub: Any) -> bool:
        try:
            self.registry.session.znodes.ensure_path(bank.MARK)
            stub.options(timeout=2).mark()
        except (zkrpc.CallError, zkrpc.CoordinationError):
            return False
        return True

    def await_everybody(self) -> None:
        """Waits until all replicas are registered."""
        everybody = {f"{name}-0" for name in NAMES}
        wait_until(lambda: everybody <= members(self.registry, "bank").keys(), 40, "all replicas registered")

    def await_calm(self) -> None:
        """Waits until all replicas are registered and stand, nothing of dead ones is left, and somebody leads."""
        self.await_everybody()
        everybody = sorted(f"{name}-0" for name in NAMES)

        def is_settled() -> bool:
            report = self.report()
            return report is not None and report.primary is not None and sorted(report.candidates) == everybody

        wait_until(is_settled, 40, "all replicas stand", interval=0.1)

    def succeed_again(self, since: float, timeout: float = 60.0) -> float:
        """Waits for a transfer that began after ``since`` and was answered; returns its end."""
        done: list[float] = []

        def answered() -> bool:
            done.extend(one.ended for one in self.calls[-200:] if one.began > since and one.balance is not None)
            return bool(done)

        wait_until(answered, timeout, "a transfer after the fault")
        return min(done)

    @contextlib.contextmanager
    def watched(self) -> Iterator[Spinning]:
        """Looks meanwhile at the processor time of all replicas and their supervisors."""
        spinning = Spinning(self._processes)
        try:
            yield spinning
        finally:
            spinning.stop()

    def _processes(self) -> Iterator[tuple[str, int]]:
        workers = members(self.registry, "bank")
        for name, replica in list(self.replicas.items()):
            yield f"supervisor of {name}", replica.process.pid
            if f"{name}-0" in workers:
                yield name, int(workers[f"{name}-0"].metadata["pid"])

    @contextlib.contextmanager
    def callers(self, count: int, *, pause: float, timeout: float) -> Iterator[None]:
        """So many callers that transfer without end, each with a pause between calls that may take ``timeout``."""
        config = zkrpc.ClientConfig(timeout=timeout)
        with zkrpc.connect(
            bank.idl.Bank, "bank", zookeeper=self.registry, config=config, interceptors=[self._note_repeated]
        ) as stub:
            self.primary()
            for account in ACCOUNTS:
                stub.options(timeout=30).open(account, AMOUNT)
            callers = [gevent.spawn(self._call, stub, pause) for _ in range(count)]
            try:
                yield
            finally:
                self._running = False
                gevent.joinall(callers, timeout=30, raise_error=True)

    def _call(self, stub: Any, pause: float) -> None:
        while self._running:
            source, target = self.rng.sample(ACCOUNTS, 2)
            amount, request_id = self.rng.randrange(1, 1000), uuid.UUID(int=self.rng.getrandbits(128)).hex
            call = Call(time.monotonic(), 0.0, source, target, amount, request_id, None)
            try:
                call.balance = stub.transfer(source, target, amount, request_id)
            except zkrpc.CallError as error:
                call.error = error
            call.ended = time.monotonic()
            self.calls.append(call)
            gevent.sleep(pause)

    def _note_repeated(self, call: Any, proceed: Callable[[Any], Any]) -> Any:
        try:
            return proceed(call)
        finally:
            if call.attempt > 1:
                self.repeated.append(time.monotonic())

    def close(self) -> None:
        """Ends the replicas. May be called more than once."""
        for replica in self.replicas.values():
            replica.process.terminate()
        for replica in self.replicas.values():
            replica.close()
        self.registry.close()


@contextlib.contextmanager
def raised(rng: random.Random) -> Iterator[Scene]:
    """A scene that is taken down, with its files, at the end."""
    with tempfile.TemporaryDirectory(prefix="zkrpc-faults-") as path, Lab(tick=TICK, sync_limit=SYNC_LIMIT) as lab:
        folder = Path(path)
        # Replicas inherit it; the journal's folder is the same.
        os.environ["LEDGER_DATABASE"] = str(folder / "ledger.sqlite")
        scene = Scene(lab, folder, rng)
        try:
            yield scene
        finally:
            scene.close()
