"""What a process has open, as Linux tells it."""

from __future__ import annotations

import os


def descriptors(pid: int | str = "self") -> int:
    """How many descriptors a process has, this one's with that of the look at them."""
    return len(os.listdir(f"/proc/{pid}/fd"))


def held() -> tuple[int, int]:
    """How many descriptors and native threads this process has."""
    return descriptors(), len(os.listdir("/proc/self/task"))


def sockets() -> set[str]:
    """The sockets that this process has open, by the kernel's number: the same one in a child is the parent's."""
    found = set()
    for descriptor in os.listdir("/proc/self/fd"):
        try:
            target = os.readlink(f"/proc/self/fd/{descriptor}")
        except OSError:  # what listed them
            continue
        if target.startswith("socket:"):
            found.add(target)
    return found
