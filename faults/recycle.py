"""Suite ``recycle``: workers that have served long enough are replaced under load, and no caller notices.

Three workers of a stateless service, and three of one with a primary, are recycled by ``--max-calls`` again and again,
while callers of both never stop; half of the calls may not be sent twice.
"""

from __future__ import annotations

import collections
import contextlib
import os
import random
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import zkrpc
from faults import bank, probe
from faults.cluster import Replica, members, wait_until
from faults.load import Load, failures, longest_gap, percentile
from scripts.report import Report
from zkrpc.dev.zookeeper import DevZooKeeper

WORKERS = 3
CALLERS = 16
INTERVAL = 0.05
PATIENCE = 1800.0
"""Seconds for the whole suite."""
_PATIENT = zkrpc.ClientConfig(timeout=20.0)
"""A call that is late is not lost: on a busy machine the start of a process takes seconds. The gaps are checked,
too."""
_SERVICES = {"probe": "faults.probe:service", "bank": "faults.bank:service"}


def run(seed: int, *, times: int = 20) -> Report:
    """Until each worker of both services was recycled ``times`` times."""
    report, rng = Report("recycle", seed), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="zkrpc-faults-") as folder, DevZooKeeper() as server:
        with zkrpc.Registry(server.hosts) as registry:
            os.environ["LEDGER_DATABASE"] = f"{folder}/ledger.sqlite"
            running = [
                Replica(target, name, server.hosts, Path(folder), workers=WORKERS, max_calls=40, linger=0.2)
                for name, target in _SERVICES.items()
            ]
            try:
                for name in _SERVICES:
                    wait_until(lambda name=name: len(members(registry, name)) == WORKERS, 60, f"three of {name}")
                with report.guard("recycling", 0):
                    _recycle(report, rng, server.hosts, registry, times)
                statuses = [one.close() for one in running]
                report.check("exit statuses of the supervisors", max(statuses), 0, comparison="==")
            finally:
                for one in running:
                    one.close()
    return report


def _recycle(report: Report, rng: random.Random, hosts: str, registry: zkrpc.Registry, times: int) -> None:
    processes: dict[str, set[str]] = collections.defaultdict(set)

    def done() -> bool:
        for name in _SERVICES:
            for instance in members(registry, name).values():
                processes[instance.id].add(instance.metadata["pid"])
        return len(processes) == 2 * WORKERS and min(map(len, processes.values())) > times

    began = time.monotonic()
    with _load(hosts, rng) as loads:
        wait_until(done, PATIENCE, f"{times} successors of each worker", interval=0.05)
        ended = time.monotonic()
    seconds = ended - began
    report.check("times the least recycled worker was", min(map(len, processes.values())) - 1, times, comparison=">=")
    report.check("workers recycled", sum(map(len, processes.values())) - 2 * WORKERS, 6 * times, comparison=">=")
    report.check("seconds", round(seconds), PATIENCE)
    for name, load in loads.items():
        failed = failures(load.outcomes)
        report.check(f"{name}: calls made", len(load.outcomes), 1000, comparison=">=")
        report.check(
            f"{name}: failed calls",
            len(failed),
            0,
            comparison="==",
            note="; ".join(f"{type(one.error).__name__}: {one.error}" for one in failed[:3]),
        )
        report.check(f"{name}: longest gap without a success, ms", longest_gap(load.outcomes, began, ended), 5000)
        report.check(f"{name}: p50, ms", percentile(load.outcomes, 0.5), 1000)
        report.check(f"{name}: p99, ms", percentile(load.outcomes, 0.99), 5000)


@contextlib.contextmanager
def _load(hosts: str, rng: random.Random) -> Iterator[dict[str, Load]]:
    """Callers of both services, each over a client of its own."""
    with (
        zkrpc.connect(probe.idl.Probe, "probe", zookeeper=hosts, config=_PATIENT) as counter,
        zkrpc.connect(bank.idl.Bank, "bank", zookeeper=hosts, config=_PATIENT) as ledger,
    ):
        for account in ("a", "b"):
            ledger.open(account)
        loads = {
            "probe": Load(
                lambda: counter.get("calls"),
                lambda request_id: counter.add("calls", 1, request_id),
                callers=CALLERS,
                interval=INTERVAL,
                rng=rng,
            ),
            "bank": Load(
                lambda: ledger.balance("a"),
                lambda request_id: ledger.transfer("a", "b", 0, request_id),
                callers=CALLERS,
                interval=INTERVAL,
                rng=rng,
            ),
        }
        try:
            yield loads
        finally:
            for load in loads.values():
                load.stop()
