"""Fences only rise, and text is an epoch or it is not."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.election.fencing import Fence
from zkrpc.errors import Executed, StaleEpoch


def test_fence_refuses_what_is_over() -> None:
    """A write of a former primary fails once one of a later primary was seen; its own epoch goes on being fine."""
    fence = Fence()
    for epoch in (1, 1, 4):
        fence.check(epoch)
    with pytest.raises(StaleEpoch) as caught:
        fence.check(3)
    assert (caught.value.seen, caught.value.current, caught.value.executed) == (4, 3, Executed.NO)
    assert fence.epoch == 4 and fence.allows(4) and not fence.allows(3)
    assert repr(fence) == "<Fence 4>"


@given(st.lists(st.integers(0, 9)))
def test_fence_lets_through_exactly_what_does_not_fall(epochs: list[int]) -> None:
    """What passed is sorted, whatever was tried."""
    fence, passed = Fence(), []
    for epoch in epochs:
        allowed = fence.allows(epoch)
        try:
            fence.check(epoch)
            passed.append(epoch)
        except StaleEpoch:
            assert not allowed
    assert passed == sorted(passed)
