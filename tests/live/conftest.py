"""Sessions and networks for the tests of this directory."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from zkrpc.config import RegistryConfig
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.testing.proxy import Proxy
from zkrpc.zookeeper.session import Session

SessionOpener = Callable[..., Session]
LASTS = 10.0
"""The longest session timeout that the server grants, in seconds."""


@pytest.fixture
def network(zookeeper_server: DevZooKeeper) -> Iterator[Proxy]:
    """A network of our own to the server, which can be made to fail."""
    with Proxy(("127.0.0.1", zookeeper_server.ports[0])) as proxy:
        yield proxy


@pytest.fixture
def behind_network(network: Proxy, zookeeper: str) -> str:
    """The connect string that goes through ``network``."""
    return f"{network.hosts}/{zookeeper.partition('/')[2]}"


@pytest.fixture
def session_opener(zookeeper: str) -> Iterator[SessionOpener]:
    """Opens sessions and closes them at the end. They last as long as they may, so that what is alive stays, whatever a
    busy machine makes of it; requests have little time where a network is between that fails on demand."""
    sessions: list[Session] = []

    def open_session(
        hosts: str = zookeeper,
        *,
        connected: bool = True,
        kind: type[Session] = Session,
        persistent_watches: bool = True,
    ) -> Session:
        patience = 30.0 if hosts == zookeeper else 1.5
        config = RegistryConfig(session_timeout=LASTS, request_timeout=patience, persistent_watches=persistent_watches)
        session = kind(hosts, config)
        sessions.append(session)
        session.start()
        assert not connected or session.wait_connected(60)
        return session

    yield open_session
    for session in sessions:
        session.close()
