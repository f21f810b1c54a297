"""The table of states, and the groups of states against each other."""

from __future__ import annotations

import itertools

import pytest

from zkrpc.election.states import (
    HOLDING,
    LEADING,
    STANDING,
    TABLE,
    WITHOUT_LEASE,
    ElectionState,
    Trigger,
    after,
)
from zkrpc.errors import LocalProtocolError


def test_states_with_an_epoch_and_those_without_one_are_apart() -> None:
    """Who leads holds, who stands does not, and nobody who holds goes without a lease."""
    assert set(LEADING) < set(HOLDING)
    assert not set(STANDING) & set(HOLDING) and not set(WITHOUT_LEASE) & set(HOLDING)


def test_table_has_every_state_and_reaches_it_from_idle() -> None:
    """And uses every trigger."""
    reached = {ElectionState.IDLE}
    for _ in ElectionState:
        reached |= {following for state in reached for following in TABLE[state].values()}
    assert set(TABLE) == reached == set(ElectionState)
    assert {trigger for row in TABLE.values() for trigger in row} == set(Trigger)


@pytest.mark.parametrize(("state", "trigger"), list(itertools.product(ElectionState, Trigger)))
def test_step_that_the_table_has_not_is_refused(state: ElectionState, trigger: Trigger) -> None:
    """As a bug of ours, with both named; any other leads where the table says."""
    following = TABLE[state].get(trigger)
    if following is None:
        with pytest.raises(LocalProtocolError, match=f"{trigger.value} cannot come while {state.value}"):
            after(state, trigger)
    else:
        assert after(state, trigger) is following


def test_only_who_has_been_told_to_lead_is_told_to_stop() -> None:
    """A reason to stop leads to on_deposed exactly where on_elected has been begun."""
    deposed = {state for state, row in TABLE.items() if row.get(Trigger.STOP) is ElectionState.DEPOSING}
    assert deposed == set(LEADING)
    assert {state for state, row in TABLE.items() if Trigger.STOP in row} == {*STANDING, *HOLDING}


def test_process_that_must_end_does_nothing_else() -> None:
    """Its nodes stay for as long as its session does: only the end of the process may make room."""
    assert not TABLE[ElectionState.EXITING]
