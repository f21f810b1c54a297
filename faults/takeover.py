"""Suite ``takeover``: how long nobody is primary.

A few callers transfer without end while the primary, or what it stands on, is broken again and again; they pause for
2 ms between calls, which is as fine as anything here can be told, and leaves the two cores some time for the election.
Each fault is measured twice:

==========================  ==========================================================================================
without a primary           between the last write that the old primary accepted and the first of the next one, by the
                            replicas' own journals: what the election costs. The promises are held to this.
callers without an answer   the longest silence between answered calls around the fault: what following the primary
                            adds to it.
==========================  ==========================================================================================

Faults of ZooKeeper itself are ridden out by the lease: nobody is elected, and no call fails or needs a second attempt.
Their longest silence is a figure beside them: it says how noisy the machine is while a JVM starts on it, as the longest
silence of a calm second does for a quiet one.

Everything runs on one machine, so what was started a moment ago is in the way of what is measured. Each fault therefore
begins when all replicas stand again; the ensemble is warm, because a JVM interprets what it does for the first time;
and the faults that restart its servers come last. A worker that was killed starts again while its successor is being
elected, on the same cores: that is part of the figure, as it is in life.
"""

from __future__ import annotations

import collections
import dataclasses
import gc
import os
import random
import statistics
import sys
import time
from collections.abc import Sequence

import gevent

from faults.breakages import Fault, group_killed, hand_over, leader_killed, own_node_killed, worker_killed
from faults.journal import Journals, gap_after
from faults.load import silence
from faults.scene import TICK, TIMEOUT, Scene, raised
from scripts.report import Report

CALLERS = 2
PAUSE = 0.002
# Longer than any takeover: a caller waits through each of them, so no call may fail.
PATIENCE = 15.0
_WARM_UP = 10
_CALM = 1.0
_AFTERMATH = 0.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Takeover:
    """A fault that costs the primary, and what it may cost in seconds."""

    fault: Fault
    without_primary: float
    without_answer: float


TAKEOVERS = (
    Takeover(fault=hand_over, without_primary=0.05, without_answer=0.1),
    Takeover(fault=worker_killed, without_primary=0.15, without_answer=0.25),
    # Nobody closes the session: ZooKeeper ends it by itself, in steps of a tick.
    Takeover(fault=group_killed, without_primary=TIMEOUT + TICK / 1000 + 0.5, without_answer=TIMEOUT + 1.5),
)
RIDDEN_OUT: tuple[Fault, ...] = (own_node_killed, leader_killed)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """What one fault did. Times in seconds."""

    elections: int
    without_primary: float | None
    """None if there was no next primary."""
    without_answer: float
    calm: float
    """The longest silence in the second before."""
    failed: int
    """Calls that ended with an error."""
    repeated: int
    """Calls that took more than one attempt, because an instance refused them or was lost."""


Rounds = dict[Fault, list[Round]]


def run(seed: int, *, runs: int) -> Report:
    """The suite: each fault ``runs`` times; the seed draws the order."""
    report, rng, rounds = Report("takeover", seed), random.Random(seed), collections.defaultdict(list)
    plan = _shuffled(rng, [one.fault for one in TAKEOVERS] * runs) + _shuffled(rng, [*RIDDEN_OUT] * runs)
    with raised(rng) as scene, report.guard("faults made", len(plan), comparison="=="):
        journals = Journals(scene.folder)
        with scene.callers(CALLERS, pause=PAUSE, timeout=PATIENCE):
            for _ in range(_WARM_UP):
                _measure(scene, journals, hand_over)
            # Callers and the ensemble's network live in this process: to look through all it has imported takes the
            # collector 0.1 s (measured), in which neither moves.
            gc.collect()
            gc.freeze()
            for number, fault in enumerate(plan, 1):
                told = _measure(scene, journals, fault)
                rounds[fault].append(told)
                load = f"load of the machine {os.getloadavg()[0]:.1f}"
                print(f"{number} of {len(plan)}: {fault.__name__}: {told}, {load}", file=sys.stderr, flush=True)
        report.check("faults made", sum(map(len, rounds.values())), len(plan), comparison="==")
    judge(report, rounds)
    return report


def _shuffled(rng: random.Random, faults: list[Fault]) -> list[Fault]:
    return rng.sample(faults, len(faults))


def _measure(scene: Scene, journals: Journals, fault: Fault) -> Round:
    """One fault, from a calm beginning to an answer afterwards."""
    scene.await_calm()
    # Only what happens from here on matters, and there are hundreds of calls a second.
    scene.calls.clear()
    scene.repeated.clear()
    journals.take()
    gevent.sleep(_CALM)
    name, epoch = scene.primary()
    began = fault(scene, name)
    scene.succeed_again(time.monotonic())
    gevent.sleep(_AFTERMATH)
    ended = scene.calls[-1].ended
    answers = [one.ended for one in scene.calls if one.balance is not None]
    return Round(
        elections=_elections_since(scene, epoch),
        without_primary=gap_after(journals.take(), epoch),
        without_answer=silence(answers, began - 0.1, ended),
        calm=silence(answers, answers[0], began),
        failed=sum(one.balance is None for one in scene.calls),
        repeated=len(scene.repeated),
    )


def _elections_since(scene: Scene, epoch: int) -> int:
    """How many terms began after that epoch's, the newest included whether or not it has been written down yet."""
    newest = scene.primary()[1]
    seen = scene.report()
    epochs = {newest} | {term.epoch for term in (seen.history if seen is not None else ())}
    return sum(one > epoch for one in epochs)


def judge(report: Report, rounds: Rounds) -> None:
    """Holds what was measured against what is promised; milliseconds, as the promises are."""
    for promise in TAKEOVERS:
        name, made = promise.fault.__name__, rounds.get(promise.fault, [])
        without_primary = [one.without_primary for one in made]
        _check_times(report, f"{name}, without a primary", without_primary, promise.without_primary)
        answers = [one.without_answer for one in made]
        _check_times(report, f"{name}, callers without an answer", answers, promise.without_answer)
        _check_none(report, f"{name}, rounds without exactly one election", [one.elections != 1 for one in made])
    for fault in RIDDEN_OUT:
        name, made = fault.__name__, rounds.get(fault, [])
        _check_none(report, f"{name}, elections (0: same primary, same epoch)", [one.elections for one in made])
        disturbed = [one.failed + one.repeated for one in made]
        _check_none(report, f"{name}, calls that failed or were refused", disturbed)
        answers = [one.without_answer for one in made]
        _check_times(report, f"{name}, longest gap between answers (a figure, no promise)", answers, 1.0)
    everything = [one for made in rounds.values() for one in made]
    _check_none(report, "calls that failed", [one.failed for one in everything])
    calm = [one.calm for one in everything]
    _check_times(report, "a calm second, longest gap between answers (a figure, no promise)", calm, 1.0)


def _check_none(report: Report, name: str, counts: Sequence[int]) -> None:
    """Nothing of the kind may have happened; not measured if no fault was made."""
    report.check(name, sum(counts) if counts else None, 0, comparison="==", note=f"of {len(counts)}")


def _check_times(report: Report, name: str, seconds: Sequence[float | None], bound: float) -> None:
    """The median and the worst, each held to the bound; not measured if one of them was not."""
    told = [one for one in seconds if one is not None]
    is_complete = bool(told) and len(told) == len(seconds)
    for what, choose in (("median", statistics.median), ("worst", max)):
        value = round(choose(told) * 1000, 1) if is_complete else None
        report.check(f"{name}, {what} ms", value, round(bound * 1000), note=f"of {len(told)}")
