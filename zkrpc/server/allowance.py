"""What the built-in services of a server may cost: how many of their calls run at once, and how often one address may
ask. Pure.

They are not counted among the server's handlers, so that a server that is full can still say so. Their bounds are their
own, and small: each service has so many places, of which one address gets half at most, and each address may ask so
often.
"""

from __future__ import annotations

from collections import Counter, OrderedDict

from zkrpc.wire import status
from zkrpc.wire.status import Status

MAX_REQUEST = 16 * 1024
"""Bytes of a request, which holds a few names."""
LONGEST = 60.0
"""Seconds after which a call is ended. Handlers that wait should answer long before."""
PLACES = 64
"""Calls of one built-in service that run at once."""
PER_ADDRESS = PLACES // 2
"""Those of them that one address may have."""
RATE = 50.0
"""Calls a second of one address, all built-in services together. Many callers may come from one address, that of a
proxy, and each asks every few seconds."""
BURST = 100.0
"""Calls of one address on top of that, at once."""
_MOST_ADDRESSES = 1024
"""Addresses whose calls are counted; with more of them, those that have not asked for longest are forgotten. Most of
them may do all again by then anyway."""


class Allowance:
    """Counts. Each call that is not refused has a place until ``leave``."""

    def __init__(self) -> None:
        self._places: Counter[tuple[str, str]] = Counter()
        self._taken: Counter[str] = Counter()
        self._tokens: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def __repr__(self) -> str:
        """How many run, of which services."""
        return f"<Allowance {dict(+self._taken)}>"

    def refusal(self, service: str, size: int, address: str, now: float) -> tuple[str, Status] | None:
        """Why a request of ``size`` bytes is refused; None if it may run. Asking counts, also in vain."""
        if size > MAX_REQUEST:
            return f"{size} bytes are more than a built-in service takes", status.TOO_LARGE
        place = service, address
        if not self._spend(address, now):
            return f"{address} asks more often than {RATE:g} times a second", status.overloaded(1 / RATE)
        if self._taken[service] >= PLACES or self._places[place] >= PER_ADDRESS:
            return f"{service} is asked by too many at once", status.OVERLOADED
        self._taken[service] += 1
        self._places[place] += 1
        return None

    def leave(self, service: str, address: str) -> None:
        """A call that was admitted is over."""
        place = service, address
        self._taken[service] -= 1
        self._places[place] -= 1
        if not self._places[place]:
            del self._places[place]

    def _spend(self, address: str, now: float) -> bool:
        """Takes one of an address's tokens; False if it has none."""
        tokens, at = self._tokens.pop(address, (BURST, now))
        tokens = min(BURST, tokens + (now - at) * RATE)
        if len(self._tokens) >= _MOST_ADDRESSES:
            self._tokens.popitem(last=False)
        self._tokens[address] = (max(0.0, tokens - 1.0), now)
        return tokens >= 1.0
