"""Who is a member, who is better avoided, and who gets the next call.

Three questions stay apart here: which instances exist (the snapshot's answer, final), which look alive (``avoid``, a
preference only) and which to pick (the balancer). So a wrong suspicion can never empty the list. Pure: it does not know
what a lane does, only that each member has one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from zkrpc.balancing.load import Load
from zkrpc.balancing.p2c import P2C
from zkrpc.endpoint import Endpoint, Instance, Snapshot

LaneT = TypeVar("LaneT")


class Member(Generic[LaneT]):
    """One instance as the client uses it. Equal only to itself: a process that comes back is another member."""

    __slots__ = ("endpoint", "instance", "lane", "load", "weight")

    def __init__(self, instance: Instance, make_lane: Callable[[Instance], LaneT]) -> None:
        self.instance = instance
        self.endpoint = instance.endpoint
        self.weight = instance.weight
        self.load = Load()
        self.lane = make_lane(instance)

    def is_same(self, instance: Instance) -> bool:
        """True if this describes the same process, reached in the same way; only then load and lane live on."""
        mine = self.instance
        return (mine.id, mine.started_at, mine.protocols) == (instance.id, instance.started_at, instance.protocols)

    def __repr__(self) -> str:
        """Place and load."""
        return f"<Member {self.instance.id} at {self.endpoint} {self.load!r}>"


class Roster(Generic[LaneT]):
    """The members of one service, kept by endpoint."""

    def __init__(self, make_lane: Callable[[Instance], LaneT]) -> None:
        self.service = ""
        self._make_lane = make_lane
        self._members: dict[Endpoint, Member[LaneT]] = {}
        self._avoided: set[Member[LaneT]] = set()
        self._picker: P2C[Member[LaneT]] = P2C(())

    @property
    def members(self) -> Mapping[Endpoint, Member[LaneT]]:
        """Everybody, whatever their weight or state."""
        return MappingProxyType(self._members)

    def find(self, endpoint: Endpoint) -> Member[LaneT] | None:
        """The member at this place, whatever its weight or state."""
        return self._members.get(endpoint)

    def receive_snapshot(self, snapshot: Snapshot) -> list[Member[LaneT]]:
        """Adopts a list; returns the members that are no longer wanted, for their lanes to be retired."""
        self.service = snapshot.service
        before, self._members = self._members, {}
        for instance in snapshot.instances:
            member = before.get(instance.endpoint)
            if member is None or not member.is_same(instance):
                member = Member(instance, self._make_lane)
            else:
                member.instance, member.weight = instance, instance.weight
            self._members[instance.endpoint] = member
        gone = [member for endpoint, member in before.items() if self._members.get(endpoint) is not member]
        self._avoided.difference_update(gone)
        self._picker = P2C(self._members.values())
        return gone

    def avoid(self, endpoint: Endpoint, lane: LaneT) -> None:
        """Prefer others from now on. A lane whose member left meanwhile has no say."""
        member = self._members.get(endpoint)
        if member is not None and member.lane is lane:
            self._avoided.add(member)

    def readmit(self, endpoint: Endpoint, lane: LaneT) -> bool:
        """It looks well again. True if it was avoided."""
        member = self._members.get(endpoint)
        if member is None or member.lane is not lane or member not in self._avoided:
            return False
        self._avoided.remove(member)
        return True

    def pick(self, tried: Collection[Endpoint], rng: Callable[[], float], now: float) -> Member[LaneT] | None:
        """The member for the next attempt: rather an untried one that looks alive, then one that looks alive, then any.

        None only if nobody can be picked at all.
        """
        if not tried and not self._avoided:
            return self._picker.pick(rng, now)
        asked = {self._members[endpoint] for endpoint in tried if endpoint in self._members}
        return self._picker.pick(rng, now, (self._avoided, asked))

    def has_untried(self, tried: Collection[Endpoint]) -> bool:
        """True while a member that looks alive was not asked yet."""
        return any(
            member.weight > 0 and endpoint not in tried and member not in self._avoided
            for endpoint, member in self._members.items()
        )

    def explain_absence(self) -> str:
        """Why nobody can be picked, for the error message."""
        if self._members:
            return f"all {len(self._members)} instances of {self.service!r} have weight 0; give one a positive weight"
        return f"service {self.service!r} has no instances; is it running, and registered under this name?"

    def __repr__(self) -> str:
        """The test surface: how many there are, and how many are avoided."""
        return f"<Roster {self.service!r} members={len(self._members)} avoided={len(self._avoided)}>"
