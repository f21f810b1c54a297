"""Which TLS handshake of a server goes on next, and what one address may have of the server's time for it. Pure.

A step of a handshake takes from a quarter of a millisecond to some milliseconds of arithmetic, and who asks for it pays
nothing. So a handshake that has heard something waits for its step. Addresses take turns, and of each address its
handshakes in the order in which they heard something. An address whose steps have taken more than its share waits until
they have not: whoever begins many handshakes holds up its own.

============  ===================================================================  ====================================
an address    means                                                                its handshakes
============  ===================================================================  ====================================
in credit     its steps took less than ``BURST`` seconds beyond its ``SHARE``      go on when it is their turn
in debt       they took more                                                       wait until it is in credit again
============  ===================================================================  ====================================
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Generic, TypeVar

SHARE = 0.1
"""Part of the time that the steps of one address may take in the long run: some two hundred whole handshakes a second
with keys on elliptic curves. At all of the time the 99th percentile of calls beside a flood was six times what it is
in calm, and at a quarter still twice (fault suite ``tls``)."""
BURST = 0.05
"""Seconds of steps that an address may have at once, before it is held to its share: some hundred whole handshakes, as
when all clients of a host connect again."""
_MOST_ADDRESSES = 1024
"""Addresses of which it is remembered what they had; a forgotten one is in credit."""

HandshakeT = TypeVar("HandshakeT")


class Steps(Generic[HandshakeT]):
    """The handshakes that wait for a step."""

    __slots__ = ("_paid_at", "_waiting")

    def __init__(self) -> None:
        # By address; the one whose turn comes next is first.
        self._waiting: OrderedDict[str, OrderedDict[HandshakeT, None]] = OrderedDict()
        # When an address will have paid for what it had; who paid or had something last is last.
        self._paid_at: OrderedDict[str, float] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def __bool__(self) -> bool:
        """Whether one waits."""
        return bool(self._waiting)

    def __repr__(self) -> str:
        """How many wait, and of how many addresses."""
        return f"<Steps {len(self)} of {len(self._waiting)} addresses>"

    def wait(self, handshake: HandshakeT, address: str) -> None:
        """A handshake of the address has heard something, and waits for its step."""
        self._waiting.setdefault(address, OrderedDict())[handshake] = None

    def forget(self, handshake: HandshakeT, address: str) -> None:
        """It is over, and waits no more if it did."""
        crowd = self._waiting.get(address)
        if crowd is not None:
            crowd.pop(handshake, None)
            if not crowd:
                del self._waiting[address]

    def take(self, now: float) -> HandshakeT | None:
        """The handshake whose step it is, which waits no more; None if none may go on."""
        for address, crowd in self._waiting.items():
            if self._due_at(address) <= now:
                handshake = next(iter(crowd))
                self._waiting.move_to_end(address)
                self.forget(handshake, address)
                return handshake
        return None

    def charge(self, address: str, seconds: float, now: float) -> None:
        """A step for the address took so many seconds."""
        paid_at = max(now, self._paid_at.pop(address, now))
        self._paid_at[address] = paid_at + seconds / SHARE
        if len(self._paid_at) > _MOST_ADDRESSES:
            self._paid_at.popitem(last=False)

    def next_timer(self) -> float | None:
        """From when on one may go on, monotonic seconds; None if none waits. Takes time in proportion to the addresses
        that wait."""
        return min(map(self._due_at, self._waiting), default=None)

    def _due_at(self, address: str) -> float:
        return self._paid_at.get(address, 0.0) - BURST / SHARE
