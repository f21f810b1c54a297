"""The elections of a Loopback: the real campaigns of every replica, with a referee in the place of ZooKeeper.

The state machine, the gate, the hooks, the interceptor in front of the handlers, and the way in which clients follow
the primary are those of production. Three things are replaced by simpler ones: requests are answered by a
:class:`~zkrpc.testing.referee.Referee`; the session of a replica is a number that ends when the test says so; and the
lease lasts as long as that session, without heartbeats. Groups are not spread over the replicas, as spreading waits on
purpose, which is too long for a test.
"""

from __future__ import annotations

import dataclasses
import functools
import random
import time
from collections.abc import Callable
from typing import NoReturn, cast

from gevent.event import Event

from zkrpc.belonging import Home
from zkrpc.config import ElectionConfig, RegistryConfig
from zkrpc.election.campaign import Campaign
from zkrpc.election.candidate_state import Participant
from zkrpc.election.effects import ElectionAnswer, ElectionRequest, RequestFailure
from zkrpc.election.elections import Elections
from zkrpc.election.lease import Lease, deposed_patience
from zkrpc.election.lease_keeper import LeaseKeeper, LeaseListener
from zkrpc.election.tree import ElectionPaths
from zkrpc.endpoint import NO_EPOCH, Epoch, Instance, Primary
from zkrpc.errors import ConfigError
from zkrpc.greenlets import spawn
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.testing.referee import Referee
from zkrpc.zookeeper.operations import SessionState
from zkrpc.zookeeper.session import Session

_EVER = 10 * 365 * 86400.0
_ABSENT = (
    "a Loopback has no ZooKeeper, so leadership.transaction() and what else asks it cannot work there; "
    "test that with the `zookeeper` fixture of zkrpc.testing"
)


class _Presence:
    """Stands for one replica's session and its lease keeper, as far as a campaign uses them."""

    def __init__(self, referee: Referee) -> None:
        self._referee = referee
        self._watchers: set[Event] = set()
        self.changed: list[Event] = []
        """Events to set when anything of an election changes: one for each campaign of the replica."""
        self.state = SessionState.CONNECTED
        self.session_id = referee.enter()
        self.connected_at = 0.0
        self.timeout: float | None = None
        self.znodes = self
        self.home = Home("a Loopback", in_child="make one there", in_thread="make one in each thread")

    def __getattr__(self, name: str) -> NoReturn:
        raise ConfigError(_ABSENT)

    def watch_state(self, event: Event) -> None:
        """Has the event set when the session is replaced by another."""
        self._watchers.add(event)

    def unwatch_state(self, event: Event) -> None:
        """Stops setting the event."""
        self._watchers.discard(event)

    def exists(self, path: str, watch: Event | None = None) -> None:
        """None, as there are no step-down requests in ZooKeeper here: a test calls the Loopback instead."""

    def expire(self) -> None:
        """Ends the session and begins another."""
        self._referee.leave(self.session_id)
        self.session_id = self._referee.enter()
        self.connected_at += 1.0
        for event in self._watchers:
            event.set()

    def end(self) -> None:
        """Ends the session for good."""
        self._referee.leave(self.session_id)

    @property
    def lease(self) -> Lease:
        """The lease, which lasts as long as the session."""
        return Lease(session_id=self.session_id, until=time.monotonic() + _EVER)

    def lead(self, group: str, on_lease: LeaseListener) -> None:
        """Does nothing, as ``lease`` holds from the start."""

    def rest(self, group: str) -> None:
        """Does nothing, as there are no heartbeats to stop."""


class Electorate:
    """The elections of one service. ``on_primary`` is told who leads a group, or that nobody does."""

    def __init__(self, service: str, on_primary: Callable[[str, Primary | None], None]) -> None:
        self._service = service
        self._on_primary = on_primary
        self._referee = Referee(self._change)
        self._presences: dict[str, _Presence] = {}
        self._campaigns: dict[str, dict[str, Campaign]] = {}
        self._told: dict[str, Primary | None] = {}
        self._serving: dict[str, PrimaryRecord | None] = {}
        self._turned = Event()

    def __repr__(self) -> str:
        """The primary of each group."""
        return f"<Electorate {self._service} {self._told}>"

    def stand(
        self, elections: Elections, instance: Instance, config: ElectionConfig, end: Callable[[], object]
    ) -> None:
        """Has an instance take part from now on; ``end`` ends it if its ``on_deposed`` does not return in time."""
        if not elections.groups:
            return
        if config.deposed_timeout is None:
            # What it is with the session timeout that most ask for and get; there is none here.
            config = dataclasses.replace(config, deposed_timeout=deposed_patience(RegistryConfig().session_timeout))
        presence = self._presences[instance.id] = _Presence(self._referee)
        for group in elections.groups:
            self._told.setdefault(group, None)
            self._serving.setdefault(group, None)
            elections.campaigns[group] = Campaign(
                # By what they look at; anything else that they might come to ask is refused with a reason.
                cast(Session, presence),
                cast(LeaseKeeper, presence),
                Participant(
                    paths=ElectionPaths(self._service, group),
                    instance=instance.id,
                    endpoint=instance.endpoint,
                    unique="loopback",
                ),
                elections.hooks,
                config,
                on_primary=functools.partial(self._hear, instance.id),
                rng=random.Random(instance.id),
                # Beside the campaign, which would end itself half-way.
                end_process=lambda status: spawn(end),
                executor=lambda session, changed: self._make_executor(presence, changed),
                observers=elections.observers,
            )
        self._campaigns[instance.id] = elections.campaigns
        for campaign in elections.campaigns.values():
            campaign.start()

    def wait(self, group: str, timeout: float, *, above: Epoch = NO_EPOCH) -> PrimaryRecord:
        """Waits until an instance serves as the group's primary in an epoch above ``above``, and returns its record.

        Raises TimeoutError if there is none in time, ConfigError if no instance stands for such a group.
        """
        if group not in self._serving:
            known = ", ".join(self._serving) or "none, for want of replicas or of primary-only methods"
            raise ConfigError(f"nobody stands for the group {group!r}; there are {known}")
        give_up_at = time.monotonic() + timeout
        while (record := self._serving[group]) is None or record.epoch <= above:
            left = give_up_at - time.monotonic()
            if left <= 0:
                raise TimeoutError(
                    f"nobody leads {group!r} after {timeout:g} s; does on_elected fail, on_deposed hang? the log tells"
                )
            self._turned.clear()
            self._turned.wait(left)
        return record

    def step_down(self, instance: str, group: str, heir: str) -> None:
        """Has the primary finish its calls and hand over."""
        self._campaigns[instance][group].step_down(heir)

    def expire(self, instance: str) -> None:
        """Expires an instance's session, as ZooKeeper would; the instance begins another one."""
        if instance in self._presences:
            self._presences[instance].expire()

    def end(self, instance: str) -> None:
        """Removes an instance, and ends its session."""
        presence = self._presences.pop(instance, None)
        for group in self._campaigns.pop(instance, {}):
            self._hear(instance, group, None)
        if presence is not None:
            presence.end()

    def follow(self, group: str, callback: Callable[[Primary | None], None]) -> None:
        """Calls back with the group's primary, now and at every change."""
        callback(self._told.get(group))

    def _make_executor(self, presence: _Presence, changed: Event) -> _RequestExecutor:
        presence.changed.append(changed)
        return _RequestExecutor(self._referee)

    def _hear(self, instance: str, group: str, record: PrimaryRecord | None) -> None:
        """Takes in who leads according to one instance; only what an instance reports about itself counts."""
        before = self._serving[group]
        if record is not None and record.instance == instance:
            self._serving[group] = record
        elif before is not None and before.instance == instance:
            self._serving[group] = None
        self._turned.set()

    def _change(self) -> None:
        for group, before in self._told.items():
            node = self._referee.look(ElectionPaths(self._service, group).primary)
            record = None if node is None else PrimaryRecord.parse(node.value)
            now = None if record is None else Primary(endpoint=record.endpoint, epoch=record.epoch)
            if now != before:
                self._told[group] = now
                self._on_primary(group, now)
        for presence in self._presences.values():
            for changed in presence.changed:
                changed.set()


class _RequestExecutor:
    """Passes a campaign's requests to the referee."""

    def __init__(self, referee: Referee) -> None:
        self._referee = referee

    def ask(self, request: ElectionRequest, session_id: int) -> ElectionAnswer | RequestFailure:
        """The referee's answer, without waiting."""
        return self._referee.ask(request, session_id)
