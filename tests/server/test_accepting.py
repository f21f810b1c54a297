"""When a server pauses because it cannot accept."""

from __future__ import annotations

import errno

import pytest

from zkrpc.server.accepting import FIRST_PAUSE, LONGEST_PAUSE, Accepting


@pytest.mark.parametrize("number", [errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM, errno.EBADF, None])
def test_accepting_pauses_longer_and_longer_while_nothing_is_left(number: int | None) -> None:
    """Up to a second; the first success ends it, tells how long it was, and the next pause is short again."""
    machine = Accepting()
    assert machine.receive_accepted(1.0) is None and not machine.paused
    pauses = [machine.receive_failure(number, 10.0 + step) for step in range(7)]
    assert pauses == [FIRST_PAUSE, 0.1, 0.2, 0.4, 0.8, LONGEST_PAUSE, LONGEST_PAUSE]
    assert machine.paused and "paused since 10.0" in repr(machine)
    assert machine.receive_accepted(17.5) == 7.5
    assert not machine.paused and "open" in repr(machine)
    assert machine.receive_failure(number, 20.0) == FIRST_PAUSE


def test_accepting_goes_on_after_a_peer_that_has_left() -> None:
    """Its error is not ours."""
    machine = Accepting()
    assert machine.receive_failure(errno.ECONNABORTED, 1.0) is None and not machine.paused
