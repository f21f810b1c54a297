"""Which calls go to a primary, to that of which group, and where it is at the moment.

A call gets a *route* if its method says that only the primary serves it: in the IDL, or in the registry's records of
its members and once an instance has said so as well; then the method is remembered. Of any other method an instance
that says so leads only the call that it refused. A call without a route never comes here, except with its failure.

Where the primary is, :mod:`zkrpc.client.primaries` knows. It is told by the registry, if the resolver follows primaries
there, and by every answer; the registry is a short cut and never a condition. Only members are called: a primary that
is not (yet) in the list, or is told of under another address than the list's, is found by asking the members.

===============================  ===============================================================================
an attempt of a routed call      the next one, if it may be repeated at all
===============================  ===============================================================================
refused, and told where to go    there at once; after a pause if the call was there before as to this very primary
refused, nothing told            after a pause, which news of the primary ends: to it, else to anybody
the primary was lost             to any other at once, which may know the next one
anything else                    to the same primary, after a pause: another would not do it either
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
"""Primaries that one call follows without a pause: more elections than that in one call are rather a quarrel."""


class Route:
    """How one call is led to a primary."""

    __slots__ = ("asked", "group", "hint", "passing", "primary")

    def __init__(self, group: str, *, passing: bool = False) -> None:
        self.group = group
        self.passing = passing
        """True for a call of a method that nobody marked as the primary's: it learns and teaches nothing."""
        self.hint: Endpoint | None = None
        """Where the last refusal sends such a call."""
        self.primary: Primary | None = None
        """The primary that the current attempt went to as such; None if it went to anybody."""
        self.asked: set[Primary] = set()
        """The primaries that failed this call."""


class PrimaryRouter:
    """The router of one client's calls.

    Args:
        channel: the members, and the calls that pause.
        source: who watches the registry; None leaves it to redirects.
        group_of: names the group of a call; by default it is what a server said for the method, or the default group.
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
        """The test surface: what was learnt."""
        return f"<PrimaryRouter {sorted(self.learnt)} {self._primaries!r}>"

    def lead(self, call: Call) -> None:
        """Has the call go to the primary of its group. Raises ConfigError if ``group_of`` names no possible group."""
        if self._group_of is not None:
            group = self._group_of(call.method, call.body)
            if not isinstance(group, str):
                raise ConfigError(f"group_of must return the name of a group, got {group!r} for {call.method}")
        else:
            group = self.learnt.get(call.method, DEFAULT_GROUP)
        self.follow(group)
        call.route = Route(group)

    def follow(self, group: str) -> None:
        """Watches a group's primary in the registry from now on, if there is a registry."""
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
        """The member for the next attempt of a routed call: the primary, else any that might know it."""
        route: Route = call.route
        if route.passing:
            hint, route.hint = route.hint, None
            return (hint and self._channel.find(hint)) or self._channel.pick(call, now)
        route.primary, member = self._find(route, now)
        if member is None and call.oneway:
            # Nobody answers a oneway call, so nobody would tell that it was dropped.
            raise NotPrimary(
                f"nobody is known to lead {route.group!r}, and a oneway call cannot ask", group=route.group
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
        """A routed call was answered; ``epoch`` is what the primary said of itself."""
        route: Route = call.route
        if not route.passing and call.endpoint is not None and (epoch is not None or route.primary is not None):
            if self._primaries.receive_reply(route.group, call.endpoint, epoch, self._channel.clock()):
                self._channel.tell_news()

    def receive_failure(self, call: Call, error: CallError) -> None:
        """An attempt of a call failed. One without a route gets one if the reason is that it went to no primary."""
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
            # It spoke of another group; what we believe of ours stands.
            self._regroup(call, error.group)
        elif route.primary is not None and isinstance(error, (NotPrimary, Unavailable, ConnectionLost, Draining)):
            self._primaries.forget(route.group, route.primary, now)
        if isinstance(error, NotPrimary):
            hint, before = self._primaries.hint(route.group, now), self._find(route, now)
            if hint is not None and self._channel.find(hint.endpoint) is None:
                self._primaries.drop_hint(route.group)  # of no use, whatever its epoch
            # One that refuses and names itself says nothing.
            told = None if error.primary == call.endpoint else error.primary
            if self._primaries.receive_redirect(route.group, told, error.epoch, now):
                if self._find(route, now) != before:
                    self._channel.tell_news()

    def _find(self, route: Route, now: float) -> tuple[Primary | None, Member[Subchannel] | None]:
        """The most credible primary that is a member."""
        for primary in self._primaries.believed(route.group, now):
            member = self._channel.find(primary.endpoint)
            if member is not None:
                return primary, member
        return None, None

    def close(self) -> None:
        """Ends the watching."""
        followed, self._followed = self._followed, {}
        for end in followed.values():
            end()

    def _regroup(self, call: Call, group: str) -> None:
        """The server knows better than we which group a call belongs to."""
        try:
            self.follow(group)
        except ConfigError:
            # No name for the registry; the redirects of a server that uses it nevertheless are as good as any.
            self._followed[group] = _nothing
        call.route.group = self.learnt[call.method] = group

    def _receive_record(self, group: str, primary: Primary | None) -> None:
        if self._primaries.receive_record(group, primary):
            self._channel.tell_news()


def _nothing() -> None:
    """Ends nothing: the watching is being begun."""
