"""Suite ``ensemble``: three ZooKeeper servers are replaced, one after the other, by three others, while callers call.

A service whose reads go anywhere and whose writes go to the elected primary; nobody is restarted, and nobody is told of
the new servers but by ZooKeeper itself. At the end nothing of the first ensemble is left.
"""

from __future__ import annotations

import os
import random
import tempfile
from pathlib import Path

import gevent

import zkrpc
from faults import bank
from faults.cluster import Replica, members, wait_until
from faults.load import Load, failures, longest_gap
from faults.moving import MovingEnsemble
from scripts.report import Report

REPLICAS = 3
CALLERS = 32
INTERVAL = 0.02
SESSION_TIMEOUT = 4.0
SERVERS = 3
_PAUSE = 2.0
"""Seconds under load between two changes."""


def run(seed: int) -> Report:
    """The whole suite."""
    report = Report("ensemble", seed)
    with tempfile.TemporaryDirectory(prefix="zkrpc-faults-") as folder, MovingEnsemble(SERVERS) as ensemble:
        os.environ["LEDGER_DATABASE"] = f"{folder}/ledger.sqlite"
        config = zkrpc.RegistryConfig(session_timeout=SESSION_TIMEOUT)
        replicas = [
            Replica(
                "faults.bank:service", f"bank-{number}", ensemble.hosts, Path(folder), session_timeout=SESSION_TIMEOUT
            )
            for number in range(REPLICAS)
        ]
        try:
            with zkrpc.Registry(ensemble.hosts, config=config) as registry:
                with report.guard("replaced", 0):
                    replaced(report, ensemble, registry, random.Random(seed))
        finally:
            for replica in replicas:
                replica.close()
    return report


def replaced(report: Report, ensemble: MovingEnsemble, registry: zkrpc.Registry, rng: random.Random) -> None:
    """Each of the first servers gives way to a new one, under load."""
    first = set(ensemble.hosts.split(","))
    wait_until(lambda: len(members(registry, "bank")) == REPLICAS, 60, "everybody is registered")
    before = members(registry, "bank")
    with zkrpc.connect(bank.idl.Bank, "bank", zookeeper=registry) as stub:
        stub.open("a", 1_000_000)
        stub.open("b", 0)
        leader = stub.whoami()
        load = Load(
            stub.total,
            lambda request_id: stub.transfer("a", "b", 1, request_id),
            callers=CALLERS,
            interval=INTERVAL,
            rng=rng,
        )
        try:
            gevent.sleep(_PAUSE)
            for number in range(1, SERVERS + 1):
                ensemble.add()
                gevent.sleep(_PAUSE)
                ensemble.remove(number)
                gevent.sleep(_PAUSE)
            # Everything of the first ensemble is gone; whoever did not follow has lost its session by now.
            gevent.sleep(2 * SESSION_TIMEOUT)
        finally:
            load.stop()
        is_same_leader = stub.whoami() == leader
        total = stub.total()
    after = members(registry, "bank")
    check, outcomes = report.check, load.outcomes
    failed = failures(outcomes)
    check("calls made", len(outcomes), 1000, comparison=">=")
    check("failed calls", len(failed), 0, comparison="==", note=str(failed[:1]))
    begin, end = outcomes[0].ended_at, outcomes[-1].ended_at
    check("longest gap without an answer, ms", longest_gap(outcomes, begin, end), 1000)
    check("all money", total, 1_000_000, comparison="==")
    left = first & set(ensemble.hosts.split(","))
    check("servers of the first ensemble that are members", len(left), 0, comparison="==")
    changed = [name for name, one in before.items() if after.get(name) != one]
    check("replicas that were restarted, or are gone", len(changed), 0, comparison="==", note=" ".join(changed))
    check("the primary is who it was", int(is_same_leader), 1, comparison="==")
    check("this process's session is at a new server", int(registry.status().server not in first), 1, comparison="==")
