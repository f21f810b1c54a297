"""What counts as a blocked hub, and how often it is said."""

from __future__ import annotations

from zkrpc.server.blockage import SOMEWHERE, Blockages, Place

CRUNCH = Place("the method report", (("reports.py", 7, "report"), ("reports.py", 42, "crunch")))
LATER = Place("the method report", (("reports.py", 8, "report"), ("reports.py", 99, "finish")))
OTHER = Place("the method other")


def block(machine: Blockages, began: float, ended: float, place: Place | None = CRUNCH) -> object:
    """The hub beats, is blocked, and runs again; what is reported."""
    machine._beat_at = began
    if place is not None:
        beat_at = machine.look(began + 0.25)
        assert beat_at == began
        machine.receive_place(place, beat_at)
    return machine.receive_beat(ended)


def test_blockage_is_reported_with_its_length_and_its_place() -> None:
    """When the hub runs again; up to a fifth of a second nobody cares."""
    machine = Blockages(10.0)
    assert machine.receive_beat(10.05) is None and machine.look(10.2) is None
    assert machine.receive_beat(10.25) is None
    found = block(machine, 10.3, 12.8)
    assert (found.seconds, found.place, found.since_last_report) == (2.5, CRUNCH, 0)  # type: ignore[attr-defined]
    assert str(CRUNCH) == "the method report (reports.py:42 in crunch)"
    assert repr(machine) == "<Blockages beating>" and machine.receive_beat(12.85) is None


def test_blockage_asks_once_where_the_hub_is() -> None:
    """One look costs little, a look every tenth of a second for minutes would not; a late answer is dropped."""
    machine = Blockages(10.0)
    assert machine.look(10.3) == 10.0
    machine.receive_place(CRUNCH, 10.0)
    assert machine.look(10.4) is None and machine.place == CRUNCH and "blocked by the method report" in repr(machine)
    machine.receive_beat(10.5)
    machine.receive_place(CRUNCH, 10.0)
    assert machine.place == SOMEWHERE


def test_blockage_of_one_place_is_reported_once_a_minute() -> None:
    """The lines differ, the handler is the same; what was not said is counted. Other places have their own minute."""
    machine = Blockages(0.0)
    assert block(machine, 1.0, 2.0) and not block(machine, 3.0, 4.0, LATER) and not block(machine, 5.0, 6.0)
    assert block(machine, 7.0, 8.0, OTHER)
    found = block(machine, 62.0, 63.0)
    assert found and found.since_last_report == 2  # type: ignore[attr-defined]


def test_blockage_without_a_trace_is_reported_all_the_same() -> None:
    """A process that was stopped has no thread that could have looked."""
    found = block(Blockages(0.0), 1.0, 9.0, None)
    assert found and found.place == SOMEWHERE  # type: ignore[attr-defined]
    assert "stopped" in str(SOMEWHERE)


def test_blockage_that_lasts_is_said_while_it_does() -> None:
    """Once: the hub may never run again."""
    machine = Blockages(0.0)
    assert machine.long_since(9.0) is None, "nobody has looked"
    machine.receive_place(CRUNCH, 0.0)
    assert machine.long_since(4.9) is None and machine.long_since(5.1) == 5.1 and machine.long_since(9.0) is None
    machine.receive_beat(10.0)
    machine.receive_place(CRUNCH, 10.0)
    assert machine.long_since(15.5) == 5.5


def test_blockage_explains_a_lost_session() -> None:
    """If it was long enough for that, and just now; the longest one tells."""
    machine = Blockages(0.0)
    assert machine.recall(4.0, 0.0) is None
    block(machine, 1.0, 5.0)
    block(machine, 5.1, 5.6, OTHER)
    found = machine.recall(4.0, 6.0)
    assert found is not None and found.place == CRUNCH and found.seconds == 4.0
    assert machine.recall(9.0, 6.0) is None, "too short for that timeout"
    assert machine.recall(4.0, 9.1) is None, "long ago"
    block(machine, 100.0, 100.5, OTHER)
    assert machine.longest is not None and machine.longest.place == OTHER


def test_blockage_remembers_a_bounded_number_of_places() -> None:
    """Whoever makes up names cannot make it grow."""
    machine = Blockages(0.0)
    for number in range(250):
        assert block(machine, 1.0 + number / 2, 1.4 + number / 2, Place(f"method {number}"))
    assert len(machine._reported) <= 100


def test_blockage_has_a_length_while_it_lasts() -> None:
    """From the last beat on; none while the hub runs, or is only a little late."""
    machine = Blockages(10.0)
    assert [machine.blocked_for(now) for now in (10.0, 10.2, 10.25)] == [0.0, 0.0, 0.0]
    assert machine.blocked_for(13.0) == 3.0
    machine.receive_beat(13.1)
    assert machine.blocked_for(13.2) == 0.0
