"""Suite ``primary``: one writer at a time, whatever happens to it, to ZooKeeper, and to the network between them.

Callers move money and read balances without a pause while, round by round, the primary or what it stands on is broken.
What was accepted, committed and answered is recorded by all sides and judged together at the end.
"""

from __future__ import annotations

import collections
import functools
import math
import random
import sqlite3
import statistics
import sys
import time
from typing import Any

import gevent

import zkrpc
from scripts.report import Report
from tests.faults.breakages import FAULTS, Fault
from tests.faults.journal import Journals, overlaps
from tests.faults.linearizability import Kind, Operation, check
from tests.faults.load import silence
from tests.faults.scene import ACCOUNTS, AMOUNT, Call, Scene, raised

CALLERS = 8
PAUSE = 0.02

Gaps = dict[str, list[float]]
"""Seconds without an answered write, by the name of the fault."""


def run(seed: int, *, rounds: int) -> Report:
    """The suite: ``rounds`` faults, each kind about equally often, in an order drawn by the seed."""
    report, rng = Report("primary", seed), random.Random(seed)
    gaps: Gaps = collections.defaultdict(list)
    with raised(rng) as scene:
        completed = 0
        with report.guard("rounds completed", rounds, comparison="=="):
            completed = _perform(scene, rng, rounds, gaps)
            report.check("rounds completed", completed, rounds, comparison="==")
        gevent.sleep(1.0)
        scene.close()
        if completed:
            judge(report, scene)
    for name, seconds in sorted(gaps.items()):
        note = f"median {statistics.median(seconds):.3f} of {len(seconds)}"
        report.check(f"without a write, {name}, worst s", round(max(seconds), 3), 60, note=note)
    return report


def _perform(scene: Scene, rng: random.Random, rounds: int, gaps: Gaps) -> int:
    plan: list[Fault] = []
    with scene.callers(CALLERS, pause=PAUSE, timeout=3.0):
        for number in range(1, rounds + 1):
            plan = plan or rng.sample(FAULTS, len(FAULTS))
            fault = plan.pop()
            told, gap = _one_round(scene, fault)
            gaps[fault.__name__].append(gap)
            print(f"round {number}: {told}", file=sys.stderr, flush=True)
    return rounds


def _one_round(scene: Scene, fault: Fault) -> tuple[str, float]:
    name, epoch = scene.primary()
    began = fault(scene, name)
    ended = scene.succeed_again(time.monotonic())
    gap = silence((one.ended for one in scene.calls if one.balance is not None), began - 0.2, ended)
    scene.await_everybody()
    return f"{fault.__name__} on {name} ({epoch}): {gap:.2f} s without a write, now {scene.primary()}", gap


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
