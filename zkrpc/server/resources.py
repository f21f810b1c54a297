"""Resources of the process: enough file descriptors for the config, memory, and freed memory that goes back to the
system.

The kernel's table of a process's descriptors grows with them, by doubling, and in a process with threads it waits each
time until all processors have left what they do (a grace period of RCU). A crowd of a thousand that came to a young
server so stopped its event loop four times, for 7 to 17 ms each, while it accepted them (measured). So the table is
made large enough before anybody comes.

The C library keeps freed memory for later use. After a flood of large frames it kept as much as the flood had taken, as
small objects that live on lie between the large ones that were freed (measured: 160 MiB for ever).
"""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import os
import resource
from collections.abc import Callable
from typing import NamedTuple

RESERVE = 100
"""Descriptors beside those of connections: ZooKeeper, the log, the handler's own files and what it calls."""

_MOST_ROOM = 65536
"""Descriptors for which there is room from the start: half a megabyte of the kernel's memory. Who wants more than that
can bear the growth."""


class DescriptorPlan(NamedTuple):
    """The soft limit to set, if it has to change, and the warning, if one is due."""

    soft: int
    warning: str | None


def plan_limit(max_connections: int, soft: int, hard: int) -> DescriptorPlan:
    """What to do, given the process's limits; ``resource.RLIM_INFINITY`` means no limit."""
    wanted = max_connections + RESERVE
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return DescriptorPlan(soft, None)
    if hard == resource.RLIM_INFINITY or hard >= wanted:
        return DescriptorPlan(wanted, None)
    return DescriptorPlan(
        hard,
        f"max_connections={max_connections} needs {wanted} descriptors, and this process may have {hard}: beyond some "
        f"{max(0, hard - RESERVE)} connections nobody is accepted; raise the limit (ulimit -Hn, LimitNOFILE=) or lower "
        "max_connections",
    )


def provide_descriptors(max_connections: int) -> str | None:
    """Raises the soft limit of this process as far as needed and allowed, and makes room for so many; returns a warning
    if that does not suffice."""
    warning = _raise_limit(max_connections)
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    room = min(max_connections + RESERVE, _MOST_ROOM)
    _make_room(room if soft == resource.RLIM_INFINITY else min(room, soft))
    return warning


def _make_room(count: int) -> None:
    """Has the kernel's table hold so many descriptors from now on."""
    with contextlib.suppress(OSError), open(os.devnull, "rb") as some:
        os.close(fcntl.fcntl(some.fileno(), fcntl.F_DUPFD_CLOEXEC, count - 1))


def _raise_limit(max_connections: int) -> str | None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    plan = plan_limit(max_connections, soft, hard)
    if plan.soft != soft:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (plan.soft, hard))
        except (OSError, ValueError) as error:  # some systems allow less than they say
            return f"cannot have {plan.soft} descriptors for max_connections={max_connections}, only {soft}: {error}"
    return plan.warning


def occupied_memory() -> int | None:
    """Bytes of memory that this process occupies; None where the system does not tell."""
    try:
        with open("/proc/self/statm", "rb") as told:
            return int(told.read().split()[1]) * resource.getpagesize()
    except (OSError, ValueError, IndexError):
        return None


@functools.cache
def _trimmer() -> Callable[[int], int] | None:
    """The GNU C library's ``malloc_trim``; None with another C library."""
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (OSError, AttributeError, TypeError):
        return None
    trim.argtypes, trim.restype = [ctypes.c_size_t], ctypes.c_int
    return trim


def give_back() -> bool:
    """Gives back what can be given back; False if this C library has no function for it. Takes some milliseconds for a
    hundred MiB."""
    trim = _trimmer()
    if trim is None:
        return False
    trim(0)
    return True
