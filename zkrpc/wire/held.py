"""Requests whose sequence id is in flight already: they run one after another, in the order in which they came."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from zkrpc.wire.message import Request


class HeldRequests:
    """The held requests of one connection. ``count`` is stored because it is read often."""

    __slots__ = ("_by_id", "count")

    def __init__(self) -> None:
        self.count = 0
        self._by_id: dict[int, deque[Request]] = {}

    def __iter__(self) -> Iterator[Request]:
        """All held requests."""
        for waiting in self._by_id.values():
            yield from waiting

    def add(self, request: Request) -> None:
        """Holds a request until its id is free."""
        self._by_id.setdefault(request.seqid, deque()).append(request)
        self.count += 1

    def pop(self, seqid: int) -> Request | None:
        """Takes out the next request with this id, which is free now; None if there is none."""
        waiting = self._by_id.get(seqid)
        if waiting is None:
            return None
        request = waiting.popleft()
        self.count -= 1
        if not waiting:
            del self._by_id[seqid]
        return request

    def clear(self) -> None:
        """Drops all of them."""
        self._by_id.clear()
        self.count = 0
