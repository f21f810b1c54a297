"""Waits that end with an error, and the timer for all their deadlines."""

from __future__ import annotations

import math
import time
from typing import Any

import gevent
import pytest
from gevent import get_hub, getcurrent

from tests.support.waiting import eventually
from zkrpc.client.waiting import Alarm, Waiter, executed_if, fail_soon, fail_waiters
from zkrpc.errors import CallError, ConnectionLost, Executed


class Raw:
    """Plays a greenlet; one that does not catch what is thrown raises it in the hub."""

    def __init__(self, catches: bool = True) -> None:
        self.caught: list[CallError] = []
        self._catches = catches

    def throw(self, error: CallError) -> None:
        self.caught.append(error)
        if not self._catches:
            raise error


class Hub:
    """Notes what nobody caught."""

    def __init__(self) -> None:
        self.errors: list[Any] = []

    def handle_error(self, greenlet: Any, *error: Any) -> None:
        self.errors.append((greenlet, error[1]))


def test_every_waiter_gets_its_error_once() -> None:
    """Those who left get none, and one that does not catch its own keeps nobody from theirs."""
    hub, wild, tame = Hub(), Raw(catches=False), Raw()
    errors = [ConnectionLost(str(number)) for number in range(3)]
    waiters = [Waiter(wild, False), Waiter(None, True), Waiter(tame, True)]
    for _ in range(2):
        fail_waiters(hub, zip(waiters, errors))
    assert (wild.caught, tame.caught) == ([errors[0]], [errors[2]])
    assert hub.errors == [(wild, errors[0])]
    assert [waiter.greenlet for waiter in waiters] == [None] * 3


def test_wait_may_be_ended_from_the_greenlet_that_is_about_to_begin_it() -> None:
    """The hub does it, in its next turn."""
    hub, error = get_hub(), ConnectionLost("gone")
    fail_soon(hub, [(Waiter(getcurrent(), False), error)])
    fail_soon(hub, [])
    with pytest.raises(ConnectionLost) as caught:
        hub.switch()
    assert caught.value is error


def test_call_without_an_answer_ran_perhaps_if_it_left() -> None:
    """Never more is claimed than is known, and no less."""
    assert (executed_if(True), executed_if(False)) == (Executed.MAYBE, Executed.NO)


def test_alarm_rings_once_at_the_moment_set_last() -> None:
    """Setting it anew replaces what was set; after it rang it is not set."""
    rings: list[float] = []
    alarm = Alarm(gevent.get_hub().loop, time.monotonic, lambda: rings.append(alarm.at))
    assert alarm.at == math.inf
    alarm.set(time.monotonic() + 60)
    alarm.set(time.monotonic() - 1)
    eventually(lambda: rings)
    gevent.sleep(0.01)
    assert (rings, repr(alarm)) == ([math.inf], "<Alarm at inf>")
    alarm.clear()


def test_alarm_that_was_cleared_does_not_ring() -> None:
    """Nothing is left of it in the loop."""
    rings: list[int] = []
    alarm = Alarm(gevent.get_hub().loop, time.monotonic, lambda: rings.append(1))
    alarm.set(time.monotonic() + 0.005)
    alarm.clear()
    gevent.sleep(0.02)
    assert (rings, alarm.at) == ([], math.inf)
