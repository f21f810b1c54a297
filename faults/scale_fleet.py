"""A thousand members, two hundred clients, and a restart that rolls through all of them.

Members are registrations and nothing else; clients are registries with a session each, in a few processes. A restart
takes the node away and puts another in its place a while later, as a process that drains and comes back does; at the
end a few are replaced within one transaction each, as happens to those that crashed and whose session lives on.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import random
import statistics
import time
from collections.abc import Iterable
from typing import Any

import gevent
from gevent.pool import Pool

from faults.companion import Companion
from faults.scale_watchers import digest
from faults.spinning import cpu_seconds
from scripts.report import Report
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.registry.formats import LAUNCH, PID, dump_serverset
from zkrpc.registry.registrar import Registrar
from zkrpc.registry.schema import Paths
from zkrpc.zookeeper.session import Session

MEMBERS = 1_000
CLIENTS = 200
_PROCESSES = 4
_SERVICE = "fleet"
_RATE = 2.0
"""Restarts begun a second. All clients live on this one machine, and at twice the rate they alone take 1.5 cores."""
_DOWN = 2.0
"""Seconds that a member is away: a drain's linger, and the start of a process."""
_CRASHES = 20
_CRASH_PAUSE = 0.5
_READS = 10
"""Reads of a client for each change that are few, beside a thousand members."""
_CRASH_READS = 20
"""The same where the old session lives on: its mark stays, and who has two is read again with each crash after it."""
_STARTING = 50
"""Members registered at a time."""
_RIGHT_WITHIN = 2.0
_PATIENCE = 60.0
"""Seconds to wait for the lists to become right, to say by how much they are late."""


class Members:
    """All registrations, through one session, and through another one for those that come after a crash."""

    def __init__(self, hosts: str) -> None:
        self._sessions = [Session(hosts), Session(hosts)]
        self._registrars: dict[int, Registrar] = {}
        self._present: dict[int, Instance] = {}
        self.changes: dict[str, float] = {}
        """When each incarnation was there, by what a client calls it."""

    def start(self) -> None:
        """Registers everybody."""
        for session in self._sessions:
            session.start()
            if not session.wait_connected(30):
                raise TimeoutError("no ZooKeeper")
        Pool(_STARTING).map(lambda number: self._register(number, 0, self._sessions[0]), range(MEMBERS))

    def restart(self, number: int, incarnation: int) -> None:
        """Takes one away, and puts another in its place."""
        before = self._registrars[number]
        if not before.withdraw(10.0):
            raise TimeoutError(f"{before} is not withdrawn")
        gevent.sleep(_DOWN)
        before.close()
        self._register(number, incarnation, self._sessions[0])

    def replace(self, number: int, incarnation: int) -> None:
        """One instead of another, whose session lives on for a while."""
        self._registrars[number].close()
        self._register(number, incarnation, self._sessions[1])

    @property
    def instances(self) -> Iterable[Instance]:
        """Who is there."""
        return self._present.values()

    def close(self) -> None:
        """Ends the sessions, and with them all registrations."""
        for session in self._sessions:
            session.close()
        for registrar in self._registrars.values():
            registrar.close()

    def _register(self, number: int, incarnation: int, session: Session) -> None:
        name, launch = f"member-{number}", f"{number:016x}"
        instance = self._present[number] = Instance(
            id=name,
            endpoint=Endpoint(f"10.0.{number // 250}.{number % 250}", 20_000 + incarnation),
            protocols=("zkrpc", "theader", "framed"),
            version=str(incarnation),
            metadata={LAUNCH: launch, PID: str(number)},
        )
        registrar = Registrar(session, Paths(_SERVICE).member(name), dump_serverset(instance), launch)
        self._registrars[number] = registrar
        registrar.register()
        registrar.wait_registered(30.0)
        self.changes[f"{name} {incarnation}"] = time.monotonic()


@dataclasses.dataclass(slots=True)
class _Clients:
    """The processes with the clients, and ZooKeeper's."""

    processes: list[Companion]
    zookeeper: int

    def reports(self) -> list[Any]:
        """What each process has seen."""
        for process in self.processes:
            process.tell("report")
        return [json.loads(process.line()) for process in self.processes]

    def cpu(self) -> tuple[float, float]:
        """Seconds of all clients, and of ZooKeeper."""
        return sum(cpu_seconds(process.pid) for process in self.processes), cpu_seconds(self.zookeeper)

    def await_right(self, members: Members) -> list[Any]:
        """What they have seen, as soon as all have the right list, or as it is when patience has ended."""
        right, give_up_at = digest(members.instances), time.monotonic() + _PATIENCE
        while True:
            reports = self.reports()
            if sum(one["lists"].get(right, 0) for one in reports) == CLIENTS or time.monotonic() > give_up_at:
                return reports
            gevent.sleep(1.0)


def fleet(report: Report, rng: random.Random) -> None:
    """Everybody starts; the restart; a few crashes."""
    with contextlib.ExitStack() as cleanup:
        server = cleanup.enter_context(DevZooKeeper())
        members = Members(server.hosts)
        cleanup.callback(members.close)
        members.start()
        began = time.monotonic()
        each = CLIENTS // _PROCESSES
        processes = [
            cleanup.enter_context(Companion("faults.scale_watchers", server.hosts, _SERVICE, each, MEMBERS))
            for _ in range(_PROCESSES)
        ]
        for process in processes:
            process.line(timeout=300.0)
        seconds = time.monotonic() - began
        each = seconds * _PROCESSES / CLIENTS
        report.check("fleet: start of a client, s", round(each, 2), 10, note=f"{_PROCESSES} at a time on this machine")
        clients = _Clients(processes, server._nodes[0]._process.pid)
        _roll(report, members, clients, rng)
        _crash(report, members, clients, rng)


def _roll(report: Report, members: Members, clients: _Clients, rng: random.Random) -> None:
    used, before = clients.cpu(), clients.reports()
    members.changes.clear()
    began = time.monotonic()
    restarts = []
    for place, number in enumerate(rng.sample(range(MEMBERS), MEMBERS)):
        gevent.sleep(max(0.0, began + place / _RATE - time.monotonic()))
        restarts.append(gevent.spawn(members.restart, number, 1))
    gevent.joinall(restarts, raise_error=True)
    seconds = time.monotonic() - began
    _judge(report, "fleet", members, clients.await_right(members), before, seconds)
    both = [after - earlier for after, earlier in zip(clients.cpu(), used)]
    report.check(
        "fleet: processor of a client, of a core",
        round(both[0] / CLIENTS / seconds, 4),
        0.02,
        note=f"in {seconds:.0f} s all clients used {both[0]:.0f} s, ZooKeeper {both[1]:.0f} s",
    )


def _crash(report: Report, members: Members, clients: _Clients, rng: random.Random) -> None:
    before, began = clients.reports(), time.monotonic()
    members.changes.clear()
    for number in rng.sample(range(MEMBERS), _CRASHES):
        members.replace(number, 2)
        gevent.sleep(_CRASH_PAUSE)
    seconds = time.monotonic() - began
    _judge(report, "fleet, replaced at once", members, clients.await_right(members), before, seconds, few=_CRASH_READS)


def _judge(
    report: Report,
    title: str,
    members: Members,
    reports: list[Any],
    before: list[Any],
    seconds: float,
    *,
    few: int = _READS,
) -> None:
    delays = []
    for change, made_at in members.changes.items():
        sightings = [one["seen"][change] for one in reports if change in one["seen"]]
        if sum(count for count, _ in sightings) == CLIENTS:
            delays.append(max(at for _, at in sightings) - made_at)
    report.check(f"{title}: changes seen by all", len(delays), len(members.changes), comparison="==")
    if delays:
        report.check(
            f"{title}: until all clients saw a change, worst s",
            round(max(delays), 2),
            _RIGHT_WITHIN,
            note=f"median {statistics.median(delays):.2f}",
        )
    right = digest(members.instances)
    wrong = CLIENTS - sum(one["lists"].get(right, 0) for one in reports)
    report.check(f"{title}: clients with a wrong list in the end", wrong, 0, comparison="==")
    late = max(one["settled"] for one in reports) - max(members.changes.values())
    report.check(f"{title}: all right after the last change, s", None if wrong else round(late, 2), _RIGHT_WITHIN)
    reads = _requests(reports) - _requests(before)
    report.check(
        f"{title}: reads of a client a change",
        round(reads / CLIENTS / len(members.changes), 1),
        few,
        note=f"{reads} in all, {reads / seconds:.0f} a second",
    )


def _requests(reports: list[Any]) -> int:
    return sum(sum(one["requests"].values()) for one in reports)
