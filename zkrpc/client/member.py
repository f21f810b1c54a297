"""One instance as a client uses it: its registration, its load, its breaker and its connectivity. Pure."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

from zkrpc.balancing.load import Load
from zkrpc.client.connectivity import ConnectivityMachine, Standing
from zkrpc.config import ClientConfig
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.policies.breaker import Breaker, BreakerState


class Connectable(Protocol):
    """The part of a subchannel that a member uses."""

    endpoint: Endpoint
    connectivity: ConnectivityMachine


SubchannelT = TypeVar("SubchannelT", bound=Connectable)

_DOWN, _SUSPECT = Standing.DOWN, Standing.SUSPECT


class Member(Generic[SubchannelT]):
    """One instance. Members are compared by identity: a process that was restarted is another member."""

    __slots__ = (
        "breaker",
        "connectivity",
        "endpoint",
        "id",
        "instance",
        "known_since",
        "subchannel",
        "load",
        "spared_until",
        "weight",
    )

    def __init__(
        self,
        instance: Instance,
        make_subchannel: Callable[[Instance], SubchannelT],
        config: ClientConfig,
        rng: Callable[[], float],
        now: float,
    ) -> None:
        self.instance = instance
        self.id = instance.id
        self.endpoint = instance.endpoint
        self.weight = instance.weight
        """Its registered weight, reduced while it warms up."""
        self.known_since = now
        self.load = Load()
        self.breaker = Breaker(config.breaker, rng=rng, now=now)
        self.spared_until = -math.inf
        """Until when it is avoided, because it answered that it is overloaded."""
        self.subchannel = make_subchannel(instance)
        self.connectivity = self.subchannel.connectivity
        """The state machine of its subchannel."""

    @property
    def zone(self) -> str:
        """The zone in which it runs."""
        return self.instance.zone

    @property
    def down(self) -> bool:
        """Whether it refused a connection, or announced that it drains. Unlike a suspicion, this is certain."""
        return self.connectivity.standing is _DOWN

    @property
    def silent(self) -> bool:
        """Whether it gives no sign of life."""
        return self.connectivity.standing is _SUSPECT

    def is_same(self, instance: Instance) -> bool:
        """True if ``instance`` is the same process, reached by the same protocols and names; only then load and
        subchannel are kept."""
        mine, same = self.instance, ("id", "started_at", "protocols", "tls", "services")
        return all(getattr(mine, name) == getattr(instance, name) for name in same)

    def is_suspect(self, now: float) -> bool:
        """Whether it is better avoided, because it is silent or overloaded, says that it is not ready, or has an open
        breaker."""
        doubtful = self.silent or self.breaker.state is not BreakerState.CLOSED or now < self.spared_until
        return doubtful or self.instance.unready != ""

    def next_change(self, now: float) -> float:
        """When its state next changes by time alone; infinity if it does not."""
        retry_at = self.breaker.retry_at
        moments = (self.spared_until, math.inf if retry_at is None or self.down else retry_at)
        return min(moment if moment > now else math.inf for moment in moments)

    def __repr__(self) -> str:
        """Id, endpoint and load."""
        return f"<Member {self.instance.id} at {self.endpoint} {self.load!r}>"
