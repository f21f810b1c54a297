"""One instance and what speaks against it."""

from __future__ import annotations

import dataclasses
import math

from zkrpc.client.connectivity import ConnectivityMachine
from zkrpc.client.member import Member
from zkrpc.config import ClientConfig
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.policies.backoff import Backoff

INSTANCE = Instance(id="i1", endpoint=Endpoint("h", 1), protocols=("zkrpc",), zone="a", weight=2.0, started_at=5.0)


class Way:
    """A subchannel that leads nowhere: all that there is of it is its machine."""

    speaks = "zkrpc"
    is_heard: bool | None = None

    def __init__(self, instance: Instance) -> None:
        self.instance = instance
        self.endpoint = instance.endpoint
        self.connectivity = ConnectivityMachine(Backoff(first=0.025, longest=1.0), asks=True, rng=lambda: 0.5)


def member() -> Member[Way]:
    """First seen at time 10."""
    return Member(INSTANCE, Way, ClientConfig(), lambda: 0.5, 10.0)


def test_member_is_what_the_instance_says_and_a_subchannel() -> None:
    """And nothing speaks against it."""
    one = member()
    assert (one.id, one.zone, one.weight, one.subchannel.instance) == ("i1", "a", 2.0, INSTANCE)
    assert not one.down and not one.is_suspect(10.0) and one.next_change(10.0) == math.inf
    assert repr(one).startswith("<Member i1 at h:1 <Load")


def test_member_is_the_same_process_only_if_id_start_and_dialects_are_the_same() -> None:
    """Everything else may change while it runs."""
    one = member()
    assert one.is_same(dataclasses.replace(INSTANCE, weight=9.0, zone="b"))
    for field, value in (("id", "i2"), ("started_at", 6.0), ("protocols", ("framed",))):
        assert not one.is_same(dataclasses.replace(INSTANCE, **{field: value}))


def test_member_is_suspect_for_each_of_three_reasons() -> None:
    """Silence, a plea, an open breaker; the latter two end by time."""
    silent, spared, failing = member(), member(), member()
    silent.connectivity.receive_silent(10.0)
    spared.spared_until = 12.0
    for _ in range(5):
        failing.breaker.receive_failure(10.0)
    assert all(one.is_suspect(11.0) for one in (silent, spared, failing))
    assert not spared.is_suspect(12.0)
    assert [one.next_change(11.0) for one in (silent, spared)] == [math.inf, 12.0]
    assert failing.next_change(11.0) == failing.breaker.retry_at
    failing.connectivity.receive_refused("refused", 11.0)
    assert failing.next_change(11.0) == math.inf
