"""Following primaries on a real server: elections come and go, and so does ZooKeeper."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

import zkrpc
from tests.client.test_primary_router import IDL, Ledger
from tests.live.conftest import SessionOpener
from tests.support.waiting import eventually
from tests.support.worlds import World
from zkrpc.client.resolver import PrimarySource
from zkrpc.config import RegistryConfig
from zkrpc.endpoint import Endpoint, Primary
from zkrpc.errors import ConfigError, NotPrimary
from zkrpc.idl import load_text
from zkrpc.registry.primaries import PrimaryWatches
from zkrpc.registry.resolver import ZooKeeperResolver
from zkrpc.registry.schema import Paths
from zkrpc.testing.proxy import Proxy, ProxyMode
from zkrpc.zookeeper.closing import close_session
from zkrpc.zookeeper.operations import Create, Delete
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

PATH = Paths("users").primary("main")
Maker = Callable[..., PrimaryWatches]


@pytest.fixture
def watches_maker() -> Iterator[Maker]:
    """Makes watches of the service and closes them before their sessions."""
    made: list[PrimaryWatches] = []

    def make(session: Session, **options: Any) -> PrimaryWatches:
        made.append(PrimaryWatches(session, "users", dataclasses.replace(RegistryConfig(), **options), rng=lambda: 0.5))
        return made[-1]

    yield make
    for watches in made:
        watches.close()


@pytest.fixture
def operator(session_opener: SessionOpener) -> Session:
    """A session that plays the elected."""
    session = session_opener()
    session.znodes.ensure_path(PATH.rpartition("/")[0])
    return session


def primary(port: int, epoch: int) -> Primary:
    """Whom a record names."""
    return Primary(endpoint=Endpoint("10.0.0.1", port), epoch=epoch)


def record(leader: Primary) -> bytes:
    """What an election writes."""
    return json.dumps({"epoch": leader.epoch, "instance": "w", "endpoint": str(leader.endpoint)}).encode()


def elect(operator: Session, leader: Primary) -> None:
    """Somebody is elected."""
    operator.znodes.create(PATH, record(leader), ephemeral=True)


def depose(operator: Session) -> None:
    """Nobody leads any more."""
    operator.znodes.delete(PATH)


class Heard:
    """What one follower was told; repetitions count once."""

    def __init__(self) -> None:
        self.news: list[Primary | None] = []

    def __call__(self, news: Primary | None) -> None:
        if not self.news or self.news[-1] != news:
            self.news.append(news)

    @property
    def last(self) -> Primary | None | str:
        """The latest."""
        return self.news[-1] if self.news else "nothing"


def test_follower_hears_of_elections_at_once(
    session_opener: SessionOpener, watches_maker: Maker, operator: Session
) -> None:
    """Nobody, the first, nobody, the second, and a third that took over in one transaction."""
    heard = Heard()
    watches = watches_maker(session_opener())
    watches.follow("main", heard)
    eventually(lambda: heard.news == [None])
    elect(operator, primary(1, 1))
    assert eventually(lambda: heard.last == primary(1, 1)) < 24.0
    depose(operator)
    assert eventually(lambda: heard.last is None) < 24.0
    elect(operator, primary(2, 2))
    assert eventually(lambda: heard.last == primary(2, 2)) < 24.0
    operator.znodes.multi([Delete(path=PATH), Create(path=PATH, value=record(primary(3, 3)), ephemeral=True)])
    assert eventually(lambda: heard.last == primary(3, 3)) < 24.0
    assert repr(watches) == "<PrimaryWatches users main=10.0.0.1:3 (epoch 3)>"


def test_election_that_was_never_held_is_awaited(session_opener: SessionOpener, watches_maker: Maker) -> None:
    """Not even the parents are there; they come, go and come again."""
    heard, operator = Heard(), session_opener()
    watches_maker(session_opener()).follow("main", heard)
    eventually(lambda: heard.news == [None])
    for epoch in (1, 2, 3):
        operator.znodes.ensure_path(PATH.rpartition("/")[0])
        elect(operator, primary(epoch, epoch))
        assert eventually(lambda: heard.last == primary(epoch, epoch)) < 24.0
        depose(operator)
        operator.znodes.delete(PATH.rpartition("/")[0])
        assert eventually(lambda: heard.last is None) < 24.0


class CountingSession(Session):
    """Counts what it is asked."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.reads = 0

    def _send(self, action: str, *given: Any) -> Any:
        self.reads += action.startswith("get ")
        return super()._send(action, *given)


def test_group_is_watched_once_however_many_follow(
    session_opener: SessionOpener, watches_maker: Maker, operator: Session
) -> None:
    """The second follower hears at once what is known; the watch ends with the last one, and begins anew after that."""
    elect(operator, primary(1, 1))
    session = session_opener(kind=CountingSession)
    assert isinstance(session, CountingSession)
    watches = watches_maker(session)
    followers = [Heard() for _ in range(50)]
    ends = [watches.follow("main", one) for one in followers[:49]]
    eventually(lambda: all(one.last == primary(1, 1) for one in followers[:49]))
    ends.append(watches.follow("main", followers[49]))
    assert followers[49].news == [primary(1, 1)] and session.reads == 1
    for end in ends:
        end()
        end()
    assert repr(watches) == "<PrimaryWatches users >"
    depose(operator)
    elect(operator, primary(2, 2))
    gevent.sleep(0.1)
    assert session.reads == 1 and followers[0].last == primary(1, 1)
    again = Heard()
    watches.follow("main", again)
    eventually(lambda: again.news == [primary(2, 2)])


def test_contents_are_not_trusted(
    session_opener: SessionOpener, watches_maker: Maker, operator: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """What cannot be read names nobody; an epoch that falls is ignored; a group must have a possible name."""
    heard = Heard()
    watches = watches_maker(session_opener())
    watches.follow("main", heard)
    elect(operator, primary(1, 5))
    eventually(lambda: heard.last == primary(1, 5))
    operator.znodes.set(PATH, b"\xff\x00")
    eventually(lambda: heard.last is None)
    assert "cannot be read" in caplog.text
    operator.znodes.set(PATH, record(primary(2, 4)))
    eventually(lambda: "after an epoch of 5" in caplog.text)
    assert heard.last is None
    operator.znodes.set(PATH, record(primary(2, 6)))
    eventually(lambda: heard.last == primary(2, 6))
    with pytest.raises(ConfigError, match="group name"):
        watches.follow("no/name", heard)


def test_last_word_stands_while_zookeeper_is_away(
    session_opener: SessionOpener, watches_maker: Maker, operator: Session, network: Proxy, behind_network: str
) -> None:
    """What was missed is heard after the reconnect, also in a new session, and then everything as before."""
    heard = Heard()
    elect(operator, primary(1, 1))
    session = session_opener(behind_network)
    watches_maker(session).follow("main", heard)
    eventually(lambda: heard.last == primary(1, 1))
    network.mode = ProxyMode.REFUSE
    eventually(lambda: session.state.value != "connected")
    depose(operator)
    elect(operator, primary(2, 2))
    assert heard.last == primary(1, 1)
    network.mode = ProxyMode.FORWARD
    eventually(lambda: heard.last == primary(2, 2))
    before, password = session.session_id, session.password
    assert before is not None and password is not None
    assert close_session(behind_network, before, password, 60)
    depose(operator)
    eventually(lambda: heard.last is None)
    eventually(lambda: session.session_id not in (None, before))
    elect(operator, primary(3, 3))
    assert eventually(lambda: heard.last == primary(3, 3)) < 24.0


def test_failing_follower_hurts_nobody(
    session_opener: SessionOpener, watches_maker: Maker, operator: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """What it raises is logged, and the others are told."""

    def fail(news: Primary | None) -> None:
        raise gevent.Timeout(0, ValueError("mine"))

    heard = Heard()
    watches = watches_maker(session_opener())
    watches.follow("main", fail)
    watches.follow("main", heard)
    eventually(lambda: heard.news == [None])
    elect(operator, primary(1, 1))
    eventually(lambda: heard.last == primary(1, 1))
    assert f"a follower of {PATH} failed" in caplog.text


def test_failed_look_is_repeated(
    session_opener: SessionOpener, watches_maker: Maker, operator: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever the failure: an answer that never came, or a mistake of our own."""

    class Failing(Session):
        failures: list[Exception] = [zkrpc.OutcomeUnknown("no answer"), KeyError("a mistake")]

        def _send(self, action: str, *given: Any) -> Any:
            if action.startswith("get ") and self.failures:
                raise self.failures.pop()
            return super()._send(action, *given)

    elect(operator, primary(1, 1))
    heard = Heard()
    watches_maker(session_opener(kind=Failing)).follow("main", heard)
    eventually(lambda: heard.last == primary(1, 1))
    assert "no answer" in caplog.text and "a mistake" in caplog.text


def test_primary_is_told_again_now_and_then(
    session_opener: SessionOpener, watches_maker: Maker, operator: Session
) -> None:
    """For a follower that lost it from sight though it still leads."""
    elect(operator, primary(1, 1))
    heard: list[Primary | None] = []
    watches_maker(session_opener(), refresh_interval=0.05).follow("main", heard.append)
    eventually(lambda: heard[:3] == [primary(1, 1)] * 3)


def test_closing_ends_it_in_the_middle_of_a_request(
    session_opener: SessionOpener, watches_maker: Maker, operator: Session, network: Proxy, behind_network: str
) -> None:
    """Nobody is told anything any more, and following after that is in vain."""
    watches = watches_maker(session_opener(behind_network), refresh_interval=0.05)
    heard = Heard()
    watches.follow("main", heard)
    eventually(lambda: heard.news == [None])
    network.mode = ProxyMode.HOLE
    gevent.sleep(0.1)
    watches.close()
    network.mode = ProxyMode.FORWARD
    elect(operator, primary(1, 1))
    watches.follow("main", heard)()
    gevent.sleep(0.1)
    assert heard.news == [None]


def test_resolver_follows_primaries_until_it_is_closed(session_opener: SessionOpener, operator: Session) -> None:
    """It is where clients look for it."""
    resolver = ZooKeeperResolver(session_opener(), "users")
    assert isinstance(resolver, PrimarySource)
    heard = Heard()
    end = resolver.follow_primary("main", heard)
    elect(operator, primary(1, 1))
    eventually(lambda: heard.last == primary(1, 1))
    end()
    resolver.close()


# The servers of this file play an election: to them these are methods like any other, or they would hold one.
UNMARKED = load_text(re.sub(r"\(zkrpc\.[^)]*\)", "", IDL.Ledger.text), name="unmarked.thrift")


def test_clients_of_a_process_follow_an_election_through_zookeeper(
    session_opener: SessionOpener, zookeeper: str, world: World
) -> None:
    """Two servers, found and followed through the registry: no redirect before nor after the change, and the wait for
    an election ends when the node appears."""
    operator = session_opener()
    path = Paths("ledger").primary("main")
    operator.znodes.ensure_path(path.rpartition("/")[0])
    leader: list[tuple[object, int]] = []
    refused: list[object] = []

    def guard(call: Any, proceed: Any) -> Any:
        handler = call.handler.__self__
        if not leader or leader[0][0] is not handler:
            refused.append(handler)
            raise NotPrimary("not here", group="main")
        call.epoch = leader[0][1]
        return proceed(call)

    def become(number: int, epoch: int) -> None:
        leader[:] = [(handlers[number], epoch)]
        told = record(Primary(endpoint=apps[number].endpoint, epoch=epoch))
        operator.znodes.create(path, told, ephemeral=True)

    handlers = [Ledger(), Ledger()]
    config = zkrpc.ClientConfig(timeout=20, backoff=15, max_backoff=15)
    server = zkrpc.ServerConfig(linger=0.01, drain_timeout=1)
    with zkrpc.Registry(zookeeper) as registry:
        apps = [
            zkrpc.serve(
                zkrpc.Service(UNMARKED.Ledger, handler, "ledger", interceptors=[guard], config=server),
                zookeeper=registry,
            )
            for handler in handlers
        ]
        resolver = registry.resolver("ledger")
        eventually(lambda: len(resolver.wait_ready(60).instances) == 2)
        become(0, 1)
        stubs = [world.connect(IDL.Ledger, "ledger", zookeeper=registry, config=config) for _ in range(3)]

        def followed() -> set[str]:
            resolvers: Any = [world.inside(stub._zkrpc_client)._resolver for stub in stubs]
            return world.where_clients_are(lambda: {repr(one._primaries) for one in resolvers})

        eventually(lambda: all("epoch 1" in one for one in followed()))
        assert [stub.transfer("a") for stub in stubs] == ["transferred a"] * 3 and not refused
        leader.clear()
        operator.znodes.delete(path)
        waiting = [gevent.spawn(stub.transfer, "b") for stub in stubs]
        eventually(lambda: len(refused) == 3)
        become(1, 2)
        assert eventually(lambda: all(one.ready() for one in waiting)) < 10.0
        assert [one.get() for one in waiting] == ["transferred b"] * 3
        assert (len(refused), handlers[1].served) == (3, ["b"] * 3)
        for stub in stubs:
            stub.close()
        assert followed() == {"<PrimaryWatches ledger >"}
        for app in apps:
            app.stop()
