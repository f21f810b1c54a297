"""Who keeps a core busy without a reason: the processor time of some processes, looked at once a second.

A loop that waits for something which has happened already does its work, and nobody notices; so it is looked for.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import gevent

_TICKS = os.sysconf("SC_CLK_TCK")
_INTERVAL = 1.0
WINDOW = 5.0
"""Seconds over which a share is taken."""
SETTLED = 10.0
"""Seconds after which a process that was started has loaded its code."""

Sample = tuple[float, float]
"""Monotonic seconds, and the seconds of processor time until then."""


@dataclasses.dataclass(frozen=True, slots=True)
class Spell:
    """A stretch of time in which a process used that share of a core."""

    name: str
    pid: int
    until: float
    share: float


class Spinning:
    """Looks at the processes that ``processes`` names, until it is stopped."""

    def __init__(self, processes: Callable[[], Iterable[tuple[str, int]]]) -> None:
        self._processes = processes
        self._samples: dict[tuple[str, int], list[Sample]] = {}
        self._greenlet = gevent.spawn(self._look)

    def stop(self) -> None:
        """Ends the looking; what was seen stays."""
        self._greenlet.kill()

    def spells(self, share: float, *, apart_from: Sequence[tuple[float, float]] = ()) -> list[Spell]:
        """The windows in which a settled process used more than ``share`` of a core.

        Windows that touch one of the times in ``apart_from``, each from when until when, do not count.
        """
        found = []
        for (name, pid), samples in self._samples.items():
            for spell in windows(samples):
                began, until, used = spell
                excused = any(began < end and start < until for start, end in apart_from)
                if used > share and not excused and began - samples[0][0] > SETTLED:
                    found.append(Spell(name, pid, until, round(used, 2)))
        return found

    def _look(self) -> None:
        while True:
            for name, pid in self._processes():
                with contextlib.suppress(FileNotFoundError, ProcessLookupError):
                    self._samples.setdefault((name, pid), []).append((time.monotonic(), cpu_seconds(pid)))
            gevent.sleep(_INTERVAL)


def windows(samples: Sequence[Sample]) -> Iterable[tuple[float, float, float]]:
    """Each stretch of about ``WINDOW`` seconds between samples: from, until, and the share of a core."""
    first = 0
    for until, used in samples:
        while until - samples[first][0] >= WINDOW:
            began, before = samples[first]
            yield began, until, (used - before) / (until - began)
            first += 1


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used so far; FileNotFoundError or ProcessLookupError if there is none."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS
