"""What the demo shows: ZooKeeper, the replicas of two services, who leads, and how their callers fare, as a live table.

On a terminal the table is redrawn in place; elsewhere it is printed once at the end of each act.
"""

from __future__ import annotations

import collections
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gevent

import zkrpc
from faults.cluster import Replica, members, wait_until
from faults.load import Load, failures, percentile
from scripts.report import Style, paint, wants_colour
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.election.inspection import look
from zkrpc.registry.formats import PrimaryRecord

_CLEAR = "\x1b[H\x1b[J"
_MAYBE = zkrpc.Executed.MAYBE
_BAR = 24


class Stage:
    """Everything on show, and who answered how many calls."""

    def __init__(self, folder: Path, zookeeper: DevZooKeeper, registry: zkrpc.Registry, *, quiet: bool) -> None:
        self.folder = folder
        self.zookeeper = zookeeper
        self.registry = registry
        self.replicas: dict[str, Replica] = {}
        self.answered: collections.Counter[str] = collections.Counter()
        self.loads: dict[str, Load] = {}
        """What is called all the time, by service."""
        self._quiet = quiet
        self._live = sys.stdout.isatty() and not quiet
        self._coloured = wants_colour(sys.stdout)
        self._leader: PrimaryRecord | None = None
        self._shown: collections.Counter[str] = collections.Counter()
        self._shown_at = time.monotonic()

    def start(self, service: str, name: str) -> None:
        """Starts a replica of one of the example services, with one worker."""
        target = f"examples.{service}:service"
        self.replicas[name] = Replica(target, name, self.zookeeper.hosts, self.folder, linger=0.5)

    def members(self, service: str) -> dict[str, zkrpc.Instance]:
        """Who is registered."""
        return members(self.registry, service)

    def await_members(self, service: str, count: int) -> None:
        """Waits for that many registered replicas."""
        wait_until(lambda: len(self.members(service)) == count, 30, f"{count} replicas of {service} registered")

    def leader(self) -> PrimaryRecord | None:
        """The ledger's primary; while ZooKeeper is away, what it said last."""
        try:
            self._leader = next((one.primary for one in look(self.registry.session, "ledger")), None)
        except zkrpc.CoordinationError:
            pass
        return self._leader

    def await_leader(self, after: int = 0) -> PrimaryRecord:
        """Waits for a primary of an epoch after that one."""
        wait_until(lambda: (one := self.leader()) and one.epoch > after, 30, f"a primary after epoch {after}")
        assert self._leader is not None
        return self._leader

    def count(self, call: Any, proceed: Callable[[Any], Any]) -> Any:
        """A client interceptor that notes which instance answered."""
        result = proceed(call)
        self.answered[str(call.endpoint)] += 1
        return result

    def watch(self, title: str, seconds: float) -> None:
        """Shows the table for a while."""
        if not self._live and not self._quiet:
            print(f"{title} …", flush=True)
        end = time.monotonic() + seconds
        while time.monotonic() < end:
            gevent.sleep(min(0.5, max(0.0, end - time.monotonic())))
            if self._live:
                print(f"{_CLEAR}  {self._painted(title, 'bold')}\n\n{self._table()}", flush=True)
        if not self._live and not self._quiet:
            print(self._table(), flush=True)

    def close(self) -> None:
        """Drains every replica."""
        for replica in self.replicas.values():
            replica.drain()
        for replica in self.replicas.values():
            replica.close()

    # -- the table

    def _table(self) -> str:
        now = time.monotonic()
        elapsed = max(0.001, now - self._shown_at)
        rates = {place: (total - self._shown[place]) / elapsed for place, total in self.answered.items()}
        self._shown, self._shown_at = collections.Counter(self.answered), now
        modes = [self._painted(mode or "down", "green" if mode else "red") for mode in self.zookeeper.modes()]
        rows = [f"    zookeeper   {', '.join(modes)}"]
        for service, load in self.loads.items():
            recent = load.between(now - 1.0, now)
            doubtful = [one for one in failures(load.outcomes, idempotent=False) if one.executed is _MAYBE]
            failed = len(failures(load.outcomes)) - len(doubtful)
            rows += [
                f"    {service:10}  {len(recent):5} calls/s   p99 {percentile(recent, 0.99)} ms   so far "
                f"{len(load.outcomes)} calls, {failed} failed, {len(doubtful)} executed=MAYBE",
                *self._rows(service, rates),
            ]
        return "\n".join(rows)

    def _rows(self, service: str, rates: Mapping[str, float]) -> list[str]:
        leader = self.leader() if service == "ledger" else None
        rows = []
        for instance in self.members(service).values():
            rate = rates.get(str(instance.endpoint), 0.0)
            leads = leader is not None and leader.instance == instance.id
            note = f" primary, epoch {leader.epoch}" if leader is not None and leads else ""
            bar = f"{'█' * min(_BAR, round(rate / 20)):{_BAR}}"
            rows.append(
                f"      {instance.id:8}  {str(instance.endpoint):16}  pid {instance.metadata['pid']:>7}"
                f" {rate:5.0f}/s {self._painted(bar, 'blue')}{self._painted(note, 'yellow')}".rstrip()
            )
        return rows

    def _painted(self, text: str, style: Style) -> str:
        return paint(text, style) if self._coloured and text else text
