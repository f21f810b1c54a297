"""Spreads a service's groups over its replicas: carries out what the placement machine of this replica decides.

A shell: it watches the candidates, takes in each group's primary and which members are ready, and asks for one
hand-over at a time.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable

import gevent

from zkrpc.driver import Driver
from zkrpc.election.placement import HandOver, PlacementMachine
from zkrpc.election.tree import instance_of, queue
from zkrpc.endpoint import Snapshot
from zkrpc.errors import CoordinationError
from zkrpc.legible import legible
from zkrpc.zookeeper.session import Session

log = logging.getLogger(__name__)

FollowMembers = Callable[[Callable[[Snapshot], None]], Callable[[], object]]
"""Has a function called back with a service's members, now if they are known and at every change; returns what ends
that."""

_RETRY = 1.0
"""Seconds until the candidates are listed again after a failure."""


class Spreader:
    """The spreading of groups, as one replica does it. ``candidates`` is the path of any group's queue, as a replica is
    a candidate in all.

    ``move`` is called with a group and an heir, and may wait. ``follow_members`` has a function called back with the
    list of members, now if it is known and at every change. ``settle`` and ``probation`` are in seconds.
    """

    def __init__(
        self,
        session: Session,
        candidates: str,
        me: str,
        move: Callable[[str, str], None],
        *,
        follow_members: FollowMembers,
        settle: float,
        probation: float = 60.0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._session = session
        self._candidates = candidates
        self._move = move
        self._follow_members = follow_members
        self._unfollow: Callable[[], object] = lambda: None
        self._clock = clock
        self._machine = PlacementMachine(me, settle=settle, probation=probation)
        self._driver: Driver[HandOver] = Driver(self._machine, self._obey, clock=clock, observe=self._observe)

    def __repr__(self) -> str:
        """The machine's state."""
        return f"<Spreader {self._machine!r}>"

    def start(self) -> None:
        """Takes part from now on."""
        self._unfollow = self._follow_members(self._receive_members)
        self._driver.changed.set()
        self._driver.start()

    def close(self) -> None:
        """Stops taking part."""
        self._unfollow()
        self._driver.kill()

    def heirs(self) -> dict[str, str]:
        """To whom to hand each of the groups that this replica leads if it is to lead none; empty if nobody else is
        fit."""
        return self._machine.heirs()

    def receive_holder(self, group: str, holder: str | None) -> None:
        """Takes in the group's primary, None if it has none."""
        before = frozenset(self._machine.unfit)
        self._machine.receive_holder(group, holder, self._clock())
        for heir in self._machine.unfit - before:
            log.warning(
                "%s could not lead %s, which was handed over to it; it is passed over for a while", legible(heir), group
            )
        self._driver.nudged.set()

    def _receive_members(self, snapshot: Snapshot) -> None:
        self._machine.receive_unready({one.id for one in snapshot.instances if one.unready}, self._clock())
        self._driver.nudged.set()

    def _obey(self, move: HandOver) -> None:
        log.info(
            "handing %s over to %s, as groups are spread over those that are ready", move.group, legible(move.heir)
        )
        self._move(move.group, move.heir)

    def _observe(self, changed: bool) -> None:
        if not changed:
            return
        try:
            names = self._session.znodes.children(self._candidates, self._driver.changed)
        except CoordinationError as error:
            log.debug("cannot list the candidates: %s", error)
            names = None
        if names is None:
            gevent.sleep(_RETRY)
            self._driver.changed.set()
            return
        self._machine.receive_replicas({instance_of(name) for name in queue(names)}, self._clock())
