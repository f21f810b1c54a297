"""How many handshakes there may be, and which one gives way."""

from __future__ import annotations

from zkrpc.tls.pending import Pending


def test_the_one_that_has_lasted_longest_of_its_address_gives_way_at_half_of_the_room() -> None:
    """One address cannot take it all, and its newcomers are let in: an honest handshake is over in a moment."""
    pending: Pending[str] = Pending(4, 5.0)
    assert [pending.begin(name, "a", 0.0) for name in ("a1", "a2", "a3")] == [None, None, "a1"]
    assert pending.begin("b1", "b", 0.0) is None
    assert list(pending) == ["a2", "a3", "b1"] and repr(pending) == "<Pending 3 of 2 addresses>"


def test_the_address_that_has_most_gives_way_where_there_is_no_room() -> None:
    """Whoever comes."""
    pending: Pending[str] = Pending(4, 5.0)
    for name in ("b1", "a1", "a2", "c1"):
        assert pending.begin(name, name[0], 0.0) is None
    assert pending.begin("d1", "d", 0.0) == "a1"
    assert pending.begin("e1", "e", 0.0) == "b1"
    assert len(pending) == 4


def test_one_place_is_for_one() -> None:
    """As small as it may be set."""
    pending: Pending[str] = Pending(1, 5.0)
    assert [pending.begin(name, name[0], 0.0) for name in ("a1", "a2", "b1")] == [None, "a1", "a2"]


def test_handshakes_end_by_themselves_and_by_the_clock() -> None:
    """Each once."""
    pending: Pending[str] = Pending(4, 5.0)
    assert pending.next_timer() is None
    pending.begin("a1", "a", 0.0)
    pending.begin("b1", "b", 1.0)
    pending.begin("c1", "c", 2.0)
    assert pending.end("b1") and not pending.end("b1")
    assert pending.next_timer() == 5.0 and pending.expire(4.9, 9) == []
    assert pending.expire(6.0, 9) == ["a1"] and pending.next_timer() == 7.0
    pending.begin("d1", "d", 2.0)
    assert pending.expire(99.0, 1) == ["c1"] and pending.next_timer() == 7.0
    assert pending.expire(99.0, 9) == ["d1"] and len(pending) == 0


def test_the_greediest_is_the_oldest_of_the_address_that_has_most() -> None:
    """It is the one to end where a place is needed for something else."""
    pending: Pending[str] = Pending(8, 5.0)
    assert pending.greediest() is None
    for name in ("a1", "b1", "b2"):
        pending.begin(name, name[0], 0.0)
    assert pending.greediest() == "b1" and len(pending) == 3
