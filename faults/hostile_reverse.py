"""The other way round: a client some of whose calls go to a server that means it ill, one kind after another.

The hostile server registers as one more member of the service. What it does to calls that reach it is its affair, and
the client's breakers'; what is looked at is everything else: calls of the same process to an honest instance, the
process's memory, and whom it takes for the primary.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
from collections.abc import Iterator
from typing import Any

import gevent

import zkrpc
from faults import memory
from faults.cluster import members
from faults.companion import Companion
from faults.hostile_watch import BACK, CALM, RECOVERY, SLOWER, Watch
from scripts.report import Report
from zkrpc.registry.formats import dump_serverset
from zkrpc.registry.schema import Paths

ATTACK = 8.0
"""Seconds that the hostile member is registered."""
MEMORY = 128
"""Mebibytes over what it needs at rest that no server may make a client hold."""
CAUGHT = 48
"""Calls that may be lost to the hostile member: what each caller has there until its breaker opens, and its probes."""


class Reverse:
    """The client, and what it was like before it met anybody hostile."""

    def __init__(self, report: Report, registry: zkrpc.Registry, hosts: str, seed: int) -> None:
        self._report = report
        self._registry = registry
        self._seed = seed
        self._honest = next(iter(members(registry, "target").values()))
        self._client = Companion("faults.hostile_client", hosts, self._honest.endpoint, seed)
        self._client.line()
        gevent.sleep(CALM)
        self._ask()
        self._start = memory.now(self._client.pid)

    def close(self) -> None:
        """Ends the client."""
        self._client.close()

    def by(self, name: str) -> None:
        """One kind of server, from calm to the time when its traces should be gone."""
        self._ask()
        gevent.sleep(CALM)
        before = self._ask()
        calm = before["beside"]
        watch = Watch(self._client.pid)
        with Companion("faults.hostile_servers", name, self._seed) as server:
            with self._registered(int(server.line())):
                gevent.sleep(ATTACK)
                told = self._ask()
        gevent.sleep(RECOVERY)
        most, after = watch.stop(), memory.now(self._client.pid)
        beside, named = told["beside"], told["named"]
        check, what = self._report.check, f"server {name}"
        note = f"calm {calm['p99']} ms, worst {beside['worst']} ms of {beside['calls']} calls"
        check(f"{what}: p99 beside it, times calm", round(beside["p99"] / calm["p99"], 2), SLOWER, note=note)
        check(f"{what}: calls beside it lost", beside["lost"], 0, comparison="==", note=beside["error"])
        check(f"{what}: wrong answers beside it", len(beside["wrong"]), 0, comparison="==")
        note = f"of {named['calls']}; {named['error']}"
        check(f"{what}: calls of its service lost", named["lost"], CAUGHT, note=note)
        pace = named["calls"] / ATTACK / (before["named"]["calls"] / CALM)
        check(f"{what}: pace of its service's callers, of calm", round(pace, 2), 0.5, comparison=">=")
        check(f"{what}: epochs seen", len(named["epochs"]), 1, comparison="==")
        check(f"{what}: answers of another method taken", "another" in named["wrong"], False, comparison="==")
        check(f"{what}: memory at most, MiB over the start", round(most - self._start, 1), MEMORY)
        check(f"{what}: memory {RECOVERY:g} s after, MiB over the start", round(after - self._start, 1), BACK)

    @contextlib.contextmanager
    def _registered(self, port: int) -> Iterator[None]:
        """One more member of the service, at that port."""
        endpoint = zkrpc.Endpoint("127.0.0.1", port)
        record = dump_serverset(dataclasses.replace(self._honest, id="hostile", endpoint=endpoint))
        path = Paths("target").member("hostile")
        self._registry.session.znodes.create(path, record, ephemeral=True)
        try:
            yield
        finally:
            self._registry.session.znodes.delete(path)

    def _ask(self) -> dict[str, Any]:
        self._client.tell("tell")
        told: dict[str, Any] = json.loads(self._client.line())
        return told
