"""The calls of a connection that must end before one that was sent earlier, by their deadlines.

All others end in the order of sending, as a rule, and need no queue of their own; see :mod:`zkrpc.wire.client`. A call
that is over stays here until it is on top, or until the queue is swept.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from zkrpc.wire.message import PendingCall

_SLACK = 64


class EarlyDeadlines:
    """``pending`` is the connection's table of calls by id; it is only read."""

    __slots__ = ("_heap", "_pending")

    def __init__(self, pending: Mapping[int, PendingCall]) -> None:
        self._pending = pending
        self._heap: list[tuple[float, int, int]] = []

    def __len__(self) -> int:
        """Entries, those of calls that are over included."""
        return len(self._heap)

    def __repr__(self) -> str:
        """How many entries there are."""
        return f"<EarlyDeadlines {len(self)}>"

    def add(self, deadline_at: float, call_id: int, serial: int) -> None:
        """This call, too."""
        heap = self._heap
        if len(heap) > 2 * len(self._pending) + _SLACK:
            heap[:] = [entry for entry in heap if self._is_pending(entry)]
            heapq.heapify(heap)
        heapq.heappush(heap, (deadline_at, call_id, serial))

    def first(self, otherwise: float) -> float:
        """The nearest deadline of all, if it comes before ``otherwise``."""
        heap = self._heap
        while heap and not self._is_pending(heap[0]):
            heapq.heappop(heap)
        return min(heap[0][0], otherwise) if heap else otherwise

    def expire(self, now: float) -> list[int]:
        """The ids of those whose time is up."""
        heap, expired = self._heap, []
        while heap and (heap[0][0] <= now or not self._is_pending(heap[0])):
            entry = heapq.heappop(heap)
            if self._is_pending(entry):
                expired.append(entry[1])
        return expired

    def clear(self) -> None:
        """None is left."""
        self._heap.clear()

    def _is_pending(self, entry: tuple[float, int, int]) -> bool:
        call = self._pending.get(entry[1])
        return call is not None and call[2] == entry[2]
