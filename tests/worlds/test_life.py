"""When there is a hub thread, and when not."""

from __future__ import annotations

import pytest

from zkrpc.errors import Unavailable
from zkrpc.worlds.life import HubLife, LifeState


def test_first_use_starts_it_and_the_last_client_ends_it() -> None:
    """However many clients there are in between; then it begins anew."""
    life = HubLife()
    for _ in range(2):
        life.receive_connecting()
        assert life.require() and not life.require()
        life.receive_connecting()
        assert not life.receive_closed()
        assert repr(life) == "<HubLife running clients=1>"
        assert life.receive_closed()
        assert life.state is LifeState.ABSENT


def test_thread_that_does_not_start_is_tried_again() -> None:
    """By the next who needs it."""
    life = HubLife()
    life.receive_connecting()
    assert life.require()
    life.receive_failed()
    assert life.require()


def test_child_has_the_clients_and_not_the_thread() -> None:
    """It starts one with its first call, and ends it with its last client."""
    life = HubLife()
    life.receive_connecting()
    life.require()
    life.receive_forked()
    assert (life.state, life.clients) == (LifeState.ABSENT, 1)
    life.receive_forked()  # a child of the child
    assert life.require()
    assert life.receive_closed()


def test_client_closed_in_a_child_that_made_no_call_ends_nothing() -> None:
    """There is nothing to be ended."""
    life = HubLife()
    life.receive_connecting()
    life.receive_forked()
    assert not life.receive_closed()


def test_program_that_ends_starts_nothing() -> None:
    """Calls are refused then; closing is not."""
    life = HubLife()
    life.receive_connecting()
    life.require()
    life.receive_exit()
    with pytest.raises(Unavailable, match="the program ends"):
        life.require()
    assert not life.receive_closed()
    life.receive_forked()
    assert life.state is LifeState.OVER
