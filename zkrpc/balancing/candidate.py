"""Whom a balancer can pick, and the one rule of whom it rather does not.

Who is avoided, and why, is the client's business: groups arrive with the pick. They are a preference and never a
verdict, so every algorithm narrows its candidates in the same way, and none of them ends up with nobody because of it.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Sequence
from typing import Protocol, TypeVar

from zkrpc.balancing.load import Load


class Weighted(Protocol):
    """What has a share of the calls and a cost."""

    @property
    def weight(self) -> float:
        """Relative share of calls; nothing that is not a positive finite number is ever picked."""
        ...

    @property
    def load(self) -> Load:
        """What it costs now."""
        ...


class Candidate(Weighted, Protocol):
    """What can be picked, and recognised when the list changes."""

    @property
    def id(self) -> str:
        """Unique among the candidates and the same for every client, such as the worker id."""
        ...

    @property
    def zone(self) -> str:
        """Where it runs; empty if it does not say."""
        ...


WeightedT = TypeVar("WeightedT", bound=Weighted)
CandidateT = TypeVar("CandidateT", bound=Candidate)
AnyT = TypeVar("AnyT")


def is_pickable(candidate: Weighted) -> bool:
    """False for weights that take a candidate out of the picking: zero, negative, infinite, not a number."""
    return 0 < candidate.weight < math.inf


def pickable(candidates: Iterable[WeightedT]) -> tuple[WeightedT, ...]:
    """Those that may be picked at all, in their order."""
    return tuple(filter(is_pickable, candidates))


def is_avoided(candidate: AnyT, avoid: Sequence[Collection[AnyT]]) -> bool:
    """True if another is preferred, should there be one. What is not avoided is among what ``narrow`` leaves."""
    return any(candidate in group for group in avoid)


def narrow(candidates: Sequence[AnyT], avoid: Sequence[Collection[AnyT]]) -> Sequence[AnyT]:
    """The candidates that are left when as many groups as possible are kept away from.

    Args:
        candidates: in any order, which is kept.
        avoid: groups, the worst first. While nobody else is left, the last group is given up first.
    """
    for kept in range(len(avoid), 0, -1):
        shunned = set[AnyT]().union(*avoid[:kept])
        rest = [one for one in candidates if one not in shunned]
        if rest:
            return rest
    return candidates
