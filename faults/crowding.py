"""What honest callers notice while a crowd of connections comes to nothing (:mod:`faults.crowd`), in whichever suite.

Honest callers hardly notice, each of these connections is cut in time, and when the crowd is gone the process has given
back its descriptors and rests.

A crowd comes several times, with calm before and after each::

    calm | crowd, until its last connection is cut | calm | crowd … | calm

Each time, the 99th percentile of the honest calls beside the crowd is divided by that of the calls in the calm before
and after it, and the median of these ratios is what is judged. A machine that stands still for some milliseconds now
and then moves the 99th percentile of five seconds of calm by twice and more, whichever of both it hits; a crowd that
costs callers too much does so each time. The report shows every ratio. Lost calls, connections and their ages are
judged over all times.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import gevent

import zkrpc
from faults.cluster import wait_until
from faults.companion import Companion
from faults.hostile_honest import Honest
from faults.load import Outcome, failures, percentile
from faults.spinning import WINDOW, cpu_seconds
from scripts.report import Report
from tests.support.descriptors import descriptors

CROWD = 1000
"""Connections at a time."""
SLOWER = 2.0
"""Times what a call takes in calm."""
CALM, WARM_UP, ATTACK = 5.0, 3.0, 5.0
TIMES = 5
"""How often a crowd comes."""
_SLACK = 3.0
"""Seconds later than it is due that a connection may be cut: a server looks at each of them every 1.25 s."""
_REST = 0.1
"""Share of a core that a process may use that has nothing to do."""
_SPARE = 10
"""Descriptors that may be more than before, of files that are opened now and then."""


def crowd(
    report: Report,
    name: str,
    how: str,
    instance: zkrpc.Instance,
    callers: Sequence[Honest],
    *,
    cut_after: float,
    count: int = CROWD,
    times: int = TIMES,
) -> None:
    """Lets one loose so many times, and ends the callers. ``cut_after`` are the seconds after which a connection is to
    be cut."""
    place, pid = instance.endpoint, int(instance.metadata["pid"])
    marks: list[tuple[float, float, float, float]] = []
    told: list[dict[str, float]] = []
    with Companion("faults.crowd", how, place.host, place.port, count, ATTACK) as companion:
        companion.line()
        gevent.sleep(WARM_UP)
        open_before, calm_from = descriptors(pid), time.monotonic()
        gevent.sleep(CALM)
        for _ in range(times):
            began = time.monotonic()
            companion.tell("begin")
            gevent.sleep(ATTACK)
            open_most = descriptors(pid)
            told.append({"descriptors": open_most - open_before, **json.loads(companion.line(120.0))})
            ended = time.monotonic()
            gevent.sleep(CALM)
            marks.append((calm_from, began, ended, time.monotonic()))
            calm_from = ended
    for one in callers:
        one.stop()
    # Only now, as it takes the time of the very process that calls.
    visits = [_visit(callers, *each) for each in marks]
    judge(report, name, visits)
    check, note = report.check, f"{max(one['descriptors'] for one in told)} descriptors more than before"
    check(f"{name}: connections begun", min(one["begun"] for one in told), count, comparison=">=", note=note)
    longest = max(one["longest"] for one in told)
    check(f"{name}: seconds that one lived, at most", round(longest, 2), cut_after + _SLACK)
    with contextlib.suppress(TimeoutError):
        wait_until(lambda: descriptors(pid) <= open_before + _SPARE, 10.0, "descriptors given back", interval=0.1)
    check(f"{name}: descriptors kept", descriptors(pid) - open_before, _SPARE)
    check(f"{name}: share of a core used at rest", share_at_rest(pid), _REST)


class Visit(NamedTuple):
    """Honest calls around one time that a crowd came."""

    calm: Sequence[Outcome]
    """Shortly before and after."""
    calls: Sequence[Outcome]
    """Beside it."""

    @property
    def slower(self) -> float:
        """How many times longer than in calm the calls beside it took; infinite if one of both had none."""
        usual = percentile(self.calm, 0.99)
        return percentile(self.calls, 0.99) / usual if math.isfinite(usual) else math.inf


def _visit(callers: Sequence[Honest], calm_from: float, began: float, ended: float, calm_to: float) -> Visit:
    def between(start: float, end: float) -> list[Outcome]:
        return [outcome for one in callers for outcome in one.between(start, end)]

    return Visit(between(calm_from, began) + between(ended, calm_to), between(began, ended))


def judge(report: Report, name: str, visits: Sequence[Visit]) -> None:
    """Adds what holds of the honest calls to a report."""
    calls = [outcome for visit in visits for outcome in visit.calls]
    each = " ".join(f"{visit.slower:.2f}" for visit in visits)
    calm = " ".join(f"{percentile(visit.calm, 0.99)}" for visit in visits)
    note = f"median of {each}; calm {calm} ms, worst {percentile(calls, 1.0)} ms of {len(calls)} calls; {load()}"
    slower = statistics.median(visit.slower for visit in visits)
    report.check(f"{name}: honest p99, times calm", round(slower, 2), SLOWER, note=note)
    report.check(f"{name}: honest calls lost", len(failures(calls)), 0, comparison="==", note=note_of(calls))


def share_at_rest(pid: int) -> float:
    """The part of a core that a process uses, which should have nothing to do."""
    began, used = time.monotonic(), cpu_seconds(pid)
    gevent.sleep(WINDOW)
    return round((cpu_seconds(pid) - used) / (time.monotonic() - began), 3)


def load() -> str:
    """How many others want the processors."""
    return f"load {os.getloadavg()[0]:.1f}"


def note_of(calls: Sequence[Outcome]) -> str:
    """The first error, or how many calls there were."""
    first = next((f"{type(one.error).__name__}: {one.error}"[:100] for one in calls if one.error), "")
    return first or f"{len(calls)} calls"
