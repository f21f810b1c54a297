"""Instances that stand for election in this process, each with a session of its own, and what they tell."""

from __future__ import annotations

import time
from collections.abc import Callable

import gevent

from tests.support.waiting import eventually
from zkrpc.config import ElectionConfig, RegistryConfig
from zkrpc.election.campaign import Campaign
from zkrpc.election.candidate_state import Participant
from zkrpc.election.leadership import Leadership
from zkrpc.election.lease_keeper import LeaseKeeper
from zkrpc.election.machine import ElectionState
from zkrpc.election.tree import ElectionPaths
from zkrpc.zookeeper.session import Session

TIMEOUT = 10.0
"""Seconds that the sessions ask for; the most that the test's server grants."""
PATHS = ElectionPaths("ledger")
SWIFT = ElectionConfig(elected_timeout=3.0, deposed_timeout=0.8, finish_timeout=0.5, audit_interval=30.0)


class Terms:
    """The epochs of one election, numbered in the order in which they came: each must be above those before it."""

    _of: dict[str, Terms] = {}

    def __init__(self) -> None:
        self.epochs: list[int] = []

    @classmethod
    def at(cls, hosts: str) -> Terms:
        """Those of the election under the chroot that ``hosts`` ends with."""
        return cls._of.setdefault(hosts.partition("/")[2], cls())

    def number(self, epoch: int) -> int:
        """1 for the first epoch, 2 for the second."""
        if epoch not in self.epochs:
            assert not self.epochs or epoch > self.epochs[-1], f"epoch {epoch} after {self.epochs[-1]}"
            self.epochs.append(epoch)
        return self.epochs.index(epoch) + 1


class Replica:
    """One instance: a session, a lease_keeper, a campaign, and an application that notes what it is told."""

    def __init__(
        self,
        name: str,
        hosts: str,
        *,
        paths: ElectionPaths = PATHS,
        config: ElectionConfig = SWIFT,
        on_elected: Callable[[Leadership], object] = lambda leadership: None,
        on_deposed: Callable[[Leadership], object] = lambda leadership: None,
        unique: str = "u",
    ) -> None:
        self.name = name
        self.told: list[str] = []
        self.served_since: dict[int, float] = {}
        """When ``on_elected`` had returned, by the term's number."""
        self.terms = Terms.at(hosts)
        self.exits: list[int] = []
        self.leadership: Leadership | None = None
        self._elected = on_elected
        self._deposed = on_deposed
        self.session = Session(hosts, RegistryConfig(session_timeout=TIMEOUT, request_timeout=6.5))
        self.session.start()
        self.lease_keeper = LeaseKeeper(self.session, name)
        self.lease_keeper.start()
        participant = Participant(
            paths=paths, instance=name, endpoint=f"10.0.0.1:{1000 + ord(name[-1])}", unique=unique
        )
        self.campaign = Campaign(
            self.session, self.lease_keeper, participant, self, config, end_process=self.exits.append
        )

    def start(self, *, wait: bool = True) -> Replica:
        """Stands from now on, and is in the queue when this returns, if that is waited for."""
        assert self.session.wait_connected(60)
        self.campaign.start()
        waiting = (ElectionState.IDLE, ElectionState.ENROLLING)
        if wait:
            eventually(lambda: self.campaign.state not in waiting)
        return self

    def on_elected(self, leadership: Leadership) -> None:
        """Notes it, and does what the test wants."""
        number = self.terms.number(leadership.epoch)
        self.told.append(f"elected {number}")
        self.leadership = leadership
        self._elected(leadership)
        self.served_since[number] = time.monotonic()

    def on_deposed(self, leadership: Leadership) -> None:
        """Notes it, and does what the test wants."""
        self.told.append(f"deposed {self.terms.number(leadership.epoch)}")
        self._deposed(leadership)

    @property
    def is_primary(self) -> bool:
        """Whether it would serve a call now."""
        epoch = self.campaign.gate.enter(0)
        if epoch is not None:
            self.campaign.gate.leave(epoch)
        return epoch is not None

    def await_primary(self, bound: float = 60.0) -> int:
        """Waits until it serves; its term's number."""
        eventually(lambda: self.is_primary, bound)
        return self.terms.number(self.epoch)

    @property
    def epoch(self) -> int:
        """Of the newest term."""
        assert self.leadership is not None
        return self.leadership.epoch

    def die(self) -> None:
        """What a supervisor does to a worker that was killed: its session is closed, and nothing else happens."""
        self.campaign.close()
        self.lease_keeper.close()
        self.session.close()

    close = die


def settle(seconds: float = 0.1) -> None:
    """Lets whatever is going on go on, in order to see that nothing comes of it."""
    gevent.sleep(seconds)
