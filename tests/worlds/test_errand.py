"""One call on its way through the hub thread, whatever the order in which things come."""

from __future__ import annotations

import gc
import sys
from contextvars import copy_context
from typing import Any

import pytest

from zkrpc.worlds.errand import Errand, ErrandState


def errand() -> Errand:
    return Errand(len, ("abc",), copy_context(), lambda _: None)


def test_errand_that_goes_well_has_a_value() -> None:
    """It waits, runs in one greenlet, and has what came of it."""
    it = errand()
    assert it.state is ErrandState.WAITING and repr(it) == "<Errand waiting>"
    assert it.begin("greenlet") and it.state is ErrandState.RUNNING and it.greenlet == "greenlet"
    it.finish(3)
    assert it.state is ErrandState.DONE and it.greenlet is None
    assert it.take() == 3


def test_error_is_raised_once_and_kept_by_nobody() -> None:
    """An errand that knew its error, whose traceback knows the caller's frame, would keep both until a collection."""
    it = errand()
    it.begin(None)
    it.fail(ValueError("wrong"))
    gc.disable()
    try:
        with pytest.raises(ValueError, match="wrong") as caught:
            it.take()
        error: Any = caught.value
        assert it.outcome == (None, None)
        del caught
        assert sys.getrefcount(error) <= 3
    finally:
        gc.enable()


def test_outcome_is_taken_from_the_errand() -> None:
    """For futures: what came of it, which the errand forgets."""
    it = errand()
    it.begin(None)
    it.finish(3)
    assert it.outcome == (3, None)
    assert it.outcome == (None, None)


def test_errand_given_up_before_it_began_does_not_begin() -> None:
    """It is done at once, without a greenlet."""
    it = errand()
    assert it.give_up()
    assert not it.begin("greenlet")
    assert it.state is ErrandState.DONE and it.interrupt() is None
    assert repr(it) == "<Errand done given up>"


def test_errand_given_up_while_it_runs_is_interrupted_once() -> None:
    """Where it runs; afterwards it ends with an error that nobody takes."""
    it = errand()
    it.begin("greenlet")
    assert it.give_up() and not it.give_up()
    assert it.interrupt() == "greenlet" and it.interrupt() is None
    it.fail(ValueError())
    assert it.state is ErrandState.DONE


def test_errand_that_is_done_cannot_be_given_up() -> None:
    """Then the hub thread need not be told."""
    it = errand()
    it.begin("greenlet")
    it.finish(None)
    assert not it.give_up() and not it.given_up
