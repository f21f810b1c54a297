"""Following a service's config on a real server: it is changed, spoilt and deleted, and ZooKeeper restarts."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

from tests.live.conftest import SessionOpener
from tests.support.waiting import eventually
from zkrpc.client.resolver import ConfigSource
from zkrpc.config import MethodConfig, RegistryConfig, ServiceConfig
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.registry.config_watch import ConfigWatch
from zkrpc.registry.resolver import ZooKeeperResolver
from zkrpc.registry.schema import Paths
from zkrpc.registry.service_config import dump_service_config
from zkrpc.testing.proxy import Proxy, ProxyMode
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

PATH = Paths("users").config
EMPTY = ServiceConfig()
FIRST = ServiceConfig(timeout=0.5, methods={"get": MethodConfig(hedge="p95")})
SECOND = ServiceConfig(balancing="round_robin")
Maker = Callable[..., ConfigWatch]


@pytest.fixture
def watch_maker() -> Iterator[Maker]:
    """Makes watches of the service and closes them before their sessions."""
    made: list[ConfigWatch] = []

    def make(session: Session, **options: Any) -> ConfigWatch:
        made.append(ConfigWatch(session, "users", dataclasses.replace(RegistryConfig(), **options), rng=lambda: 0.5))
        return made[-1]

    yield make
    for watch in made:
        watch.close()


@pytest.fixture
def operator(session_opener: SessionOpener) -> Session:
    """A session that plays the operator; the service has been there before."""
    session = session_opener()
    session.znodes.ensure_path(PATH.rpartition("/")[0])
    return session


def publish(operator: Session, config: ServiceConfig) -> None:
    """An operator wants this from now on."""
    operator.znodes.ensure_path(PATH)
    operator.znodes.set(PATH, dump_service_config(config))


def test_follower_hears_of_every_change_at_once(
    session_opener: SessionOpener, watch_maker: Maker, operator: Session
) -> None:
    """A node made later, a change, a deletion, and another node."""
    heard: list[ServiceConfig] = []
    watch = watch_maker(session_opener())
    watch.follow(heard.append)
    eventually(lambda: heard == [EMPTY])
    operator.znodes.create(PATH, dump_service_config(FIRST))
    assert eventually(lambda: heard == [EMPTY, FIRST]) < 24.0
    publish(operator, SECOND)
    assert eventually(lambda: heard[2:] == [SECOND]) < 24.0
    assert repr(watch) == f"<ConfigWatch users {SECOND}>"
    operator.znodes.delete(PATH)
    assert eventually(lambda: heard[3:] == [EMPTY]) < 24.0
    operator.znodes.create(PATH, dump_service_config(FIRST))
    assert eventually(lambda: heard[4:] == [FIRST]) < 24.0


def test_service_need_not_exist_yet(session_opener: SessionOpener, watch_maker: Maker) -> None:
    """A client may follow a service before its first instance, and its operator may come before that, too."""
    heard: list[ServiceConfig] = []
    session = session_opener()
    watch_maker(session).follow(heard.append)
    eventually(lambda: heard == [EMPTY])
    publish(session, FIRST)
    eventually(lambda: heard[-1] == FIRST)


def test_bad_config_is_refused_and_the_last_good_one_stays(
    session_opener: SessionOpener, watch_maker: Maker, operator: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """The log says once what is wrong, also to those who look again; the next good one counts."""
    publish(operator, FIRST)
    heard: list[ServiceConfig] = []
    watch = watch_maker(session_opener(), refresh_interval=0.05)
    watch.follow(heard.append)
    eventually(lambda: heard == [FIRST])
    operator.znodes.set(PATH, b'{"methods": {"get": {"timeout_ms": "soon"}}}')
    eventually(lambda: "methods.get.timeout_ms must be a whole number" in caplog.text)
    operator.znodes.set(PATH, b"\xff\x00")
    eventually(lambda: "a config that is not JSON" in caplog.text)
    operator.znodes.set(PATH, b" " * (RegistryConfig().max_record + 1))
    eventually(lambda: "is over" in caplog.text)
    late: list[ServiceConfig] = []
    watch.follow(late.append)
    gevent.sleep(0.2)
    refusals = [record.getMessage() for record in caplog.records if "is refused" in record.getMessage()]
    assert heard == late == [FIRST] and len(refusals) == 3 and all(PATH in refusal for refusal in refusals)
    publish(operator, SECOND)
    eventually(lambda: heard == late == [FIRST, SECOND])


def test_same_config_is_told_once(session_opener: SessionOpener, watch_maker: Maker, operator: Session) -> None:
    """Looking again, and other bytes that say the same, are no news."""
    publish(operator, FIRST)
    heard: list[ServiceConfig] = []
    watch_maker(session_opener(), refresh_interval=0.02).follow(heard.append)
    eventually(lambda: heard == [FIRST])
    operator.znodes.set(PATH, dump_service_config(FIRST).replace(b"\n", b""))
    gevent.sleep(0.2)
    assert heard == [FIRST]
    publish(operator, SECOND)
    eventually(lambda: heard == [FIRST, SECOND])


def test_last_config_stands_while_zookeeper_is_away(
    session_opener: SessionOpener, watch_maker: Maker, operator: Session, network: Proxy, behind_network: str
) -> None:
    """What was changed meanwhile is heard after the reconnect."""
    publish(operator, FIRST)
    heard: list[ServiceConfig] = []
    session = session_opener(behind_network)
    watch_maker(session).follow(heard.append)
    eventually(lambda: heard == [FIRST])
    network.mode = ProxyMode.REFUSE
    eventually(lambda: session.state.value != "connected")
    publish(operator, SECOND)
    assert heard == [FIRST]
    network.mode = ProxyMode.FORWARD
    eventually(lambda: heard == [FIRST, SECOND])


def test_restart_of_zookeeper_changes_nothing(session_opener: SessionOpener, watch_maker: Maker) -> None:
    """The config is not told anew, nor is it forgotten; and the next change is heard."""
    with DevZooKeeper(1) as server:
        session = session_opener(f"{server.hosts}/app")
        session.znodes.ensure_path("/")
        publish(session, FIRST)
        heard: list[ServiceConfig] = []
        watch_maker(session).follow(heard.append)
        eventually(lambda: heard == [FIRST])
        server.kill(0)
        eventually(lambda: session.state.value != "connected")
        server.restart(0)
        assert session.wait_connected(60)
        publish(session, SECOND)
        eventually(lambda: heard == [FIRST, SECOND])


class CountingSession(Session):
    """Counts the nodes that are read through it."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.reads = 0

    def _send(self, action: str, *given: Any) -> Any:
        self.reads += action.startswith("get ")
        return super()._send(action, *given)


def test_resolver_follows_the_config_once_for_all_until_it_is_closed(
    session_opener: SessionOpener, operator: Session
) -> None:
    """It is where clients look for it; however many they are, there is one watch."""
    publish(operator, FIRST)
    session = session_opener(kind=CountingSession)
    assert isinstance(session, CountingSession)
    resolver = ZooKeeperResolver(session, "users")
    assert isinstance(resolver, ConfigSource)
    heard: list[list[ServiceConfig]] = [[] for _ in range(50)]
    ends = [resolver.follow_config(one.append) for one in heard]
    eventually(lambda: heard == [[FIRST]] * 50)
    assert session.reads == 1
    ends[0]()
    publish(operator, SECOND)
    eventually(lambda: heard[1:] == [[FIRST, SECOND]] * 49)
    assert heard[0] == [FIRST] and session.reads == 2
    resolver.close()
    publish(operator, FIRST)
    gevent.sleep(0.1)
    assert heard[1] == [FIRST, SECOND] and session.reads == 2
