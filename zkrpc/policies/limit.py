"""How many calls a server should run at once, found out from how long they take.

A fixed limit is right for one machine, one release and one mix of calls. Too high, it protects nothing: calls queue
inside the server, and by the time they are answered their callers have given up. Too low, it refuses work that could be
done. By Little's law the right one is throughput times unloaded latency; what runs beyond it only waits. So the latency
under load, compared with the unloaded one, tells how much waits. TCP Vegas and Netflix's gradient limits are built on
this, and so is this one. Per window (100 ms, longer if calls are) of mean latency::

    gradient = tolerance * unloaded / latency             within 0.5 .. 1
    limit   += (limit * gradient + sqrt(limit) - limit) * smoothing

It settles a little above ``tolerance`` times the true capacity. ``sqrt(limit)`` is the queue that keeps the server busy
between two arrivals: it is also what makes the limit grow, and what noise must exceed to make it shrink. The smoothing
makes a window shrink the limit by 10 % at most: one stall is not a trend. The limit changes only in windows that used
half of it: a limit that was not reached is neither proved good nor bad, so an hour of little load leaves it alone.

==========  ============================================  ==========================================================
state       each window                                   leaves it
==========  ============================================  ==========================================================
SETTLING    counts nothing                                -> MEASURING after a window that kept to the lowered limit
MEASURING   is the unloaded latency                       -> ADJUSTING, with the limit from before
ADJUSTING   used little: blended into the unloaded one    -> SETTLING, with a third of the limit, when the unloaded
            used half or more: changes the limit          latency was not seen for long, or the limit has halved since
==========  ============================================  ==========================================================

Why it measures. While a server is overloaded every window is loaded. An average of those, however slow, drifts up to
them, and the limit follows it up: the longer the overload, the worse the protection. So now and then (after 1 s, then
twice as long each time up to ``remeasure``) a third of the limit is tried for a few windows, which lets the queue run
dry. That costs 2 % to 4 % of the throughput while it is overloaded, and nothing when it is not, for then windows that
use little of the limit tell the unloaded latency anyway. The limit having halved is a reason too: perhaps the calls
themselves have become slower, and refusing more of them makes no queue shorter.

How a measurement counts. If latency fell along with the limit, there was a queue, and there may still be one: the
figure may lower the unloaded latency, not raise it. If it stayed about the same (three quarters) with a third of the
calls, the calls are that slow. So a dependency that turns slow costs some windows of too low a limit, not the service.

It begins in MEASURING, at the limit it was given. The first window does not count: the calls that end first are the
short ones.

The latency is a mean over all methods. When the mix of methods changes, that looks like a change of the service, and is
measured anew.
"""

from __future__ import annotations

import enum
import math

_LEAST_SAMPLES = 20
"""Calls that a window needs, and goes on until it has them: the mean of fewer is noise."""
_LONG_TERM = 2.0
"""Time constant in seconds with which windows that use little of the limit are blended into the unloaded latency."""
_STEEPEST = 0.5
"""The least gradient, however slow the calls."""
_SHRINKING = 0.2
"""Smoothing downwards: with the least gradient, less than 10 % per window."""
_GROWING = 0.5
"""Smoothing upwards: half of the square root per window takes a limit from 20 to 100 in about two seconds."""
_PROBE_SHARE = 1 / 3
"""Share of the limit that is used while the unloaded latency is measured. Less than 1 / tolerance, so that the queue
runs dry; as little as this for servers that can run one call at a time, whose queue is most of any limit."""
_STAYED = 0.75
"""Share of the loaded latency above which a measured one counts as unchanged by the lower limit."""
_FIRST_PAUSE = 1.0
"""Seconds to the second measurement: a server that starts into an overload has never seen its unloaded latency."""
_MOST_SETTLING = 5
"""Windows, at most: calls that run for minutes may alone be more than the lowered limit."""


class LimitState(enum.Enum):
    """What a window is used for."""

    SETTLING = "settling"
    MEASURING = "measuring"
    ADJUSTING = "adjusting"


class AdaptiveLimit:
    """The limit of one server.

    Args:
        initial: calls at once to begin with.
        least: adjusting never goes below, so that there are always calls to measure. MEASURING may.
        most: adjusting never goes above; as many as memory allows.
        tolerance: how many times the unloaded latency is still fine; room for noise, at the price of a queue.
        window: seconds between two changes, at least; longer if the calls take longer, as the effect of a change cannot
            be seen sooner.
        remeasure: seconds of overload between two measurements of the unloaded latency.
    """

    __slots__ = (
        "_allowed",
        "_dropped",
        "_elapsed",
        "_ends_at",
        "_least",
        "_loaded",
        "_measured_at",
        "_measured_limit",
        "_most",
        "_pause",
        "_peak",
        "_remeasure",
        "_samples",
        "_settling",
        "_tolerance",
        "_unloaded",
        "_window",
        "limit",
        "state",
    )

    state: LimitState
    _samples: int
    _dropped: int
    _peak: int
    _elapsed: float

    def __init__(
        self,
        *,
        initial: int = 20,
        least: int = 4,
        most: int,
        tolerance: float = 1.25,
        window: float = 0.1,
        remeasure: float = 10.0,
    ) -> None:
        self.limit = initial
        """How many calls may run at once now; more are to be refused."""
        self._allowed = float(initial)
        self._least = least
        self._most = most
        self._tolerance = tolerance
        self._window = window
        self._remeasure = remeasure
        self._unloaded = 0.0
        self._loaded = 0.0
        self._measured_at = -math.inf
        self._measured_limit = 0.0
        self._pause = _FIRST_PAUSE
        self._ends_at = -math.inf
        self._begin_window()
        self._become_settling(initial)

    def __repr__(self) -> str:
        """State, limit, and the unloaded latency it rests on."""
        return f"<AdaptiveLimit {self.state.value} limit={self.limit} unloaded={self._unloaded:.6f}>"

    def receive_sample(self, elapsed: float, running: int, now: float, *, dropped: bool = False) -> None:
        """A call is over.

        Args:
            elapsed: seconds since it was admitted.
            running: calls that were running when it ended, itself included.
            now: monotonic seconds.
            dropped: it got no answer from its handler, for instance because its time was up. Then ``elapsed`` says
                nothing about the service, but the share of such calls makes the limit shrink.
        """
        self._samples += 1
        if dropped:
            self._dropped += 1
        else:
            self._elapsed += elapsed
        if running > self._peak:
            self._peak = running
        if now >= self._ends_at and self._samples >= _LEAST_SAMPLES:
            self._end_window(now)

    def _begin_window(self) -> None:
        self._samples = self._dropped = self._peak = 0
        self._elapsed = 0.0

    def _end_window(self, now: float) -> None:
        answered = self._samples - self._dropped
        latency = self._elapsed / answered if answered else None
        self._ends_at = now + max(self._window, latency or 0.0)
        if self.state is LimitState.SETTLING:
            self._settle()
        elif self.state is LimitState.MEASURING:
            self._measure(latency, now)
        else:
            self._judge(latency, now)
        self._begin_window()

    def _settle(self) -> None:
        self._settling += 1
        if self._peak <= self.limit or self._settling >= _MOST_SETTLING:
            self._become_measuring()

    def _measure(self, latency: float | None, now: float) -> None:
        if latency is not None and (latency < self._unloaded or latency >= _STAYED * self._loaded):
            self._unloaded = latency
        self._note_measured(now)
        self._become_adjusting()

    def _judge(self, latency: float | None, now: float) -> None:
        used = 2 * self._peak >= self.limit
        if latency is not None:
            self._learn(latency, now, used)
        if used:
            self._adjust(latency)
        if now - self._measured_at >= self._pause or 2 * self._allowed <= self._measured_limit:
            self._pause = min(self._remeasure, 2 * self._pause)
            self._become_settling(max(1, int(self._allowed * _PROBE_SHARE)))

    def _learn(self, latency: float, now: float, used: bool) -> None:
        self._loaded += (latency - self._loaded) / 2
        if not used:
            self._blend(latency, now - self._measured_at)
            self._note_measured(now)
        elif latency < self._unloaded:
            # Faster under load than without: the calls became faster.
            self._blend(latency, self._window)

    def _blend(self, latency: float, seconds: float) -> None:
        self._unloaded += (latency - self._unloaded) * -math.expm1(-seconds / _LONG_TERM)

    def _note_measured(self, now: float) -> None:
        self._measured_at = now
        self._measured_limit = self._allowed

    def _adjust(self, latency: float | None) -> None:
        target = self._allowed * self._gradient(latency) + math.sqrt(self._allowed)
        smoothing = _SHRINKING if target < self._allowed else _GROWING
        allowed = self._allowed + (target - self._allowed) * smoothing
        self._allowed = min(max(allowed, self._least), self._most)
        self.limit = int(self._allowed)

    def _gradient(self, latency: float | None) -> float:
        answered = 1.0 - self._dropped / self._samples
        faster = self._tolerance * self._unloaded / latency if latency else answered
        return max(_STEEPEST, min(1.0, faster, answered))

    def _become_settling(self, limit: int) -> None:
        self.state = LimitState.SETTLING
        self.limit = limit
        self._settling = 0

    def _become_measuring(self) -> None:
        self.state = LimitState.MEASURING

    def _become_adjusting(self) -> None:
        self.state = LimitState.ADJUSTING
        self.limit = int(self._allowed)
