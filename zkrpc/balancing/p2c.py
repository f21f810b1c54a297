"""Power of two choices: draw two candidates, take the one whose next call costs less.

A scan for the minimum would send all clients to the same least loaded instance at once; two random choices do not
(Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"). A pick is O(1).
"""

from __future__ import annotations

import bisect
import itertools
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Generic

from zkrpc.balancing.candidate import WeightedT, narrow, pickable

_bisect = bisect.bisect_right

_DISTINCT_TRIES = 4
"""How often a second candidate is drawn that must differ from the first; with extreme weights the neighbour is taken
then."""


class P2C(Generic[WeightedT]):
    """Picks among a fixed list of candidates; made anew when the list changes.

    Weights count twice: an instance of weight 2 is drawn twice as often, and may carry twice the load before another
    is preferred. The second keeps the shares right when only two candidates are left, the first when there are many.
    """

    __slots__ = ("_bounds", "_candidates")

    def __init__(self, candidates: Iterable[WeightedT]) -> None:
        self._candidates = pickable(candidates)
        weights = [one.weight for one in self._candidates]
        self._bounds = list(itertools.accumulate(weights)) if len(set(weights)) > 1 else None

    def __len__(self) -> int:
        """The number of candidates that can be picked."""
        return len(self._candidates)

    def pick(
        self,
        rng: Callable[[], float],
        now: float,
        avoid: Sequence[Collection[WeightedT]] = (),
        key: str | None = None,
    ) -> WeightedT | None:
        """See :meth:`zkrpc.balancing.picker.Picker.pick`. The key is ignored."""
        candidates = self._candidates
        if avoid:
            return P2C(narrow(candidates, avoid)).pick(rng, now)
        count = len(candidates)
        if count < 2:
            return candidates[0] if candidates else None
        if self._bounds is None:
            first = int(rng() * count)
            # Skips the first without a second throw: the one after a step of 1 to count - 1, round the corner.
            second = (first + 1 + int(rng() * (count - 1))) % count
            one, other = candidates[first], candidates[second]
            return one if one.load.is_cheaper(other.load, now) else other
        first, second = self._draw_two(self._bounds, rng)
        one, other = candidates[first], candidates[second]
        return one if one.load.score(now) * other.weight <= other.load.score(now) * one.weight else other

    @staticmethod
    def _draw_two(bounds: list[float], rng: Callable[[], float]) -> tuple[int, int]:
        # Rounding may put the product on the last bound itself; the last candidate is meant then.
        last, total = len(bounds) - 1, bounds[-1]
        first = _bisect(bounds, rng() * total, 0, last)
        for _ in range(_DISTINCT_TRIES):
            second = _bisect(bounds, rng() * total, 0, last)
            if second != first:
                return first, second
        return first, (first + 1) % len(bounds)

    def __repr__(self) -> str:
        """The number of candidates, and whether their weights differ."""
        return f"<P2C of {len(self._candidates)}{' weighted' if self._bounds else ''}>"
