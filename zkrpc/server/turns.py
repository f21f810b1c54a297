"""Who may use the hub next, when somebody has just used it for long.

Reading, parsing, decoding and handlers that never block all run in the hub, one connection after another. What one of
them costs there is bounded by a *slice*: a connection that has used it up stops, and neither reads nor runs anything
until its turn comes. Those that wait take turns: one peer address after another, and of each its connections, first
come first served. All turns together get a slice in each round of the event loop, one turn at least. So in every round
all others are served first, however many wait here and however much they have to do.

::

    a round:   readable | readable | readable | a slice of turns | timers … | readable | …

A connection whose turn was a short one goes on as everybody does; one that has used half a slice waits for its turn.
Nobody is punished; whoever needs the hub for longer than a slice at a time gets all of what the others leave.

Pure: it is given a timer of the event loop and what tells one round from the next.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable
from typing import Any

SLICE = 0.002
"""Seconds that a connection may use the hub for at a time: some hundred quick calls, and not much beside the time that
a call takes through a network."""
LONG = SLICE / 2
"""Seconds after which a connection has had its turn."""
NOTABLE = SLICE / 40
"""Seconds that are worth being noted."""
_MOST = 5 * SLICE
"""Seconds of one round after which what may take long waits for its turn, whoever it comes from."""


class Turns:
    """The turns of one server.

    Args:
        timer: calls back in the loop's next round, ``start(callback, update=False)``; there is one callback at most.
        round_of: a number that is another in each round of the event loop.
        clock: monotonic seconds.
    """

    __slots__ = ("_clock", "_is_armed", "_round", "_round_of", "_spent", "_timer", "_waiting")

    def __init__(self, timer: Any, round_of: Callable[[], float], clock: Callable[[], float]) -> None:
        self._timer = timer
        self._clock = clock
        self._is_armed = False
        self._round_of = round_of
        # By address; the one whose turn comes next is first.
        self._waiting: OrderedDict[str, deque[Callable[[], object]]] = OrderedDict()
        self._round = 0.0
        self._spent = 0.0

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._waiting.values()))

    def __repr__(self) -> str:
        """How many wait."""
        return f"<Turns waiting={len(self)}>"

    def wait(self, address: str, take_turn: Callable[[], object]) -> None:
        """Has it called when its turn comes, once."""
        crowd = self._waiting.get(address)
        if crowd is None:
            crowd = self._waiting[address] = deque()
        crowd.append(take_turn)
        self._arm()

    def charge(self, seconds: float) -> None:
        """Somebody has used the hub for that long in this round."""
        now = self._round_of()
        if now != self._round:
            self._round = now
            self._spent = 0.0
        self._spent += seconds

    def is_spent(self) -> bool:
        """Whether so much was used in this round that what can wait should."""
        return self._spent > _MOST and self._round_of() == self._round

    def close(self) -> None:
        """Nobody gets a turn any more."""
        self._waiting.clear()
        self._timer.stop()
        self._timer.close()

    def _arm(self) -> None:
        if not self._is_armed:
            self._is_armed = True
            # Without an update: the loop's time is what tells one round from the next.
            self._timer.start(self._give, update=False)

    def _give(self) -> None:
        self._is_armed = False
        ends = self._clock() + SLICE
        # Those who come back for another turn come in another round.
        for _ in range(len(self)):
            address, crowd = self._waiting.popitem(last=False)
            take_turn = crowd.popleft()
            if crowd:
                self._waiting[address] = crowd
            if self._waiting:
                self._arm()
            take_turn()
            if self._clock() >= ends:
                break
