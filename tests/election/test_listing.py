"""Who may stand: transcripts of what the registry says, and what follows."""

from __future__ import annotations

from typing import Any

from zkrpc.election.listing import Eligibility


class Place:
    """Our place in the registry."""

    def __init__(self, registered_in: int | None = None, conflict: str | None = None) -> None:
        self.registered_in = registered_in
        self.conflict = conflict

    def watch(self, event: Any) -> None:
        """Nothing comes by itself here."""

    def unwatch(self, event: Any) -> None:
        """Nor ends."""


def eligible() -> Eligibility:
    """Listed in session 7."""
    eligibility = Eligibility()
    eligibility.observe(Place(), 7, 0.0)
    assert not eligibility.may_stand
    eligibility.observe(Place(7), 7, 1.0)
    assert eligibility.may_stand and eligibility.next_timer() is None
    return eligibility


def test_instance_stands_once_it_is_listed_in_its_session() -> None:
    """A node of an earlier session is no place: it goes, and somebody else may come first."""
    eligibility = eligible()
    eligibility.observe(Place(7), 8, 2.0)
    assert not eligibility.may_stand
    eligibility.observe(Place(8), 8, 2.1)
    assert eligibility.may_stand


def test_instance_without_a_session_goes_on_as_it_was() -> None:
    """A lost connection is no reason to step down."""
    eligibility = eligible()
    eligibility.observe(Place(), None, 2.0)
    eligibility.observe(Place(7), 7, 50.0)
    assert eligibility.may_stand


def test_instance_whose_place_is_anothers_stops_at_once() -> None:
    """Two have one id, or a node that nobody owns is in the way: callers would be sent to somebody else."""
    eligibility = eligible()
    eligibility.observe(Place(None, "held by another"), 7, 2.0)
    assert not eligibility.may_stand and "may_stand=False" in repr(eligibility)
    eligibility.observe(Place(7), 7, 3.0)
    assert eligibility.may_stand


def test_instance_whose_node_is_missing_is_given_time_to_come_back() -> None:
    """Somebody deleted it; if it cannot be made again, this instance must not go on leading."""
    eligibility = eligible()
    eligibility.observe(Place(), 7, 2.0)
    assert eligibility.may_stand and eligibility.next_timer() == 4.0
    eligibility.observe(Place(7), 7, 2.1)
    assert eligibility.next_timer() is None
    eligibility.observe(Place(), 7, 3.0)
    eligibility.observe(Place(), 7, 4.9)
    assert eligibility.may_stand
    eligibility.observe(Place(), 7, 5.0)
    assert not eligibility.may_stand and eligibility.next_timer() is None
