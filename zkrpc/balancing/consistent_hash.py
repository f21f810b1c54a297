"""Consistent hashing: calls with equal keys go to the same instance, which may keep something warm for a key, such as a
cache.

A key falls into one of ``SLOTS`` slots, by CRC-32, and a slot belongs to the candidate that wins it by rendezvous
hashing (see :mod:`zkrpc.balancing.rendezvous`). So every client that knows the same candidates sends a key to the same
one. When a candidate leaves, only its keys move, spread over all others; when one comes, it takes keys from all others,
and no key moves between those. Shares follow weights. While the owner of a slot is avoided, the next candidate in the
slot's order takes its calls.

Slots make a pick cheap and bound its memory, however many keys there are: the first pick of a slot asks all candidates,
at some 0.4 us each, every later one looks the owner up in 0.3 us, for any n. The price is that shares are as uneven as
SLOTS draws make them: the standard deviation is ``sqrt(n / SLOTS)`` of a fair share, 1 % for 7 candidates, 4 % for 100,
12 % for 1000.

A picker that replaces another takes over the owners that are known. The owner of a slot still wins it unless it is gone
or its weight fell, or unless a candidate that is new or whose weight rose beats it: the numbers of all others are what
they were. So a list that changes every second, as it does while an instance warms up, costs a few comparisons per slot
and not n.
"""

from __future__ import annotations

import zlib
from array import array
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Generic

from zkrpc.balancing.candidate import CandidateT, is_avoided, narrow, pickable
from zkrpc.balancing.p2c import P2C
from zkrpc.balancing.rendezvous import Entrant, point, winner

SLOTS = 2**16
"""The number of slots, equal in every client, as they would disagree otherwise. 256 KiB of owners per picker, twice
that after a change."""

_crc32 = zlib.crc32
_MASK = SLOTS - 1
_NOBODY = -1
"""Entry in a table of owners: the slot's owner was not asked for yet, or may be another one now."""


class ConsistentHash(Generic[CandidateT]):
    """Picks among a fixed list of candidates; made anew, from the previous one, when the list changes."""

    __slots__ = ("_candidates", "_entrants", "_former_owners", "_heirs", "_keyless", "_owners", "_rising")

    def __init__(self, candidates: Iterable[CandidateT], *, previous: ConsistentHash[CandidateT] | None = None) -> None:
        self._candidates = pickable(candidates)
        self._keyless = P2C(self._candidates)
        self._entrants = [(place, point(one.id), one.weight) for place, one in enumerate(self._candidates)]
        self._owners = array("i", (_NOBODY,)) * SLOTS
        self._former_owners: Sequence[int] = ()
        self._heirs: list[int] = []
        self._rising: list[Entrant] = []
        if previous is not None:
            self._inherit(previous)

    def _inherit(self, previous: ConsistentHash[CandidateT]) -> None:
        """Notes which owners of the previous picker still hold. The previous picker lets go of its own predecessor."""
        before = {one.id: entrant for one, entrant in zip(previous._candidates, previous._entrants)}
        self._former_owners = previous._owners
        self._heirs = [_NOBODY] * len(before)
        for one, entrant in zip(self._candidates, self._entrants):
            then = before.get(one.id)
            if then is not None and entrant[2] >= then[2]:
                self._heirs[then[0]] = entrant[0]
            if then is None or entrant[2] > then[2]:
                self._rising.append(entrant)

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
        """See :meth:`zkrpc.balancing.picker.Picker.pick`. Load matters only for calls without a key."""
        if key is None or not self._candidates:
            return self._keyless.pick(rng, now, avoid)
        slot = _crc32(key.encode("utf-8", "surrogatepass")) & _MASK
        place = self._owners[slot]
        if place == _NOBODY:
            place = self._owners[slot] = self._find_owner(slot)
        owner = self._candidates[place]
        if avoid and is_avoided(owner, avoid):
            return self._find_deputy(slot, avoid)
        return owner

    def _find_owner(self, slot: int) -> int:
        former = self._former_owners[slot] if self._former_owners else _NOBODY
        heir = self._heirs[former] if former != _NOBODY else _NOBODY
        rivals = [self._entrants[heir], *self._rising] if heir != _NOBODY else self._entrants
        return winner(_slot_point(slot), rivals)

    def _find_deputy(self, slot: int, avoid: Sequence[Collection[CandidateT]]) -> CandidateT:
        rest = set(narrow(self._candidates, avoid))
        rivals = [entrant for entrant in self._entrants if self._candidates[entrant[0]] in rest]
        return self._candidates[winner(_slot_point(slot), rivals)]

    def __repr__(self) -> str:
        """The number of candidates, and of the slots whose owner is known."""
        known = SLOTS - self._owners.count(_NOBODY)
        return f"<ConsistentHash of {len(self._candidates)}, {known} slots settled>"


def _slot_point(slot: int) -> int:
    return point(f"slot {slot}")
