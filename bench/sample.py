"""What one cell of one round came to."""

from __future__ import annotations

import dataclasses
import os
import resource
import time
from collections.abc import Sequence
from typing import Any

_PAGE = resource.getpagesize()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sample:
    """Figures of one stretch of time; times in seconds."""

    calls: int
    seconds: float
    client_cpu: float
    server_cpu: float
    p50: float | None = None
    p99: float | None = None
    histogram: str | None = None
    """Of an open loop: latencies in microseconds, as HdrHistogram encodes them."""
    disturbance: float = 0.0
    """Cores that other processes used meanwhile; what they had, the peer had not."""

    @property
    def rate(self) -> float:
        """Calls a second."""
        return self.calls / self.seconds

    @property
    def client_us(self) -> float:
        """Microseconds of CPU for a call on the client's side."""
        return self.client_cpu / max(1, self.calls) * 1e6

    @property
    def server_us(self) -> float:
        """Microseconds of CPU for a call on the server's side."""
        return self.server_cpu / max(1, self.calls) * 1e6

    def as_object(self) -> dict[str, Any]:
        """What travels between processes."""
        return dataclasses.asdict(self)


@dataclasses.dataclass(frozen=True, slots=True)
class Mark:
    """A look at clocks and counters; a sample lies between two."""

    at: float
    calls: int
    client_cpu: float
    server_cpu: float

    @classmethod
    def take(cls, calls: int, server_pid: int) -> Mark:
        """Now."""
        return cls(time.perf_counter(), calls, time.process_time(), cpu_of(server_pid))

    def until(self, end: Mark, latencies: Sequence[float]) -> Sample:
        """What lies between, ``latencies`` being those of all calls ever made, in the order of their ends."""
        ordered = sorted(latencies[self.calls : end.calls])
        return Sample(
            calls=end.calls - self.calls,
            seconds=end.at - self.at,
            client_cpu=end.client_cpu - self.client_cpu,
            server_cpu=end.server_cpu - self.server_cpu,
            p50=percentile(ordered, 0.5),
            p99=percentile(ordered, 0.99),
        )


def percentile(ordered: Sequence[float], fraction: float) -> float | None:
    """The value below which that fraction lies; None of nothing."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * fraction))] if ordered else None


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process has used, all its threads together, to the nanosecond.

    Linux gives every process a clock (clock_getcpuclockid(3)); its number is made from the pid.
    """
    return time.clock_gettime((~pid << 3) | 2)


def resident(pid: int | None = None) -> int:
    """Bytes of memory that a process has."""
    with open(f"/proc/{pid or os.getpid()}/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * _PAGE
