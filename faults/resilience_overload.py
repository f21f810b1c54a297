"""Three times more calls than all replicas together can do, with a gate in front of them and without.

The bottleneck is a database of four slots in each replica, which are waits: what is measured is the queueing, not the
processor. It works on what its callers have given up, as databases do.
"""

from __future__ import annotations

import dataclasses
import os
import time

import gevent

from faults.fleet import REPLICAS, Fleet, Scene
from faults.load import percentile
from faults.spinning import cpu_seconds
from faults.steady import Arrival, SteadyLoad
from faults.target import QUERIES_PER_SECOND

CAPACITY = REPLICAS * QUERIES_PER_SECOND
"""Queries a second that all replicas together can do."""
_CALM_RATE = 0.4 * CAPACITY
_OVERLOAD_RATE = 3 * CAPACITY
_CALM, _OVERLOAD, _AFTER = 4.0, 10.0, 4.0
_RAMP = 1.0
_STEP = 1.0
_RECOVERED_WITHIN = 2.0


@dataclasses.dataclass(frozen=True, slots=True)
class _Run:
    """What one run showed. Times are seconds, latencies milliseconds, processor shares of one core."""

    load: SteadyLoad
    begin: float
    end: float
    calm: list[Arrival]
    received: int
    client_cpu: float
    replicas_cpu: float

    @property
    def calls(self) -> list[Arrival]:
        """Those that were due while it lasted."""
        return self.load.due_between(self.begin, self.end)

    def goodput(self, begin: float, end: float) -> float:
        """Good answers in a window, as a share of what the replicas can do."""
        good = sum(begin <= one.ended_at < end for one in self.load.outcomes if not one.error)
        return round(good / (end - begin) / CAPACITY, 3)

    def steps(self) -> list[float]:
        """The goodput of each second once the overload had set in."""
        count = int((self.end - self.begin - _RAMP) / _STEP)
        edges = [self.begin + _RAMP + number * _STEP for number in range(count + 1)]
        return [self.goodput(begin, end) for begin, end in zip(edges, edges[1:])]

    def recovery(self, slow: float) -> float:
        """Seconds from the load's end to the last call due after it that failed or took over ``slow`` ms."""
        late = [
            one.started_at - self.end
            for one in self.load.outcomes
            if one.started_at >= self.end and (one.error or (one.ended_at - one.started_at) * 1000 > slow)
        ]
        return round(max(late, default=0.0), 2)

    def cpu(self) -> str:
        """For a note: whether the machine was the bottleneck."""
        late = round(self.load.latest_start * 1000)
        return (
            f"cores: client {self.client_cpu:.2f}, replicas {self.replicas_cpu:.2f}; starts late by {late} ms at most"
        )


def overload(scene: Scene) -> None:
    """The same overload twice."""
    for part in (_with_shedding, _without_shedding):
        with scene.report.guard(f"overload {part.__name__.strip('_').replace('_', ' ')}", "runs"):
            part(scene)


def _with_shedding(scene: Scene) -> None:
    check, fleet = scene.report.check, scene.fleet("shedding", "faults.target_shedding:service")
    run = _run(scene, fleet)
    scene.dismiss(fleet)
    calm_p99, p99 = percentile(run.calm, 0.99), percentile(run.calls, 0.99)
    attempts, steps = sum(one.attempts for one in run.calls), run.steps()
    check("overload: calls, times capacity", _offered(run), 2.9, comparison=">=", note=run.cpu())
    check(
        "overload: goodput of the worst second, of capacity",
        min(steps),
        0.8,
        comparison=">=",
        note=f"by seconds {steps}",
    )
    check(
        "overload: p99 of accepted calls, ms", p99, round(3 * calm_p99, 2), note=f"three times the calm {calm_p99} ms"
    )
    check("overload: attempts per call, as callers count", round(attempts / len(run.calls), 3), 1.25)
    check("overload: attempts per call, as replicas count", round(run.received / len(run.calls), 3), 1.25)
    check("overload: last bad call after the load's end, s", run.recovery(3 * calm_p99), _RECOVERED_WITHIN)


def _without_shedding(scene: Scene) -> None:
    check, fleet = scene.report.check, scene.fleet("unprotected", "faults.target:unprotected")
    run = _run(scene, fleet)
    scene.dismiss(fleet)
    calm_p99, steps = percentile(run.calm, 0.99), run.steps()
    check("overload without shedding: calls, times capacity", _offered(run), 2.9, comparison=">=", note=run.cpu())
    check(
        "overload without shedding: goodput collapses to",
        run.goodput(run.begin + _RAMP, run.end),
        0.5,
        note=f"by seconds {steps}",
    )
    check(
        "overload without shedding: last bad call after the load's end, s",
        run.recovery(3 * calm_p99),
        _RECOVERED_WITHIN,
        comparison=">",
        note=f"watched for {_AFTER:g} s; p99 calm {calm_p99} ms, of answered calls {percentile(run.calls, 0.99)} ms",
    )


def _offered(run: _Run) -> float:
    """Calls as a multiple of what the replicas can do, once the overload had set in."""
    begin = run.begin + _RAMP
    return round(len(run.load.due_between(begin, run.end)) / (run.end - begin) / CAPACITY, 2)


def _run(scene: Scene, fleet: Fleet) -> _Run:
    with scene.load(fleet, rate=_CALM_RATE, method="query") as load:
        calm_from = time.monotonic() + 0.5
        gevent.sleep(_CALM)
        begin, client, replicas = time.monotonic(), cpu_seconds(os.getpid()), fleet.cpu()
        load.rate = _OVERLOAD_RATE
        gevent.sleep(_OVERLOAD)
        load.rate = _CALM_RATE
        end = time.monotonic()
        client, replicas = cpu_seconds(os.getpid()) - client, fleet.cpu() - replicas
        gevent.sleep(_AFTER)
    received = sum(fleet.received("query", begin, end).values())
    return _Run(
        load=load,
        begin=begin,
        end=end,
        calm=load.due_between(calm_from, begin),
        received=received,
        client_cpu=client / (end - begin),
        replicas_cpu=replicas / (end - begin),
    )
