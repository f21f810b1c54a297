"""Faults of processes, by pid: to stop where they stand, to go on, to be gone, alone or with their whole group.

It knows signals and nothing of what the processes are. Whoever started a process still has to wait for it. When one
ended, and how long it only waited for a processor, is told for those who measure on a machine that they share.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import time
from collections.abc import Iterator


def freeze(pid: int, *, group: bool = False) -> None:
    """Stops a process where it stands, as a long pause of its machine would; its sockets stay open and silent."""
    _send(pid, signal.SIGSTOP, group)


def thaw(pid: int, *, group: bool = False) -> None:
    """Lets a frozen process go on; it does not know that time has passed."""
    _send(pid, signal.SIGCONT, group)


@contextlib.contextmanager
def frozen(pid: int, *, group: bool = False) -> Iterator[None]:
    """Frozen within the block. A process that died meanwhile is not missed."""
    freeze(pid, group=group)
    try:
        yield
    finally:
        with contextlib.suppress(ProcessLookupError):
            thaw(pid, group=group)


def kill(pid: int, *, group: bool = False) -> None:
    """Ends a process as a crash would, frozen or not; with ``group`` everything that it started beside itself."""
    _send(pid, signal.SIGKILL, group)


def starved(pid: int) -> float:
    """Seconds for which the main thread of a process, dead or alive, was ready to run while no processor was free; 0
    where the kernel does not count them."""
    with contextlib.suppress(FileNotFoundError), open(f"/proc/{pid}/schedstat") as file:
        return int(file.read().split()[1]) / 1e9
    return 0.0


def wait_ended(pid: int, timeout: float) -> float:
    """Waits until a child has ended, and leaves its exit status to others; when that was, monotonic. To be called in
    the main thread: if no processor is free for it afterwards, that is taken off. Raises TimeoutError."""
    descriptor = os.pidfd_open(pid)
    try:
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        before = starved(os.getpid())
        if not poll.poll(timeout * 1000):
            raise TimeoutError(f"process {pid} has not ended within {timeout:g} s")
        return time.monotonic() - (starved(os.getpid()) - before)
    finally:
        os.close(descriptor)


def _send(pid: int, number: signal.Signals, group: bool) -> None:
    """Raises ProcessLookupError if there is no such process, ValueError if it is ourselves."""
    if pid <= 1:
        # To kill() such a number means every process there is, or our own group.
        raise ValueError(f"{pid} names no process that a test may stop")
    if not group:
        if pid == os.getpid():
            raise ValueError("that is this process itself")
        os.kill(pid, number)
        return
    number_of_group = os.getpgid(pid)
    if number_of_group == os.getpgrp():
        raise ValueError(f"process {pid} is in this process's own group: start it with start_new_session=True")
    os.killpg(number_of_group, number)
