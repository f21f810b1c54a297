"""When a worker has served long enough: it has grown too large, answered too many calls, or become too old. Pure.

A worker is recycled to get rid of what adds up in it, and not because something is wrong: so it says that it is worn,
and goes on serving until its supervisor has a successor for it, as for a reload. Each limit is moved by a tenth at
most, for each worker anew, as workers that were started together would be worn together.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from zkrpc.telemetry.events import RequestFinished
from zkrpc.telemetry.observer import Observer
from zkrpc.telemetry.recording import Recorder, settle

_JITTER = 0.1
_REPEAT_INTERVAL = 60.0
"""Seconds until a worker that is still there says again that it is worn: its successor may not have come up."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class WearLimits:
    """What a worker may reach; None for no limit."""

    max_memory: int | None = None
    """Bytes of memory that it occupies."""
    max_calls: int | None = None
    """Calls that it has run."""
    max_age: float | None = None
    """Seconds since its start."""

    def __bool__(self) -> bool:
        """Whether there is a limit at all."""
        return (self.max_memory, self.max_calls, self.max_age) != (None, None, None)


class CallCounter(Observer):
    """Counts the calls that a server has run."""

    kinds = recorded = (RequestFinished,)

    def __init__(self) -> None:
        self._count = 0

    @property
    def count(self) -> int:
        """How many so far."""
        settle()
        return self._count

    def receive(self, event: object) -> None:
        """A call that did not go well, or is traced."""
        self._count += 1

    def recorder(self, *names: object) -> Recorder:
        """Counts those that went well."""
        return self._add

    def _add(self, seconds: Sequence[float]) -> None:
        self._count += len(seconds)


class Wear:
    """One worker's, made when it starts. ``rng`` gives floats in [0, 1)."""

    __slots__ = ("_calls", "_memory", "_old_at", "_quiet_until", "limits")

    def __init__(self, limits: WearLimits, now: float, rng: Callable[[], float]) -> None:
        self.limits = limits
        self._memory, self._calls, age = (
            None if limit is None else limit * (1 + _JITTER * (2 * rng() - 1))
            for limit in (limits.max_memory, limits.max_calls, limits.max_age)
        )
        self._old_at = None if age is None else now + age
        self._quiet_until = now

    def __repr__(self) -> str:
        """The limits of this worker."""
        return f"<Wear memory={self._memory} calls={self._calls} old_at={self._old_at}>"

    def look(self, now: float, *, memory: int | None, calls: int) -> str | None:
        """Why it is to be replaced, if that is so and was not said lately; ``memory`` is None if it is not known."""
        if now < self._quiet_until:
            return None
        reason = None
        if self._memory is not None and memory is not None and memory > self._memory:
            reason = f"it occupies {memory / 2**20:.0f} MiB"
        elif self._calls is not None and calls > self._calls:
            reason = f"it has run {calls} calls"
        elif self._old_at is not None and now > self._old_at:
            reason = "it is old enough"
        if reason is not None:
            self._quiet_until = now + _REPEAT_INTERVAL
        return reason
