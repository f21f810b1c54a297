"""Moments."""

from __future__ import annotations

import contextlib
import time

import gevent

from bench.pacing import GreenletPacer


def test_pacer_wakes_greenlets_in_the_order_of_their_moments() -> None:
    """Whoever asked first, and nobody too early."""
    with contextlib.closing(GreenletPacer()) as pacer:
        woken: list[tuple[int, bool]] = []

        def sleeper(number: int, due: float) -> None:
            pacer.wait(due)
            woken.append((number, time.monotonic() >= due))

        now = time.monotonic()
        gevent.joinall([gevent.spawn(sleeper, number, now + 0.5 - number / 10) for number in range(3)], timeout=60)
    assert woken == [(2, True), (1, True), (0, True)]
