"""The client's own zone first, as long as that does not overload it.

Calls within a zone are quicker and cost nothing to carry, but a zone in which few members are left must not get all
calls of its clients. The rule compares weights, because calls are spread by weight. The members of the client's zone
that look well must together weigh at least half of

- all members of that zone: otherwise something is wrong with the zone as a whole, and the rest of it is likely to
  follow;
- the average zone: otherwise the zone is too small for its clients, if those are spread evenly over the zones.

The second condition bounds what preferring a zone can do: with as many clients in every zone, the calls of a zone's own
clients put at most twice the fair load on any of its members. If either fails, all members are candidates, as if there
were no zones. Members that do not say where they run count as a zone of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from zkrpc.balancing.candidate import CandidateT, is_pickable

ENOUGH = 0.5
"""The part of the zone's weight, and of an average zone's, that must look well."""
_LENIENCE = 1 + 1e-9
"""Sums of floats are not exact: equal weights that grow together, as in a warm-up, must not change the decision."""


def prefer_zone(candidates: Iterable[CandidateT], zone: str, is_well: Callable[[CandidateT], bool]) -> list[CandidateT]:
    """The members of ``zone`` while they can carry its calls, otherwise all candidates; in the order given.

    Args:
        candidates: all members.
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
