"""Replicas of one service that a suite starts, steers one by one, and asks what came in."""

from __future__ import annotations

import contextlib
import dataclasses
import random
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent

import zkrpc
from faults import target
from faults.cluster import Replica, members, wait_until
from faults.spinning import cpu_seconds
from faults.steady import SteadyLoad, witness
from scripts.report import Report
from zkrpc.dev.zookeeper import DevZooKeeper

REPLICAS = 5
CALLERS = 64
RATE = 400.0
"""Calls a second: what two cores do with ease, for the client, five replicas and ZooKeeper together."""
SESSION_TIMEOUT = 10.0
FAIR = 1 / REPLICAS


def seconds_until(condition: Callable[[], object], bound: float) -> float | None:
    """The seconds until a condition holds, rounded for a report; None if it does not within ``bound``."""
    try:
        return round(wait_until(condition, bound, "condition"), 2)
    except TimeoutError:
        return None


class Fleet:
    """``count`` replicas of one service, each a ``zkrpc serve`` with one worker."""

    def __init__(self, service: str, module: str, scene: Scene, *, count: int = REPLICAS) -> None:
        self.service = service
        self._registry = scene.registry
        self._replicas = [
            Replica(
                module,
                f"{service}-{number}",
                scene.hosts,
                scene.folder,
                session_timeout=SESSION_TIMEOUT,
                linger=0.5,
                drain_timeout=3,
            )
            for number in range(count)
        ]
        try:
            wait_until(lambda: len(self.members()) == count, 60, f"{count} replicas of {service}")
        except BaseException:
            self.close()
            raise
        self.instances = list(self.members().values())
        """The replicas as they were registered first."""

    def members(self) -> dict[str, zkrpc.Instance]:
        """Who is registered."""
        return members(self._registry, self.service)

    @contextlib.contextmanager
    def misbehaving(
        self, instance: zkrpc.Instance, *, delay: float = 0.0, fails: bool = False, share: float = 1.0
    ) -> Iterator[None]:
        """One replica is slow, or fails, within the block."""
        with self.control(instance) as control:
            control.misbehave(delay, fails, share)
            try:
                yield
            finally:
                control.behave()

    def control(self, instance: zkrpc.Instance) -> Any:
        """A stub for one replica alone."""
        return zkrpc.connect(target.idl.Target, [instance.endpoint], config=zkrpc.ClientConfig(timeout=10.0))

    def received(self, method: str, begin: float, end: float) -> dict[str, int]:
        """How many calls of a method each replica was sent in a window, by its id; refused ones count."""
        counts = {}
        for instance in self.instances:
            with self.control(instance) as control:
                buckets: dict[int, int] = control.received(method)
            counts[instance.id] = sum(
                count for bucket, count in buckets.items() if begin < (bucket + 1) / target.BUCKETS_PER_SECOND <= end
            )
        return counts

    def share(self, instance: zkrpc.Instance, begin: float, end: float) -> float | None:
        """The share of all ``get`` calls sent in a window that one replica was sent; None if there were none."""
        counts = self.received("get", begin, end)
        total = sum(counts.values())
        return round(counts[instance.id] / total, 4) if total else None

    def cpu(self) -> float:
        """Processor time that the workers have used so far, in seconds."""
        return sum(cpu_seconds(int(one.metadata["pid"])) for one in self.instances)

    def drain(self) -> None:
        """Asks all replicas to stop, and returns when their processes have ended."""
        for replica in self._replicas:
            replica.drain()
        wait_until(lambda: all(one.process.poll() is not None for one in self._replicas), 30, "everybody stopped")

    def close(self) -> None:
        """Ends what is left."""
        for replica in self._replicas:
            if replica.process.poll() is None:
                replica.drain()
        for replica in self._replicas:
            replica.close()


@dataclasses.dataclass(slots=True)
class Scene:
    """What the scenarios of suite ``resilience`` work on."""

    report: Report
    rng: random.Random
    server: DevZooKeeper
    folder: Path
    registry: zkrpc.Registry
    fleets: dict[str, Fleet] = dataclasses.field(default_factory=dict)

    @property
    def hosts(self) -> str:
        """The connect string."""
        return self.server.hosts

    def fleet(self, service: str, module: str, *, count: int = REPLICAS) -> Fleet:
        """The replicas of a service, started if no scenario before had need of them."""
        if service not in self.fleets:
            self.fleets[service] = Fleet(service, module, self, count=count)
        return self.fleets[service]

    def main_fleet(self) -> Fleet:
        """The replicas that most scenarios share."""
        return self.fleet("target", "faults.target:service")

    def dismiss(self, fleet: Fleet) -> None:
        """Ends replicas that no later scenario shall find."""
        fleet.close()
        self.fleets.pop(fleet.service, None)

    @contextlib.contextmanager
    def load(
        self, fleet: Fleet, *, rate: float = RATE, method: str = "get", config: zkrpc.ClientConfig | None = None
    ) -> Iterator[SteadyLoad]:
        """A steady load over a client of its own, which knows nothing of the scenarios before."""
        with zkrpc.connect(
            target.idl.Target, fleet.service, zookeeper=self.registry, config=config, interceptors=[witness]
        ) as stub:
            call = getattr(stub, method)
            # Connects to everybody, so that no figure is about that.
            gevent.joinall([gevent.spawn(call, 0) for _ in range(2 * len(fleet.instances))], timeout=10)
            running = SteadyLoad(lambda: call(1), callers=CALLERS, rate=rate, rng=self.rng)
            try:
                yield running
            finally:
                running.stop()

    def close(self) -> None:
        """Ends all replicas."""
        for fleet in list(self.fleets.values()):
            self.dismiss(fleet)


def window(seconds: float) -> tuple[float, float]:
    """Lets time pass; returns when that began and ended."""
    begin = time.monotonic()
    gevent.sleep(seconds)
    return begin, time.monotonic()
