"""How long an instance stays out of the queue."""

from __future__ import annotations

import pytest

from zkrpc.election.absence import Absence
from zkrpc.election.effects import Reason


def test_absence_grows_with_failures_in_a_row_up_to_a_bound_that_recovery_can_wait_for() -> None:
    """Three a second it was once: a service whose instances are all sick must not elect as fast as it can."""
    absence = Absence(lambda: 1.0)
    told = []
    for _ in range(5):
        absence.begin(Reason.SYNCHRONISATION_FAILED, 0.0)
        told.append(absence.until)
    assert told == [1.0, 2.0, 4.0, 6.0, 6.0]
    assert absence.times(Reason.SYNCHRONISATION_FAILED) == 5 and "failed': 5" in repr(absence)
    absence.forgive(Reason.SYNCHRONISATION_FAILED)
    absence.begin(Reason.SYNCHRONISATION_FAILED, 0.0)
    assert absence.until == 1.0


def test_absence_is_over_at_its_time_and_then_forgotten() -> None:
    """So that nobody is woken for it again."""
    absence = Absence(lambda: 0.0)
    assert not absence.lasts(0.0)
    absence.begin(Reason.HANDED_OVER, 1.0)
    assert absence.until == pytest.approx(1.075) and absence.lasts(1.0)
    absence.handle_timer(1.07)
    assert absence.until is not None
    assert not absence.lasts(1.075)
    absence.handle_timer(1.075)
    assert absence.until is None


def test_absence_is_for_some_reasons_only() -> None:
    """Whoever lost a session, or a node, stands again at once."""
    absence = Absence(lambda: 1.0)
    for reason in (Reason.SESSION_ENDED, Reason.LEASE_ENDED, Reason.NODE_REMOVED, Reason.WITHDRAWN):
        absence.begin(reason, 0.0)
        assert absence.until is None
