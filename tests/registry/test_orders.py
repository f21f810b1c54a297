"""Orders of operators, given and withdrawn on a real ZooKeeper."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest

import zkrpc
from zkrpc.errors import ConfigError, CoordinationError, OutcomeUnknown, VersionConflict
from zkrpc.registry.offline import MAX_REASON, OfflineOrder
from zkrpc.registry.orders import give_order, is_listed, remove_entry, require_others, withdraw_order
from zkrpc.registry.schema import Paths
from zkrpc.testing.proxy import Proxy, ProxyMode
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper
PATHS = Paths("users")
ORDER = OfflineOrder(reason="disk is full", by="ann@desk")


@pytest.fixture
def session(zookeeper: str) -> Iterator[Session]:
    """A connected session, with two instances registered."""
    with zkrpc.Registry(zookeeper) as registry:
        assert registry.session.wait_connected(60)
        registry.session.ensure_path(PATHS.members)
        for name in ("a", "b"):
            registry.session.create(PATHS.member(name), b"{}")
        yield registry.session


def given(session: Session, instance: str) -> OfflineOrder | None:
    """The order that an instance has."""
    found = session.znodes.get(PATHS.offline_order(instance))
    return None if found is None else OfflineOrder.parse(found[0])


def test_order_is_given_once_and_changed_by_another_reason(session: Session) -> None:
    """The same again changes nothing, whoever gives it."""
    assert give_order(session, PATHS, "a", ORDER)
    assert not give_order(session, PATHS, "a", OfflineOrder(reason=ORDER.reason, by="bob@desk"))
    assert given(session, "a") == ORDER
    other = OfflineOrder(reason="new disk", by="bob@desk")
    assert give_order(session, PATHS, "a", other)
    assert given(session, "a") == other


def test_two_who_give_an_order_at_once_are_told(session: Session) -> None:
    """One of them gave it; the other one is told to look, whether there was an order before or not."""
    for first in (True, False):
        if not first:
            give_order(session, PATHS, "b", OfflineOrder(reason="another"))
        instance = "a" if first else "b"
        orders = [OfflineOrder(reason="disk"), OfflineOrder(reason="fan")]
        giving = [gevent.spawn(give_order, session, PATHS, instance, order) for order in orders]
        gevent.joinall(giving, timeout=60)
        (error,) = [one.exception for one in giving if not one.successful()]
        assert isinstance(error, VersionConflict) and "look: zkrpc ls users" in str(error)
        assert given(session, instance) in orders


def test_entry_of_one_that_does_not_obey_is_removed(session: Session) -> None:
    """It may obey at the last moment, and remove it itself."""
    remove_entry(session, PATHS, "a")
    remove_entry(session, PATHS, "a")
    assert session.znodes.children(PATHS.members) == ["member_b"]
    assert not is_listed(session, PATHS, "a") and is_listed(session, PATHS, "b")


def test_answer_that_does_not_come_is_told_with_how_to_find_out(zookeeper: str) -> None:
    """The order may have been given, or withdrawn, all the same."""
    server, _, root = zookeeper.partition("/")
    host, port = server.split(":")
    with Proxy((host, int(port))) as proxy:
        config = zkrpc.RegistryConfig(request_timeout=0.3)
        with zkrpc.Registry(f"{proxy.hosts}/{root}", config=config) as registry:
            assert registry.session.wait_connected(60)
            proxy.mode = ProxyMode.HOLE
            with pytest.raises(OutcomeUnknown, match="see what came of it: zkrpc ls users"):
                give_order(registry.session, PATHS, "a", ORDER)
            with pytest.raises(OutcomeUnknown, match="see what came of it: zkrpc ls users"):
                withdraw_order(registry.session, PATHS, "a")
            proxy.mode = ProxyMode.FORWARD


def test_order_is_withdrawn_as_often_as_one_likes(session: Session) -> None:
    """Somebody else may have been quicker."""
    give_order(session, PATHS, "a", ORDER)
    withdraw_order(session, PATHS, "a")
    withdraw_order(session, PATHS, "a")
    assert given(session, "a") is None


def test_last_instance_that_serves_is_told_apart(session: Session) -> None:
    """Those that are offline already do not count."""
    require_others(session, PATHS, "a", "say --force")
    give_order(session, PATHS, "b", ORDER)
    with pytest.raises(CoordinationError, match="a is the only instance of users that serves; say --force"):
        require_others(session, PATHS, "a", "say --force")


def test_reason_that_is_too_long_is_refused_before_anything_is_written(session: Session) -> None:
    """A reason is a sentence."""
    with pytest.raises(ConfigError, match="a reason has at most"):
        give_order(session, PATHS, "a", OfflineOrder(reason="x" * (MAX_REASON + 1)))
    assert given(session, "a") is None
