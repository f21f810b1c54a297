"""Who calls a service, as all of its instances tell it together. Pure values."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping, Sequence

from zkrpc.telemetry.status import CallerMethodStatus, CallerStatus


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InstanceCallers:
    """What one instance has counted."""

    instance: str
    """Its worker id."""
    started_at: float
    """Since when it has counted, Unix time."""
    callers: Sequence[CallerStatus]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallerSum:
    """What one caller has called of all instances that have answered."""

    name: str
    version: str
    connections: int
    calls: int
    errors: int
    refused: int
    """Calls beyond its quota."""
    called_at: float | None
    """When its last call came, Unix time."""
    instances: int
    """How many instances it has called."""
    methods: Sequence[CallerMethodStatus]
    """By the methods' names."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CallersReport:
    """Who calls a service."""

    service: str
    since: float | None
    """Since when all instances that have answered have counted, Unix time: the newest one's start. None if none has
    answered."""
    answered: Sequence[str]
    """The instances that have, by worker id."""
    silent: Mapping[str, str]
    """The instances that have not answered, and why."""
    callers: Sequence[CallerSum]
    """Those with most calls first."""

    def who_calls(self, method: str) -> Sequence[CallerSum]:
        """The callers of one method, by its name in the IDL."""
        return [one for one in self.callers if any(some.method == method for some in one.methods)]


def sum_up(service: str, answers: Iterable[InstanceCallers], silent: Mapping[str, str]) -> CallersReport:
    """The report of these answers."""
    answers = list(answers)
    found: dict[tuple[str, str], list[CallerStatus]] = {}
    for answer in answers:
        for one in answer.callers:
            found.setdefault((one.name, one.version), []).append(one)
    callers = [_sum(name, version, counted) for (name, version), counted in found.items()]
    return CallersReport(
        service=service,
        since=max((answer.started_at for answer in answers), default=None),
        answered=tuple(sorted(answer.instance for answer in answers)),
        silent=dict(sorted(silent.items())),
        callers=tuple(sorted(callers, key=lambda one: (-one.calls, one.name, one.version))),
    )


def _sum(name: str, version: str, counted: Sequence[CallerStatus]) -> CallerSum:
    by_method: dict[str, list[CallerMethodStatus]] = {}
    for one in counted:
        for some in one.methods:
            by_method.setdefault(some.method, []).append(some)
    methods = tuple(
        CallerMethodStatus(
            method=method,
            calls=sum(some.calls for some in counts),
            errors=sum(some.errors for some in counts),
            called_at=max(some.called_at for some in counts),
        )
        for method, counts in sorted(by_method.items())
    )
    return CallerSum(
        name=name,
        version=version,
        connections=sum(one.connections for one in counted),
        calls=sum(some.calls for some in methods),
        errors=sum(some.errors for some in methods),
        refused=sum(one.refused for one in counted),
        called_at=max((some.called_at for some in methods), default=None),
        instances=len(counted),
        methods=methods,
    )
