"""How much memory all connections of a server hold together, and which one is closed when it is too much.

Held are frames that are incomplete, requests that are in flight, and replies that their peers have not read. Each
connection has bounds of its own for these, but there may be many connections. So all of it is counted against one
budget. When that is used up, a connection is closed: of the peer address that holds most, the connection that holds
most, and of several that hold about as much the one that has done so for longest. A connection that holds little is
never chosen while another holds more, and small calls are not even counted.

Pure bookkeeping: a connection says what it holds whenever that may have changed.
"""

from __future__ import annotations

from collections.abc import Callable

from zkrpc.wire.server import ServerProtocol

_SMALL = 4 * 1024
"""Bytes that a connection may hold without being counted; the connection itself costs about as much."""
_MUCH = 16 * 1024 * 1024
"""Bytes from which giving freed memory back to the system pays."""
_PRECISION = 64 * 1024
"""Bytes that may be received before the bytes in flight are counted again; until then all received ones count as in
flight."""


class Holding:
    """What one connection holds; ``evict`` is called with the reason when it has to be closed."""

    __slots__ = ("_buffers", "_evict", "_exact", "address", "received", "size")

    def __init__(self, buffers: Buffers, address: str, evict: Callable[[str], object]) -> None:
        self.address = address
        self.size = 0
        """Bytes counted for this connection."""
        self.received = 0
        """Bytes received since they were last counted; the connection adds to it."""
        self._exact = 0
        self._buffers = buffers
        self._evict: Callable[[str], object] | None = evict

    def __repr__(self) -> str:
        """The address and the bytes."""
        return f"<Holding {self.address} size={self.size}>"

    def update(self, protocol: ServerProtocol, unsent: int) -> None:
        """Counts anew after bytes came, left or were answered. That may evict the connection that holds most, which may
        be this one."""
        if not unsent and protocol.partial_since is None and not protocol.in_flight:
            self.received = self._exact = 0
            if self.size:
                self._buffers.change(self, 0)
            return
        if self.received > _PRECISION:
            self._exact, self.received = protocol.held_bytes, 0
        size = self._exact + self.received + unsent
        if size < _SMALL:
            size = 0
        if size != self.size:
            self._buffers.change(self, size)

    def move(self, address: str) -> None:
        """What it holds counts for another address from now on."""
        size = self.size
        self._buffers.change(self, 0)
        self.address = address
        self._buffers.change(self, size)

    def evict(self, reason: str) -> None:
        """Has the connection close."""
        if self._evict is not None:
            self._evict(reason)

    def release(self) -> None:
        """The connection is closed, and holds nothing."""
        self._evict = None
        self._buffers.change(self, 0)


class _Account:
    """What one address holds: its holdings by the number of bits of their size, in the order in which they reached
    it."""

    __slots__ = ("classes", "total")

    def __init__(self) -> None:
        self.classes: dict[int, dict[Holding, None]] = {}
        self.total = 0

    def change(self, holding: Holding, size: int) -> None:
        before, after = holding.size.bit_length(), size.bit_length()
        self.total += size - holding.size
        if before == after:
            return
        if before:
            del self.classes[before][holding]
            if not self.classes[before]:
                del self.classes[before]
        if after:
            self.classes.setdefault(after, {})[holding] = None


class Buffers:
    """The budget of one server: ``most`` bytes."""

    __slots__ = ("_accounts", "_peak", "most", "total")

    def __init__(self, most: int) -> None:
        self.most = most
        self.total = 0
        """Bytes held by all."""
        self._peak = 0
        self._accounts: dict[str, _Account] = {}

    def __repr__(self) -> str:
        """Bytes held, and the budget."""
        return f"<Buffers {self.total}/{self.most}>"

    def change(self, holding: Holding, size: int) -> None:
        """A connection holds so many bytes from now on. Evicts until all together hold no more than they may."""
        account = self._accounts.get(holding.address)
        if account is None:
            account = self._accounts[holding.address] = _Account()
        account.change(holding, size)
        self.total += size - holding.size
        holding.size = size
        if not account.total:
            del self._accounts[holding.address]
        if self.total > self._peak:
            self._peak = self.total
        if self.total > self.most:
            self._evict()

    def take_relief(self) -> bool:
        """True once after much was held and most of it has been freed."""
        if self._peak < _MUCH or 4 * self.total > self._peak:
            return False
        self._peak = self.total
        return True

    def _evict(self) -> None:
        while self.total > self.most:
            account = max(self._accounts.values(), key=lambda one: one.total)
            greediest = next(iter(account.classes[max(account.classes)]))
            greediest.evict(f"held {greediest.size} bytes when max_buffered {self.most} was used up")
            if greediest.size:  # it did not go; whoever comes next tries again
                break
