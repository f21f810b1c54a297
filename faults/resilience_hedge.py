"""One replica stalls now and then, and a second copy of a call that is late wins against it.

Both runs pick by turns. A balancer that believes bad news at once leaves a replica after its first stall for half a
minute, and would hide what a hedge is for: stalls that nobody could have foreseen.
"""

from __future__ import annotations

import dataclasses

import zkrpc
from faults.fleet import Fleet, Scene, window
from faults.load import failures, percentile

_STALL = 0.5
_STALLED_SHARE = 0.01
_RATE = 600.0
_SECONDS = 20.0
"""Seconds of each run: twelve thousand calls, of which the even dice of the target stall twenty-four."""


@dataclasses.dataclass(frozen=True, slots=True)
class _Run:
    """What one run showed; ``tail`` is the p99.9 in milliseconds."""

    calls: int
    attempts: int
    failed: int
    median: float
    tail: float


def hedge(scene: Scene) -> None:
    """The same load twice, without and with a hedge at the p95."""
    check, fleet = scene.report.check, scene.main_fleet()
    plain = _run(scene, fleet, zkrpc.ClientConfig(balancing="round_robin", hedge="off"))
    hedged = _run(scene, fleet, zkrpc.ClientConfig(balancing="round_robin", hedge="p95"))
    check("hedge: p99.9 without, ms", plain.tail, _STALL * 1000, comparison=">=", note=f"median {plain.median} ms")
    check("hedge: p99.9 with, ms", hedged.tail, round(plain.tail / 5, 2), note=f"median {hedged.median} ms")
    check("hedge: p99.9 falls by a factor of", round(plain.tail / hedged.tail, 1), 5, comparison=">=")
    extra = hedged.attempts / hedged.calls - 1
    check("hedge: extra calls", round(extra, 4), 0.06, note=f"{hedged.attempts} attempts of {hedged.calls} calls")
    check("hedge: idempotent failures", plain.failed + hedged.failed, 0, comparison="==")


def _run(scene: Scene, fleet: Fleet, config: zkrpc.ClientConfig) -> _Run:
    with fleet.misbehaving(fleet.instances[3], delay=_STALL, share=_STALLED_SHARE):
        with scene.load(fleet, rate=_RATE, config=config) as load:
            begin, end = window(_SECONDS)
    outcomes = load.due_between(begin, end)
    return _Run(
        calls=load.started,
        attempts=sum(fleet.received("get", begin, end + 5.0).values()),
        failed=len(failures(load.outcomes)),
        median=percentile(outcomes, 0.5),
        tail=percentile(outcomes, 0.999),
    )
