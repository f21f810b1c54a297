"""What both halves of suite ``hostile`` hold a process to, and how they look at its memory."""

from __future__ import annotations

import gevent

from faults import memory

CALM = 3.0
"""Seconds before an attack."""
RECOVERY = 10.0
"""Seconds after which memory is what it was."""
SLOWER = 5.0
"""Times what a call takes in calm."""
BACK = 20.0
"""Mebibytes that may stay."""
_LOOK = 0.05


class Watch:
    """The most memory that a process has held, looked at all the time."""

    def __init__(self, pid: int) -> None:
        self.most = 0.0
        self._pid = pid
        self._greenlet = gevent.spawn(self._look)

    def stop(self) -> float:
        """Ends the looking; the most, in mebibytes."""
        self._greenlet.kill()
        return self.most

    def _look(self) -> None:
        while True:
            self.most = max(self.most, memory.now(self._pid))
            gevent.sleep(_LOOK)
