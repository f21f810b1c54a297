"""Whether to believe a list of members that has lost most of them.

A list may collapse although the members are well: sessions that expire together because ZooKeeper was slow, an operator
who deletes the wrong node. To believe it at once would stop a service that works; never to believe it would send calls
for ever to a service that was really taken down (Dubbo's protection does the one or the other). So a collapse is not
believed to its word: those who vanished stay in use for as long as they answer, and leave one by one, as each refuses.
A planned exit needs no exception from this. A server that leaves says so to every peer that is connected, or connects,
before it stops: it refuses, as far as this goes, at once.

A machine that sees only the sizes of lists and the time.
"""

from __future__ import annotations

from collections import deque


class CollapseGuard:
    """Looks at the sizes of one service's lists.

    Args:
        floor: the share of the largest recent size below which a list is suspicious; an empty one always is.
        window: seconds that count as recent; 0 suspects nothing.
    """

    __slots__ = ("_floor", "_sizes", "_window")

    def __init__(self, *, floor: float, window: float) -> None:
        self._floor = floor
        self._window = window
        # When each size was last true, the largest first: a size that is over by a later, larger one says nothing more.
        self._sizes: deque[tuple[float, int]] = deque()

    def receive_list(self, size: int, before: int, now: float) -> bool:
        """A list of ``size`` members replaces one of ``before``. True if it is suspiciously short."""
        sizes = self._sizes
        while sizes and sizes[-1][1] <= before:
            sizes.pop()
        sizes.append((now, before))
        while sizes[0][0] < now - self._window:
            sizes.popleft()
        if not self._window:
            return False
        return size < self._floor * sizes[0][1] or (size == 0 < before)

    def __repr__(self) -> str:
        """The sizes that count."""
        return f"<CollapseGuard {[size for _, size in self._sizes]}>"
