"""Which calls go to a primary, of which group, and which instance that is.

A call gets a *route* if only the primary serves its method. That is so if the IDL says it; or if the registry's records
of the members say it and an instance has refused a call for that reason, and then the method is remembered. If the
records do not say it, such a refusal redirects only the call that was refused. A call without a route does not use this
module until it fails.

:mod:`zkrpc.client.primaries` knows the primaries: from the registry, if the resolver follows them there, and from every
answer; the registry only saves redirects, and is not required. Only members are called: a primary that is not (yet) in
the list, or is known by another address than the list's, is found through other members.

===============================  ===============================================================================
an attempt of a routed call      the next one, if it may be repeated at all
===============================  ===============================================================================
refused, with a redirect         there at once; after a pause if that primary has failed this call before
refused, without a redirect      after a pause, which news of the primary ends: to it, else to any member
the primary was lost             to any other at once, which may know the next one
anything else                    to the same primary, after a pause: no other member would serve it
===============================  ===============================================================================
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from zkrpc.call import Call
from zkrpc.client.channel import Channel
from zkrpc.client.member import Member
from zkrpc.client.primaries import MOST_GROUPS, Primaries
from zkrpc.client.resolver import PrimarySource
from zkrpc.client.subchannel import Subchannel
from zkrpc.endpoint import DEFAULT_GROUP, Endpoint, Primary
from zkrpc.errors import CallError, ConfigError, ConnectionLost, Draining, NotPrimary, Unavailable
from zkrpc.policies.retry import awaits_primary

GroupOf = Callable[[str, Any], str]
"""The group that a call belongs to: called with the method's name and an object with the arguments as attributes."""

_MOST_AT_ONCE = 8
"""The number of primaries that one call tries without a pause: if there are more, members redirect to each other in
circles."""


class Route:
    """The route of one call to a primary."""

    __slots__ = ("asked", "epoch", "group", "hint", "passing", "primary")

    def __init__(self, group: str, *, passing: bool = False) -> None:
        self.group = group
        self.passing = passing
        """True for a call of a method that is not marked as the primary's: its answers do not change what is known of
        primaries."""
        self.hint: Endpoint | None = None
        """The endpoint to which the last refusal redirected such a call."""
        self.primary: Primary | None = None
        """The primary that the current attempt went to; None if it went to any member."""
        self.epoch: int | None = None
        """The epoch in the answer."""
        self.asked: set[Primary] = set()
        """The primaries that failed this call."""


class PrimaryRouter:
    """The router of one client's calls.

    Args:
        channel: the members, and the calls that pause.
        source: follows primaries in the registry; None if only redirects tell of them.
        group_of: returns the group of a call; by default it is the one that a server named for the method, or the
            default group.
    """

    def __init__(self, channel: Channel, source: PrimarySource | None = None, group_of: GroupOf | None = None) -> None:
        self.learnt: dict[str, str] = {}
        """The methods that an instance has refused as not being the primary, and the group it named."""
        self._channel = channel
        self._source = source
        self._group_of = group_of
        self._primaries = Primaries()
        self._followed: dict[str, Callable[[], object]] = {}

    def __repr__(self) -> str:
        """The learnt methods, and the primaries."""
        return f"<PrimaryRouter {sorted(self.learnt)} {self._primaries!r}>"

    def lead(self, call: Call) -> None:
        """Gives the call a route to the primary of its group. Raises ConfigError if ``group_of`` names no possible
        group."""
        if self._group_of is not None:
            group = self._group_of(call.method, call.body)
            if not isinstance(group, str):
                raise ConfigError(f"group_of must return the name of a group, got {group!r} for {call.method}")
        else:
            group = self.learnt.get(call.method, DEFAULT_GROUP)
        self.follow(group)
        call.route = Route(group)

    def follow(self, group: str) -> None:
        """Follows a group's primary in the registry from now on, if there is a registry."""
        if self._source is None or group in self._followed or len(self._followed) >= MOST_GROUPS:
            return  # redirects must do
        self._followed[group] = _nothing
        try:
            end = self._source.follow_primary(group, functools.partial(self._receive_record, group))
        except ConfigError:
            del self._followed[group]
            raise
        self._followed[group] = end

    def pick(self, call: Call, now: float) -> Member[Subchannel]:
        """The member for the next attempt of a routed call: the primary if it is known, else any member."""
        route: Route = call.route
        if route.passing:
            hint, route.hint = route.hint, None
            return (hint and self._channel.find(hint)) or self._channel.pick(call, now)
        route.primary, member = self._find(route, now)
        if member is None and call.oneway:
            # A oneway call has no answer, so neither a refusal nor a redirect would come back.
            raise NotPrimary(
                f"the primary of {route.group!r} is not known, and a oneway call cannot ask", group=route.group
            )
        return member or self._channel.pick(call, now)

    def is_worth_asking(self, call: Call, error: CallError) -> bool:
        """Whether the next attempt may be made at once."""
        route: Route | None = call.route
        if route is None:
            return self._channel.has_untried(call)
        if route.passing:
            return route.hint is not None or (self._channel.has_untried(call) and len(call.tried) < _MOST_AT_ONCE)
        primary, member = self._find(route, self._channel.clock())
        if member is not None:
            return primary not in route.asked and len(route.asked) < _MOST_AT_ONCE
        return not awaits_primary(error) and self._channel.has_untried(call)

    def receive_reply(self, call: Call, epoch: int | None) -> None:
        """A routed call was answered; ``epoch`` is the one in the answer."""
        route: Route = call.route
        route.epoch = epoch
        if not route.passing and call.endpoint is not None and (epoch is not None or route.primary is not None):
            if self._primaries.receive_reply(route.group, call.endpoint, epoch, self._channel.clock()):
                self._channel.tell_news()

    def receive_failure(self, call: Call, error: CallError) -> None:
        """An attempt of a call has failed. A call without a route gets one if it failed because the instance is not the
        primary."""
        route: Route | None = call.route
        if route is None:
            if not isinstance(error, NotPrimary):
                return
            if self._channel.is_marked(call.method):
                self.learnt.setdefault(call.method, DEFAULT_GROUP)
                self.lead(call)
            else:
                call.route = Route("", passing=True)
            route = call.route
        if route.passing:
            told = error.primary if isinstance(error, NotPrimary) else None
            asked = told is None or told == call.endpoint or told in call.tried or self._channel.find(told) is None
            route.hint = None if asked else told
            return
        now = self._channel.clock()
        if route.primary is not None:
            route.asked.add(route.primary)
        if isinstance(error, NotPrimary) and error.group not in (None, route.group):
            # The refusal is about another group; what is known of this one stays.
            self._regroup(call, error.group)
        elif route.primary is not None and isinstance(error, (NotPrimary, Unavailable, ConnectionLost, Draining)):
            self._primaries.forget(route.group, route.primary, now)
        if isinstance(error, NotPrimary):
            hint, before = self._primaries.hint(route.group, now), self._find(route, now)
            if hint is not None and self._channel.find(hint.endpoint) is None:
                self._primaries.drop_hint(route.group)  # of no use, whatever its epoch
            # A refusal that redirects to the refusing instance itself is no information.
            told = None if error.primary == call.endpoint else error.primary
            if self._primaries.receive_redirect(route.group, told, error.epoch, now):
                if self._find(route, now) != before:
                    self._channel.tell_news()

    def _find(self, route: Route, now: float) -> tuple[Primary | None, Member[Subchannel] | None]:
        """The primary from the most trustworthy source that is a member."""
        for primary in self._primaries.believed(route.group, now):
            member = self._channel.find(primary.endpoint)
            if member is not None:
                return primary, member
        return None, None

    def close(self) -> None:
        """Stops following primaries."""
        followed, self._followed = self._followed, {}
        for end in followed.values():
            end()

    def _regroup(self, call: Call, group: str) -> None:
        """Moves a call to the group that the server named, which takes precedence over the client's own."""
        try:
            self.follow(group)
        except ConfigError:
            # Not a valid name in the registry, so it cannot be followed there; redirects still work.
            self._followed[group] = _nothing
        call.route.group = self.learnt[call.method] = group

    def _receive_record(self, group: str, primary: Primary | None) -> None:
        if self._primaries.receive_record(group, primary):
            self._channel.tell_news()


def _nothing() -> None:
    """Does nothing: stands for ``end`` while the following is being started."""
