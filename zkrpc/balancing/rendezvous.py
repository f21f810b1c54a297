"""Rendezvous hashing (highest random weight): all clients that know the same names agree on the same order, without
talking to each other.

Each pair of an asker and a candidate has a number that looks random and is the same everywhere; the highest number wins
(Thaler and Ravishankar, "Using Name-Based Mappings to Increase Hit Rates", 1998). No number depends on which other
candidates there are. So when a candidate leaves, only what it had won moves, and one that comes takes only what it
wins. With u the number scaled to (0, 1), ``log(u) / weight`` makes shares follow weights: ``-log(u) / weight`` is how
long the first event of a Poisson process of that rate takes, and the one that is first wins in proportion to its rate.

BLAKE2b makes points of names, as it spreads any input evenly, and not ``hash()``, which is salted and differs from
process to process. Two points make a number by multiplication modulo the prime 2**61 - 1 (Carter and Wegman, "Universal
Classes of Hash Functions", 1979), because that is what runs once per candidate: it is a third of what another BLAKE2b
costs.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Iterable
from typing import TypeAlias

_PRIME = 2**61 - 1
_SCALE = 1 / _PRIME

Entrant: TypeAlias = tuple[int, int, float]
"""A number by which the caller knows the candidate, the candidate's point, and its weight."""

_log = math.log


def point(name: str) -> int:
    """The point of a name: equal in every process, at least 1 and below the prime."""
    digest = hashlib.blake2b(name.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "big") % (_PRIME - 1) + 1


def attraction(one: int, other: int) -> int:
    """The number of a pair of points; higher is stronger."""
    return one * other % _PRIME


def winner(asker: int, entrants: Iterable[Entrant]) -> int:
    """The first item of the entrant whose attraction to the point ``asker`` is highest, given its weight.

    Returns -1 if there are no entrants.
    """
    best, highest = -1, -math.inf
    for number, place, weight in entrants:
        # ``attraction`` written out, as this is the inner loop.
        score = _log(asker * place % _PRIME * _SCALE) / weight
        if score > highest:
            best, highest = number, score
    return best
