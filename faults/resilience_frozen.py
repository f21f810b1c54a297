"""One replica hangs: its process stands still, its connections stay open, and nobody is told."""

from __future__ import annotations

import time

import gevent

from faults.fleet import FAIR, Scene, seconds_until, window
from faults.load import failures, percentile
from faults.processes import frozen
from faults.steady import Arrival, answered_share

_CALM = 4.0
_FROZEN = 8.0
"""Seconds; less than the session timeout, so that ZooKeeper lists the replica all the time."""
_DETECTED_WITHIN = 3.0
_BACK_WITHIN = 10.0


def frozen_replica(scene: Scene) -> None:
    """SIGSTOP, and later SIGCONT, under load."""
    check, fleet = scene.report.check, scene.main_fleet()
    victim = fleet.instances[0]
    with scene.load(fleet) as load:
        calm_from, _ = window(_CALM)
        with frozen(int(victim.metadata["pid"])):
            begin, thawed = window(_FROZEN)

        def takes_traffic() -> bool:
            # Only what was due after the thaw: what waited in its sockets meanwhile is no sign of trust.
            now = time.monotonic()
            recent = load.due_between(max(thawed, now - 1.0), now)
            return now > thawed + 0.5 and answered_share(recent, str(victim.endpoint)) >= FAIR / 2

        back = seconds_until(takes_traffic, 2 * _BACK_WITHIN)
        gevent.sleep(0.5)
    calm_p99 = percentile(load.due_between(calm_from, begin), 0.99)
    first = load.due_between(begin, begin + _DETECTED_WITHIN)
    later = load.due_between(begin + _DETECTED_WITHIN, thawed)
    lost = failures(load.outcomes)
    check("frozen: calls made", load.started, 1000, comparison=">=")
    check("frozen: idempotent failures", len(lost), 0, comparison="==", note=str(lost[0].error) if lost else "")
    check(
        f"frozen: p99 over the first {_DETECTED_WITHIN:g} s, ms",
        percentile(first, 0.99),
        2000,
        note=f"the slowest ended after {_slowest(first)} ms",
    )
    check(
        "frozen: p99 afterwards, ms",
        percentile(later, 0.99),
        round(2 * calm_p99, 2),
        note=f"twice the calm {calm_p99} ms; the slowest ended after {_slowest(later)} ms",
    )
    check("frozen: half of a fair share again after SIGCONT, s", back, _BACK_WITHIN)


def _slowest(outcomes: list[Arrival]) -> int:
    return round(max((one.ended_at - one.started_at for one in outcomes), default=0.0) * 1000)
