"""All elections of one instance: a campaign for each of a service's groups, and the spreading of groups over the
replicas.

This module starts the campaigns and ends them together; each campaign runs by itself.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterable, Sequence

import gevent

from zkrpc.call import Interceptor, ServerCall
from zkrpc.config import ElectionConfig
from zkrpc.election.campaign import Campaign, WatchedMembership
from zkrpc.election.candidate_state import Participant
from zkrpc.election.hooks import HandlerHooks
from zkrpc.election.lease_keeper import LeaseKeeper
from zkrpc.election.observing import doubt_of
from zkrpc.election.primary import Primacy, find_marks, groups_of
from zkrpc.election.spread import FollowMembers, Spreader
from zkrpc.election.tree import ElectionPaths
from zkrpc.endpoint import Instance
from zkrpc.idl import Interface
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.telemetry.observer import Observer, gather
from zkrpc.telemetry.status import ElectionStatus
from zkrpc.zookeeper.session import Session

_FINISH_SHARE = 0.8
"""The part of a withdrawal's time that running calls may take; the rest is for the requests to ZooKeeper."""


class Elections:
    """The elections of a service's groups, as one instance takes part in them.

    A service without primary-only methods has none, and then no method here has an effect. Raises ConfigError if the
    handler's marks, its hooks and the declared groups do not go together.
    """

    def __init__(
        self,
        interface: Interface,
        handler: object,
        groups: Sequence[str],
        config: ElectionConfig,
        observers: Iterable[Observer] = (),
    ) -> None:
        self.observers = gather(observers)
        """Receive the events of the elections."""
        marks = find_marks(interface, handler)
        self.methods = tuple(marks)
        """The names of the primary-only methods."""
        self.groups = groups_of(marks.values(), groups)
        self.campaigns: dict[str, Campaign] = {}
        """The campaign of each group, from ``stand`` on."""
        self.interceptors: tuple[Interceptor[ServerCall], ...] = ()
        """The interceptors for the server's handler."""
        self.service = ""
        if marks:
            self.interceptors = (Primacy(marks, self.campaigns, patience=config.elected_timeout),)
        self.hooks = HandlerHooks(handler)
        """The handler's ``on_elected`` and ``on_deposed``."""
        self._config = config
        self._spreader: Spreader | None = None
        self._leaving: gevent.Greenlet[..., None] | None = None

    def __repr__(self) -> str:
        """The number of groups, and those of which this instance is the primary."""
        leading = [group for group, campaign in self.campaigns.items() if campaign.leadership is not None]
        return f"<Elections groups={len(self.groups)} leading={leading}>"

    def stand(
        self,
        session: Session,
        lease_keeper: LeaseKeeper,
        service: str,
        instance: Instance,
        membership: WatchedMembership,
        follow_members: FollowMembers,
    ) -> None:
        """Takes part in all elections while the instance is registered, which may begin later and may end: callers find
        a primary through its registration, so one that is not registered would get no calls. With several groups the
        members are followed, as groups are handed to those only that are ready.

        Raises ConfigError for a service that cannot be a node's name.
        """
        self.service = service
        unique = secrets.token_hex(8)
        config = self._config
        for group in self.groups:
            paths = ElectionPaths(service, group)
            participant = Participant(paths=paths, instance=instance.id, endpoint=instance.endpoint, unique=unique)
            self.campaigns[group] = Campaign(
                session,
                lease_keeper,
                participant,
                self.hooks,
                config,
                membership=membership,
                on_primary=self._hear,
                observers=self.observers,
            )
        if len(self.groups) > 1:
            # Every replica is a candidate for every group, so the queue of one group lists all replicas.
            some = ElectionPaths(service, self.groups[0]).candidates
            self._spreader = Spreader(
                session,
                some,
                instance.id,
                self._move,
                follow_members=follow_members,
                settle=config.settle,
                probation=2 * config.elected_timeout,
            )
            for group in self.groups:
                self._spreader.receive_holder(group, None)
            self._spreader.start()
        for campaign in self.campaigns.values():
            campaign.start()

    def status(self) -> tuple[ElectionStatus, ...]:
        """The state of each group's election at this moment, in the order of the groups; empty before ``stand``."""
        return tuple(campaign.status() for campaign in self.campaigns.values())

    def doubt(self, group: str) -> str | None:
        """Why this instance does not serve as the group's primary at this moment; None if it does."""
        campaign = self.campaigns.get(group)
        return "it does not stand for election yet" if campaign is None else doubt_of(campaign.status())

    def step_down(self) -> None:
        """Begins to hand over the groups that this instance leads, and stays a candidate. Of several groups each goes
        to an instance that is ready, if there is one; otherwise, and with one group, to whoever is next."""
        heirs = self._heirs()
        for group, campaign in self.campaigns.items():
            if campaign.leadership is not None:
                gevent.spawn(campaign.step_down, heirs.get(group, ""))

    def withdraw(self, timeout: float) -> bool:
        """Hands over all groups, as ``step_down`` does, and stops taking part; True once that is done, False if the
        time ran out.

        Most of the time may be spent on waiting for the calls that run here, as only the primary can finish them.

        After a False the withdrawal goes on, until ``close``.
        """
        if self._spreader is not None:
            self._spreader.close()
        if self._leaving is None:
            self._leaving = gevent.spawn(self._begin_withdrawal, timeout * _FINISH_SHARE)
        give_up_at = time.monotonic() + timeout
        waits = [self._leaving_begun, *(one.wait_withdrawn for one in self.campaigns.values())]
        return all(wait(max(0.0, give_up_at - time.monotonic())) for wait in waits)

    def step_aside(self, timeout: float) -> bool:
        """Hands over all groups, as ``step_down`` does, and takes no part until ``come_back``; True once that is done,
        False if the time ran out before. The calls that run here may take most of it."""
        give_up_at, finish_timeout, heirs = time.monotonic() + timeout, timeout * _FINISH_SHARE, self._heirs()
        campaigns = self.campaigns
        # Concurrently, as each campaign waits for its own calls.
        gevent.joinall(
            [gevent.spawn(one.step_aside, finish_timeout, heirs.get(group, "")) for group, one in campaigns.items()]
        )
        return all(one.wait_withdrawn(max(0.0, give_up_at - time.monotonic())) for one in campaigns.values())

    def come_back(self) -> None:
        """Takes part again, once the instance is registered."""
        for campaign in self.campaigns.values():
            campaign.come_back()

    def close(self) -> None:
        """Ends all campaigns at once; our nodes stay until the session ends."""
        if self._spreader is not None:
            self._spreader.close()
        if self._leaving is not None:
            self._leaving.kill(block=False)
        for campaign in self.campaigns.values():
            campaign.close()

    def _begin_withdrawal(self, finish_timeout: float) -> None:
        heirs, campaigns = self._heirs(), self.campaigns
        # Concurrently, as each campaign waits for its own calls.
        gevent.joinall(
            [
                gevent.spawn(one.begin_withdrawal, finish_timeout, heirs.get(group, ""))
                for group, one in campaigns.items()
            ]
        )

    def _heirs(self) -> dict[str, str]:
        """To whom each group goes that this instance gives up; empty for whoever is next."""
        return {} if self._spreader is None else self._spreader.heirs()

    def _leaving_begun(self, timeout: float) -> bool:
        assert self._leaving is not None
        self._leaving.join(timeout)
        return self._leaving.ready()

    def _hear(self, group: str, record: PrimaryRecord | None) -> None:
        if self._spreader is not None:
            self._spreader.receive_holder(group, None if record is None else record.instance)

    def _move(self, group: str, heir: str) -> None:
        self.campaigns[group].step_down(heir)
