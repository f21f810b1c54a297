"""Why an instance is picked, or is not: what is known of it, and the reasons, for people and programs. Pure values.

Here is what can be said from outside of a client: what the registration says, and what came of asking. Whoever knows
more (a client: breakers, load, its subset) adds reasons of its own.
"""

from __future__ import annotations

import dataclasses

from zkrpc.balancing.warmup import WARM_UP
from zkrpc.endpoint import Instance


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """What came of asking one instance."""

    connected_in: float | None = None
    """Seconds until the connection was open; None if it was not."""
    answered_in: float | None = None
    """Seconds from the ping to its answer; None without one, or if the instance does not know pings."""
    failure: str = ""
    """What went wrong; empty if nothing did."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class InstanceView:
    """One instance as a caller sees it."""

    id: str
    endpoint: str
    weight: float
    zone: str
    protocols: tuple[str, ...]
    age: float | None
    """Seconds since its start by its own clock; None if it did not say when that was."""
    connected_in: float | None
    """Seconds until a connection was open; None if there was none."""
    answered_in: float | None
    """Seconds until a ping was answered; None without an answer."""
    obstacles: tuple[str, ...] = ()
    """Why it would not be picked."""
    remarks: tuple[str, ...] = ()
    """Why it would be picked less often than others."""


def view_of(instance: Instance, probe: Probe, *, wall_now: float, zone: str = "") -> InstanceView:
    """What can be seen from outside.

    Args:
        instance: as it is registered.
        probe: what came of asking it.
        wall_now: wall-clock seconds since 1970, for its age.
        zone: where the caller is; empty if zones do not matter.
    """
    age = max(0.0, wall_now - instance.started_at) if instance.started_at else None
    return InstanceView(
        id=instance.id,
        endpoint=str(instance.endpoint),
        weight=instance.weight,
        zone=instance.zone,
        protocols=instance.protocols,
        age=age,
        connected_in=probe.connected_in,
        answered_in=probe.answered_in,
        obstacles=_obstacles(instance, probe),
        remarks=_remarks(instance, age, zone),
    )


def with_obstacle(view: InstanceView, obstacle: str) -> InstanceView:
    """The view with one more reason against picking it."""
    return dataclasses.replace(view, obstacles=(*view.obstacles, obstacle))


def _obstacles(instance: Instance, probe: Probe) -> tuple[str, ...]:
    weightless = "its weight is 0" if not instance.weight > 0 else ""
    return tuple(reason for reason in (weightless, probe.failure) if reason)


def _remarks(instance: Instance, age: float | None, zone: str) -> tuple[str, ...]:
    warming = f"it warms up, {age:.0f} s of {WARM_UP:.0f} s" if age is not None and age < WARM_UP else ""
    elsewhere = f"it is in zone {instance.zone or 'unknown'}, not in {zone}" if zone and instance.zone != zone else ""
    return tuple(reason for reason in (warming, elsewhere) if reason)
