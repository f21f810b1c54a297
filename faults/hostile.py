"""Suite ``hostile``: what honest callers notice while somebody sends what costs little and is meant to cost much.

One worker serves 32 honest callers, who ask for their own text and for the epoch of the primary. Beside them one attack
after another runs, each in a process and from an address of its own; and then the other way round: a client calls a
service some of whose members are hostile. Each attack is held to the same promises:

* the honest callers' 99th percentile stays within five times what it was in the seconds before, and no call is lost;
* the process's memory stays below its documented bound, and comes back within ten seconds of the end;
* nobody is deposed, nothing crashes, the log does not grow without end;
* no answer holds a byte of another caller's.

And crowds (:mod:`faults.crowding`), each beside a process of its own, several times, and held to twice the calm:
``crowd-senders``, a thousand connections that send a byte now and then, and ``crowd-flood``, three times as many
connections as the process may have descriptors for.
"""

from __future__ import annotations

import contextlib
import json
import random
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import gevent

import zkrpc
from faults import hostile_target, memory
from faults.cluster import Replica, members, wait_until
from faults.companion import Companion
from faults.crowding import crowd, note_of, share_at_rest
from faults.hostile_attacks import ATTACKS, Seen
from faults.hostile_honest import Honest
from faults.hostile_reverse import Reverse
from faults.hostile_servers import SERVERS
from faults.hostile_watch import BACK, CALM, RECOVERY, SLOWER, Watch
from faults.load import failures, percentile
from scripts.report import Report
from tests.support.descriptors import descriptors
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.errors import ConfigError

CALLERS = 32
SESSION_TIMEOUT = 4.0
WARM_UP = 4.0
ATTACK = 6.0
"""Seconds; some attacks take as long as what they have to send."""
CROWDS = ("crowd-senders", "crowd-flood")
DESCRIPTORS = 500
"""How many more than it has the process may open while it is flooded."""
FLOODS = 3
"""How often: each takes half a minute until its last connection was cut."""
LOG = 256 * 1024
"""Bytes that the log may grow by."""


def run(seed: int, *, only: Sequence[str] = ()) -> Report:
    """The suite, or the attacks named. Raises ConfigError for a name that is none."""
    servers = {f"server-{name}": name for name in SERVERS}
    unknown = set(only) - ATTACKS.keys() - servers.keys() - set(CROWDS)
    if unknown:
        there = ", ".join((*ATTACKS, *servers, *CROWDS))
        raise ConfigError(f"no attack {', '.join(sorted(unknown))}; there are {there}")
    attacks = [name for name in ATTACKS if not only or name in only]
    kinds = [name for flag, name in servers.items() if not only or flag in only]
    report, rng = Report("hostile", seed), random.Random(seed)
    with tempfile.TemporaryDirectory(prefix="zkrpc-faults-") as folder, DevZooKeeper() as server:
        for name in CROWDS:
            if not only or name in only:
                with report.guard(name, "runs"), zkrpc.Registry(server.hosts) as registry:
                    _crowd(report, registry, server.hosts, Path(folder), name, rng)
        if only and not attacks and not kinds:
            return report
        with zkrpc.Registry(server.hosts) as registry, served(registry, server.hosts, Path(folder)) as replica:
            _attack(report, registry, replica, attacks, rng)
            if kinds:
                with report.guard("a client", "runs"), contextlib.closing(
                    Reverse(report, registry, server.hosts, rng.getrandbits(32))
                ) as reverse:
                    for name in kinds:
                        with report.guard(f"server {name}", "runs"):
                            reverse.by(name)
    return report


def _attack(
    report: Report, registry: zkrpc.Registry, replica: Replica, attacks: Sequence[str], rng: random.Random
) -> None:
    with zkrpc.connect(hostile_target.idl.Target, "target", zookeeper=registry) as stub:
        wait_until(lambda: _leads(stub), 30, "somebody leads")
        honest = Honest(stub, rng, callers=CALLERS)
        gevent.sleep(WARM_UP)
        attacked = Attacked(report, replica, registry, honest)
        for name in attacks:
            with report.guard(name, "runs"):
                attacked.by(name, rng.getrandbits(32))
        honest.stop()
        attacked.judge()


def _crowd(report: Report, registry: zkrpc.Registry, hosts: str, folder: Path, name: str, rng: random.Random) -> None:
    """A process that nobody has attacked before, and a crowd. Those that the process cannot take in at once wait in the
    kernel for as long as the first ones live, and some for the second ones, too."""
    timeout, floods = zkrpc.WireLimits().first_frame_timeout, name == "crowd-flood"
    with served(registry, hosts, folder, limit="max_connections=10000"):
        (instance,) = members(registry, "target").values()
        if floods:
            pid = int(instance.metadata["pid"])
            most = descriptors(pid) + DESCRIPTORS
            resource.prlimit(pid, resource.RLIMIT_NOFILE, (most, most))
        with zkrpc.connect(hostile_target.idl.Target, "target", zookeeper=registry) as stub:
            honest = [Honest(stub, rng, callers=CALLERS, leads=False)]
            gevent.sleep(WARM_UP)
            if floods:
                bound, count = 3 * timeout, 3 * DESCRIPTORS
                crowd(report, name, "silent", instance, honest, cut_after=bound, count=count, times=FLOODS)
            else:
                crowd(report, name, "slow", instance, honest, cut_after=timeout)


@contextlib.contextmanager
def served(registry: zkrpc.Registry, hosts: str, folder: Path, **options: object) -> Iterator[Replica]:
    """One replica of the target, registered; it ends with the block."""
    options = {"session_timeout": SESSION_TIMEOUT, "drain_timeout": 2, **options}
    replica = Replica("faults.hostile_target:service", "target", hosts, folder, **options)
    try:
        wait_until(lambda: members(registry, "target"), 30, "the target registered")
        yield replica
    finally:
        replica.close()


def _leads(stub: Any) -> bool:
    try:
        return bool(stub.options(timeout=1).lead())
    except zkrpc.CallError:
        return False


class Attacked:
    """The target, and what it was like before anybody attacked it."""

    def __init__(self, report: Report, replica: Replica, registry: zkrpc.Registry, honest: Honest) -> None:
        self._report = report
        self._replica = replica
        self._honest = honest
        (instance,) = members(registry, "target").values()
        self._place = instance.endpoint.host, instance.endpoint.port
        self._pid = int(instance.metadata["pid"])
        self._start = memory.now(self._pid)

    def by(self, name: str, seed: int) -> None:
        """One attack, from calm to the time when its traces should be gone."""
        log = self._replica.log.stat().st_size
        with Companion("faults.hostile_attacks", name, *self._place, ATTACK, seed) as attacker:
            attacker.line()
            calm_from = time.monotonic()
            gevent.sleep(CALM)
            watch = Watch(self._pid)
            began = time.monotonic()
            attacker.tell("begin")
            seen: Seen = json.loads(attacker.line(ATTACK + 600.0))
            ended = time.monotonic()
        gevent.sleep(RECOVERY)
        most, after = watch.stop(), memory.now(self._pid)
        calm = percentile(self._honest.between(calm_from, began), 0.99)
        calls = self._honest.between(began, ended)
        note = f"calm {calm} ms, worst {percentile(calls, 1.0)} ms of {len(calls)} calls"
        check = self._report.check
        check(f"{name}: honest p99, times calm", round(percentile(calls, 0.99) / calm, 2), SLOWER, note=note)
        check(f"{name}: honest calls lost", len(failures(calls)), 0, comparison="==", note=note_of(calls))
        check(f"{name}: memory at most, MiB over the start", round(most - self._start, 1), hostile_target.MEMORY)
        check(f"{name}: memory {RECOVERY:g} s after, MiB over the start", round(after - self._start, 1), BACK)
        growth = self._replica.log.stat().st_size - log
        check(f"{name}: log, bytes", growth, LOG, note=f"attacker sent {seen['sent']}, read {seen['answers']}")
        check(f"{name}: answers with a canary of others", seen["leaked"], 0, comparison="==")

    def judge(self) -> None:
        """What holds over all of it."""
        honest = self._honest
        self._report.check("epochs that honest callers saw", len(honest.epochs), 1, comparison="==")
        self._report.check("honest answers that were wrong", len(honest.wrong), 0, comparison="==")
        died = self._replica.log.read_text(errors="replace").count(" died")
        self._report.check("share of a core used at rest", share_at_rest(self._pid), 0.1)
        self._report.check("workers that died", died, 0, comparison="==")
