"""One timer: it rings once, at the moment set last, and never after it was cleared."""

from __future__ import annotations

import math
import time

import gevent

from tests.support.scripted_servers import wait_until
from zkrpc.client.alarm import Alarm


def test_alarm_rings_once_at_the_moment_set_last() -> None:
    """Setting it anew replaces what was set; after it rang it is not set."""
    rings: list[float] = []
    alarm = Alarm(gevent.get_hub().loop, time.monotonic, lambda: rings.append(alarm.at))
    assert alarm.at == math.inf
    alarm.set(time.monotonic() + 60)
    alarm.set(time.monotonic() - 1)
    wait_until(lambda: rings)
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
