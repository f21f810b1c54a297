"""The handshakes of a server that have not ended: whose they are, how many there may be, and for how long. Pure.

A peer that connects and says nothing costs a descriptor and some kilobytes, and whoever can connect can do that many
times. So there is room for so many handshakes, half of it for one address; if there is none, the handshake that has
lasted longest gives way, of the address that has most. An honest one is over in a moment, so that it is hardly ever one
of those.
"""

from __future__ import annotations

import itertools
from collections import OrderedDict
from collections.abc import Iterator
from typing import Generic, TypeVar

HandshakeT = TypeVar("HandshakeT")


class Pending(Generic[HandshakeT]):
    """At most ``most`` handshakes, each for ``timeout`` seconds."""

    __slots__ = ("_all", "_by_address", "_most", "_timeout")

    def __init__(self, most: int, timeout: float) -> None:
        self._most = most
        self._timeout = timeout
        self._all: OrderedDict[HandshakeT, tuple[str, float]] = OrderedDict()
        self._by_address: dict[str, OrderedDict[HandshakeT, None]] = {}

    def __len__(self) -> int:
        """How many there are."""
        return len(self._all)

    def __iter__(self) -> Iterator[HandshakeT]:
        """All of them, the oldest first."""
        return iter(list(self._all))

    def __repr__(self) -> str:
        """How many there are, and of how many addresses."""
        return f"<Pending {len(self)} of {len(self._by_address)} addresses>"

    def begin(self, handshake: HandshakeT, address: str, now: float) -> HandshakeT | None:
        """One more has begun; returns the one that has to give way, which is taken out already."""
        victim = self._victim(address)
        if victim is not None:
            self.end(victim)
        self._all[handshake] = address, now + self._timeout
        self._by_address.setdefault(address, OrderedDict())[handshake] = None
        return victim

    def end(self, handshake: HandshakeT) -> bool:
        """It is over; False if it was already."""
        found = self._all.pop(handshake, None)
        if found is None:
            return False
        crowd = self._by_address[found[0]]
        del crowd[handshake]
        if not crowd:
            del self._by_address[found[0]]
        return True

    def next_timer(self) -> float | None:
        """When the oldest has lasted too long; None if there is none."""
        return next((ends_at for _, ends_at in self._all.values()), None)

    def expire(self, now: float, most: int) -> list[HandshakeT]:
        """Those that have lasted too long, ``most`` at a time, which are taken out."""
        late = []
        for handshake, (_, ends_at) in itertools.islice(self._all.items(), most):
            if ends_at > now:
                break
            late.append(handshake)
        for handshake in late:
            self.end(handshake)
        return late

    def greediest(self) -> HandshakeT | None:
        """The one that has lasted longest of the address that has most; None if there is none."""
        crowd = max(self._by_address.values(), key=len, default=None)
        return None if crowd is None else next(iter(crowd))

    def _victim(self, address: str) -> HandshakeT | None:
        own = self._by_address.get(address)
        if own is not None and len(own) >= max(1, self._most // 2):
            return next(iter(own))
        return None if len(self._all) < self._most else self.greediest()
