"""The manual clock."""

from __future__ import annotations

import pytest

from zkrpc.testing.clock import ManualClock


def test_clock_moves_only_forward_and_only_when_told() -> None:
    """It stands still by itself, advances by the seconds given, and refuses to go back."""
    clock = ManualClock(5.0)
    assert clock() == clock() == 5.0
    assert clock.advance(2.5) == 7.5 == clock()
    with pytest.raises(ValueError, match="does not go back"):
        clock.advance(-1.0)
