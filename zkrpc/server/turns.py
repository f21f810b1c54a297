"""Which connection may use the hub next, after one has used it for long.

Reading, parsing, decoding and handlers that never block all run in the hub, one connection after another. How long one
of them may use it is bounded by a *slice*: a connection that has used it up stops, and neither reads nor runs anything
until its turn comes. Waiting connections take turns: one peer address after another, and of each address its
connections in the order in which they came. All turns together get one slice in each round of the event loop, and at
least one turn. So in every round all other connections are served first, however many wait here and however much they
have to do.

::

    a round:   readable | readable | readable | a slice of turns | timers … | readable | …

A connection whose turn was short is read as usual again; one that has used half a slice in its turn waits for the next.
A connection that needs the hub for longer than a slice at a time gets all the time that the others leave.

Pure: the timer of the event loop, and a function that tells one round from the next, are handed in.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

SLICE = 0.0005
"""Seconds for which a connection may use the hub at a time: enough for some twenty-five quick calls, and no more than
one call takes through a network. A call that comes beside a flood waits for two or three slices. At 2 ms the 99th
percentile of such calls was ten times what it is in calm, at 0.5 ms it is four times (fault suite ``hostile``)."""
LONG = SLICE / 2
"""Seconds after which a turn counts as a long one."""
NOTABLE = SLICE / 40
"""Seconds of work from which calling ``charge`` pays."""
_MOST = 2 * SLICE
"""Seconds of one round after which all work that may take long waits for a turn, whichever connection it comes from."""

T = TypeVar("T")


def in_slices(
    some: Iterable[T], clock: Callable[[], float], sleep: Callable[[float], object]
) -> Iterator[tuple[T, float]]:
    """Each of them beside the time, for work that may be long in sum though none of it is: after each slice the hub
    sleeps for two, so that calls go between. A crowd that came together, for one, is cut together: at a tenth of a
    millisecond each, 250 in a row stopped all calls for 27 ms (fault suite ``hostile``)."""
    ends = clock() + SLICE
    for one in some:
        now = clock()
        if now > ends:
            sleep(2 * SLICE)
            now = clock()
            ends = now + SLICE
        yield one, now


class Turns:
    """The turns of one server.

    Args:
        timer: calls back in the loop's next round, ``start(callback, update=False)``; there is one callback at most.
        round_of: gives a number that is different in each round of the event loop.
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
        """Has ``take_turn`` called once, at the next turn of this address."""
        crowd = self._waiting.get(address)
        if crowd is None:
            crowd = self._waiting[address] = deque()
        crowd.append(take_turn)
        self._arm()

    def charge(self, seconds: float) -> None:
        """Adds to the time for which the hub was used in this round."""
        now = self._round_of()
        if now != self._round:
            self._round = now
            self._spent = 0.0
        self._spent += seconds

    def is_spent(self) -> bool:
        """Whether so much time was used in this round that work which can wait should wait."""
        return self._spent > _MOST and self._round_of() == self._round

    def close(self) -> None:
        """Gives no more turns."""
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
