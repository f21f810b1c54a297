"""Why an instance is picked or not, for people and programs. Pure values.

There are two sources: the registration with a probe of the instance, and a client with the outcomes of its calls. Both
give the same kind of view.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from zkrpc.balancing.warmup import WARM_UP
from zkrpc.client.connectivity import Standing
from zkrpc.client.policy import Setting
from zkrpc.endpoint import Instance
from zkrpc.legible import legible
from zkrpc.policies.breaker import BreakerState
from zkrpc.telemetry.status import MemberStatus


class Explanation(NamedTuple):
    """How methods are called, and the instances that calls go to."""

    service: str
    methods: Mapping[str, Sequence[Setting]]
    """The settings of each method, with their sources."""
    instances: Sequence[InstanceView]
    notes: Sequence[str] = ()
    """Remarks on the rest, for people."""
    client: Sequence[Setting] = ()
    """The settings that hold for all calls of the client, with their sources."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """The outcome of probing one instance."""

    connected_in: float | None = None
    """Seconds until the connection was open; None if it could not be opened."""
    answered_in: float | None = None
    """Seconds from the ping to its answer; None without one, or if the instance does not know pings."""
    failure: str = ""
    """Why the probe failed; empty if it did not."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """One instance, as a caller or a client sees it."""

    id: str
    endpoint: str
    weight: float
    zone: str
    protocols: tuple[str, ...]
    """The dialects that its record names."""
    age: float | None
    """Seconds since its registered start time; None if its record has none."""
    connected_in: float | None
    """Seconds until a connection was open; None if there was none."""
    answered_in: float | None
    """Seconds until a ping was answered; None without an answer."""
    dialect: str = ""
    """The dialect in which a client calls it; empty without a client, or while that is not known."""
    services: tuple[str, ...] = ()
    """The IDL's services that its record names; empty if it does not say."""
    obstacles: tuple[str, ...] = ()
    """Why it would not be picked."""
    remarks: tuple[str, ...] = ()
    """Why it would be picked less often than others."""


def view_of(
    instance: Instance, probe: Probe, *, wall_now: float, zone: str = "", warm_up: float = WARM_UP
) -> InstanceView:
    """The view of an instance without a client: from its registration and a probe.

    Args:
        instance: as it is registered.
        probe: the outcome of probing it.
        wall_now: wall-clock seconds since 1970, for its age.
        zone: the caller's zone; empty if zones do not matter.
        warm_up: seconds for which the caller gives a new instance fewer calls.
    """
    age = max(0.0, wall_now - instance.started_at) if instance.started_at else None
    return InstanceView(
        id=instance.id,
        endpoint=str(instance.endpoint),
        weight=instance.weight,
        zone=instance.zone,
        protocols=instance.protocols,
        services=instance.services,
        age=age,
        connected_in=probe.connected_in,
        answered_in=probe.answered_in,
        obstacles=_obstacles(instance, probe),
        remarks=_remarks(instance, age, zone, warm_up),
    )


def view_of_member(
    instance: Instance, status: MemberStatus, *, wall_now: float, zone: str, warm_up: float = WARM_UP
) -> InstanceView:
    """The view of an instance by a client.

    Args:
        instance: as it is registered.
        status: the client's status of it.
        wall_now: wall-clock seconds since 1970, for its age.
        zone: the client's zone; empty if zones do not matter.
        warm_up: seconds for which the client gives a new instance fewer calls.
    """
    seen = view_of(instance, Probe(), wall_now=wall_now, zone=zone, warm_up=warm_up)
    obstacles = (*seen.obstacles, *_doubts(status))
    if not status.is_picked and not obstacles:
        obstacles = ("others are preferred: it is of another zone, or not in this client's subset",)
    remarks = list(seen.remarks)
    if status.is_unheard:
        remarks.append(f"not a byte has come from it: perhaps it does not speak {status.dialect} (see dialect=)")
    if status.is_picked and obstacles:
        remarks += [f"{reason}, but so it is with too many of them" for reason in obstacles]
    if status.is_kept:
        remarks.append("the list of instances has lost it, together with most others; it stays while it answers")
    obstacles = () if status.is_picked else obstacles
    return dataclasses.replace(seen, dialect=status.dialect, obstacles=obstacles, remarks=tuple(remarks))


def _doubts(status: MemberStatus) -> Iterator[str]:
    if status.standing == Standing.DOWN.name.lower():
        yield status.failure or "it said that it takes no more calls here"
    if status.standing == Standing.SUSPECT.name.lower():
        yield "it gives no sign of life"
    if status.breaker == BreakerState.PROBING.value:
        yield "its breaker is open, and one call finds out whether to close it"
    elif status.probe_in is not None:
        yield f"its breaker is open, for another {status.probe_in:.1f} s"
    if status.spared_for is not None:
        yield f"it has too much to do, and asked to be spared for another {status.spared_for:.2f} s"


def with_obstacle(view: InstanceView, obstacle: str) -> InstanceView:
    """The view with one more reason against picking it."""
    return dataclasses.replace(view, obstacles=(*view.obstacles, obstacle))


def _obstacles(instance: Instance, probe: Probe) -> tuple[str, ...]:
    weightless = "its weight is 0" if not instance.weight > 0 else ""
    unready = f"it says that it is not ready: {legible(instance.unready, 200)}" if instance.unready else ""
    return tuple(reason for reason in (weightless, unready, probe.failure) if reason)


def _remarks(instance: Instance, age: float | None, zone: str, warm_up: float) -> tuple[str, ...]:
    warming = f"it warms up, {age:.0f} s of {warm_up:.0f} s" if age is not None and age < warm_up else ""
    elsewhere = f"it is in zone {instance.zone or 'unknown'}, not in {zone}" if zone and instance.zone != zone else ""
    return tuple(reason for reason in (warming, elsewhere) if reason)
