"""Weighted round robin: each candidate in turn, as often as its weight says, and evenly spread.

Every candidate has a time at which its next turn is due, and the one that is due first is picked; its next turn is due
``1 / weight`` later (earliest deadline first, as in Waldspurger and Weihl, "Stride Scheduling", 1995). So at any moment
each candidate's next turn is due within one turn's length, and of two candidates neither is ever ahead of the other by
more than one turn of each: ``|x / wx - y / wy| <= 1 / wx + 1 / wy`` for the picks x and y of any stretch. Time here is
counted in turns and has nothing to do with a clock; a pick costs O(log n).

Each candidate begins at a random place within its first turn. So every client has an order of its own, and clients do
not all call the same instance at once. A candidate that was there before a change of the list keeps the part of a turn
that it still has to wait, even if its weight changed; so frequent changes neither favour nor starve any of them.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Generic

from zkrpc.balancing.candidate import CandidateT, is_avoided, narrow, pickable

_heapreplace = heapq.heapreplace


class RoundRobin(Generic[CandidateT]):
    """Picks among a fixed list of candidates; made anew, from the previous one, when the list changes."""

    __slots__ = ("_candidates", "_line", "_turns")

    def __init__(
        self,
        candidates: Iterable[CandidateT],
        *,
        rng: Callable[[], float],
        previous: RoundRobin[CandidateT] | None = None,
    ) -> None:
        self._candidates = pickable(candidates)
        self._turns = [1.0 / one.weight for one in self._candidates]
        waits = previous._waits() if previous is not None else {}
        shares = [waits[one.id] if one.id in waits else rng() for one in self._candidates]
        # A heap of when the next turn is due, and whose it is.
        self._line = [(share / one.weight, place) for place, (share, one) in enumerate(zip(shares, self._candidates))]
        heapq.heapify(self._line)

    def __len__(self) -> int:
        """The number of candidates that can be picked."""
        return len(self._candidates)

    def pick(
        self,
        rng: Callable[[], float],
        now: float,
        avoid: Sequence[Collection[CandidateT]] = (),
        key: str | None = None,
    ) -> CandidateT | None:
        """See :meth:`zkrpc.balancing.picker.Picker.pick`. ``rng``, ``now`` and ``key`` are ignored."""
        line = self._line
        if not line:
            return None
        due, place = line[0]
        first = self._candidates[place]
        if avoid and is_avoided(first, avoid):
            return self._pick_around(avoid)
        _heapreplace(line, (due + self._turns[place], place))
        return first

    def _pick_around(self, avoid: Sequence[Collection[CandidateT]]) -> CandidateT:
        """The first in line that need not be avoided. Those that it overtakes lose their turn and do not get it
        later."""
        line = sorted(self._line)
        in_line = [self._candidates[place] for _, place in line]
        first = narrow(in_line, avoid)[0]
        position = in_line.index(first)
        due = line[position][0]
        ended = [(due + self._turns[place], place) for _, place in line[: position + 1]]
        self._line = ended + line[position + 1 :]
        heapq.heapify(self._line)
        return first

    def _waits(self) -> dict[str, float]:
        """By id, the part of a turn each one still has to wait."""
        start = self._line[0][0] if self._line else 0.0
        return {self._candidates[place].id: min(1.0, (due - start) / self._turns[place]) for due, place in self._line}

    def __repr__(self) -> str:
        """The number of candidates, and which is next."""
        following = f", next {self._candidates[self._line[0][1]].id}" if self._line else ""
        return f"<RoundRobin of {len(self._candidates)}{following}>"
