"""A few servers for each client, where every client connected to every server would be too many connections.

Each client takes the ``size`` candidates that are nearest to it by rendezvous hashing of its id and theirs (see
:mod:`zkrpc.balancing.rendezvous`). When one leaves, exactly one other takes its place; when one comes, it replaces at
most one. A client that starts again under the same id finds the same servers.

How even this is: 200 clients that take 10 of 50 servers each give the busiest server 1.34 times the mean number of
clients, and the least busy one 0.69 times (averages of 30 such fleets; the extremes were 1.52 and 0.55). No scheme in
which clients know nothing of each other does better for the single server: each client holds it with probability
p = size / n, independently, so its number of clients is binomial, with a standard deviation of
``sqrt((1 - p) / (p * clients))`` of the mean, here 14 %. Taking neighbours on a ring (Finagle's aperture) at a random
position has the same spread, with less difference between neighbours (the busiest had 1.27 times the mean), and moves
more when the ring changes. A distribution that is really even needs clients with consecutive numbers ("Site Reliability
Engineering", chapter 20), or that see each other. The remedy is a larger size: 20 of 50 give 1.21 and 0.81.

Weights do not matter here: a server of large weight is picked more often by the clients that hold it, and would be
favoured twice if more of them held it.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable

from zkrpc.balancing.candidate import CandidateT, is_pickable
from zkrpc.balancing.rendezvous import attraction, point
from zkrpc.errors import ConfigError


def choose_subset(candidates: Iterable[CandidateT], size: int, client_id: str) -> list[CandidateT]:
    """The candidates that this client talks to, in the order given.

    Args:
        candidates: all there are to choose from. Zones come first: hand in what
            :func:`zkrpc.balancing.zones.prefer_zone` leaves. Those that cannot be picked take no place.
        size: how many, at least 1 (ConfigError otherwise); all candidates if there are no more than that.
        client_id: unique to the client and, for the sake of its connections, the same after a restart.
    """
    if size < 1:
        raise ConfigError(f"a subset has at least 1 member, not {size!r}")
    able = [one for one in candidates if is_pickable(one)]
    if len(able) <= size:
        return able
    asker = point(client_id)
    nearest = heapq.nlargest(size, ((attraction(asker, point(one.id)), one.id) for one in able))
    chosen = {name for _, name in nearest}
    return [one for one in able if one.id in chosen]
