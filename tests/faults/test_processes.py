"""Processes that are stopped, go on and die."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import pytest

from faults import processes

# Answers every line, and so does its child; each has begun with its pid.
_ANSWERS = """
import os, subprocess, sys
if len(sys.argv) > 1:
    subprocess.Popen([sys.executable, "-c", sys.argv[1]], stdin=subprocess.DEVNULL)
print(os.getpid(), flush=True)
for line in sys.stdin:
    print(line, end="", flush=True)
"""
_CHILD = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"

Starter = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def start() -> Iterator[Starter]:
    """Starts a process that answers lines, in a group of its own unless told otherwise."""
    started = []

    def starter(*arguments: str, own_group: bool = True) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", _ANSWERS, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            bufsize=0,
            start_new_session=own_group,
        )
        started.append(process)
        return process

    yield starter
    for process in started:
        process.kill()
        process.communicate(timeout=60)


def line(process: subprocess.Popen[bytes], bound: float = 60.0) -> bytes | None:
    """The next line it says; None if it says nothing in time."""
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], bound)
    return process.stdout.readline() if ready else None


def say(process: subprocess.Popen[bytes], text: bytes) -> None:
    """Says a line to it."""
    assert process.stdin is not None
    process.stdin.write(text)


def test_a_frozen_process_is_silent_until_it_is_thawed(start: Starter) -> None:
    """What it was told meanwhile it answers afterwards."""
    process = start()
    assert line(process)
    processes.freeze(process.pid)
    say(process, b"one\n")
    assert line(process, 0.1) is None
    processes.thaw(process.pid)
    assert line(process) == b"one\n"
    with processes.frozen(process.pid):
        say(process, b"two\n")
        assert line(process, 0.1) is None
    assert line(process) == b"two\n"


def test_a_frozen_process_can_be_killed(start: Starter) -> None:
    """And the end of the block does not mind."""
    process = start()
    assert line(process)
    with processes.frozen(process.pid):
        processes.kill(process.pid)
        assert process.wait(60) == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        processes.freeze(process.pid)


def test_a_group_is_frozen_and_killed_with_its_children(start: Starter) -> None:
    """The pipe ends when nobody holds it any more: parent and child are gone."""
    process = start(_CHILD)
    assert line(process) and line(process)
    with processes.frozen(process.pid, group=True):
        say(process, b"one\n")
        assert line(process, 0.1) is None
    assert line(process) == b"one\n"
    processes.kill(process.pid, group=True)
    assert process.wait(60) == -signal.SIGKILL
    assert line(process) == b""


def test_a_process_alone_leaves_its_children(start: Starter) -> None:
    """Without the group, the child lives on and holds the pipe."""
    process = start(_CHILD)
    pids = {int(line(process) or 0), int(line(process) or 0)}
    processes.kill(process.pid)
    assert process.wait(60) == -signal.SIGKILL
    assert line(process, 0.1) is None
    (child,) = pids - {process.pid}
    processes.kill(child)
    assert line(process) == b""


def test_the_end_of_a_process_is_told_to_whoever_waits_for_it(start: Starter) -> None:
    """When it was; what the process waited for a processor is known then, too, and its status is left to others."""
    process = start()
    assert line(process)
    with pytest.raises(TimeoutError, match="has not ended within"):
        processes.wait_ended(process.pid, 0.01)
    before, starved = time.monotonic(), processes.starved(process.pid)
    processes.kill(process.pid)
    assert before - 0.1 < processes.wait_ended(process.pid, 10) < time.monotonic()
    assert 0 <= starved <= processes.starved(process.pid)
    assert process.wait(10) == -signal.SIGKILL


def test_nobody_stops_themselves(start: Starter) -> None:
    """Neither this process, nor its group, nor everybody."""
    beside = start(own_group=False)
    for pid, group in ((os.getpid(), False), (os.getpid(), True), (beside.pid, True), (0, False), (-1, False)):
        with pytest.raises(ValueError):
            processes.kill(pid, group=group)
