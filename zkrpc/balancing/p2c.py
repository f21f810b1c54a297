"""Power of two choices: draw two candidates, take the one whose next call costs less.

Two random choices avoid what a scan for the minimum does: all clients running at the same least loaded instance at once
(Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing"). It is also O(1).
"""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Generic, Protocol, TypeVar

from zkrpc.balancing.load import Load

_DISTINCT_TRIES = 4
"""Draws for a second candidate that differs from the first; with extreme weights the neighbour has to do."""


class Candidate(Protocol):
    """What can be picked."""

    @property
    def weight(self) -> float:
        """Relative share of calls; nothing that is not a positive finite number is ever picked."""
        ...

    @property
    def load(self) -> Load:
        """What it costs now."""
        ...


CandidateT = TypeVar("CandidateT", bound=Candidate)


class P2C(Generic[CandidateT]):
    """Picks among a fixed list of candidates; made anew when the list changes.

    Weights count twice: an instance of weight 2 is drawn twice as often, and may carry twice the load before another
    is preferred. The second keeps the shares right when only two candidates are left, the first when there are many.
    """

    __slots__ = ("_bounds", "_candidates")

    def __init__(self, candidates: Iterable[CandidateT]) -> None:
        self._candidates = tuple(one for one in candidates if 0 < one.weight < math.inf)
        weights = [one.weight for one in self._candidates]
        self._bounds = list(itertools.accumulate(weights)) if len(set(weights)) > 1 else None

    def __len__(self) -> int:
        """How many can be picked."""
        return len(self._candidates)

    def pick(
        self, rng: Callable[[], float], now: float, avoid: Sequence[Collection[CandidateT]] = ()
    ) -> CandidateT | None:
        """One candidate, or None if there is none at all.

        Args:
            rng: gives floats in [0, 1).
            now: monotonic seconds.
            avoid: groups to keep away from, the worst first. They are a preference: while nobody else is left, the last
                group is given up first.
        """
        for kept in range(len(avoid), 0, -1):
            rest = P2C(one for one in self._candidates if not any(one in group for group in avoid[:kept]))
            if rest._candidates:
                return rest._pick(rng, now)
        return self._pick(rng, now)

    def _pick(self, rng: Callable[[], float], now: float) -> CandidateT | None:
        candidates = self._candidates
        count = len(candidates)
        if count < 2:
            return candidates[0] if candidates else None
        if self._bounds is None:
            first = int(rng() * count)
            # Skips the first without a second throw: the one after a step of 1 to count - 1, round the corner.
            second = (first + 1 + int(rng() * (count - 1))) % count
            one, other = candidates[first], candidates[second]
            return one if one.load.score(now) <= other.load.score(now) else other
        first, second = self._draw_two(self._bounds, rng)
        one, other = candidates[first], candidates[second]
        return one if one.load.score(now) * other.weight <= other.load.score(now) * one.weight else other

    def _draw_two(self, bounds: list[float], rng: Callable[[], float]) -> tuple[int, int]:
        first = self._draw(bounds, rng)
        for _ in range(_DISTINCT_TRIES):
            second = self._draw(bounds, rng)
            if second != first:
                return first, second
        return first, (first + 1) % len(bounds)

    @staticmethod
    def _draw(bounds: list[float], rng: Callable[[], float]) -> int:
        # Rounding may put the product on the last bound itself; the last candidate is meant then.
        return min(bisect.bisect_right(bounds, rng() * bounds[-1]), len(bounds) - 1)

    def __repr__(self) -> str:
        """How many there are, and whether weights matter."""
        return f"<P2C of {len(self._candidates)}{' weighted' if self._bounds else ''}>"
