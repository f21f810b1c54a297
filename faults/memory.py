"""What a process holds in memory, by its pid, as Linux tells it."""

from __future__ import annotations

import os
from pathlib import Path

_KIB_PER_MIB = 1024
_PAGES_PER_MIB = 1024 * 1024 / os.sysconf("SC_PAGE_SIZE")
_OWN = ("Private_Clean", "Private_Dirty")


def resident(pid: int) -> float:
    """Mebibytes in memory, with what others share counted in full."""
    return _read(pid)["Rss"] / _KIB_PER_MIB


def now(pid: int) -> float:
    """As ``resident``, for who asks all the time: what the kernel counts anyway, and may be a little behind."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) / _PAGES_PER_MIB


def own(pid: int) -> float:
    """Mebibytes in memory that would be free if the process ended."""
    rollup = _read(pid)
    return sum(rollup[key] for key in _OWN) / _KIB_PER_MIB


def _read(pid: int) -> dict[str, int]:
    """Each line of ``smaps_rollup`` that is a size, in KiB."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    fields = (line.split() for line in lines)
    return {name.removesuffix(":"): int(size) for name, size, *_ in fields}
