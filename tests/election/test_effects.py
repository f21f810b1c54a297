"""The values an election speaks in."""

from __future__ import annotations

import dataclasses

import pytest

from zkrpc.election.effects import Depose, Elect, Reason, Serve


def test_reason_knows_which_ends_are_voluntary() -> None:
    """Only who leaves on purpose leaves a tombstone."""
    assert [reason for reason in Reason if reason.is_voluntary] == [
        Reason.HANDED_OVER,
        Reason.WITHDRAWN,
        Reason.UNLISTED,
    ]


def test_effects_are_values() -> None:
    """Equal if they say the same, and nobody changes them on the way."""
    assert Depose(3, Reason.LEASE_ENDED) == Depose(3, Reason.LEASE_ENDED)
    assert Elect(3) != Serve(3)
    with pytest.raises(dataclasses.FrozenInstanceError):
        Elect(3).epoch = 4
