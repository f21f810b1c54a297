"""The calls of a connection whose deadline is before that of a call sent earlier, in a heap of their own.

As a rule calls end in the order of sending, and need no queue but the table of pending calls; see
:mod:`zkrpc.wire.client`. The entry of a call that is over stays until it is on top of the heap, or until the heap is
swept.
"""

from __future__ import annotations

import heapq
from collections.abc import Mapping

from zkrpc.wire.message import PendingCall

_SLACK = 64


class EarlyDeadlines:
    """The heap of one connection. ``pending`` is the connection's table of calls by id, which is only read here."""

    __slots__ = ("_heap", "_pending")

    def __init__(self, pending: Mapping[int, PendingCall]) -> None:
        self._pending = pending
        self._heap: list[tuple[float, int, int]] = []

    def __len__(self) -> int:
        """The number of entries, including those of calls that are over."""
        return len(self._heap)

    def __repr__(self) -> str:
        """How many entries there are."""
        return f"<EarlyDeadlines {len(self)}>"

    def add(self, deadline_at: float, call_id: int, serial: int) -> None:
        """Adds a call."""
        heap = self._heap
        if len(heap) > 2 * len(self._pending) + _SLACK:
            heap[:] = [entry for entry in heap if self._is_pending(entry)]
            heapq.heapify(heap)
        heapq.heappush(heap, (deadline_at, call_id, serial))

    def first(self, otherwise: float) -> float:
        """The nearest deadline, or ``otherwise`` if that is earlier."""
        heap = self._heap
        while heap and not self._is_pending(heap[0]):
            heapq.heappop(heap)
        return min(heap[0][0], otherwise) if heap else otherwise

    def expire(self, now: float) -> list[int]:
        """Removes the calls whose deadline has passed, and returns their ids."""
        heap, expired = self._heap, []
        while heap and (heap[0][0] <= now or not self._is_pending(heap[0])):
            entry = heapq.heappop(heap)
            if self._is_pending(entry):
                expired.append(entry[1])
        return expired

    def clear(self) -> None:
        """Removes all entries."""
        self._heap.clear()

    def _is_pending(self, entry: tuple[float, int, int]) -> bool:
        call = self._pending.get(entry[1])
        return call is not None and call[2] == entry[2]
