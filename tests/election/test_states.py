"""The groups of states, against each other."""

from __future__ import annotations

from zkrpc.election.states import HOLDING, LEADING, STANDING, WITHOUT_LEASE


def test_states_with_an_epoch_and_those_without_one_are_apart() -> None:
    """Who leads holds, who stands does not, and nobody who holds goes without a lease."""
    assert set(LEADING) < set(HOLDING)
    assert not set(STANDING) & set(HOLDING) and not set(WITHOUT_LEASE) & set(HOLDING)
