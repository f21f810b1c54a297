"""The processes beside a suite's own, and what they hold in memory."""

from __future__ import annotations

import os

import gevent
import pytest

from faults import memory
from faults.companion import Companion


def test_companion_speaks_in_lines_while_others_go_on() -> None:
    """And ends with its standard input."""
    turns: list[int] = []
    gevent.spawn(turns.append, 1)
    with Companion("faults.scale_target", 2) as companion:
        assert len(companion.line().split()) == 2 and turns
        with pytest.raises(TimeoutError, match="scale_target says nothing for 0.01 s"):
            companion.line(0.01)
        pid = companion.pid
    assert not os.path.exists(f"/proc/{pid}")


def test_companion_that_ended_says_so() -> None:
    """Instead of the line that was waited for."""
    with Companion("faults.scale_target", "none") as companion:
        with pytest.raises(RuntimeError, match="ended with status 1"):
            companion.line()


def test_memory_of_this_process_grows_with_what_it_holds() -> None:
    """In mebibytes; what is its own is part of what is there."""
    pid = os.getpid()
    before = memory.own(pid)
    held = os.urandom(20 * 2**20)
    assert 15 < memory.own(pid) - before < 30 and len(held)
    assert memory.resident(pid) >= memory.own(pid)
