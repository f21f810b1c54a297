"""What a server speaks whose record does not say: found out by a question, never by a call."""

from __future__ import annotations

import dataclasses
import logging
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import gevent
import pytest

from tests.client.test_subchannel import CONFIG, a_call, ask, soon, subchannel_to
from tests.support.scripted_servers import Link, Peer, closed_port, echo, silent
from tests.support.waiting import eventually
from zkrpc.client import dialect_search
from zkrpc.client.channel import Channel
from zkrpc.client.dialect_search import SearchingSubchannel
from zkrpc.client.naming import Naming
from zkrpc.client.resolver import NAMED, SEARCHED
from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.errors import DeadlineExceeded, Unavailable
from zkrpc.wire.message import Dialect, Request

pytestmark = pytest.mark.usefixtures("clean")

QUESTION = b"zkrpc-what-do-you-speak"


@contextmanager
def channel_of(*endpoints: Endpoint, dialect: str | None = None) -> Iterator[Channel]:
    """A channel to members whose records say nothing."""
    channel = Channel(CONFIG, rng=random.Random(5).random, dialect=dialect)
    channel.receive_snapshot(listing(*endpoints))
    try:
        yield channel
    finally:
        channel.close()
        assert not channel.connections


def listing(*endpoints: Endpoint) -> Snapshot:
    """A list of members."""
    return Snapshot(service="users", instances=tuple(Instance(id=str(one), endpoint=one) for one in endpoints))


def only(dialect: Dialect) -> Callable[[Link, Request], None]:
    """A server that hangs up on all other dialects."""
    return lambda link, request: echo(link, request) if request.dialect is dialect else link.reset()


def asked(peer: Peer) -> list[Dialect]:
    """The dialects of the questions that came."""
    return [request.dialect for request in peer.requests if request.name == QUESTION]


def called(peer: Peer) -> list[Dialect]:
    """Those of the calls."""
    return [request.dialect for request in peer.requests if request.name != QUESTION]


@pytest.mark.parametrize("name", SEARCHED)
def test_dialect_is_found_out_before_the_first_call(name: str) -> None:
    """Each dialect is asked for once, however many calls wait, and each call is sent once, in the right one."""
    with Peer(only(NAMED[name])) as peer, channel_of(peer.endpoint) as channel:
        subchannel = subchannel_to(channel)
        assert (type(subchannel), subchannel.speaks) == (SearchingSubchannel, "")
        callers = [gevent.spawn(ask, subchannel) for _ in range(4)]
        gevent.joinall(callers, timeout=60, raise_error=True)
        assert asked(peer) == [NAMED[one] for one in SEARCHED[: SEARCHED.index(name) + 1]]
        assert called(peer) == [NAMED[name]] * 4
        assert (subchannel.speaks, channel.found) == (name, name)


def test_next_member_is_asked_first_in_what_the_last_one_speaks() -> None:
    """And who leaves and comes back is asked again."""
    compact = only(Dialect.COMPACT)
    with Peer(compact) as one, Peer(compact) as other, channel_of(one.endpoint) as channel:
        ask(subchannel_to(channel))
        channel.receive_snapshot(listing(one.endpoint, other.endpoint))
        ask(subchannel_to(channel, one.endpoint))
        assert asked(other) == [Dialect.COMPACT]
        channel.receive_snapshot(listing(other.endpoint))
        channel.receive_snapshot(listing(one.endpoint, other.endpoint))
        ask(subchannel_to(channel, other.endpoint))
        assert asked(one)[-1] is Dialect.COMPACT and len(asked(one)) == SEARCHED.index("compact") + 2


def test_server_of_several_services_is_asked_with_the_name_of_one() -> None:
    """It hangs up on a name without one."""
    several = Channel(CONFIG, rng=random.Random(5).random, naming=Naming("Users", "accounts"))
    with Peer() as peer:
        several.receive_snapshot(listing(peer.endpoint))
        ask(subchannel_to(several))
        several.close()
        assert peer.requests[0].name == b"accounts:" + QUESTION


def test_server_that_waits_for_more_is_not_waited_for() -> None:
    """As one does that reads a frame's length as that of a name."""

    def patient(link: Link, request: Request) -> None:
        if request.dialect is Dialect.BINARY:
            echo(link, request)

    with Peer(patient) as peer, channel_of(peer.endpoint) as channel:
        ask(subchannel_to(channel))
        assert (asked(peer), called(peer)) == ([Dialect.FRAMED_BINARY, Dialect.BINARY], [Dialect.BINARY])


def test_server_that_answers_no_question_is_taken_to_speak_the_usual(caplog: pytest.LogCaptureFixture) -> None:
    """Some hang up when they do not know a method; that is said once, and the calls go well."""

    def picky(link: Link, request: Request) -> None:
        link.reset() if request.name == QUESTION else echo(link, request)

    with Peer(picky) as peer, channel_of(peer.endpoint) as channel:
        subchannel = subchannel_to(channel)
        with caplog.at_level(logging.WARNING):
            ask(subchannel)
            peer.cut()
            eventually(lambda: not channel.connections)
            ask(subchannel)
        assert (len(asked(peer)), called(peer)) == (len(SEARCHED), [Dialect.FRAMED_BINARY] * 2)
        assert (subchannel.speaks, channel.found) == ("framed", "framed")
        [line] = [record.getMessage() for record in caplog.records]
        assert "is taken to speak framed; connect(dialect=...) sets that" in line


def test_server_that_says_nothing_at_all_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have been stuck; but not before each call."""
    with Peer(lambda link, request: link.reset()) as peer, channel_of(peer.endpoint) as channel:
        subchannel = subchannel_to(channel)
        for _ in range(2):
            with pytest.raises(Exception, match="connection lost|cannot connect"):
                ask(subchannel)
        assert len(asked(peer)) == len(SEARCHED)
        monkeypatch.setattr(dialect_search, "AGAIN", 0.0)
        subchannel._ask_again_at = 0.0  # type: ignore[attr-defined]
        peer.script = only(Dialect.FRAMED_COMPACT)

        def answered() -> bool:
            try:
                ask(subchannel)
            except Unavailable:
                return False
            return True

        eventually(answered)
        assert subchannel.speaks == "framed-compact"


def test_what_an_option_says_is_never_questioned() -> None:
    """Nothing else is tried, even if it is wrong."""
    with Peer(only(Dialect.COMPACT)) as peer, channel_of(peer.endpoint, dialect="binary") as channel:
        with pytest.raises(Exception, match="connection lost"):
            ask(subchannel_to(channel))
        assert (asked(peer), called(peer)) == ([], [Dialect.BINARY])


def test_server_that_cannot_be_reached_is_asked_when_it_can() -> None:
    """As any other, it is dialled in the background."""
    endpoint = closed_port()
    with channel_of(endpoint) as channel:
        subchannel = subchannel_to(channel)
        with pytest.raises(Unavailable, match="refused"):
            subchannel.acquire(soon())
        with Peer(only(Dialect.BINARY), port=endpoint.port):
            eventually(lambda: subchannel.connectivity.failure is None)
            ask(subchannel)
            assert subchannel.speaks == "binary"


def test_caller_does_not_wait_for_longer_than_it_has() -> None:
    """The asking goes on without it, and ends with the membership."""
    slow = dataclasses.replace(CONFIG, connect_timeout=60.0)
    with Peer(silent) as peer:
        channel = Channel(slow, rng=random.Random(5).random)
        channel.receive_snapshot(listing(peer.endpoint))
        subchannel: Any = channel.pick(a_call(), 0.0).subchannel
        with pytest.raises(DeadlineExceeded, match="still connecting"):
            subchannel.acquire(soon(0.05))
        asking = subchannel._asking
        assert not asking.dead
        channel.receive_snapshot(Snapshot(service="users", instances=()))
        channel.close()
        eventually(lambda: asking.dead)
        assert not channel.connections
