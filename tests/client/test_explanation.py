"""Why an instance is picked, or is not."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest

from tests.client.test_member import Way
from zkrpc.client.explanation import InstanceView, Probe, view_of, view_of_member, with_obstacle
from zkrpc.client.member import Member
from zkrpc.client.member_observing import status_of
from zkrpc.config import ClientConfig
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
        "services": (),
        "age": 100.0,
        "connected_in": 0.001,
        "answered_in": 0.002,
        "dialect": "",
        "obstacles": (),
        "remarks": (),
    }


@pytest.mark.parametrize(
    ("changes", "probe", "obstacles"),
    [
        ({"weight": 0.0}, ANSWERED, ("its weight is 0",)),
        ({}, Probe(failure="no connection: refused"), ("no connection: refused",)),
        ({"unready": "no \x1b[1mdatabase"}, ANSWERED, (r"it says that it is not ready: no \x1b[1mdatabase",)),
        ({"weight": 0.0}, Probe(failure="silent"), ("its weight is 0", "silent")),
        ({}, Probe(connected_in=0.1), ()),
    ],
)
def test_obstacle_is_named(changes: dict[str, Any], probe: Probe, obstacles: tuple[str, ...]) -> None:
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


def member() -> Member[Way]:
    """First seen at time 0, and nothing against it."""
    return Member(SOUND, Way, ClientConfig(), lambda: 0.5, 0.0)


def seen(one: Member[Way], *, picked: bool = False, kept: bool = False) -> InstanceView:
    """As its client sees it at time 1."""
    status = status_of(one, 1.0, is_picked=picked, is_kept=kept)
    return view_of_member(one.instance, status, wall_now=1100.0, zone="a")


def test_member_that_is_picked_has_nothing_against_it() -> None:
    """As from outside, without what only asking tells."""
    view = seen(member(), picked=True)
    assert (view.id, view.age, view.obstacles, view.remarks, view.connected_in) == ("w", 100.0, (), (), None)
    assert view.dialect == "zkrpc"


def test_member_that_has_never_sent_a_byte_may_speak_something_else() -> None:
    """Which is said as long as it is so."""
    mute = member()
    mute.subchannel.is_heard = False
    assert "perhaps it does not speak zkrpc" in seen(mute, picked=True).remarks[0]
    mute.subchannel.is_heard = True
    assert seen(mute, picked=True).remarks == ()


def test_client_says_what_its_calls_have_taught_it() -> None:
    """Each reason by itself."""
    down, refused, silent, failing, probed, spared = (member() for _ in range(6))
    down.connectivity.receive_draining(0.0)
    refused.connectivity.receive_refused("connection refused", 0.0)
    silent.connectivity.receive_silent(0.0)
    for _ in range(5):
        failing.breaker.receive_failure(0.0)
        probed.breaker.receive_failure(-9.0)
    probed.breaker.begin_probe(1.0)
    spared.spared_until = 1.25
    assert seen(down).obstacles == ("it said that it takes no more calls here",)
    assert seen(refused).obstacles == ("connection refused",)
    assert seen(silent).obstacles == ("it gives no sign of life",)
    assert seen(failing).obstacles == ("its breaker is open, for another 2.8 s",)
    assert seen(probed).obstacles == ("its breaker is open, and one call finds out whether to close it",)
    assert seen(spared).obstacles == ("it has too much to do, and asked to be spared for another 0.25 s",)


def test_well_member_that_is_not_picked_is_not_preferred() -> None:
    """Zone and subset, which are nobody's fault."""
    assert "not in this client's subset" in seen(member()).obstacles[0]


def test_suspect_that_is_picked_all_the_same_says_why() -> None:
    """So many are suspects that suspicion is ignored; or a list lost it."""
    silent = member()
    silent.connectivity.receive_silent(0.0)
    view = seen(silent, picked=True, kept=True)
    assert view.obstacles == ()
    assert view.remarks[0] == "it gives no sign of life, but so it is with too many of them"
    assert "stays while it answers" in view.remarks[1]
