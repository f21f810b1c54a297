"""One instance as a client uses it: what it says of itself, what it costs, and what speaks against it. Pure."""

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
    """What is to be known of a subchannel here."""

    endpoint: Endpoint
    connectivity: ConnectivityMachine


SubchannelT = TypeVar("SubchannelT", bound=Connectable)

_DOWN, _SUSPECT = Standing.DOWN, Standing.SUSPECT


class Member(Generic[SubchannelT]):
    """One instance. Equal only to itself: a process that comes back is another member."""

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
        """What it registered, less while it warms up."""
        self.known_since = now
        self.load = Load()
        self.breaker = Breaker(config.breaker, rng=rng, now=now)
        self.spared_until = -math.inf
        """It said that it has too much to do until then."""
        self.subchannel = make_subchannel(instance)
        self.connectivity = self.subchannel.connectivity
        """What is known of the way to it."""

    @property
    def zone(self) -> str:
        """Where it runs."""
        return self.instance.zone

    @property
    def down(self) -> bool:
        """Whether it refused a connection, or is about to stop: a fact."""
        return self.connectivity.standing is _DOWN

    @property
    def silent(self) -> bool:
        """Whether it gives no sign of life."""
        return self.connectivity.standing is _SUSPECT

    def is_same(self, instance: Instance) -> bool:
        """True if this describes the same process, reached in the same way; only then load and subchannel live on."""
        mine = self.instance
        return (mine.id, mine.started_at, mine.protocols) == (instance.id, instance.started_at, instance.protocols)

    def is_suspect(self, now: float) -> bool:
        """Whether something speaks against sending it a call, beside facts."""
        return self.silent or self.breaker.state is not BreakerState.CLOSED or now < self.spared_until

    def next_change(self, now: float) -> float:
        """When something about it changes by time alone; infinity if nothing does."""
        retry_at = self.breaker.retry_at
        moments = (self.spared_until, math.inf if retry_at is None or self.down else retry_at)
        return min(moment if moment > now else math.inf for moment in moments)

    def __repr__(self) -> str:
        """Place and load."""
        return f"<Member {self.instance.id} at {self.endpoint} {self.load!r}>"
