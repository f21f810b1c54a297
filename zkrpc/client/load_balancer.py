"""Which instances are members, which are avoided, and which gets the next call.

Three questions are kept apart: which instances exist (the registry decides), which look alive (only a preference) and
which is picked (the balancer decides). So a wrong suspicion can never empty the list. Pure: this module does not know
what a subchannel does, only that each member has one, with the state of its endpoint.

===========  =======================================================================  ================================
a member is  because                                                                  and is picked
===========  =======================================================================  ================================
well         nothing speaks against it                                                first
suspect      its breaker is open, it gives no sign of life, it asked to be spared,    when no well one is left; as any
             or it registered as not ready                                            other if most are suspects
down         it refused a connection, or announced that it drains                     when no other is left
kept         the list lost it together with most others; see ``CollapseGuard``        like the others, until it is down
===========  =======================================================================  ================================

If more than half of the members that are not down are suspects, it is more likely that the suspicions are wrong than
that so many instances have failed (Envoy's panic threshold, Finagle's panic mode). Suspicions are ignored then, and
breakers go on probing.

Members are picked for each call, and change rarely. So a picker is built by the first pick after a change, or when
something changes by time (a breaker's probe, the end of an overloaded member's pause, another step of a warm-up).
"""

from __future__ import annotations

import dataclasses
import math
from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from types import MappingProxyType
from typing import Generic

from zkrpc.balancing.picker import Picker, make_picker
from zkrpc.balancing.subset import choose_subset
from zkrpc.balancing.warmup import seconds_until_warm, warm_share
from zkrpc.balancing.zones import prefer_zone
from zkrpc.client.connectivity import Standing
from zkrpc.client.member import Member, SubchannelT
from zkrpc.config import DEFAULT_BALANCING, ClientConfig
from zkrpc.endpoint import Endpoint, Instance, Snapshot

_WARMING_STEP = 1.0
"""Seconds between updates of the weights of members that warm up."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Picking:
    """How members are picked: the part that a service config may change."""

    balancing: str = DEFAULT_BALANCING
    subset_size: int | None = None


class CollapseGuard:
    """Decides whether a list that has lost most of its members is suspicious, from the sizes of the service's lists
    only.

    A list may collapse although the members are well: sessions expire together because ZooKeeper was slow, or an
    operator deletes the wrong node. To follow such a list at once would stop a service that works; never to follow it
    would send calls for ever to a service that was really taken down (Dubbo's protection does the one or the other). So
    the members that vanished in a collapse stay in use while they answer, and are dropped one by one, as each refuses.
    A planned stop needs no exception: before a server stops, it announces to every connected or connecting peer that it
    drains, which counts as a refusal.

    Args:
        floor: the share of the largest recent size below which a list is suspicious; an empty one always is.
        window: seconds that count as recent; 0 suspects nothing.
    """

    __slots__ = ("_floor", "_sizes", "_window")

    def __init__(self, *, floor: float, window: float) -> None:
        self._floor = floor
        self._window = window
        # When each size was last current, the largest first: a size that is followed by a larger one is not needed any
        # more.
        self._sizes: deque[tuple[float, int]] = deque()

    def receive_list(self, size: int, before: int, now: float) -> bool:
        """A list of ``size`` members replaces one of ``before``. True if it is suspiciously short."""
        sizes = self._sizes
        while sizes and sizes[-1][1] <= before:
            sizes.pop()
        sizes.append((now, before))
        while sizes[0][0] < now - self._window:
            sizes.popleft()
        if not self._window:
            return False
        return size < self._floor * sizes[0][1] or (size == 0 < before)

    def __repr__(self) -> str:
        """The recent sizes."""
        return f"<CollapseGuard {[size for _, size in self._sizes]}>"


class LoadBalancer(Generic[SubchannelT]):
    """The members of one service, kept by endpoint.

    Args:
        make_subchannel: makes the subchannel of a new member.
        config: zone, warm-up, breakers, guard.
        rng: floats in [0, 1).
        client_id: decides which members a subset has.
        wall_clock: seconds since 1970, for the age of members.
    """

    __slots__ = (
        "_client_id",
        "_config",
        "_due",
        "_guard",
        "_look_at",
        "_make_subchannel",
        "_members",
        "_picker",
        "_picking",
        "_remark",
        "_rng",
        "_wall_clock",
        "_well",
        "kept",
        "service",
    )

    def __init__(
        self,
        make_subchannel: Callable[[Instance], SubchannelT],
        config: ClientConfig | None = None,
        *,
        rng: Callable[[], float] = lambda: 0.5,
        client_id: str = "",
        wall_clock: Callable[[], float] = lambda: math.inf,
    ) -> None:
        self.service = ""
        self._remark = ""
        self._make_subchannel = make_subchannel
        self._config = config or ClientConfig()
        self._rng = rng
        self._client_id = client_id
        self._wall_clock = wall_clock
        self._guard = CollapseGuard(floor=self._config.collapse_floor, window=self._config.collapse_window)
        self._picking = Picking()
        self._members: dict[Endpoint, Member[SubchannelT]] = {}
        self.kept: set[Member[SubchannelT]] = set()
        """Members that are not in the list, and that are kept while they answer."""
        self._well: Collection[Member[SubchannelT]] = ()
        self._picker: Picker[Member[SubchannelT]] = make_picker(DEFAULT_BALANCING, (), rng=rng)
        self._due: list[Member[SubchannelT]] = []
        self._look_at = -math.inf

    # -- members

    @property
    def members(self) -> Mapping[Endpoint, Member[SubchannelT]]:
        """All members, whatever their weight or state."""
        return MappingProxyType(self._members)

    def find(self, endpoint: Endpoint) -> Member[SubchannelT] | None:
        """The member at this endpoint, whatever its weight or state."""
        return self._members.get(endpoint)

    def member_of(self, subchannel: SubchannelT) -> Member[SubchannelT] | None:
        """The member of a subchannel. None if the member has left: news of its subchannel does not concern another
        process that has the same endpoint now."""
        member = self._members.get(subchannel.endpoint)
        return member if member is not None and member.subchannel is subchannel else None

    def receive_snapshot(self, snapshot: Snapshot, now: float = 0.0) -> list[Member[SubchannelT]]:
        """Adopts a list; returns the members that were dropped, whose subchannels are to be retired."""
        self.service, self._remark = snapshot.service, snapshot.remark
        before, self._members = self._members, {}
        for instance in snapshot.instances:
            member = before.get(instance.endpoint)
            if member is None or not member.is_same(instance):
                member = Member(instance, self._make_subchannel, self._config, self._rng, now)
            else:
                member.instance, member.weight = instance, instance.weight
            self._members[instance.endpoint] = member
        self._keep(before.values(), now)
        self._look_at = -math.inf
        return [member for endpoint, member in before.items() if self._members.get(endpoint) is not member]

    def _keep(self, before: Collection[Member[SubchannelT]], now: float) -> None:
        """Keeps the members that a suspicious list lacks, and those that were kept before."""
        listed = {member.id for member in self._members.values()}
        listed_before = sum(1 for member in before if member not in self.kept)
        suspicious = self._guard.receive_list(len(listed), listed_before, now)
        gone = [one for one in before if one.endpoint not in self._members and one.id not in listed and not one.down]
        self.kept = {one for one in gone if one.instance.weight > 0 and (suspicious or one in self.kept)}
        self._members.update({one.endpoint: one for one in self.kept})

    def drop(self, member: Member[SubchannelT]) -> None:
        """Drops a kept member that refused."""
        self.kept.discard(member)
        del self._members[member.endpoint]
        self._look_at = -math.inf

    # -- health of members

    def receive_standing(self, member: Member[SubchannelT]) -> None:
        """The standing of a member's subchannel has changed."""
        self._look_at = -math.inf
        if member.connectivity.standing is Standing.WELL:
            _welcome(member)

    def receive_success(self, member: Member[SubchannelT], now: float) -> bool:
        """A call to a member whose breaker is ``troubled`` went well; other successes need not be reported. True if
        that closed its breaker."""
        closed = member.breaker.receive_success(now)
        if closed:
            self._look_at = -math.inf
            _welcome(member)
        return closed

    def receive_failure(self, member: Member[SubchannelT], now: float) -> bool:
        """A call to a member failed in a way that speaks against it. True if that opened its breaker."""
        opened = member.breaker.receive_failure(now)
        if opened:
            self._look_at = -math.inf
        return opened

    def abandon(self, member: Member[SubchannelT], now: float) -> None:
        """A call to a member has ended in a way that says nothing of it."""
        member.breaker.abandon_probe(now)
        self._look_at = -math.inf

    def spare(self, member: Member[SubchannelT], until: float, now: float) -> None:
        """A member answered that it is overloaded; it is avoided until then."""
        if now >= member.spared_until:
            self._look_at = -math.inf
        member.spared_until = max(member.spared_until, until)

    # -- picking

    def receive_picking(self, picking: Picking) -> None:
        """Picks members in this way from now on."""
        self._picking = picking
        self._look_at = -math.inf

    def pick(
        self, tried: Collection[Endpoint], rng: Callable[[], float], now: float, key: str | None = None
    ) -> Member[SubchannelT] | None:
        """The member for the next attempt: if possible an untried one that looks well, else one that looks well, else
        any.

        None only if no member can be picked at all. ``key`` is the call's key for consistent hashing.
        """
        if now >= self._look_at:
            self._look(now)
            if self._due and not tried:
                return self._begin_probe(now)
        if not tried:
            return self._picker.pick(rng, now, (), key)
        asked = {self._members[endpoint] for endpoint in tried if endpoint in self._members}
        return self._picker.pick(rng, now, (asked,), key)

    def candidates(self, now: float) -> Collection[Member[SubchannelT]]:
        """The members over which calls are spread."""
        if now >= self._look_at:
            self._look(now)
        return self._well

    def has_untried(self, tried: Collection[Endpoint], now: float) -> bool:
        """True if there is a member that looks well and is not in ``tried``."""
        return any(member.endpoint not in tried and not member.down for member in self.candidates(now))

    def _begin_probe(self, now: float) -> Member[SubchannelT]:
        member = self._due.pop()
        member.breaker.begin_probe(now)
        self._look_at = -math.inf
        return member

    def _look(self, now: float) -> None:
        """Builds the picker, and computes when that must be done again."""
        members = self._members.values()
        cold = self._warm(members, now)
        self._well = self._choose([member for member in members if 0 < member.weight < math.inf], now)
        self._picker = make_picker(self._picking.balancing, self._well, rng=self._rng, previous=self._picker)
        self._due = [member for member in members if not member.down and member.breaker.may_probe(now)]
        moments = [member.next_change(now) for member in members]
        self._look_at = min(now + _WARMING_STEP if cold else math.inf, *moments, math.inf)
        if self._due:
            self._look_at = -math.inf

    def _warm(self, members: Iterable[Member[SubchannelT]], now: float) -> bool:
        """Sets the weights by age; True while one of them still grows."""
        warm_up, wall = self._config.warm_up, self._wall_clock()
        cold = False
        for member in members:
            ages = (wall - member.instance.started_at, now - member.known_since)
            member.weight = member.instance.weight * warm_share(*ages, warm_up)
            cold = cold or seconds_until_warm(*ages, warm_up) > 0
        return cold

    def _choose(self, usable: list[Member[SubchannelT]], now: float) -> Collection[Member[SubchannelT]]:
        """The members to pick from: those of the own zone and subset that look well, else the next best."""
        chosen = prefer_zone(usable, self._config.zone, lambda member: not member.down and not member.is_suspect(now))
        if self._picking.subset_size is not None:
            chosen = choose_subset(chosen, self._picking.subset_size, self._client_id)
        return _best(chosen, now) or _best(usable, now) or usable

    # -- for people

    def explain_absence(self) -> str:
        """Why no member can be picked, for the error message."""
        if self._members:
            return f"all {len(self._members)} instances of {self.service!r} have weight 0; give one a positive weight"
        reason = self._remark or "is it running, and registered under this name?"
        return f"service {self.service!r} has no instances; {reason}"

    def __repr__(self) -> str:
        """How many members there are, and how many are down or suspect."""
        troubled = sum(
            1 for one in self._members.values() if one.down or one.silent or one.breaker.retry_at is not None
        )
        kept = f" kept={len(self.kept)}" if self.kept else ""
        return f"<LoadBalancer {self.service!r} members={len(self._members)} avoided={troubled}{kept}>"


def _best(members: list[Member[SubchannelT]], now: float) -> list[Member[SubchannelT]]:
    """The members that look well; if most do not, all that are not down."""
    able = [member for member in members if not member.down]
    well = [member for member in able if not member.is_suspect(now)]
    return well if 2 * len(well) >= len(able) else able


def _welcome(member: Member[SubchannelT]) -> None:
    """Forgets the load of a member that is back, as its latency from before it failed would keep calls away for half a
    minute."""
    member.load.forget()
