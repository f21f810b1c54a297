"""What is concluded from what is known."""

from __future__ import annotations

import dataclasses

from tests.dashboard.boards import COMPLAINT, NOW, REPORT, instance, ledger, offline, view
from zkrpc.dashboard.board import ServiceBoard, share_of, state_of_instance, state_of_service, worst_first
from zkrpc.inspection.overview import ServiceOverview


def test_service_is_as_well_as_its_worst_part() -> None:
    """Nobody serves, nobody leads, something to look at, or nothing to say."""
    assert state_of_service(ServiceBoard(overview=ServiceOverview(service="s"))).word == "no instances"
    well = ledger()
    assert state_of_service(well).word == "serving"
    headless = dataclasses.replace(well.overview, primaries={"main": None})
    state = state_of_service(dataclasses.replace(well, overview=headless))
    assert (state.word, state.reasons) == ("no primary", ("nobody leads main",))
    sick = dataclasses.replace(well, elections=(dataclasses.replace(REPORT, complaints=(COMPLAINT,)),))
    state = state_of_service(sick)
    assert (state.word, state.reasons) == ("look here", ("w3 cannot lead: on_elected raised OSError",))
    unread = dataclasses.replace(well, overview=dataclasses.replace(well.overview, skipped=2))
    assert state_of_service(unread).reasons == ("records that cannot be read: 2",)
    stuck = dataclasses.replace(well, elections=(dataclasses.replace(REPORT, problem="/e belongs to no session"),))
    assert state_of_service(stuck).reasons == ("/e belongs to no session",)
    mixed = dataclasses.replace(well.overview, instances=(instance(1), instance(2, idl_digest="b" * 64)))
    assert state_of_service(dataclasses.replace(well, overview=mixed)).reasons == ("instances serve 2 different IDLs",)


def test_instance_says_why_it_is_not_picked() -> None:
    """By order, by a probe, or less than others; before anybody has looked, nothing is claimed."""
    one, two, three = (instance(number) for number in (1, 2, 3))
    unknown, young = instance(4), instance(5, started_at=NOW - 3)
    seen = ServiceOverview(service="s", instances=(one, two, three, unknown, young), orders={"w2": offline()})
    views = {"w1": view(one), "w3": view(three, "no connection: refused"), "w5": view(young)}
    found = ServiceBoard(overview=seen, views=views)
    assert state_of_instance(found, one).word == "serving"
    assert state_of_instance(found, two).reasons == ("disk 2 is full (by ann@desk)",)
    assert state_of_instance(found, three).reasons == ("no connection: refused",)
    assert state_of_instance(found, unknown).word == "registered"
    assert state_of_instance(found, young).reasons == ("it warms up, 3 s of 30 s",)


def test_shares_are_parts_of_what_is_known() -> None:
    """Nobody has a share of no calls, or without telling."""
    found = ledger(rates={"w1": 3.0, "w2": 1.0})
    one, two, three = found.overview.instances
    assert [share_of(found, instance) for instance in (one, two, three)] == [0.75, 0.25, None]
    assert share_of(ledger(rates={"w1": 0.0}), one) is None


def test_those_with_a_problem_come_first() -> None:
    """A list of a thousand is cut, and must not be cut there."""
    members = tuple(instance(number) for number in range(1000))
    sick = members[700]
    found = ServiceBoard(
        overview=ServiceOverview(service="s", instances=members), views={sick.id: view(sick, "a ping was not answered")}
    )
    assert worst_first(found)[0][0] is sick
