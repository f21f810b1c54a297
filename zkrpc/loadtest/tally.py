"""What is learnt by an open loop: latencies, outcomes, and how late the generator was. Pure."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator
from typing import Any

from zkrpc.loadtest.histogram import Histogram

PERCENTILES = (50, 90, 95, 99, 99.9, 99.99)
_MOST_KINDS = 64
_ROWS = 12
_BAR = 40


class Tally:
    """The figures of one run. Calls that were due before ``counts_from`` are its warm-up, and do not count."""

    def __init__(self, *, rate: float, counts_from: float) -> None:
        self.rate = rate
        self.latencies = Histogram()
        """From the moment at which each call was due to its end, however it ended."""
        self.lateness = Histogram()
        """From that moment to the one at which the call was made."""
        self.outcomes: Counter[tuple[str, str]] = Counter()
        """How the calls ended, and whether they were executed: ``ok``, an exception's name or an error's; and ``yes``,
        ``no`` or ``maybe``."""
        self.unsent = 0
        """Calls that were due and not made, as too many were under way."""
        self.abandoned = 0
        """Calls that were under way when the run was broken off."""
        self._counts_from = counts_from
        self._last_due = counts_from

    def __repr__(self) -> str:
        """What is counted."""
        return f"<Tally {self.latencies!r} {dict(self.outcomes)}>"

    def record(self, due: float, started: float, ended: float, kind: str, executed: str) -> None:
        """Counts a call."""
        if due < self._counts_from:
            return
        self._last_due = max(self._last_due, due)
        self.latencies.record(ended - due)
        self.lateness.record(started - due)
        known = (kind, executed) in self.outcomes or len(self.outcomes) < _MOST_KINDS
        self.outcomes[(kind, executed) if known else ("others", "maybe")] += 1

    @property
    def ok(self) -> int:
        """Calls that were answered with a value."""
        return sum(count for (kind, _), count in self.outcomes.items() if kind == "ok")

    def achieved(self) -> float:
        """Calls per second, by the moments at which those that ended were due; NaN for less than two of them."""
        took = self._last_due - self._counts_from
        return (self.latencies.count - 1) / took if took > 0 and self.latencies.count > 1 else math.nan

    def plain(self) -> dict[str, Any]:
        """The figures as JSON values; durations are seconds."""
        found = self.latencies
        percentiles = {f"p{percent:g}": found.percentile(percent) for percent in PERCENTILES}
        return {
            "rate": self.rate,
            "achieved_rate": self.achieved(),
            "calls": found.count,
            "ok": self.ok,
            "unsent": self.unsent,
            "abandoned": self.abandoned,
            "outcomes": [
                {"outcome": kind, "executed": executed, "count": count}
                for (kind, executed), count in self.outcomes.most_common()
            ],
            "latency": {
                "mean": found.mean,
                "min": found.least if found.count else math.nan,
                **percentiles,
                "max": found.most if found.count else math.nan,
            },
            "generator_late": {"p99": self.lateness.percentile(99), "max": self.lateness.most},
        }

    def lines(self) -> Iterator[str]:
        """The same for people, with a picture of the latencies."""
        found = self.latencies
        yield f"calls     {found.count} at {_number(self.achieved())}/s, {self.rate:g}/s wanted"
        for (kind, executed), count in self.outcomes.most_common():
            note = "" if kind == "ok" else f" (executed={executed.upper()})"
            yield f"          {count} {kind}{note}"
        if self.unsent:
            yield f"          {self.unsent} due and not made, as too many were under way"
        if self.abandoned:
            yield f"          {self.abandoned} under way when it was broken off"
        if not found.count:
            return
        shown = " ".join(f"p{percent:g} {brief(found.percentile(percent))}" for percent in PERCENTILES)
        yield f"latency   mean {brief(found.mean)} {shown} max {brief(found.most)}"
        late = self.lateness
        yield f"          of which the generator was late by p99 {brief(late.percentile(99))} max {brief(late.most)}"
        rows = [*found.steps(_ROWS)]
        widest = max(count for _, count in rows)
        for until, count in rows:
            bar = "█" * math.ceil(_BAR * count / widest)
            yield f"  {brief(until):>9}  {bar:{_BAR}} {count}"


def brief(seconds: float) -> str:
    """A duration in three digits."""
    if math.isnan(seconds):
        return "-"
    for unit, factor in (("s", 1.0), ("ms", 1e3)):
        if seconds * factor >= 1:
            return f"{_number(seconds * factor)}{unit}"
    return f"{seconds * 1e6:.0f}µs"


def _number(value: float) -> str:
    if math.isnan(value):
        return "-"
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
