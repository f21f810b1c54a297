"""Suite ``primary``: one writer at a time, whatever happens to it, to ZooKeeper, and to the network between them.

Callers move money and read balances without a pause while, round by round, the primary or what it stands on is broken.
What was accepted, committed and answered is recorded by all sides and judged together at the end.
"""

from __future__ import annotations

import collections
import dataclasses
import functools
import math
import random
import sqlite3
import statistics
import sys
import time
from collections.abc import Collection, Sequence
from typing import Any

import gevent

import zkrpc
from faults.breakages import ENSEMBLE, FAULTS, Fault
from faults.journal import Journals, overlaps
from faults.linearizability import Kind, Operation, check
from faults.load import silence
from faults.scene import ACCOUNTS, AMOUNT, NAMES, TIMEOUT, Call, Scene, raised
from faults.slips import SLIPS
from faults.spinning import WINDOW
from scripts.report import Report
from zkrpc.errors import ConfigError

CALLERS = 8
PAUSE = 0.02

KINDS = (*FAULTS, *SLIPS)
SHARE = 0.3
"""More of a core than a replica of the bank needs for its callers."""


def run(seed: int, *, rounds: int, overlap: int = 1, only: Collection[str] = ()) -> Report:
    """The suite: ``rounds`` faults, or as many times ``overlap`` at once, each kind about equally often, in an order
    drawn by the seed; of the kinds named in ``only``, if any are. Raises ConfigError for a name that is none."""
    unknown = set(only) - {one.__name__ for one in KINDS}
    if unknown:
        names = ", ".join(one.__name__ for one in KINDS)
        raise ConfigError(f"no fault {', '.join(sorted(unknown))}; there are {names}")
    report, rng = Report("primary", seed), random.Random(seed)
    figures = Figures()
    kinds = [one for one in KINDS if not only or one.__name__ in only]
    with raised(rng) as scene:
        completed = 0
        with report.guard("rounds completed", rounds, comparison="=="), scene.watched() as spinning:
            completed = _perform(scene, Plan(rng, kinds), rounds, overlap, figures)
            report.check("rounds completed", completed, rounds, comparison="==")
        gevent.sleep(1.0)
        scene.close()
        if completed:
            judge(report, scene)
            figures.judge(report)
            spells = spinning.spells(SHARE, apart_from=scene.burns)
            note = "; ".join(f"{one.name} {one.share} in round {figures.round_at(one.until)}" for one in spells[:5])
            report.check(f"processes over {SHARE} of a core for {WINDOW:g} s", len(spells), 0, note=note)
            report.check("elections of a sick replica, most in a round", max(scene.elected_while_sick, default=0), 8)
    return report


@dataclasses.dataclass(slots=True)
class Figures:
    """What was measured in each round, in seconds."""

    gaps: dict[str, list[float]] = dataclasses.field(default_factory=lambda: collections.defaultdict(list))
    """Without an answered write, by the name of the fault that was alone."""
    recoveries: list[float] = dataclasses.field(default_factory=list)
    """From the moment that the last fault was mended to an answered write."""
    marks: list[float] = dataclasses.field(default_factory=list)
    """From then to a guarded transaction."""
    ends: list[float] = dataclasses.field(default_factory=list)
    """When each round was over; monotonic seconds."""
    unmade: list[str] = dataclasses.field(default_factory=list)
    """Faults that another one kept from being made."""

    def round_at(self, moment: float) -> int:
        """The number of the round that was made then."""
        return 1 + sum(end < moment for end in self.ends)

    def judge(self, report: Report) -> None:
        """Holds it all to what is promised."""
        for name, seconds in sorted(self.gaps.items()):
            note = f"median {statistics.median(seconds):.3f} of {len(seconds)}"
            report.check(f"without a write, {name}, worst s", round(max(seconds), 3), 60, note=note)
        for what, times in (("a write", self.recoveries), ("a guarded transaction", self.marks)):
            note = f"median {statistics.median(times):.3f} of {len(times)}" if times else ""
            worst = round(max(times), 3) if times else None
            report.check(f"{what} after the last fault, worst s", worst, TIMEOUT + 5, note=note)
        made = sum(map(len, self.gaps.values())) + len(self.recoveries)
        report.check("faults that could not be made", len(self.unmade), made // 4, note="; ".join(self.unmade[:3]))


class Plan:
    """Which faults come next: each kind as often as the others, in an order drawn by chance."""

    def __init__(self, rng: random.Random, kinds: Sequence[Fault]) -> None:
        self._rng = rng
        self._kinds = kinds
        self._left: list[Fault] = []

    def take(self, count: int) -> list[Fault]:
        """So many different kinds, at most one of them of ZooKeeper's own servers: of three, two must live."""
        chosen: list[Fault] = []
        skipped: list[Fault] = []
        while len(chosen) < min(count, len(self._kinds)):
            self._left = self._left or self._rng.sample(self._kinds, len(self._kinds))
            fault = self._left.pop()
            clashes = fault in ENSEMBLE and any(one in ENSEMBLE for one in chosen)
            (skipped if clashes or fault in chosen else chosen).append(fault)
        self._left += skipped
        return chosen


def _perform(scene: Scene, plan: Plan, rounds: int, overlap: int, figures: Figures) -> int:
    with scene.callers(CALLERS, pause=PAUSE, timeout=3.0):
        for number in range(1, rounds + 1):
            faults = plan.take(overlap)
            told = _round(scene, faults[0], figures) if overlap == 1 else _overlapping(scene, faults, figures)
            print(f"round {number}: {told}", file=sys.stderr, flush=True)
            figures.marks.append(scene.mark_again())
            figures.ends.append(time.monotonic())
    return rounds


def _round(scene: Scene, fault: Fault, figures: Figures) -> str:
    name, epoch = scene.primary()
    began = fault(scene, name)
    mended = time.monotonic()
    ended = scene.succeed_again(mended)
    gap = silence((one.ended for one in scene.calls if one.balance is not None), began - 0.2, ended)
    figures.gaps[fault.__name__].append(gap)
    figures.recoveries.append(ended - mended)
    scene.await_everybody()
    return f"{fault.__name__} on {name} ({epoch}): {gap:.2f} s without a write, now {scene.primary()}"


def _overlapping(scene: Scene, faults: Sequence[Fault], figures: Figures) -> str:
    """All of them, each beginning at a moment of its own within a session timeout; the first picks on the primary."""
    primary, epoch = scene.primary()
    names = [primary, *(scene.rng.choice(NAMES) for _ in faults[1:])]
    made = [
        gevent.spawn_later(scene.rng.uniform(0, TIMEOUT), _attempt, scene, fault, name)
        for fault, name in zip(faults, names)
    ]
    gevent.joinall(made, raise_error=True)
    mended = time.monotonic()
    figures.unmade += [one.value for one in made if one.value]
    recovery = scene.succeed_again(mended) - mended
    figures.recoveries.append(recovery)
    scene.await_everybody()
    told = ", ".join(f"{fault.__name__} on {name}" for fault, name in zip(faults, names))
    return f"{told} ({epoch}): a write {recovery:.2f} s after the last, now {scene.primary()}"


def _attempt(scene: Scene, fault: Fault, name: str) -> str:
    """Makes a fault; says what kept it from being made, if something did: what it stands on may be broken already."""
    try:
        fault(scene, name)
    except (TimeoutError, zkrpc.RpcError, ProcessLookupError) as error:
        return f"{fault.__name__}: {error}"
    return ""


def judge(report: Report, scene: Scene) -> None:
    """Holds what the callers were told against what the replicas accepted and what the database holds."""
    journals = Journals(scene.folder)
    accepted, refused = journals.take(), journals.refused
    with sqlite3.connect(scene.folder / "ledger.sqlite") as database:
        rows = database.execute("SELECT request_id, epoch FROM transfers ORDER BY rowid").fetchall()
        total = database.execute("SELECT sum(balance) FROM accounts").fetchone()[0]
    written = {request_id for request_id, _ in rows}
    epochs = [epoch for _, epoch in rows]
    acknowledged = [one for one in scene.calls if one.balance is not None]
    missing = [one for one in acknowledged if one.request_id not in written]
    refused_but_written = [one for one in refused if (one, refused[one]) in rows]
    told_not_executed = [
        one
        for one in scene.calls
        if one.error and one.error.executed is zkrpc.Executed.NO and one.request_id in written
    ]
    report.check("transfers acknowledged", len(acknowledged), 100, comparison=">=")
    report.check("rounds in which two primaries accepted writes", overlaps(accepted), 0, comparison="==")
    report.check("committed epochs out of order", _descents(epochs), 0, comparison="==")
    report.check("acknowledged transfers missing", len(missing), 0, comparison="==")
    report.check("transfers done twice", len(rows) - len(written), 0, comparison="==")
    report.check("refused by the fence and written all the same", len(refused_but_written), 0, comparison="==")
    report.check("told executed=NO and written", len(told_not_executed), 0, comparison="==")
    report.check("money", total, AMOUNT * len(ACCOUNTS), comparison="==")
    report.check(
        "accounts whose history is not linearizable", len(_violations(scene.calls, written)), 0, comparison="=="
    )


def _descents(epochs: list[int]) -> int:
    return sum(after < before for before, after in zip(epochs, epochs[1:]))


def _violations(calls: list[Call], written: set[str]) -> list[Any]:
    """What the callers saw of each account, as additions that must have an order; those never written are left out."""
    history = []
    for one in calls:
        if one.request_id in written:
            until = one.ended if one.balance is not None else math.inf
            took = functools.partial(Operation, kind=Kind.ADD, invoked_at=one.began, returned_at=until)
            history.append(took(account=one.source, amount=-one.amount, balance=one.balance))
            history.append(took(account=one.target, amount=one.amount))
    return check(history, initial=AMOUNT)
