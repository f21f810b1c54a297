"""Why an instance is picked, or is not."""

from __future__ import annotations

import dataclasses

import pytest

from zkrpc.client.explanation import Probe, view_of, with_obstacle
from zkrpc.endpoint import Endpoint, Instance

SOUND = Instance(id="w", endpoint=Endpoint("h", 1), zone="a", protocols=("zkrpc", "framed"), started_at=1000.0)
ANSWERED = Probe(connected_in=0.001, answered_in=0.002)


def test_sound_instance_has_nothing_against_it() -> None:
    """What is registered and what was measured stands in the view."""
    view = view_of(SOUND, ANSWERED, wall_now=1100.0, zone="a")
    assert (view.obstacles, view.remarks) == ((), ())
    assert dataclasses.asdict(view) == {
        "id": "w",
        "endpoint": "h:1",
        "weight": 1.0,
        "zone": "a",
        "protocols": ("zkrpc", "framed"),
        "age": 100.0,
        "connected_in": 0.001,
        "answered_in": 0.002,
        "obstacles": (),
        "remarks": (),
    }


@pytest.mark.parametrize(
    ("changes", "probe", "obstacles"),
    [
        ({"weight": 0.0}, ANSWERED, ("its weight is 0",)),
        ({}, Probe(failure="no connection: refused"), ("no connection: refused",)),
        ({"weight": 0.0}, Probe(failure="silent"), ("its weight is 0", "silent")),
        ({}, Probe(connected_in=0.1), ()),
    ],
)
def test_obstacle_is_named(changes: dict[str, float], probe: Probe, obstacles: tuple[str, ...]) -> None:
    """Each of them; a peer that knows no pings has none for that."""
    assert view_of(dataclasses.replace(SOUND, **changes), probe, wall_now=1100.0).obstacles == obstacles


@pytest.mark.parametrize(
    ("zone", "wall_now", "remarks"),
    [
        ("", 1012.4, ("it warms up, 12 s of 30 s",)),
        ("b", 1030.0, ("it is in zone a, not in b",)),
        ("", 1030.0, ()),
        ("b", 990.0, ("it warms up, 0 s of 30 s", "it is in zone a, not in b")),
    ],
)
def test_less_than_its_share_is_explained(zone: str, wall_now: float, remarks: tuple[str, ...]) -> None:
    """Warming up and being elsewhere; a clock that is behind ours makes nobody younger than new."""
    assert view_of(SOUND, ANSWERED, wall_now=wall_now, zone=zone).remarks == remarks


def test_instance_that_says_little_is_not_suspected() -> None:
    """Without a start time it has no age; without a zone it is elsewhere."""
    view = view_of(Instance(id="w", endpoint=Endpoint("h", 1)), ANSWERED, wall_now=5.0, zone="a")
    assert view.age is None and view.remarks == ("it is in zone unknown, not in a",)


def test_whoever_knows_more_adds_to_it() -> None:
    """In the order it is learnt."""
    view = with_obstacle(with_obstacle(view_of(SOUND, ANSWERED, wall_now=1e6), "first"), "second")
    assert view.obstacles == ("first", "second")
