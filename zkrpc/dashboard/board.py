"""What the dashboard knows at one moment, and what its pages conclude from that. Pure values."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal

from zkrpc.client.explanation import InstanceView
from zkrpc.election.inspection import GroupReport
from zkrpc.endpoint import Instance
from zkrpc.inspection.changes import Change
from zkrpc.inspection.overview import ServiceOverview

Tone = Literal["good", "warn", "bad", "quiet"]
"""How a state is shown beside its word, which alone tells what it is."""

MOST_HAPPENINGS = 200
_NOTHING: Mapping[str, Any] = MappingProxyType({})


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Happening:
    """A change that the dashboard has seen."""

    at: float
    """Wall-clock seconds since 1970."""
    change: Change


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ServiceBoard:
    """What is known of one service."""

    overview: ServiceOverview
    elections: tuple[GroupReport, ...] = ()
    views: Mapping[str, InstanceView] = dataclasses.field(default_factory=lambda: _NOTHING, hash=False)
    """Worker id -> what a probe has found; empty while nobody looks at the service."""
    rates: Mapping[str, float] = dataclasses.field(default_factory=lambda: _NOTHING, hash=False)
    """Worker id -> calls a second lately, of those instances that tell; empty while nobody looks at the service."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Board:
    """What the dashboard knows. A new one is made whenever something has changed."""

    zookeeper: str
    """The connect string."""
    trouble: str = ""
    """Why what is shown may be out of date; empty if it is not."""
    services: Mapping[str, ServiceBoard] = dataclasses.field(default_factory=lambda: _NOTHING, hash=False)
    strange: tuple[str, ...] = ()
    """Names beside the services' that cannot be a service's."""
    happenings: Sequence[Happening] = ()
    """The newest last."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """A state as a word, how it is shown, and the reasons for it."""

    word: str
    tone: Tone
    reasons: tuple[str, ...] = ()


def state_of_service(board: ServiceBoard) -> State:
    """The worst that is known of a service."""
    seen = board.overview
    if not seen.serving:
        return State(word="no instances", tone="bad")
    if seen.leaderless:
        return State(word="no primary", tone="bad", reasons=tuple(f"nobody leads {one}" for one in seen.leaderless))
    reasons = []
    for view in board.views.values():
        reasons += [f"{view.id}: {reason}" for reason in view.obstacles]
    for report in board.elections:
        reasons += [report.problem] if report.problem else []
        reasons += [f"{one.instance} cannot lead: {one.why}" for one in report.complaints]
    if seen.skipped:
        reasons.append(f"records that cannot be read: {seen.skipped}")
    if len(seen.idl_digests) > 1:
        reasons.append(f"instances serve {len(seen.idl_digests)} different IDLs")
    if reasons:
        return State(word="look here", tone="warn", reasons=tuple(reasons))
    return State(word="serving", tone="good")


def state_of_instance(board: ServiceBoard, instance: Instance) -> State:
    """Whether calls go to an instance, and why not."""
    order = board.overview.orders.get(instance.id)
    if order is not None:
        return State(word="offline", tone="warn", reasons=(str(order),))
    view = board.views.get(instance.id)
    if view is None:
        return State(word="registered", tone="quiet")
    if view.obstacles:
        return State(word="not picked", tone="bad", reasons=view.obstacles)
    if view.remarks:
        return State(word="picked less", tone="warn", reasons=view.remarks)
    return State(word="serving", tone="good")


def share_of(board: ServiceBoard, instance: Instance) -> float | None:
    """An instance's part of all calls lately, from 0 to 1; None if it is not known, or there are none."""
    rate, total = board.rates.get(instance.id), sum(board.rates.values())
    return None if rate is None or total <= 0 else rate / total


def worst_first(board: ServiceBoard) -> list[tuple[Instance, State]]:
    """The instances with their states; those that need somebody to look come first, as a long list is cut."""
    order = {"bad": 0, "warn": 1, "good": 2, "quiet": 2}
    rows = [(one, state_of_instance(board, one)) for one in board.overview.instances]
    return sorted(rows, key=lambda row: (order[row[1].tone], row[0].id))
