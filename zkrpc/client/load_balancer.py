"""Who is a member, who is better avoided, and who gets the next call.

Three questions stay apart here: which instances exist (the registry's answer), which look alive (a preference only) and
which to pick (the balancer). So a wrong suspicion can never empty the list. Pure: it does not know what a subchannel
does, only that each member has one, and what that one's machine has found out of the endpoint.

===========  =======================================================================  ================================
a member is  because                                                                  and is picked
===========  =======================================================================  ================================
well         nothing speaks against it                                                first
suspect      its breaker is open, it gives no sign of life, or it asked to be spared  when no well one is left; as any
                                                                                      other if most are suspects
down         it refused a connection, or is about to stop: a fact                     when nobody else is left
kept         the list lost it together with most others; see ``CollapseGuard``        like the others, until it is down
===========  =======================================================================  ================================

If more than half of those that are not down are suspects, then suspicion is more likely to be wrong than so many
instances are (Envoy's panic threshold, Finagle's panic mode); it is ignored then, and breakers go on probing.

Picking happens for each call, changes are rare: pickers are made anew by the first pick after a change, or when
something is due by time (a breaker's probe, the end of a sparing, another step of a warm-up).
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
"""Seconds between looks at the weights of members that warm up."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Picking:
    """How members are picked, as far as it may change while the client lives."""

    balancing: str = DEFAULT_BALANCING
    subset_size: int | None = None


class CollapseGuard:
    """Whether to believe a list that has lost most of its members. It sees only the sizes of one service's lists.

    A list may collapse although the members are well: sessions that expire together because ZooKeeper was slow, an
    operator who deletes the wrong node. To believe it at once would stop a service that works; never to believe it
    would send calls for ever to a service that was really taken down (Dubbo's protection does the one or the other).
    So the members that vanished in a collapse stay in use for as long as they answer, and leave one by one, as each
    refuses. A planned exit needs no exception from this: a server that leaves says so to every peer that is connected,
    or connects, before it stops, which counts as a refusal.

    Args:
        floor: the share of the largest recent size below which a list is suspicious; an empty one always is.
        window: seconds that count as recent; 0 suspects nothing.
    """

    __slots__ = ("_floor", "_sizes", "_window")

    def __init__(self, *, floor: float, window: float) -> None:
        self._floor = floor
        self._window = window
        # When each size was last true, the largest first: a size that is over by a later, larger one says nothing more.
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
        """The sizes that count."""
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
        """Members that no list has, and that stay for as long as they answer."""
        self._well: Collection[Member[SubchannelT]] = ()
        self._picker: Picker[Member[SubchannelT]] = make_picker(DEFAULT_BALANCING, (), rng=rng)
        self._due: list[Member[SubchannelT]] = []
        self._look_at = -math.inf

    # -- who is there

    @property
    def members(self) -> Mapping[Endpoint, Member[SubchannelT]]:
        """Everybody, whatever their weight or state."""
        return MappingProxyType(self._members)

    def find(self, endpoint: Endpoint) -> Member[SubchannelT] | None:
        """The member at this place, whatever its weight or state."""
        return self._members.get(endpoint)

    def member_of(self, subchannel: SubchannelT) -> Member[SubchannelT] | None:
        """The member that the subchannel leads to; None if it left meanwhile: what is found out of it does not concern
        the process that has its endpoint now."""
        member = self._members.get(subchannel.endpoint)
        return member if member is not None and member.subchannel is subchannel else None

    def receive_snapshot(self, snapshot: Snapshot, now: float = 0.0) -> list[Member[SubchannelT]]:
        """Adopts a list; returns the members that are no longer wanted, for their subchannels to be retired."""
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
        """Lets those stay that a suspicious list lost, and those that it lost earlier."""
        listed = {member.id for member in self._members.values()}
        listed_before = sum(1 for member in before if member not in self.kept)
        suspicious = self._guard.receive_list(len(listed), listed_before, now)
        gone = [one for one in before if one.endpoint not in self._members and one.id not in listed and not one.down]
        self.kept = {one for one in gone if one.instance.weight > 0 and (suspicious or one in self.kept)}
        self._members.update({one.endpoint: one for one in self.kept})

    def drop(self, member: Member[SubchannelT]) -> None:
        """A kept member refused: it leaves."""
        self.kept.discard(member)
        del self._members[member.endpoint]
        self._look_at = -math.inf

    # -- who looks well

    def receive_standing(self, member: Member[SubchannelT]) -> None:
        """The standing of a member's subchannel has changed."""
        self._look_at = -math.inf
        if member.connectivity.standing is Standing.WELL:
            _welcome(member)

    def receive_success(self, member: Member[SubchannelT], now: float) -> bool:
        """A call to a member with trouble went well; without trouble there is no need to tell. True if that closed its
        breaker."""
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
        """A call to a member ended without a word of it."""
        member.breaker.abandon_probe(now)
        self._look_at = -math.inf

    def spare(self, member: Member[SubchannelT], until: float, now: float) -> None:
        """A member said that it has too much to do, and when to come back."""
        if now >= member.spared_until:
            self._look_at = -math.inf
        member.spared_until = max(member.spared_until, until)

    # -- who is picked

    def receive_picking(self, picking: Picking) -> None:
        """Picks in this way from now on."""
        self._picking = picking
        self._look_at = -math.inf

    def pick(
        self, tried: Collection[Endpoint], rng: Callable[[], float], now: float, key: str | None = None
    ) -> Member[SubchannelT] | None:
        """The member for the next attempt: rather an untried one that looks well, then one that looks well, then any.

        None only if nobody can be picked at all. ``key`` is what the call is about, for consistent hashing.
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
        """Those that calls are spread over."""
        if now >= self._look_at:
            self._look(now)
        return self._well

    def has_untried(self, tried: Collection[Endpoint], now: float) -> bool:
        """True while a member that looks well was not asked yet."""
        return any(member.endpoint not in tried and not member.down for member in self.candidates(now))

    def _begin_probe(self, now: float) -> Member[SubchannelT]:
        member = self._due.pop()
        member.breaker.begin_probe(now)
        self._look_at = -math.inf
        return member

    def _look(self, now: float) -> None:
        """Makes the pickers anew, and finds out when that must be done again."""
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
        """Sets the weights by age; True while any of them still grows."""
        warm_up, wall = self._config.warm_up, self._wall_clock()
        cold = False
        for member in members:
            ages = (wall - member.instance.started_at, now - member.known_since)
            member.weight = member.instance.weight * warm_share(*ages, warm_up)
            cold = cold or seconds_until_warm(*ages, warm_up) > 0
        return cold

    def _choose(self, usable: list[Member[SubchannelT]], now: float) -> Collection[Member[SubchannelT]]:
        """The members to pick from: of the own zone and subset those that are well, or whoever comes next best."""
        chosen = prefer_zone(usable, self._config.zone, lambda member: not member.down and not member.is_suspect(now))
        if self._picking.subset_size is not None:
            chosen = choose_subset(chosen, self._picking.subset_size, self._client_id)
        return _best(chosen, now) or _best(usable, now) or usable

    # -- for people

    def explain_absence(self) -> str:
        """Why nobody can be picked, for the error message."""
        if self._members:
            return f"all {len(self._members)} instances of {self.service!r} have weight 0; give one a positive weight"
        reason = self._remark or "is it running, and registered under this name?"
        return f"service {self.service!r} has no instances; {reason}"

    def __repr__(self) -> str:
        """The test surface: how many there are, and how many are down or suspect."""
        troubled = sum(
            1 for one in self._members.values() if one.down or one.silent or one.breaker.retry_at is not None
        )
        kept = f" kept={len(self.kept)}" if self.kept else ""
        return f"<LoadBalancer {self.service!r} members={len(self._members)} avoided={troubled}{kept}>"


def _best(members: list[Member[SubchannelT]], now: float) -> list[Member[SubchannelT]]:
    """Those that look well; those that are not down if most of them do not."""
    able = [member for member in members if not member.down]
    well = [member for member in able if not member.is_suspect(now)]
    return well if 2 * len(well) >= len(able) else able


def _welcome(member: Member[SubchannelT]) -> None:
    """One that is back gets its share again: what it cost when it went would keep it out for half a minute."""
    member.load.forget()
