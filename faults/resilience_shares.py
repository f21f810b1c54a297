"""One replica is worse than the others: how much of the load does it still get?"""

from __future__ import annotations

import time

from faults.fleet import FAIR, Scene, seconds_until, window
from faults.load import failures, percentile
from faults.steady import SteadyLoad, answered_share
from faults.target import WORK

_CALM = 3.0
_FAULT = 8.0
_SLOWER = 20
_SHUNNED_WITHIN = 5.0
_BLACK_HOLE_CLOSED_WITHIN = 3.0
_RECOVERY = 40.0


def slow_replica(scene: Scene) -> None:
    """It answers twenty times slower, and later as fast as ever."""
    check, fleet = scene.report.check, scene.main_fleet()
    victim = fleet.instances[1]
    with scene.load(fleet) as load:
        calm_from, _ = window(_CALM)
        with fleet.misbehaving(victim, delay=(_SLOWER - 1) * WORK):
            begin, end = window(_FAULT)
        back = seconds_until(lambda: _recent_share(load, str(victim.endpoint), end) >= FAIR / 2, _RECOVERY)
    calm = fleet.share(victim, calm_from, begin)
    slow = fleet.share(victim, begin + _SHUNNED_WITHIN, end)
    p99 = percentile(load.due_between(begin + _SHUNNED_WITHIN, end), 0.99)
    check("slow: share of attempts while calm", calm, FAIR / 2, comparison=">=")
    check(
        f"slow: share of attempts from {_SHUNNED_WITHIN:g} s on", slow, FAIR / 4, comparison="<", note=f"p99 {p99} ms"
    )
    check("slow: idempotent failures", len(failures(load.outcomes)), 0, comparison="==")
    check("slow: half of a fair share again, s", back, _RECOVERY)


def failing_replica(scene: Scene) -> None:
    """Every call fails at once, which makes it the fastest and least loaded of all."""
    check, fleet = scene.report.check, scene.main_fleet()
    victim = fleet.instances[2]
    with scene.load(fleet) as load:
        calm_from, _ = window(_CALM)
        with fleet.misbehaving(victim, fails=True):
            begin, end = window(_FAULT)
        back = seconds_until(lambda: _recent_share(load, str(victim.endpoint), end) >= FAIR / 2, _RECOVERY)
    calm = fleet.share(victim, calm_from, begin)
    failing = fleet.share(victim, begin + _BLACK_HOLE_CLOSED_WITHIN, end)
    failed = len(failures(load.due_between(begin, end)))
    check("failing: share of attempts while calm", calm, FAIR / 2, comparison=">=")
    check(
        f"failing: share of attempts from {_BLACK_HOLE_CLOSED_WITHIN:g} s on",
        failing,
        0.05,
        comparison="<",
        note=f"{failed} of {len(load.due_between(begin, end))} calls failed in {_FAULT:g} s",
    )
    check("failing: half of a fair share again, s", back, _RECOVERY)


def _recent_share(load: SteadyLoad, endpoint: str, since: float) -> float:
    """The share of the last two seconds' answers, or 0 before they are over."""
    now = time.monotonic()
    return answered_share(load.due_between(now - 2.0, now), endpoint) if now > since + 2.0 else 0.0
