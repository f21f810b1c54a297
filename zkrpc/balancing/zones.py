"""The own zone first, as long as that does not crush it.

Calls within a zone are quicker and cost nothing to carry, but a zone where little is left must not get all of its
clients' calls. The rule looks at weight, because that is what carries calls: the members of the own zone that look well
must weigh at least half of

- all members of the own zone: else something is wrong with the zone as such, and the rest of it is likely to follow;
- what a zone weighs on average: else the zone is too small for its clients, if those are spread evenly over the zones.

The second bounds what staying at home can do: with as many clients in every zone, the calls of a zone's own clients put
at most twice the fair load on any of its members. Otherwise everybody is a candidate, as if there were no zones.
Members that do not say where they run count as a zone of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zkrpc.balancing.candidate import CandidateT, is_pickable

ENOUGH = 0.5
"""The part of a zone's own, and of an average zone's, weight that must look well."""
_LENIENCE = 1 + 1e-9
"""Sums of floats are not exact: equal weights that grow together, as in a warm-up, must not tip the scales."""


def prefer_zone(candidates: Iterable[CandidateT], zone: str, is_well: Callable[[CandidateT], bool]) -> list[CandidateT]:
    """The members of ``zone`` while they can carry it, otherwise everybody; in the order given.

    Args:
        candidates: everybody.
        zone: where the client runs; empty for no preference.
        is_well: whether a member looks alive.
    """
    everybody = list(candidates)
    own = [one for one in everybody if one.zone == zone]
    if not zone or not own:
        return everybody
    weighty = [one for one in everybody if is_pickable(one)]
    total = sum(one.weight for one in weighty)
    average = total / max(1, len({one.zone for one in weighty}))
    whole = sum(one.weight for one in weighty if one.zone == zone)
    well = sum(one.weight for one in weighty if one.zone == zone and is_well(one))
    return own if well > 0 and well * _LENIENCE >= ENOUGH * max(whole, average) else everybody
