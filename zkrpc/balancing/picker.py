"""The interface of all algorithms, and the table of them.

A picker knows a fixed list of candidates and is made anew when the list, a weight or the set of those it should leave
out changes. That happens rarely beside picks, so that making one may cost a sort, and a pick must not. What an
algorithm has to remember across such a change (whose turn it is, who owns which keys) is taken over from the picker
that is replaced.

====================  ==================================================  =============================
kind                  which is picked                                     remembered across a change
====================  ==================================================  =============================
``p2c``               the less loaded of two drawn at random              nothing: the load is theirs
``round_robin``       each in turn, as often as its weight says           how long each has yet to wait
``consistent_hash``   the owner of the key; without a key as ``p2c``      who owns which keys
====================  ==================================================  =============================
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from zkrpc.balancing.candidate import Candidate, CandidateT
from zkrpc.balancing.consistent_hash import ConsistentHash
from zkrpc.balancing.p2c import P2C
from zkrpc.balancing.round_robin import RoundRobin
from zkrpc.config import BALANCING
from zkrpc.errors import ConfigError

__all__ = ["Candidate", "CandidateT", "Picker", "make_picker"]


class Picker(Protocol[CandidateT]):
    """Picks among a fixed list of candidates."""

    def pick(
        self,
        rng: Callable[[], float],
        now: float,
        avoid: Sequence[Collection[CandidateT]] = (),
        key: str | None = None,
    ) -> CandidateT | None:
        """One candidate, or None if there is none at all.

        Args:
            rng: gives floats in [0, 1).
            now: monotonic seconds.
            avoid: groups to avoid, the worst first. They are a preference: if no other candidate is left, the last
                group is allowed again first.
            key: what the call is about, for algorithms that send equal keys to the same instance.
        """
        ...

    def __len__(self) -> int:
        """The number of candidates that can be picked."""
        ...


def make_picker(
    kind: str,
    candidates: Iterable[CandidateT],
    *,
    rng: Callable[[], float],
    previous: Picker[CandidateT] | None = None,
) -> Picker[CandidateT]:
    """A picker of this kind.

    Args:
        kind: one of :data:`zkrpc.config.BALANCING`; anything else raises ConfigError.
        candidates: what to pick from; those whose weight is no positive finite number are left out.
        rng: floats in [0, 1), for algorithms that start at a random place.
        previous: the picker that this one replaces, of whatever kind. It must not be used afterwards.
    """
    if kind == "p2c":
        return P2C(candidates)
    if kind == "round_robin":
        return RoundRobin(candidates, rng=rng, previous=previous if isinstance(previous, RoundRobin) else None)
    if kind == "consistent_hash":
        return ConsistentHash(candidates, previous=previous if isinstance(previous, ConsistentHash) else None)
    raise ConfigError(f"{kind!r} is not a way of balancing; choose one of {', '.join(BALANCING)}")
