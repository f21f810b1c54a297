"""Subchannels of plain Thrift over real sockets: one call at a time on each connection; and who gets such a one."""

from __future__ import annotations

import dataclasses
import socket

import gevent
import pytest

from tests.client.test_subchannel import CONFIG, ask, channel_of, listing, soon, subchannel_to
from tests.support.scripted_servers import Peer, echo, silent
from tests.support.waiting import eventually
from zkrpc.client.connection import Connection
from zkrpc.client.dialect_search import SearchingSubchannel, make_subchannel
from zkrpc.client.plain_subchannel import PlainSubchannel
from zkrpc.client.subchannel import SharedSubchannel, Subchannel
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.errors import DeadlineExceeded, Executed
from zkrpc.wire.message import Dialect

pytestmark = pytest.mark.usefixtures("clean")


@pytest.mark.parametrize(
    ("protocols", "kind", "dialect", "zkrpc"),
    [
        (("zkrpc", "theader", "framed"), SharedSubchannel, Dialect.HEADER_BINARY, True),
        (("framed", "theader"), SharedSubchannel, Dialect.HEADER_BINARY, False),
        (("framed",), PlainSubchannel, Dialect.FRAMED_BINARY, False),
        (("carrier-pigeon",), SearchingSubchannel, Dialect.FRAMED_BINARY, False),
        ((), SearchingSubchannel, Dialect.FRAMED_BINARY, False),
    ],
)
def test_subchannel_follows_what_the_instance_speaks(
    protocols: tuple[str, ...], kind: type[Subchannel], dialect: Dialect, zkrpc: bool
) -> None:
    """The best that both know; if nothing is said, that is found out."""
    with channel_of() as channel:
        subchannel = make_subchannel(Instance(id="a", endpoint=Endpoint("h", 1), protocols=protocols), channel)
        assert (type(subchannel), subchannel.dialect, subchannel.zkrpc) == (kind, dialect, zkrpc)


@pytest.mark.parametrize(
    ("name", "kind", "dialect"),
    [
        ("zkrpc", SharedSubchannel, Dialect.HEADER_BINARY),
        ("theader-compact", SharedSubchannel, Dialect.HEADER_COMPACT),
        ("compact", PlainSubchannel, Dialect.COMPACT),
    ],
)
def test_subchannel_follows_the_client_where_the_instance_says_nothing(
    name: str, kind: type[Subchannel], dialect: Dialect
) -> None:
    """And only there."""
    with channel_of() as channel:
        channel.dialect = name
        silent = make_subchannel(Instance(id="a", endpoint=Endpoint("h", 1)), channel)
        assert (type(silent), silent.dialect, silent.zkrpc) == (kind, dialect, name == "zkrpc")
        telling = make_subchannel(Instance(id="b", endpoint=Endpoint("h", 1), protocols=("framed",)), channel)
        assert telling.dialect is Dialect.FRAMED_BINARY


def test_plain_subchannel_takes_one_call_at_a_time_on_each_connection() -> None:
    """The third caller of two connections waits its turn."""
    busy: list[int] = []

    def slow(link, request) -> None:  # type: ignore[no-untyped-def]
        busy.append(len(peer.links))
        gevent.sleep(0.01)
        echo(link, request)

    with Peer(slow) as peer, channel_of(peer.endpoint, speaks="framed") as channel:
        callers = [gevent.spawn(ask, subchannel_to(channel)) for _ in range(7)]
        gevent.joinall(callers, timeout=60, raise_error=True)
        assert (peer.accepted, max(busy)) == (2, 2)


def test_plain_connection_that_timed_out_is_never_used_again() -> None:
    """Its late answer would be taken for the next one."""
    with Peer(silent) as peer, channel_of(peer.endpoint, speaks="framed") as channel:
        subchannel = subchannel_to(channel)
        with pytest.raises(DeadlineExceeded):
            ask(subchannel, 0.5)
        assert not channel.connections
        peer.script = echo
        ask(subchannel)
        assert peer.accepted == 2


def test_plain_subchannel_with_all_connections_busy_keeps_the_deadline() -> None:
    """Waiting for a turn is waiting, too."""
    with Peer(silent) as peer, channel_of(peer.endpoint, speaks="framed") as channel:
        subchannel = subchannel_to(channel)
        holders = [gevent.spawn(ask, subchannel) for _ in range(2)]
        eventually(lambda: len(peer.requests) == 2)
        with pytest.raises(DeadlineExceeded, match="all 2 connections") as caught:
            subchannel.acquire(soon(0.02))
        assert caught.value.executed is Executed.NO
        gevent.killall(holders)
        peer.script = echo
        ask(subchannel)


def test_plain_connections_that_no_call_needs_are_given_back() -> None:
    """They are opened as calls need them; then the one that is in use stays, and in the end none."""
    config = dataclasses.replace(CONFIG, plain_idle=0.3)
    with Peer(lambda link, request: link.held.append(request)) as peer:
        with channel_of(peer.endpoint, speaks="framed", config=config) as channel:
            subchannel = subchannel_to(channel)
            callers = [gevent.spawn(ask, subchannel) for _ in range(2)]
            eventually(lambda: len(peer.requests) == 2)
            peer.script = echo
            for link in list(peer.links):
                echo(link, link.held[0])
                link.flush()
            gevent.joinall(callers, timeout=60, raise_error=True)
            assert len(channel.connections) == 2

            def one_is_left() -> bool:
                ask(subchannel)
                return len(channel.connections) == 1

            eventually(one_is_left)
            eventually(lambda: not channel.connections and not peer.links)
            ask(subchannel)
            assert len(channel.connections) == 1


def test_calls_wait_for_a_plain_connection_in_turn() -> None:
    """A caller that calls again and again does not keep the others from theirs."""
    config = dataclasses.replace(CONFIG, plain_connections=1)
    order: list[str] = []

    def caller(name: str) -> None:
        for _ in range(5):
            ask(subchannel)
            order.append(name)

    with Peer() as peer, channel_of(peer.endpoint, speaks="framed", config=config) as channel:
        subchannel = subchannel_to(channel)
        callers = [gevent.spawn(caller, name) for name in "abc"]
        gevent.joinall(callers, timeout=60, raise_error=True)
        assert order == list("abc" * 5)
        assert peer.accepted == 1


@pytest.mark.parametrize("given_up_first", [True, False])
def test_call_that_no_longer_waits_passes_its_turn_on(given_up_first: bool) -> None:
    """Also if its turn came at the very moment."""
    config = dataclasses.replace(CONFIG, plain_connections=1)
    with Peer() as peer, channel_of(peer.endpoint, speaks="framed", config=config) as channel:
        subchannel = subchannel_to(channel)
        held = subchannel.acquire(soon())
        first, second = (gevent.spawn(ask, subchannel) for _ in range(2))
        gevent.sleep(0)
        if given_up_first:
            first.kill()
            subchannel.release(held)
        else:
            subchannel.release(held)
            first.kill(block=False)
        gevent.joinall([first, second], timeout=60)
        assert first.dead and second.successful()
        ask(subchannel)


def test_plain_connection_closed_by_its_server_is_replaced_before_use() -> None:
    """A call that cannot be repeated is not wasted on a connection that is gone."""
    with Peer() as peer, channel_of(peer.endpoint, speaks="framed") as channel:
        subchannel = subchannel_to(channel)
        ask(subchannel)
        peer.links[0].sock.shutdown(socket.SHUT_RDWR)
        ask(subchannel)
        assert peer.accepted == 2


def test_plain_member_that_leaves_closes_idle_connections_now_and_busy_ones_after() -> None:
    """As for shared ones: what is in flight is answered."""
    with Peer(lambda link, request: link.held.append(request)) as peer:
        with channel_of(peer.endpoint, speaks="framed") as channel:
            subchannel = subchannel_to(channel)
            callers = [gevent.spawn(ask, subchannel) for _ in range(2)]
            eventually(lambda: len(peer.requests) == 2)
            first, second = peer.links
            for link in (first,):
                echo(link, link.held[0])
                link.flush()
            gevent.joinall(callers, count=1, timeout=60)
            assert len(channel.connections) == 2
            channel.receive_snapshot(listing())
            assert len(channel.connections) == 1
            echo(second, second.held[0])
            second.flush()
            gevent.joinall(callers, timeout=60, raise_error=True)
            assert not channel.connections


def test_plain_connection_dialled_in_vain_is_one_too_many() -> None:
    """What the background opens beyond the limit is closed."""
    with Peer() as peer, channel_of(peer.endpoint, speaks="framed") as channel:
        subchannel = subchannel_to(channel)
        assert isinstance(subchannel, PlainSubchannel)
        held = [subchannel.acquire(soon()) for _ in range(2)]
        extra = Connection.dial(peer.endpoint, subchannel.dialect, CONFIG.wire, 1.0, subchannel, zkrpc=False)
        subchannel._adopt(extra)
        assert extra.closed
        for connection in held:
            subchannel.release(connection)
