"""The channel between balancer, subchannels and calls."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from tests.support.scripted_servers import Link, Peer, closed_port, echo, silent
from tests.support.waiting import eventually
from zkrpc.call import Call
from zkrpc.client.channel import Channel, speaks_against
from zkrpc.client.member import Member
from zkrpc.client.naming import Naming
from zkrpc.client.policy import resolve_client
from zkrpc.config import ClientConfig, ServiceConfig
from zkrpc.deadline import Deadline
from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.errors import ConnectionLost, DeadlineExceeded, Executed, Overloaded, RemoteError, Unavailable
from zkrpc.wire.message import Request

pytestmark = pytest.mark.usefixtures("clean")

CONFIG = ClientConfig(
    backoff=0.005,
    max_backoff=0.05,
    connect_timeout=5.0,
    keepalive_time=0.1,
    keepalive_patience=0.2,
    keepalive_timeout=3.0,
    warm_up=0,
)


def listing(*endpoints: Endpoint, speaks: str = "zkrpc") -> Snapshot:
    """A list of members."""
    members = tuple(Instance(id=str(one), endpoint=one, protocols=(speaks,)) for one in endpoints)
    return Snapshot(service="users", instances=members)


@contextmanager
def channel_of(*endpoints: Endpoint, speaks: str = "zkrpc", config: ClientConfig = CONFIG) -> Iterator[Channel]:
    """A channel that knows these endpoints."""
    channel = Channel(config, rng=random.Random(5).random)
    channel.receive_snapshot(listing(*endpoints, speaks=speaks))
    try:
        yield channel
    finally:
        channel.close()


def soon(seconds: float = 60.0) -> float:
    """A deadline."""
    return time.monotonic() + seconds


def call_by(channel: Channel, endpoint: Endpoint, *, movable: bool, seconds: float = 60.0) -> Any:
    """Makes one call to this member."""
    member = channel.find(endpoint)
    assert member is not None
    return member.subchannel.acquire(soon()).call(b"echo", b"\x00", soon(seconds), movable=movable)


def picks(channel: Channel) -> set[Endpoint]:
    """Who may be picked."""
    call = Call("get", None, Deadline(soon()))
    return {channel.pick(call, time.monotonic()).endpoint for _ in range(40)}


def test_frozen_member_is_avoided_and_loses_the_calls_that_can_move() -> None:
    """The others wait; when it gives a sign of life, it is as good as ever, and they are answered."""
    config = dataclasses.replace(CONFIG, keepalive_timeout=30.0)
    with Peer(silent) as frozen, Peer() as well, channel_of(frozen.endpoint, well.endpoint, config=config) as channel:
        movable = gevent.spawn(call_by, channel, frozen.endpoint, movable=True)
        fixed = gevent.spawn(call_by, channel, frozen.endpoint, movable=False)
        eventually(lambda: len(frozen.requests) == 2)
        frozen.freeze()
        began = time.monotonic()
        with pytest.raises(ConnectionLost, match="no sign of life") as caught:
            movable.get()
        assert caught.value.executed is Executed.MAYBE and 0.2 < time.monotonic() - began < 30.0
        assert picks(channel) == {well.endpoint} and not fixed.dead
        frozen.thaw()
        echo(frozen.links[0], frozen.requests[1])
        frozen.links[0].flush()
        assert fixed.get() is not None
        eventually(lambda: picks(channel) == {well.endpoint, frozen.endpoint})


def test_member_that_stays_frozen_is_closed_and_must_prove_that_it_is_back() -> None:
    """That its machine accepts connections proves nothing; an answer to a ping does."""
    config = dataclasses.replace(CONFIG, connect_timeout=0.7)
    with Peer(silent) as frozen, Peer() as well, channel_of(frozen.endpoint, well.endpoint, config=config) as channel:
        fixed = gevent.spawn(call_by, channel, frozen.endpoint, movable=False)
        eventually(lambda: frozen.requests)
        frozen.freeze()
        with pytest.raises(ConnectionLost, match="no sign of life"):
            fixed.get()
        eventually(lambda: frozen.accepted >= 3)
        assert picks(channel) == {well.endpoint}
        member = channel.find(frozen.endpoint)
        assert member is not None
        with pytest.raises(Unavailable, match="no sign of life"):
            member.subchannel.acquire(soon())
        frozen.thaw()
        eventually(lambda: picks(channel) == {well.endpoint, frozen.endpoint})


def test_quiet_member_answers_pings_and_keeps_its_slow_calls() -> None:
    """A handler that takes long is no silence: the wire answers pings beside it."""
    with Peer(silent) as slow, channel_of(slow.endpoint) as channel:
        call = gevent.spawn(call_by, channel, slow.endpoint, movable=True)
        eventually(lambda: slow.requests)
        gevent.sleep(0.6)
        assert not call.dead
        echo(slow.links[0], slow.requests[0])
        slow.links[0].flush()
        assert call.get() is not None


# -- lists that collapse


@pytest.mark.parametrize("speaks", ["framed", "theader"])
def test_mute_member_that_cannot_be_asked_loses_the_calls_that_can_move(speaks: str) -> None:
    """What listens there has never sent a byte: others do the work, and it is left alone longer each time."""
    with Peer(silent) as mute, Peer() as well, channel_of(mute.endpoint, well.endpoint, speaks=speaks) as channel:
        began = time.monotonic()
        stays = gevent.spawn(call_by, channel, mute.endpoint, movable=False, seconds=3.0)
        with pytest.raises(ConnectionLost, match="no sign of life") as caught:
            call_by(channel, mute.endpoint, movable=True)
        assert caught.value.executed is Executed.MAYBE and 0.25 < time.monotonic() - began < 30.0
        assert member_of(channel, mute.endpoint).silent and picks(channel) == {well.endpoint}
        stays.join(60)
        assert isinstance(stays.exception, DeadlineExceeded)
        eventually(lambda: picks(channel) == {mute.endpoint, well.endpoint})
        with pytest.raises(ConnectionLost):
            call_by(channel, mute.endpoint, movable=True)
        assert member_of(channel, mute.endpoint).subchannel.connectivity.unheard > 1


@pytest.mark.parametrize("speaks", ["framed", "theader"])
def test_slow_member_that_cannot_be_asked_keeps_its_calls_where_nobody_else_could_take_them(speaks: str) -> None:
    """It may only be slow; and once it has sent a byte, it may be as slow as it likes."""

    def slow(link: Link, request: Request) -> None:
        gevent.sleep(0.6)
        echo(link, request)

    with Peer(slow) as peer, channel_of(peer.endpoint, speaks=speaks) as channel:
        assert call_by(channel, peer.endpoint, movable=True) is not None
        member_of(channel, peer.endpoint).breaker.successes += 1  # as whoever made the call counts
        with Peer() as other:
            channel.receive_snapshot(listing(peer.endpoint, other.endpoint, speaks=speaks))
            assert call_by(channel, peer.endpoint, movable=True) is not None
        assert not member_of(channel, peer.endpoint).silent


def test_late_first_byte_ends_the_doubt() -> None:
    """Of one that was only slow and kept a call that cannot move."""

    def slow(link: Link, request: Request) -> None:
        gevent.sleep(2.0)
        echo(link, request)

    with Peer(slow) as peer, Peer() as other, channel_of(peer.endpoint, other.endpoint, speaks="theader") as channel:
        stays = gevent.spawn(call_by, channel, peer.endpoint, movable=False)
        eventually(lambda: member_of(channel, peer.endpoint).silent)
        assert stays.get(timeout=60) is not None
        eventually(lambda: not member_of(channel, peer.endpoint).silent)


def test_vanished_members_stay_in_use_while_they_answer() -> None:
    """Connected or not; one that nobody can reach leaves, and so does each when it refuses."""
    with Peer() as one, Peer() as other:
        with channel_of(one.endpoint, other.endpoint, closed_port()) as channel:
            call_by(channel, one.endpoint, movable=True)
            channel.receive_snapshot(listing())
            eventually(lambda: picks(channel) == {one.endpoint, other.endpoint})
            eventually(lambda: other.links)
            one.close()
            eventually(lambda: picks(channel) == {other.endpoint})
            other.links[0].drain()
            eventually(lambda: channel.find(other.endpoint) is None)
            with pytest.raises(Unavailable, match="no instances"):
                picks(channel)


def test_vanished_plain_members_stay_while_they_can_be_connected_to() -> None:
    """There is no other question that a plain Thrift server understands."""
    with Peer() as one, channel_of(one.endpoint, closed_port(), speaks="framed") as channel:
        channel.receive_snapshot(listing())
        eventually(lambda: picks(channel) == {one.endpoint})
        one.close()
        eventually(lambda: channel.find(one.endpoint) is None)


def test_vanished_member_that_falls_silent_leaves() -> None:
    """A sign of life is what it stays for."""
    with Peer(silent) as one, channel_of(one.endpoint) as channel:
        waiting = gevent.spawn(call_by, channel, one.endpoint, movable=False)
        eventually(lambda: one.requests)
        channel.receive_snapshot(listing())
        assert picks(channel) == {one.endpoint}
        one.freeze()
        eventually(lambda: channel.find(one.endpoint) is None)
        waiting.kill()


# -- what calls say


def member_of(channel: Channel, endpoint: Endpoint) -> Member[Any]:
    """The member at a place."""
    member = channel.find(endpoint)
    assert member is not None
    return member


def test_failures_open_a_breaker_and_pleas_are_heard() -> None:
    """What says nothing of the instance changes nothing."""
    first, second, third = (Endpoint("h", number) for number in (1, 2, 3))
    with channel_of(first, second, third) as channel:
        now = time.monotonic()
        for _ in range(5):
            channel.receive_failure(member_of(channel, first), RemoteError("bug"), now)
            channel.receive_failure(member_of(channel, third), Unavailable("refused"), now)
        assert picks(channel) == {second, third}
        channel.receive_failure(member_of(channel, second), Overloaded("busy", retry_after=0.2), now)
        channel.receive_success(member_of(channel, third), now)
        channel.abandon(member_of(channel, third), now)
        assert picks(channel) == {first, second, third}  # suspicion against most is not believed
        eventually(lambda: picks(channel) == {second, third})


@pytest.mark.parametrize(
    "error, speaks",
    [
        (ConnectionLost("x"), True),
        (ConnectionLost("x", executed=Executed.NO), False),
        (DeadlineExceeded("x"), True),
        (DeadlineExceeded("x", executed=Executed.NO), False),
        (RemoteError("x"), True),
        (Unavailable("x"), False),
        (Overloaded("x"), False),
    ],
)
def test_what_speaks_against_an_instance(error: Any, speaks: bool) -> None:
    """What it did, or did not do, with a call that it had."""
    assert speaks_against(error) is speaks


def follow(channel: Channel, service: ServiceConfig) -> None:
    """The service's config is this one from now on."""
    channel.receive_policy(resolve_client(channel.config, service))


def test_budget_and_picking_follow_the_service_config_unless_the_client_says_otherwise() -> None:
    """Live."""
    with channel_of(Endpoint("h", 1)) as channel:
        follow(channel, ServiceConfig(retry_reserve=0.0, retry_ratio=0.5, balancing="round_robin"))
        assert not channel.budget.withdraw(time.monotonic())
        channel.budget.calls += 4
        assert channel.budget.withdraw(time.monotonic() + 0.001)
    with channel_of(Endpoint("h", 1)) as channel:
        while channel.budget.withdraw(time.monotonic()):
            pass
        for subset in range(1, 9):  # a change of other things refills nothing
            follow(channel, ServiceConfig(subset_size=subset))
        assert channel.budget.balance(time.monotonic()) < 5
    own = ClientConfig(retry_reserve=1.0, balancing="p2c", subset_size=3)
    with channel_of(Endpoint("h", 1), config=own) as channel:
        follow(channel, ServiceConfig(retry_reserve=0.0, balancing="round_robin", subset_size=7))
        assert channel.budget.withdraw(time.monotonic())
        assert (channel._balancer._picking.balancing, channel._balancer._picking.subset_size) == ("p2c", 3)


def serving(place: Endpoint, *services: str) -> Instance:
    """A member whose record names these services."""
    return Instance(id=str(place), endpoint=place, protocols=("zkrpc",), services=services, primary_only=("Audit:log",))


def test_members_that_serve_something_else_are_left_out() -> None:
    """Of a mixed group those are called that fit, or do not say; explained as what they are. Where nobody fits, the
    error says what is served; and a member whose new record takes the service away is not kept for lost."""
    places = one, two, three = [Endpoint("127.0.0.1", 40001 + number) for number in range(3)]
    channel = Channel(CONFIG, rng=random.Random(5).random, naming=Naming("Audit"))
    try:
        members = (serving(one, "Users", "Audit"), serving(two, "Users"), serving(three))
        channel.receive_snapshot(Snapshot(service="users", instances=members))
        assert picks(channel) == {one, three} and channel.find(two) is None
        assert [str(member_of(channel, place).subchannel.names) for place in (one, three)] == ["<Names Audit>", "None"]
        assert channel.is_marked("log") and not channel.is_marked("get")
        seen = {view.endpoint: view.obstacles for view in channel.explain(time.time())}
        assert seen == {str(one): (), str(two): ("it serves Users, and not Audit",), str(three): ()}
        channel.receive_snapshot(
            Snapshot(service="users", instances=tuple(serving(place, "Users") for place in places))
        )
        with pytest.raises(Unavailable, match="none of the 3 instances of 'users' serves Audit: they serve Users;"):
            picks(channel)
        assert not channel.status().members and len(channel.explain(time.time())) == 3
        channel.receive_snapshot(Snapshot(service="users", instances=members))
        assert picks(channel) == {one, three}
        channel.receive_snapshot(Snapshot(service="users"))
        assert picks(channel) == {one, three}, "these have vanished, and stay while they answer"
    finally:
        channel.close()
