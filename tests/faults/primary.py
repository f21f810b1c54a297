"""Suite ``primary``: one writer at a time, whatever happens to it, to ZooKeeper, and to the network between them.

Callers move money and read balances without a pause while, round by round, the primary or what it stands on is broken.
What was accepted, committed and answered is recorded by all sides and judged together at the end.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import os
import random
import sqlite3
import statistics
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

import zkrpc
from scripts.report import Report
from tests.faults import bank
from tests.faults.cluster import Replica, wait_until
from tests.faults.ensemble import Lab
from tests.faults.linearizability import Kind, Operation, check
from tests.faults.processes import frozen, kill
from zkrpc.election.survey import GroupReport, ask_to_step_down, look
from zkrpc.election.tree import ElectionPaths

TARGET = "tests.faults.bank:service"
NAMES = ("ann", "ben", "cat")
TIMEOUT = 6.0
TICK = 500
# Longer than the session, so that a follower that is cut off goes on answering pings after the session has ended.
SYNC_LIMIT = 16
ACCOUNTS = [f"account-{number}" for number in range(8)]
AMOUNT = 1_000_000
CALLERS = 8
PAUSE = 0.02


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
        self.gaps: dict[str, list[float]] = collections.defaultdict(list)
        self.replicas: dict[str, Replica] = {}
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

    def worker_pid(self, name: str) -> int:
        """The process id of a replica's only worker."""
        snapshot = self.registry.resolver("bank").snapshot
        assert snapshot is not None
        (instance,) = [one for one in snapshot.instances if one.id == f"{name}-0"]
        return int(instance.metadata["pid"])

    def succeed_again(self, since: float, timeout: float = 60.0) -> float:
        """Waits for a transfer that began after ``since`` and was answered; returns its end."""
        done: list[float] = []

        def answered() -> bool:
            done.extend(one.ended for one in self.calls[-200:] if one.began > since and one.balance is not None)
            return bool(done)

        wait_until(answered, timeout, "a transfer after the fault")
        return min(done)

    def caller(self, stub: Any) -> None:
        """Transfers without end."""
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
            gevent.sleep(PAUSE)

    def stop(self) -> None:
        """Lets the callers finish."""
        self._running = False

    def close(self) -> None:
        """Ends the replicas."""
        for replica in self.replicas.values():
            replica.process.terminate()
        for replica in self.replicas.values():
            replica.close()
        self.registry.close()


# -- the faults: each breaks something, mends it, and returns the moment from which a successor was wanted


def worker_killed(scene: Scene, name: str) -> float:
    """kill -9 of the primary's worker; its supervisor lives."""
    began = time.monotonic()
    kill(scene.worker_pid(name))
    return began


def group_killed(scene: Scene, name: str) -> float:
    """kill -9 of the primary's worker and supervisor together: nobody closes the session."""
    began = time.monotonic()
    pid = scene.worker_pid(name)
    scene.replicas[name].process.kill()
    kill(pid)
    scene.replicas[name].process.wait()
    wait_until(lambda: scene.primary()[0] != name, 30, "a primary after the group's death")
    scene.start(name)
    return began


def frozen_primary(scene: Scene, name: str) -> float:
    """SIGSTOP for longer than the session, then SIGCONT."""
    began = time.monotonic()
    with frozen(scene.worker_pid(name)):
        gevent.sleep(TIMEOUT * 1.4)
    return began


def black_hole(scene: Scene, name: str) -> float:
    """The primary's links to ZooKeeper swallow everything; its TCP connections stay open."""
    began = time.monotonic()
    scene.lab.blackhole(name)
    gevent.sleep(TIMEOUT * 1.4)
    scene.lab.heal(name)
    return began


def own_node_killed(scene: Scene, name: str) -> float:
    """The ZooKeeper server that the primary talks to dies."""
    node = scene.lab.node_of(name)
    assert node is not None
    began = time.monotonic()
    scene.lab.kill(node)
    gevent.sleep(2.0)
    scene.lab.restart(node)
    return began


def own_node_cut_off(scene: Scene, name: str) -> float:
    """The primary's ZooKeeper server loses its leader, and goes on answering pings."""
    leader = scene.lab.leader()
    follower = next(node for node in range(3) if node != leader)
    scene.lab.pin(name, follower)
    wait_until(lambda: scene.lab.node_of(name) == follower, 15, "the primary moved to a follower")
    gevent.sleep(1.0)
    began = time.monotonic()
    scene.lab.cut(follower, leader)
    gevent.sleep(TIMEOUT * 1.2)
    scene.lab.join_all()
    scene.lab.heal(name)
    return began


def leader_killed(scene: Scene, name: str) -> float:
    """ZooKeeper's own leader dies."""
    leader = scene.lab.leader()
    began = time.monotonic()
    scene.lab.kill(leader)
    gevent.sleep(2.0)
    scene.lab.restart(leader)
    return began


def ensemble_stopped_briefly(scene: Scene, name: str) -> float:
    """All of ZooKeeper is away for 3 s."""
    return _stopped(scene, 3.0)


def ensemble_stopped_long(scene: Scene, name: str) -> float:
    """All of ZooKeeper is away for two session timeouts."""
    return _stopped(scene, 2 * TIMEOUT)


def _stopped(scene: Scene, seconds: float) -> float:
    began = time.monotonic()
    scene.lab.stop_all()
    gevent.sleep(seconds)
    scene.lab.start_all()
    return began


def hand_over(scene: Scene, name: str) -> float:
    """The primary is asked to step down."""
    began = time.monotonic()
    ask_to_step_down(scene.registry.session, ElectionPaths("bank", "main"), timeout=15)
    return began


def hub_blocked(scene: Scene, name: str) -> float:
    """A handler computes for longer than the session lasts."""
    began = time.monotonic()
    with zkrpc.connect(bank.idl.Bank, "bank", zookeeper=scene.registry) as stub:
        try:
            stub.options(timeout=TIMEOUT * 2).burn(int(TIMEOUT * 1400))
        except zkrpc.CallError:
            pass
    return began


FAULTS: tuple[Callable[[Scene, str], float], ...] = (
    worker_killed,
    group_killed,
    frozen_primary,
    black_hole,
    own_node_killed,
    own_node_cut_off,
    leader_killed,
    ensemble_stopped_briefly,
    ensemble_stopped_long,
    hand_over,
    hub_blocked,
)


def run(seed: int, *, rounds: int) -> Report:
    """The suite: ``rounds`` faults, each kind about equally often, in an order drawn by the seed."""
    report, rng = Report("primary", seed), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="zkrpc-faults-") as path, Lab(tick=TICK, sync_limit=SYNC_LIMIT) as lab:
        folder = Path(path)
        # Replicas inherit it; the journal's folder is the same.
        os.environ["LEDGER_DATABASE"] = str(folder / "ledger.sqlite")
        scene = Scene(lab, folder, rng)
        completed = 0
        try:
            with report.guard("rounds completed", rounds, comparison="=="):
                completed = _perform(scene, rng, rounds)
                report.check("rounds completed", completed, rounds, comparison="==")
            gevent.sleep(1.0)
        finally:
            scene.close()
        if completed:
            judge(report, scene)
    return report


def _perform(scene: Scene, rng: random.Random, rounds: int) -> int:
    config = zkrpc.ClientConfig(timeout=3.0)
    observer = scene.registry
    with zkrpc.connect(bank.idl.Bank, "bank", zookeeper=observer, config=config) as stub:
        scene.primary()
        for account in ACCOUNTS:
            stub.options(timeout=30).open(account, AMOUNT)
        callers = [gevent.spawn(scene.caller, stub) for _ in range(CALLERS)]
        try:
            plan: list[Callable[[Scene, str], float]] = []
            for number in range(rounds):
                plan = plan or rng.sample(FAULTS, len(FAULTS))
                fault = plan.pop()
                _one_round(scene, number, fault)
        finally:
            scene.stop()
            gevent.joinall(callers, timeout=30, raise_error=True)
    return rounds


def _one_round(scene: Scene, number: int, fault: Callable[[Scene, str], float]) -> None:
    name, epoch = scene.primary()
    began = fault(scene, name)
    ended = scene.succeed_again(time.monotonic())
    gap = _longest_silence(scene.calls, began - 0.2, ended)
    scene.gaps[fault.__name__].append(gap)
    everybody = {f"{one}-0" for one in NAMES}
    wait_until(lambda: everybody <= _registered(scene), 40, "all replicas registered")
    after = scene.primary()
    print(
        f"round {number + 1}: {fault.__name__} on {name} ({epoch}): {gap:.2f} s without a write, now {after}",
        flush=True,
    )


def _registered(scene: Scene) -> set[str]:
    snapshot = scene.registry.resolver("bank").snapshot
    return {one.id for one in snapshot.instances} if snapshot else set()


def _longest_silence(calls: list[Call], begin: float, end: float) -> float:
    ends = sorted(one.ended for one in calls if one.balance is not None and begin <= one.ended <= end)
    edges = [begin, *ends, end]
    return max(after - before for before, after in zip(edges, edges[1:]))


def judge(report: Report, scene: Scene) -> None:
    """Holds what the callers were told against what the replicas accepted and what the database holds."""
    accepted, refused = _journals(scene.folder)
    with sqlite3.connect(scene.folder / "ledger.sqlite") as database:
        rows = database.execute("SELECT request_id, epoch FROM transfers ORDER BY rowid").fetchall()
        total = database.execute("SELECT sum(balance) FROM accounts").fetchone()[0]
    written = {request_id for request_id, _ in rows}
    epochs = [epoch for _, epoch in rows]
    acknowledged = [one for one in scene.calls if one.balance is not None]
    missing = [one for one in acknowledged if one.request_id not in written]
    refused_but_written = [one for one in refused if (one, refused[one]) in rows]
    told_not_executed = [
        one
        for one in scene.calls
        if one.error and one.error.executed is zkrpc.Executed.NO and one.request_id in written
    ]
    report.check("transfers acknowledged", len(acknowledged), 100, comparison=">=")
    report.check("rounds in which two primaries accepted writes", _overlaps(accepted), 0, comparison="==")
    report.check("committed epochs out of order", _descents(epochs), 0, comparison="==")
    report.check("acknowledged transfers missing", len(missing), 0, comparison="==")
    report.check("transfers done twice", len(rows) - len(written), 0, comparison="==")
    report.check("refused by the fence and written all the same", len(refused_but_written), 0, comparison="==")
    report.check("told executed=NO and written", len(told_not_executed), 0, comparison="==")
    report.check("money", total, AMOUNT * len(ACCOUNTS), comparison="==")
    report.check(
        "accounts whose history is not linearizable", len(_violations(scene.calls, written)), 0, comparison="=="
    )
    for name, gaps in sorted(scene.gaps.items()):
        median, worst = statistics.median(gaps), max(gaps)
        report.check(
            f"without a write, {name}, worst s", round(worst, 3), 60, note=f"median {median:.3f} of {len(gaps)}"
        )


def _journals(folder: Path) -> tuple[list[tuple[float, int]], dict[str, int]]:
    accepted: list[tuple[float, int]] = []
    refused: dict[str, int] = {}
    for journal in folder.iterdir():
        if journal.name.isdigit():
            for line in journal.read_text().splitlines():
                what, at, epoch, request_id = line.split()
                if what == "accepted":
                    accepted.append((float(at), int(epoch)))
                else:
                    refused[request_id] = int(epoch)
    return sorted(accepted), refused


def _overlaps(accepted: list[tuple[float, int]]) -> int:
    """How many epochs accepted a write after a later epoch had."""
    highest, late = 0, set()
    for _, epoch in accepted:
        if epoch < highest:
            late.add(epoch)
        highest = max(highest, epoch)
    return len(late)


def _descents(epochs: list[int]) -> int:
    return sum(after < before for before, after in zip(epochs, epochs[1:]))


def _violations(calls: list[Call], written: set[str]) -> list[Any]:
    """What the callers saw of each account, as additions that must have an order; those never written are left out."""
    history = []
    for one in calls:
        if one.request_id in written:
            until = one.ended if one.balance is not None else math.inf
            took = functools.partial(Operation, kind=Kind.ADD, invoked_at=one.began, returned_at=until)
            history.append(took(account=one.source, amount=-one.amount, balance=one.balance))
            history.append(took(account=one.target, amount=one.amount))
    return check(history, initial=AMOUNT)
