"""When files are read again, and when the alarm is raised: each case is a list of looks."""

from __future__ import annotations

import pytest

from zkrpc.tls.reloading import INTERVAL, Reloading, ReloadingState

GOOD, BAD = True, False


def run(*looks: tuple[str, bool]) -> list[str]:
    """Looks at files of these versions, which hold something good or bad; what came of each."""
    machine, told = Reloading(["v0"], 0.0), []
    for number, (version, holds) in enumerate(looks, 1):
        if not machine.receive_stamps([version], number * INTERVAL):
            told.append("-")
        elif holds:
            told.append("news" if machine.receive_loaded() else "read")
        else:
            told.append("alarm" if machine.receive_failure() else "doubt")
    return [*told, machine.state.value]


@pytest.mark.parametrize(
    "looks, told",
    [
        # At the start and after each change they are read once more, as a change within a moment may not show.
        ([("v0", GOOD)] * 3, ["read", "-", "-", "current"]),
        ([("v0", GOOD), ("v1", GOOD), ("v1", GOOD), ("v1", GOOD)], ["read", "news", "read", "-", "current"]),
        ([("v1", GOOD), ("v2", GOOD)], ["news", "news", "fresh"]),
        # A certificate and its key are not replaced in one moment.
        ([("v0", GOOD), ("v1", BAD), ("v2", GOOD)], ["read", "doubt", "news", "fresh"]),
        # The same files can be read a moment later: whatever stood against it is over.
        ([("v1", BAD), ("v1", GOOD)], ["doubt", "news", "fresh"]),
        # What stays bad is told once, however often it changes, and not read again while it does not.
        ([("v1", BAD), ("v1", BAD), ("v1", BAD)], ["doubt", "alarm", "-", "broken"]),
        ([("v1", BAD), ("v2", BAD), ("v3", BAD), ("v4", GOOD)], ["doubt", "alarm", "doubt", "news", "fresh"]),
    ],
)
def test_files_are_read_when_they_may_have_changed(looks: list[tuple[str, bool]], told: list[str]) -> None:
    """And what is in them is told when it is certain."""
    assert run(*looks) == told


def test_a_look_is_due_after_the_interval() -> None:
    """However many connections are opened."""
    machine = Reloading(["v0"], 10.0)
    assert not machine.is_due(10.0 + INTERVAL / 2) and machine.is_due(10.0 + INTERVAL)
    machine.receive_stamps(["v1"], 10.0 + INTERVAL)
    assert not machine.is_due(10.0 + INTERVAL) and machine.receive_loaded()
    assert (machine.state, repr(machine)) == (ReloadingState.FRESH, "<Reloading fresh reloads=1>")
