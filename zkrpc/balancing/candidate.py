"""What a balancer picks from, and the one rule by which all algorithms avoid some instances.

The client decides which instances to avoid and why, and hands them over with each pick, as groups. To avoid is a
preference: every algorithm narrows its candidates in the same way, and always has one left to pick.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol, TypeVar

from zkrpc.balancing.load import Load


class Weighted(Protocol):
    """Something that gets a share of the calls and has a load."""

    @property
    def weight(self) -> float:
        """Relative share of calls; nothing that is not a positive finite number is ever picked."""
        ...

    @property
    def load(self) -> Load:
        """The calls in flight and the latency estimate, which tell what one more call costs."""
        ...


class Candidate(Weighted, Protocol):
    """An instance, as the balancers see it; ``id`` tells it again when the list changes."""

    @property
    def id(self) -> str:
        """Unique among the candidates and the same for every client, such as the worker id."""
        ...

    @property
    def zone(self) -> str:
        """The availability zone in which it runs; empty if it does not say."""
        ...


WeightedT = TypeVar("WeightedT", bound=Weighted)
CandidateT = TypeVar("CandidateT", bound=Candidate)
AnyT = TypeVar("AnyT")


def is_pickable(candidate: Weighted) -> bool:
    """False for weights that take a candidate out of the picking: zero, negative, infinite, not a number."""
    return 0 < candidate.weight < math.inf


def pickable(candidates: Iterable[WeightedT]) -> tuple[WeightedT, ...]:
    """The candidates whose weight lets them be picked, in their order."""
    return tuple(filter(is_pickable, candidates))


def is_avoided(candidate: AnyT, avoid: Sequence[Collection[AnyT]]) -> bool:
    """True if the candidate is in one of the groups to avoid. One that is in none is always among those that ``narrow``
    leaves."""
    return any(candidate in group for group in avoid)


def narrow(candidates: Sequence[AnyT], avoid: Sequence[Collection[AnyT]]) -> Sequence[AnyT]:
    """The candidates without those of as many groups as can be avoided.

    Args:
        candidates: in any order, which is kept.
        avoid: groups to avoid, the worst first. If that leaves no candidate, the last group is allowed again, then the
            one before it, and so on.
    """
    for kept in range(len(avoid), 0, -1):
        shunned = set[AnyT]().union(*avoid[:kept])
        rest = [one for one in candidates if one not in shunned]
        if rest:
            return rest
    return candidates
