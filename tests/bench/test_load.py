"""Loops that make calls."""

from __future__ import annotations

import asyncio
import os
import time

import gevent
import pytest

from bench import load, load_aio
from bench.load import Greenlets, Job, Threads, verify


def job(callers: int, *, rate: float | None = None, seconds: float = 0.3) -> Job:
    """A short one; this process is the server, too."""
    return Job(workload="echo", callers=callers, warm_up=0.05, seconds=seconds, server_pid=os.getpid(), rate=rate)


@pytest.mark.parametrize("tasks, pause", [(Threads(), time.sleep), (Greenlets(), gevent.sleep)])
def test_closed_loop_calls_again_as_soon_as_it_was_answered(tasks: Threads | Greenlets, pause: object) -> None:
    """Eight callers of a service that takes 10 ms make 800 calls a second, less what waking up takes."""
    assert callable(pause)
    sample = load.closed_loop(tasks, [lambda: pause(0.01)] * 8, job(8, seconds=1.5))
    assert 300 < sample.rate <= 801 and sample.p50 is not None and sample.p50 >= 0.01


def test_closed_loop_of_tasks_does_the_same() -> None:
    """Here callers await."""
    sample = asyncio.run(load_aio.closed_loop([lambda: asyncio.sleep(0.01)] * 8, job(8, seconds=1.5)))
    assert 300 < sample.rate <= 801


def test_paced_loop_charges_a_pause_to_every_call_that_it_kept_waiting() -> None:
    """A service that stands still for 0.1 s once makes ten of a hundred calls a second late, not one."""
    calls = iter(range(1000))

    def call() -> None:
        if next(calls) == 10:
            time.sleep(0.1)

    _, latencies = load.paced_loop(Greenlets(), [call], job(1, rate=100))
    assert sum(latency > 0.005 for latency in latencies) >= 8


def test_paced_loop_keeps_to_its_rate() -> None:
    """Whatever the callers are."""
    for tasks in (Threads(), Greenlets()):
        sample, _ = load.paced_loop(tasks, [lambda: None] * 4, job(4, rate=200))
        assert sample.calls == pytest.approx(60, abs=4)
    sample, _ = asyncio.run(load_aio.paced_loop([lambda: asyncio.sleep(0)] * 4, job(4, rate=200)))
    assert sample.calls == pytest.approx(60, abs=4)


def test_verify_refuses_a_wrong_answer() -> None:
    """Nobody is fast by being wrong; an answer that cannot be compared passes."""
    verify("abc", "abc")
    verify(b"anything", None)
    with pytest.raises(ValueError, match="expected 'abc', got 'abd'"):
        verify("abd", "abc")
