"""What a process has open, as Linux tells it."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable


def descriptors(pid: int | str = "self") -> int:
    """How many descriptors a process has, this one's with that of the look at them."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def held() -> tuple[int, int]:
    """How many descriptors and native threads this process has."""
    return descriptors(), len(os.listdir("/proc/self/task"))


def settled(sleep: Callable[[float], object] = time.sleep) -> tuple[int, int]:
    """The most that it held in half a second of looks, once it held no more in the next: what is opened and closed
    again, as by a connection that is replaced, does not pass for less than there is."""
    most = held()
    while True:
        seen = [held() for _ in range(50) if not sleep(0.01)]
        highest = max(descriptors for descriptors, _ in seen), max(threads for _, threads in seen)
        if highest[0] <= most[0] and highest[1] <= most[1]:
            return highest
        most = highest


def holds_more(before: tuple[int, int]) -> bool:
    """Whether it holds more than ``before``: what was still ending then may have ended since."""
    return any(now > then for now, then in zip(held(), before))


def sockets() -> set[str]:
    """The sockets that this process has open, by the kernel's number: the same one in a child is the parent's."""
    return {target for target in open_files() if target.startswith("socket:")}


def open_files() -> set[str]:
    """What this process has open, by name, and by the kernel's number what has none."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):  # what listed them
            found.add(os.readlink(f"/proc/self/fd/{descriptor}"))
    return found
