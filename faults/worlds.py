"""Suite ``worlds``: programs with threads and with asyncio that cancel, fork and end in the middle of their calls.

Each is a program of its own, plain or patched by gevent, that finds its service in ZooKeeper. Afterwards neither it nor
the server may hold anything.
"""

from __future__ import annotations

import dataclasses
import json
import random
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import zkrpc
from faults import memory, worlds_target
from faults.cluster import Replica, members, wait_until
from faults.companion import Companion
from scripts.report import Report
from tests.support.descriptors import descriptors
from zkrpc.dev.zookeeper import DevZooKeeper

PROGRAM = "faults.worlds_program"
WORLDS = ("threads", "patched", "asyncio")
CANCELLED = 10_000
"""Calls that each world gives up at random moments."""
WARM_UP = 5_000
"""The same before anything is counted: until then pools and caches grow."""
FORKS = 100
ENDS = 10
_CANCEL_TIMEOUT = 180.0
_FORK_TIMEOUT = 300.0
_END_TIMEOUT = 300.0
_GROWTH = 1.0
"""Mebibytes, of each side."""
_OBJECTS = 1_000
"""Objects that may be more, of each side: one for every tenth call."""
_FEW = 16
"""Greenlets that may be more: those that wait for the next call."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Scene:
    report: Report
    hosts: str
    server: int
    """The server's pid."""
    stub: Any
    rng: random.Random


def run(seed: int, *, only: Sequence[str] = ()) -> Report:
    """All of it, or the parts and worlds that ``only`` names."""
    report = Report("worlds", seed)
    parts = {"cancel": cancel, "fork": fork, "end": end}
    chosen = [part for name, part in parts.items() if name in only] or list(parts.values())
    worlds = [world for world in WORLDS if world in only] or WORLDS
    with tempfile.TemporaryDirectory(prefix="zkrpc-faults-") as folder, DevZooKeeper() as server:
        with zkrpc.Registry(server.hosts) as registry:
            replica = Replica("faults.worlds_target:service", "alpha", server.hosts, Path(folder))
            try:
                wait_until(lambda: members(registry, "worlds"), 60, "the server")
                pid = int(members(registry, "worlds")["alpha-0"].metadata["pid"])
                with zkrpc.connect(worlds_target.idl.Worlds, "worlds", zookeeper=registry) as stub:
                    scene = _Scene(report=report, hosts=server.hosts, server=pid, stub=stub, rng=random.Random(seed))
                    for part in chosen:
                        for world in worlds:
                            with report.guard(f"{part.__name__} in {world}", 0):
                                part(scene, world)
            finally:
                replica.close()
    return report


def cancel(scene: _Scene, world: str) -> None:
    """Calls that are given up at random moments, on their way in, out and between; what both sides hold then."""
    with Companion(PROGRAM, "cancel", world, scene.hosts) as program:
        before = _cancel(scene, program, WARM_UP)
        after = _cancel(scene, program, CANCELLED)

    def check(name: str, *values: Any, **options: Any) -> None:
        scene.report.check(f"{world}: {name}", *values, **options)

    fates = after["fates"]
    note = ", ".join(f"{count} {fate}" for fate, count in sorted(fates.items()))
    check("calls given up at random moments", sum(fates.values()), CANCELLED, comparison=">=", note=note)
    check("of them neither cancelled nor answered", fates.get("failed", 0), 0, comparison="==")
    check("calls in flight afterwards", after["client"]["in flight"], 0, comparison="==")
    check("calls in queues afterwards", after["client"]["entries"], 0, comparison="==")
    server, held = after["server"], before["server"]
    check("handlers that still run", server.running, 0, comparison="==")
    cancelled = server.cancelled - held.cancelled
    check("handlers that were cancelled", cancelled, 1, comparison=">=", note=f"of {server.begun - held.begun} begun")
    check("growth of the server, greenlets", server.greenlets - held.greenlets, _FEW, note=f"of {held.greenlets}")
    check("growth of the server, objects", server.objects - held.objects, _OBJECTS, note=f"of {held.objects}")
    for name, bound in (("descriptors", 0), ("threads", 0), ("objects", _OBJECTS)):
        old, new = before["client"][name], after["client"][name]
        check(f"growth of the client, {name}", new - old, bound, note=f"of {old}")
    for side, old, new in (
        ("client", before["client"]["MiB"], after["client"]["MiB"]),
        ("server", before["server MiB"], after["server MiB"]),
    ):
        check(f"growth of the {side}, MiB", round(new - old, 2), _GROWTH, note=f"of {old:.1f}")
    opened = after["server descriptors"] - before["server descriptors"]
    check("growth of the server, descriptors", opened, 0, note=f"of {before['server descriptors']}")


def _cancel(scene: _Scene, program: Companion, calls: int) -> dict[str, Any]:
    program.tell(str(calls))
    found = json.loads(program.line(_CANCEL_TIMEOUT))
    wait_until(lambda: not scene.stub.held().running, 20, "handlers that end", interval=0.1)
    return {
        "fates": found["fates"],
        "client": found["held"],
        "server": scene.stub.held(),
        "server MiB": memory.own(scene.server),
        "server descriptors": descriptors(scene.server),
    }


def fork(scene: _Scene, world: str) -> None:
    """A program that has connected forks again and again while its threads call, and each child calls, too."""
    with Companion(PROGRAM, "fork", world, scene.hosts, FORKS) as program:
        found = json.loads(program.line(_FORK_TIMEOUT))
    fates = found["fates"]
    slowest = f"the slowest took {found['slowest']:.2f} s"
    scene.report.check(
        f"{world}: children that called and ended", fates.get("well", 0), FORKS, comparison="==", note=slowest
    )
    for fate, name in (("shared", "that had a socket of their parent's"), ("hung", "that hung")):
        scene.report.check(f"{world}: children {name}", fates.get(fate, 0), 0, comparison="==")
    note = f"of {found['calls']}"
    scene.report.check(f"{world}: failed calls of the parent meanwhile", found["failed"], 0, comparison="==", note=note)
    scene.report.check(f"{world}: parent has the sockets that it had", found["kept"], True, comparison="==")


def end(scene: _Scene, world: str) -> None:
    """Programs that end with calls in flight: how long the interpreter takes for it, and what it says.

    It counts from the program's last statement. That others have the processors meanwhile is no part of it: such waits
    of the thread that ends the interpreter are taken off, while all that it waits for other threads is left in.
    """
    with Companion(PROGRAM, "ends", world, scene.hosts, ENDS, scene.rng.getrandbits(32)) as program:
        found = json.loads(program.line(_END_TIMEOUT))
    seconds, starved, statuses, said = (found[name] for name in ("seconds", "starved", "statuses", "said"))
    note = f"without waits for a processor, up to {max(starved):.1f} s"
    scene.report.check(f"{world}: slowest end with calls in flight, s", round(max(seconds), 3), 1.0, note=note)
    scene.report.check(f"{world}: exit statuses", max(map(abs, statuses)), 0, comparison="==")
    note = said[0].strip().splitlines()[-1] if said else ""
    scene.report.check(f"{world}: ends with something on standard error", len(said), 0, comparison="==", note=note)
