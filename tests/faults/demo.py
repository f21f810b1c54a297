"""The demo: a service of three replicas under load, losing one part after another, as a live table.

On a terminal the table is redrawn in place; elsewhere a line is printed for each event. It ends with the figures that
matter, by the same contract as every suite.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import random
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import gevent

import zkrpc
from examples.users import idl
from scripts.report import Report, add_json_flag
from tests.faults.cluster import Replica, kill_process, members, wait_until
from tests.faults.load import Load, failures, longest_gap, percentile
from zkrpc.dev.zookeeper import DevZooKeeper

TARGET = "examples.users:service"
CALLERS = 16
_CLEAR = "\x1b[H\x1b[J"
_BAR = 30


@dataclasses.dataclass(frozen=True, slots=True)
class Act:
    """One thing that happens to the system, and how long to watch what comes of it, in seconds."""

    title: str
    happen: Callable[[], None]
    watch: float


class Stage:
    """Everything on show: ZooKeeper, replicas, the load, and who answered how many calls."""

    def __init__(self, folder: Path, zookeeper: DevZooKeeper, registry: zkrpc.Registry, *, quiet: bool) -> None:
        self.folder = folder
        self.zookeeper = zookeeper
        self.registry = registry
        self.replicas: dict[str, Replica] = {}
        self.answered: collections.Counter[str] = collections.Counter()
        self._quiet = quiet
        self._live = sys.stdout.isatty() and not quiet
        self._shown: collections.Counter[str] = collections.Counter()
        self._shown_at = time.monotonic()

    def start(self, name: str) -> None:
        """Starts a replica with one worker."""
        self.replicas[name] = Replica(TARGET, name, self.zookeeper.hosts, self.folder, linger=0.5)

    def members(self) -> dict[str, zkrpc.Instance]:
        """Who is registered."""
        return members(self.registry, "users")

    def await_members(self, count: int) -> None:
        """Waits for that many registered replicas."""
        wait_until(lambda: len(self.members()) == count, 30, f"{count} replicas registered")

    def count(self, call: Any, proceed: Callable[[Any], Any]) -> Any:
        """A client interceptor that notes which instance answered."""
        result = proceed(call)
        self.answered[str(call.endpoint)] += 1
        return result

    def watch(self, title: str, seconds: float, load: Load) -> None:
        """Shows the table for a while."""
        if not self._live and not self._quiet:
            print(f"{title} …", flush=True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            gevent.sleep(min(0.5, max(0.0, end - time.monotonic())))
            if self._live:
                print(_CLEAR + self._table(title, load), flush=True)
        if not self._live and not self._quiet:
            print(self._table("", load).rstrip(), flush=True)

    def _table(self, title: str, load: Load) -> str:
        now = time.monotonic()
        recent = load.between(now - 1.0, now)
        elapsed = max(0.001, now - self._shown_at)
        rates = {place: (total - self._shown[place]) / elapsed for place, total in self.answered.items()}
        self._shown, self._shown_at = collections.Counter(self.answered), now
        rows = [f"  {title}", ""] if title else []
        rows += [self._row(one, rates.get(str(one.endpoint), 0.0)) for one in self.members().values()]
        modes = ", ".join(mode or "down" for mode in self.zookeeper.modes())
        rows += [
            f"    zookeeper   {modes}",
            f"    load        {len(recent):5} calls/s   p99 {percentile(recent, 0.99)} ms   "
            f"{len(load.outcomes)} calls, {len(failures(load.outcomes))} failed so far",
        ]
        return "\n".join(rows) + "\n"

    @staticmethod
    def _row(instance: zkrpc.Instance, rate: float) -> str:
        bar = "█" * min(_BAR, round(rate / 20))
        return (
            f"    {instance.id:10}  {str(instance.endpoint):18} pid {instance.metadata['pid']:>7} {rate:6.0f}/s {bar}"
        )


def acts(stage: Stage, pause: float, outage: float) -> list[Act]:
    """What happens, in order."""

    def kill() -> None:
        kill_process(int(stage.members()["ada-0"].metadata["pid"]))

    def drain() -> None:
        stage.replicas["bob"].drain()

    def join() -> None:
        stage.start("dot")

    def back() -> None:
        stage.zookeeper.start_all()

    return [
        Act("three replicas, all well", lambda: None, pause),
        Act("kill -9 of ada's worker: its supervisor starts another", kill, pause),
        Act("bob is asked to stop: it drains", drain, pause),
        Act("dot joins", join, pause),
        Act("the whole of ZooKeeper is stopped: calls go on", stage.zookeeper.stop_all, outage),
        Act("ZooKeeper is back", back, pause),
    ]


def run(*, seed: int, quick: bool, quiet: bool) -> Report:
    """The demo from start to end."""
    report = Report("demo", seed)
    with tempfile.TemporaryDirectory(prefix="zkrpc-demo-") as folder, DevZooKeeper() as zookeeper:
        with zkrpc.Registry(zookeeper.hosts) as registry:
            stage = Stage(Path(folder), zookeeper, registry, quiet=quiet)
            try:
                with report.guard("demo", "runs"):
                    _perform(stage, report, random.Random(seed), quick=quick)
            finally:
                for replica in stage.replicas.values():
                    replica.drain()
                for replica in stage.replicas.values():
                    replica.close()
    return report


def _perform(stage: Stage, report: Report, rng: random.Random, *, quick: bool) -> None:
    for name in ("ada", "bob", "cyd"):
        stage.start(name)
    stage.await_members(3)
    hosts = stage.zookeeper.hosts
    with zkrpc.connect(idl.Users, "users", zookeeper=hosts, interceptors=[stage.count]) as users:
        users.get(42)
        load = Load(lambda: users.get(42), lambda _: users.remove(7), callers=CALLERS, interval=0.02, rng=rng)
        begin = time.monotonic()
        for act in acts(stage, 3.0 if quick else 6.0, 6.0 if quick else 20.0):
            act.happen()
            stage.watch(act.title, act.watch, load)
        stage.await_members(3)
        end = time.monotonic()
        load.stop()
    lost = [one for one in failures(load.outcomes, idempotent=False) if one.executed is not zkrpc.Executed.MAYBE]
    report.check("calls made", len(load.outcomes), 1000, comparison=">=")
    report.check("idempotent calls that failed", len(failures(load.outcomes, idempotent=True)), 0, comparison="==")
    report.check("other calls that failed without executed=MAYBE", len(lost), 0, comparison="==")
    report.check("longest gap without a successful call, ms", longest_gap(load.outcomes, begin, end), 250)
    report.check("p99, ms", percentile(load.outcomes, 0.99), 1000)
    report.check("replicas registered at the end", len(stage.members()), 3, comparison="==")


def main() -> int:
    """The command line of ``scripts/demo``."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description="A service under load, losing its parts.")
    parser.add_argument("--quick", action="store_true", help="half a minute instead of one and a half")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6), help="what chance begins with")
    add_json_flag(parser)
    options = parser.parse_args()
    return run(seed=options.seed, quick=options.quick, quiet=options.json).finish(as_json=options.json)


if __name__ == "__main__":
    sys.exit(main())
