"""Subchannels over real sockets: who dials, who waits, who is let go."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from tests.support.scripted_servers import Peer, closed_port, echo, silent
from tests.support.waiting import eventually
from zkrpc.call import Call
from zkrpc.client.channel import Channel
from zkrpc.client.connection import Connection
from zkrpc.client.subchannel import Subchannel
from zkrpc.config import ClientConfig
from zkrpc.deadline import Deadline
from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.errors import ConnectionLost, DeadlineExceeded, Executed, RemoteProtocolError, Unavailable

pytestmark = pytest.mark.usefixtures("clean")

CONFIG = ClientConfig(backoff=0.005, max_backoff=0.05, connect_timeout=1.5, plain_connections=2, collapse_window=0)
BODY = b"\x00"


@contextmanager
def channel_of(*endpoints: Endpoint, speaks: str = "zkrpc", config: ClientConfig = CONFIG) -> Iterator[Channel]:
    """A channel that knows these endpoints."""
    channel = Channel(config, rng=random.Random(5).random)
    channel.receive_snapshot(listing(*endpoints, speaks=speaks))
    try:
        yield channel
    finally:
        channel.close()
        assert not channel.connections


def listing(*endpoints: Endpoint, speaks: str = "zkrpc") -> Snapshot:
    """A list of members."""
    members = tuple(Instance(id=str(one), endpoint=one, protocols=(speaks,)) for one in endpoints)
    return Snapshot(service="users", instances=members)


def soon(seconds: float = 60.0) -> float:
    """A deadline."""
    return time.monotonic() + seconds


def a_call(*tried: Endpoint) -> Call:
    """A call that has tried these."""
    call = Call("get", None, Deadline(soon()))
    call.tried = set(tried)
    return call


def subchannel_to(channel: Channel, *tried: Endpoint) -> Subchannel:
    """The subchannel that a call would take."""
    return channel.pick(a_call(*tried), time.monotonic()).subchannel


def ask(subchannel: Subchannel, seconds: float = 60.0) -> None:
    """One call over a subchannel."""
    connection = subchannel.acquire(soon(seconds))
    try:
        connection.call(b"echo", BODY, soon(seconds))
    finally:
        subchannel.release(connection)


def test_shared_subchannel_dials_once_for_all_who_wait() -> None:
    """Twenty callers, one connection."""
    with Peer() as peer, channel_of(peer.endpoint) as channel:
        callers = [gevent.spawn(ask, subchannel_to(channel)) for _ in range(20)]
        gevent.joinall(callers, timeout=60, raise_error=True)
        assert (peer.accepted, len(channel.connections)) == (1, 1)


def test_refused_endpoint_is_out_at_once_and_comes_back_by_itself() -> None:
    """The first caller finds out, the next ones need not wait for it, and somebody keeps knocking."""
    endpoint = closed_port()
    with Peer() as other, channel_of(endpoint, other.endpoint) as channel:
        subchannel = subchannel_to(channel, other.endpoint)
        with pytest.raises(Unavailable, match="is the server running there") as caught:
            subchannel.acquire(soon())
        assert (caught.value.executed, caught.value.endpoint) == (Executed.NO, endpoint)
        assert {subchannel_to(channel).endpoint for _ in range(20)} == {other.endpoint}
        assert not channel.has_untried(a_call(other.endpoint))
        with pytest.raises(Unavailable):
            subchannel.acquire(soon())
        waiting = gevent.spawn(channel.pause, 60.0)
        with Peer(port=endpoint.port) as late:
            waiting.join(60)
            assert waiting.value is True
            assert channel.has_untried(a_call(other.endpoint))
            ask(subchannel)
            assert late.accepted == 1
        assert repr(subchannel) == f"<SharedSubchannel {endpoint} ok>"


def test_refused_plain_endpoint_comes_back_with_a_connection_to_use() -> None:
    """The one that the background opened is the one the next call takes."""
    endpoint = closed_port()
    with channel_of(endpoint, speaks="framed") as channel:
        subchannel = subchannel_to(channel)
        with pytest.raises(Unavailable):
            subchannel.acquire(soon())
        with Peer(port=endpoint.port) as late:
            eventually(lambda: subchannel.connectivity.failure is None)
            ask(subchannel)
            assert late.accepted == 1


def test_refused_endpoint_that_leaves_is_not_dialled_any_more() -> None:
    """The knocking ends with the membership."""
    endpoint = closed_port()
    with channel_of(endpoint) as channel:
        with pytest.raises(Unavailable):
            subchannel_to(channel).acquire(soon())
        channel.receive_snapshot(listing())
        with Peer(port=endpoint.port) as late:
            gevent.sleep(0.1)
            assert late.accepted == 0
        with pytest.raises(Unavailable, match="no instances"):
            subchannel_to(channel)


def test_caller_with_less_time_than_a_dial_says_nothing_of_the_endpoint() -> None:
    """Its own deadline passes; the dial goes on for others, and nobody is avoided."""
    with full_backlog() as endpoint, channel_of(endpoint) as channel:
        subchannel = subchannel_to(channel)
        with pytest.raises(DeadlineExceeded) as caught:
            subchannel.acquire(soon(0.02))
        assert caught.value.executed is Executed.NO
        assert (subchannel.connectivity.failure, repr(channel)) == (
            None,
            "<Channel <LoadBalancer 'users' members=1 avoided=0>>",
        )
        with pytest.raises(Unavailable, match="in time"):
            subchannel.acquire(soon())
        assert repr(channel) == "<Channel <LoadBalancer 'users' members=1 avoided=1>>"


def test_plain_caller_with_less_time_than_a_dial_says_nothing_either() -> None:
    """Also where each caller dials for itself."""
    with full_backlog() as endpoint, channel_of(endpoint, speaks="framed") as channel:
        subchannel = subchannel_to(channel)
        with pytest.raises(DeadlineExceeded):
            subchannel.acquire(soon(0.02))
        assert subchannel.connectivity.failure is None


@contextmanager
def full_backlog() -> Iterator[Endpoint]:
    """An endpoint whose connection attempts are neither refused nor answered."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        fillers = []
        for _ in range(4):
            filler = socket.socket()
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
            fillers.append(filler)
        gevent.sleep(0.01)
        yield Endpoint(*listener.getsockname())
        for filler in fillers:
            filler.close()


def test_member_that_leaves_keeps_its_calls_and_loses_its_connection() -> None:
    """Leaving the list is not dying: what is in flight is answered."""
    with Peer(lambda link, request: link.held.append(request)) as peer, channel_of(peer.endpoint) as channel:
        caller = gevent.spawn(ask, subchannel_to(channel))
        eventually(lambda: peer.requests)
        channel.receive_snapshot(listing())
        assert len(channel.connections) == 1
        [link] = peer.links
        echo(link, link.held[0])
        link.flush()
        caller.get(timeout=60)
        eventually(lambda: not channel.connections)


def test_member_that_leaves_while_it_is_dialled_sends_its_waiters_on() -> None:
    """They may ask another instance at once."""
    with full_backlog() as endpoint, channel_of(endpoint) as channel:
        waiter = gevent.spawn(subchannel_to(channel).acquire, soon())
        gevent.sleep(0.01)
        channel.receive_snapshot(listing())
        waiter.join(60)
        assert isinstance(waiter.exception, Unavailable)
        assert "left the list" in str(waiter.exception)


def test_draining_connection_is_replaced_only_after_a_rest() -> None:
    """Others first; a server that is still a member after the rest gets calls again."""
    with Peer() as peer, Peer() as other, channel_of(peer.endpoint, other.endpoint) as channel:
        subchannel = subchannel_to(channel, other.endpoint)
        ask(subchannel)
        peer.links[0].drain()
        eventually(lambda: not peer.links)
        assert {subchannel_to(channel).endpoint for _ in range(20)} == {other.endpoint}
        eventually(lambda: channel.has_untried(a_call(other.endpoint)))
        ask(subchannel)
        assert peer.accepted == 2


def test_draining_peer_is_still_used_when_there_is_nobody_else() -> None:
    """A preference, not an exclusion."""
    with Peer() as peer, channel_of(peer.endpoint) as channel:
        ask(subchannel_to(channel))
        peer.links[0].drain()
        eventually(lambda: not channel.connections)
        ask(subchannel_to(channel))
        assert peer.accepted == 2


def test_draining_peer_that_stops_listening_is_dialled_in_the_background() -> None:
    """The rest of a drain gives way to the knocking of a refusal."""
    with channel_of() as channel:
        with Peer() as peer:
            channel.receive_snapshot(listing(peer.endpoint))
            subchannel = subchannel_to(channel)
            ask(subchannel)
            peer.links[0].drain()
            eventually(lambda: not channel.connections)
        with pytest.raises(Unavailable):
            subchannel.acquire(soon())
        with Peer(port=peer.endpoint.port):
            eventually(lambda: subchannel.connectivity.failure is None)
            ask(subchannel)


def test_server_that_drains_before_it_has_proved_itself_is_dialled_on() -> None:
    """A drain in that moment is no rest: the endpoint is still to be found well."""
    endpoint = closed_port()
    with channel_of(endpoint) as channel:
        subchannel = subchannel_to(channel)
        with pytest.raises(Unavailable):
            subchannel.acquire(soon())
        with Peer(port=endpoint.port) as late:
            late.freeze()
            eventually(lambda: late.links)
            late.links[0].protocol.peer_is_zkrpc = True  # it has not read our ping
            late.links[0].drain()
            late.thaw()
            eventually(lambda: subchannel.connectivity.failure is None)
            ask(subchannel)


class Mute:
    """A connection that ended without a sign of life."""

    silent = True
    is_heard = False


def test_dial_to_a_server_that_is_given_up_meanwhile_is_cancelled() -> None:
    """It would prove nothing; whoever waits for it may ask another instance at once."""
    with full_backlog() as endpoint, channel_of(endpoint) as channel:
        subchannel = subchannel_to(channel)
        waiter = gevent.spawn(subchannel.acquire, soon())
        gevent.sleep(0.01)
        mute: Any = Mute()
        subchannel.connection_closed(mute)
        waiter.join(60)
        assert isinstance(waiter.exception, Unavailable) and "no sign of life" in str(waiter.exception)


@pytest.mark.parametrize("error", [RemoteProtocolError("not a server"), ValueError("port"), OSError(111, "refused")])
def test_dial_that_fails_in_whatever_way_is_the_members_failure(error: Exception) -> None:
    """Those who wait for it hear the reason, and it is dialled again."""
    dials: list[Endpoint] = []

    def dial(endpoint: Endpoint, *_: Any, **__: Any) -> Connection:
        dials.append(endpoint)
        raise error

    channel = Channel(CONFIG, rng=random.Random(5).random, dial=dial)
    try:
        channel.receive_snapshot(listing(Endpoint("h", 1)))
        with pytest.raises(Unavailable, match=str(error.args[-1])):
            subchannel_to(channel).acquire(soon())
        eventually(lambda: len(dials) > 2)
    finally:
        channel.close()


def test_draining_connection_of_a_member_that_left_is_simply_let_go() -> None:
    """Nobody waits for it, nobody dials it."""
    with Peer(lambda link, request: link.held.append(request)) as peer, channel_of(peer.endpoint) as channel:
        caller = gevent.spawn(ask, subchannel_to(channel))
        eventually(lambda: peer.requests)
        channel.receive_snapshot(listing())
        [link] = peer.links
        link.drain()
        gevent.sleep(0.01)
        echo(link, link.held[0])
        link.flush()
        caller.get(timeout=60)
        eventually(lambda: not channel.connections)


def test_lost_connection_is_dialled_again_by_the_next_call() -> None:
    """Which then finds out what the loss meant."""
    with Peer(silent) as peer, channel_of(peer.endpoint) as channel:
        caller = gevent.spawn(ask, subchannel_to(channel))
        eventually(lambda: peer.requests)
        peer.cut()
        caller.join(60)
        assert isinstance(caller.exception, ConnectionLost)
        peer.script = echo
        ask(subchannel_to(channel))
        assert peer.accepted == 2


@pytest.mark.parametrize("speaks", ["theader", "framed"])
def test_server_that_has_never_sent_a_byte_is_told_from_others(speaks: str) -> None:
    """By its open connections, or by the last one; nothing is known before a call has left."""
    with Peer(silent) as peer, channel_of(peer.endpoint, speaks=speaks) as channel:
        subchannel = subchannel_to(channel)
        assert (subchannel.speaks, subchannel.is_heard) == (speaks, None)
        caller = gevent.spawn(ask, subchannel)
        eventually(lambda: peer.requests)
        caller.kill()
        assert subchannel.is_heard is False
        peer.script = echo
        ask(subchannel)
        assert subchannel.is_heard is True
        peer.cut()
        eventually(lambda: not channel.connections)
        assert subchannel.is_heard is True


def test_closed_channel_answers_everybody_and_picks_nobody() -> None:
    """Those who wait for a reply, for a dial, for news."""
    with Peer(silent) as peer, full_backlog() as dead, channel_of(peer.endpoint, dead) as channel:
        calling = gevent.spawn(ask, subchannel_to(channel, dead))
        dialling = gevent.spawn(subchannel_to(channel, peer.endpoint).acquire, soon())
        pausing = gevent.spawn(channel.pause, 60.0)
        eventually(lambda: peer.requests)
        channel.close()
        gevent.joinall([calling, dialling, pausing], timeout=60)
        assert isinstance(calling.exception, ConnectionLost)
        assert isinstance(dialling.exception, Unavailable)
        assert pausing.value is False
        assert channel.pause(5.0) is False
        with pytest.raises(Unavailable, match="closed"):
            subchannel_to(channel)
        channel.receive_snapshot(listing())
        assert repr(channel).endswith("closed>")


def test_dial_that_ends_after_the_close_leaves_nothing() -> None:
    """A caller may be inside a dial of its own when the channel closes."""
    with Peer() as peer, channel_of(peer.endpoint, speaks="framed") as channel:
        caller = gevent.spawn(subchannel_to(channel).acquire, soon())
        gevent.sleep(0)
        channel.close()
        caller.join(60)
        assert isinstance(caller.exception, Unavailable)


def test_news_wakes_only_those_who_wait_for_it() -> None:
    """A list with nobody new is no news."""
    with channel_of(Endpoint("h", 1)) as channel:
        waiting = gevent.spawn(channel.pause, 60.0)
        gevent.sleep(0)
        channel.receive_snapshot(listing(Endpoint("h", 1)))
        gevent.sleep(0.01)
        assert not waiting.dead
        channel.receive_snapshot(listing(Endpoint("h", 1), Endpoint("h", 2)))
        waiting.join(60)
        assert waiting.value is True
        began = time.monotonic()
        channel.pause(0.02)
        assert time.monotonic() - began >= 0.015
