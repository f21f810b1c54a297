"""Counts durations in buckets that grow with the duration, as HDR histograms do. Pure.

Up to 256 µs each bucket holds one microsecond; above, there are 128 between each power of two and the next, so that no
value is told wrong by more than a hundredth. Up to an hour it takes 28 KiB, however many durations are counted.
"""

from __future__ import annotations

import bisect
import math
from array import array
from collections.abc import Iterator

LONGEST = 3600.0
"""Seconds; what took longer is counted as that."""

_PARTS = 128
_EXACT = 2 * _PARTS


class Histogram:
    """Durations in seconds."""

    def __init__(self) -> None:
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.most = 0.0
        self._counts = array("Q", bytes(8 * (_bucket(int(LONGEST * 1e6)) + 1)))

    def __repr__(self) -> str:
        """How many, and the extremes."""
        return f"<Histogram {self.count} from {self.least:g} to {self.most:g} s>"

    def record(self, seconds: float) -> None:
        """Counts one duration; less than nothing counts as nothing."""
        seconds = min(max(0.0, seconds), LONGEST)
        self._counts[_bucket(int(seconds * 1e6))] += 1
        self.count += 1
        self.total += seconds
        self.least = min(self.least, seconds)
        self.most = max(self.most, seconds)

    @property
    def mean(self) -> float:
        """The mean; NaN if there is nothing."""
        return self.total / self.count if self.count else math.nan

    def percentile(self, percent: float) -> float:
        """The duration that so many of a hundred did not exceed; NaN if there is nothing."""
        if not self.count:
            return math.nan
        wanted, found = max(1, math.ceil(self.count * percent / 100)), 0
        for bucket, count in enumerate(self._counts):
            found += count
            if found == self.count:
                break
            if found >= wanted:
                return max(self.least, _end(bucket) / 1e6)
        return self.most

    def steps(self, most: int) -> Iterator[tuple[float, int]]:
        """At most so many rows for a picture: up to how many seconds, and how many durations. They begin with the
        least and end with the most, and each is wider than the one before by the same factor."""
        if not self.count:
            return
        least, largest = max(self.least, 1e-6), max(self.most, 1e-6)
        rows = max(1, min(most, math.ceil(math.log(largest / least, 1.25)) or 1))
        ends = [least * (largest / least) ** (row / rows) for row in range(1, rows)]
        counts = [0] * rows
        for bucket, count in enumerate(self._counts):
            if count:
                counts[bisect.bisect_left(ends, _end(bucket) / 1e6)] += count
        yield from zip([*ends, largest], counts)


def _bucket(micros: int) -> int:
    if micros < _EXACT:
        return micros
    shift = micros.bit_length() - _PARTS.bit_length()
    return _PARTS * shift + (micros >> shift)


def _end(bucket: int) -> int:
    """The largest number of microseconds in a bucket."""
    if bucket < _EXACT:
        return bucket
    shift = bucket // _PARTS - 1
    return ((bucket - _PARTS * shift + 1) << shift) - 1
