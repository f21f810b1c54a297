"""All that one instance stands for: a campaign for each of a service's groups, and their spreading over the replicas.

It owns the campaigns and ends them together; what each of them does it leaves to them.
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
from zkrpc.election.leadership import HandlerHooks
from zkrpc.election.lease_keeper import LeaseKeeper
from zkrpc.election.primary import Primacy, find_marks, groups_of
from zkrpc.election.spread import Spreader
from zkrpc.election.tree import ElectionPaths
from zkrpc.endpoint import Instance
from zkrpc.idl import Interface
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.telemetry.observer import Observer, gather
from zkrpc.telemetry.status import ElectionStatus
from zkrpc.zookeeper.session import Session

_FINISH_SHARE = 0.8
"""Of the time for a withdrawal, what the calls that run may take; the rest is for telling ZooKeeper."""


class Elections:
    """The elections of a service's groups, as one instance takes part in them.

    A service without primary-only methods has none, and then nothing here does anything. Raises ConfigError if the
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
        """Told of elections and of who leads."""
        marks = find_marks(interface, handler)
        self.methods = tuple(marks)
        """The names of the primary-only methods."""
        self.groups = groups_of(marks.values(), groups)
        self.campaigns: dict[str, Campaign] = {}
        """Each group's, from ``stand`` on."""
        self.interceptors: tuple[Interceptor[ServerCall], ...] = ()
        """What stands in front of the handler."""
        self.service = ""
        if marks:
            self.interceptors = (Primacy(marks, self.campaigns, patience=config.elected_timeout),)
        self.hooks = HandlerHooks(handler)
        """The handler's ``on_elected`` and ``on_deposed``."""
        self._config = config
        self._spreader: Spreader | None = None
        self._leaving: gevent.Greenlet[..., None] | None = None

    def __repr__(self) -> str:
        """Who leads what here."""
        leading = [group for group, campaign in self.campaigns.items() if campaign.leadership is not None]
        return f"<Elections groups={len(self.groups)} leading={leading}>"

    def stand(
        self,
        session: Session,
        lease_keeper: LeaseKeeper,
        service: str,
        instance: Instance,
        membership: WatchedMembership,
    ) -> None:
        """Takes part while it is listed, which may take its time and may end: callers reach a primary by its
        registration, so one that is not there would lead and serve nobody.

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
            # Everybody stands for every group, so the queue of one of them tells who is there.
            some = ElectionPaths(service, self.groups[0]).candidates
            self._spreader = Spreader(
                session, some, instance.id, self._move, settle=config.settle, probation=2 * config.elected_timeout
            )
            for group in self.groups:
                self._spreader.receive_holder(group, None)
            self._spreader.start()
        for campaign in self.campaigns.values():
            campaign.start()

    def status(self) -> tuple[ElectionStatus, ...]:
        """Where each group's election stands at this moment, in the order of the groups; empty before ``stand``."""
        return tuple(campaign.status() for campaign in self.campaigns.values())

    def withdraw(self, timeout: float) -> bool:
        """Hands over whatever is led here and stands no longer; True once that is done, False if the time ran out.

        Most of the time may go by with waiting for the calls that run here, as only a primary can finish them.

        Even then it goes on, until ``close``.
        """
        if self._spreader is not None:
            self._spreader.close()
        if self._leaving is None:
            self._leaving = gevent.spawn(self._begin_withdrawal, timeout * _FINISH_SHARE)
        give_up_at = time.monotonic() + timeout
        waits = [self._leaving_begun, *(one.wait_withdrawn for one in self.campaigns.values())]
        return all(wait(max(0.0, give_up_at - time.monotonic())) for wait in waits)

    def close(self) -> None:
        """Ends everything at once; what is ours stays for as long as the session does."""
        if self._spreader is not None:
            self._spreader.close()
        if self._leaving is not None:
            self._leaving.kill(block=False)
        for campaign in self.campaigns.values():
            campaign.close()

    def _begin_withdrawal(self, finish_timeout: float) -> None:
        # All at once: each of them waits for its own calls.
        gevent.joinall(
            [gevent.spawn(campaign.begin_withdrawal, finish_timeout) for campaign in self.campaigns.values()]
        )

    def _leaving_begun(self, timeout: float) -> bool:
        assert self._leaving is not None
        self._leaving.join(timeout)
        return self._leaving.ready()

    def _hear(self, group: str, record: PrimaryRecord | None) -> None:
        if self._spreader is not None:
            self._spreader.receive_holder(group, None if record is None else record.instance)

    def _move(self, group: str, heir: str) -> None:
        self.campaigns[group].step_down(heir)
