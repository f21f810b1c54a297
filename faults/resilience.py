"""Suite ``resilience``: what callers see while replicas hang, crawl, fail, drown, vanish from the registry, or stall.

Five replicas, a real ZooKeeper, 64 callers at a steady rate. Each scenario is a function with its own checks, in a
module beside this one. Waits take the place of work in the replicas, so that two cores are enough and no figure is
about the processor; latency counts from the moment at which a call was due.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import zkrpc
from faults.fleet import Scene
from faults.resilience_chain import chain
from faults.resilience_collapse import collapse
from faults.resilience_frozen import frozen_replica
from faults.resilience_hedge import hedge
from faults.resilience_overload import overload
from faults.resilience_shares import failing_replica, slow_replica
from scripts.report import Report
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.errors import ConfigError

SCENARIOS: dict[str, Callable[[Scene], None]] = {
    "frozen": frozen_replica,
    "slow": slow_replica,
    "failing": failing_replica,
    "hedge": hedge,
    "collapse": collapse,
    "overload": overload,
    "chain": chain,
}
"""In the order in which they run: the first ones share replicas, which ``collapse`` uses up."""


def run(seed: int, *, only: Sequence[str] = ()) -> Report:
    """The suite, or the scenarios named. Raises ConfigError for a name that is none."""
    unknown = set(only) - SCENARIOS.keys()
    if unknown:
        raise ConfigError(f"no scenario {', '.join(sorted(unknown))}; there are {', '.join(SCENARIOS)}")
    report = Report("resilience", seed)
    with tempfile.TemporaryDirectory(prefix="zkrpc-faults-") as folder, DevZooKeeper() as server:
        with zkrpc.Registry(server.hosts) as registry:
            scene = Scene(report, random.Random(seed), server, Path(folder), registry)
            try:
                for name, scenario in SCENARIOS.items():
                    if not only or name in only:
                        with report.guard(name, "runs"):
                            scenario(scene)
            finally:
                scene.close()
    return report
