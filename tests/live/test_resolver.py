"""The resolver on a real server: members come, go and are replaced, and ZooKeeper itself comes and goes. All of it by
watches that stay and by one-shot watches."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from kazoo.security import ACL, OPEN_ACL_UNSAFE, make_acl

from tests.live.conftest import SessionOpener
from tests.support.older_zookeeper import OlderServer
from tests.support.waiting import eventually
from zkrpc.config import RegistryConfig
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.endpoint import Endpoint, Instance, Snapshot
from zkrpc.errors import CoordinationError
from zkrpc.registry.foreign import Tree
from zkrpc.registry.formats import dump_curator, dump_serverset
from zkrpc.registry.resolver import MemberResolver, ZooKeeperResolver
from zkrpc.registry.schema import Paths, mark_path
from zkrpc.registry.snapshot_file import load_snapshot, save_snapshot
from zkrpc.testing.proxy import Proxy, ProxyMode
from zkrpc.zookeeper.closing import close_session
from zkrpc.zookeeper.operations import Create, Delete, SessionState
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

MEMBERS = Paths("users").members
Maker = Callable[..., MemberResolver]


@pytest.fixture(params=[True, False], ids=["persistent", "one-shot"])
def persistent(request: pytest.FixtureRequest) -> bool:
    """Whether watches that stay are asked for."""
    return bool(request.param)


@pytest.fixture
def session_opener(session_opener: SessionOpener, persistent: bool) -> SessionOpener:
    """Opens sessions that ask for watches that stay, or do not."""
    return functools.partial(session_opener, persistent_watches=persistent)


@pytest.fixture
def resolver_maker() -> Iterator[Maker]:
    """Makes resolvers of the service and closes them before their sessions."""
    made: list[MemberResolver] = []

    def make(session: Session, **options: Any) -> MemberResolver:
        kind = MemberResolver if "tree" in options else ZooKeeperResolver
        resolver = kind(session, "users", **options)
        made.append(resolver)
        resolver.start()
        return resolver

    yield make
    for resolver in made:
        resolver.close()


@pytest.fixture
def operator(session_opener: SessionOpener) -> Session:
    """A session that writes members as it likes."""
    session = session_opener()
    session.znodes.ensure_path(MEMBERS)
    return session


def record(port: int) -> bytes:
    """A plain instance's record."""
    return dump_serverset(Instance(id="x", endpoint=Endpoint("10.0.0.1", port)))


def join(operator: Session, worker: str, port: int) -> None:
    """A member comes."""
    operator.znodes.create(Paths("users").member(worker), record(port), ephemeral=True)


def leave(operator: Session, worker: str) -> None:
    """A member goes."""
    operator.znodes.delete(Paths("users").member(worker))


def ports(resolver: MemberResolver) -> list[int] | None:
    """What a client would call."""
    if resolver.snapshot is None:
        return None
    return sorted(instance.endpoint.port for instance in resolver.snapshot.instances)


def test_resolver_follows_members_that_come_and_go(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session
) -> None:
    """The first list at once, then each change within a moment."""
    join(operator, "a", 1)
    join(operator, "b", 2)
    resolver = resolver_maker(session_opener())
    snapshot = resolver.wait_ready(60)
    assert [instance.id for instance in snapshot.instances] == ["a", "b"] and not resolver.is_stale
    join(operator, "c", 3)
    assert eventually(lambda: ports(resolver) == [1, 2, 3]) < 24.0
    leave(operator, "a")
    assert eventually(lambda: ports(resolver) == [2, 3]) < 24.0
    resolver.start()
    assert "members=2" in repr(resolver)


def test_resolver_learns_of_a_replacement_under_the_same_name(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session
) -> None:
    """A restarted worker's new port is known at once, though the names never changed."""
    for number, worker in enumerate("abcde"):
        join(operator, worker, number + 1)
    resolver = resolver_maker(session_opener())
    resolver.wait_ready(60)
    path = Paths("users").member("c")
    for port in (30, 31, 32):
        operator.znodes.multi([Delete(path=path), Create(path=path, value=record(port), ephemeral=True)])
        assert eventually(lambda: ports(resolver) == [1, 2, 4, 5, port]) < 24.0
    leave(operator, "c")
    join(operator, "c", 33)
    assert eventually(lambda: ports(resolver) == [1, 2, 4, 5, 33]) < 24.0


class CountingSession(Session):
    """Counts what it is asked."""

    def __init__(self, *given: Any, **options: Any) -> None:
        super().__init__(*given, **options)
        self.connections = 0
        self.requests: list[str] = []
        self.listings = 0
        self.reads = 0
        self.reading = 0
        self.most_reading = 0

    def _become(self, state: SessionState) -> None:
        """Counts connections."""
        self.connections += state is SessionState.CONNECTED
        super()._become(state)

    def _send(self, action: str, *given: Any) -> Any:
        """Counts listings of the members and reads, and how many reads there are at a time."""
        self.requests.append(action.partition(" ")[0])
        self.listings += action == f"list {Paths('users').members}"
        reads = action.startswith("get ")
        self.reads += reads
        self.reading += reads
        self.most_reading = max(self.most_reading, self.reading)
        try:
            return super()._send(action, *given)
        finally:
            self.reading -= reads


def test_resolver_reads_little_and_few_at_a_time(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session
) -> None:
    """Each record once, sixteen at a time; a burst of changes is few listings; a reconnect reads nothing."""
    for number in range(100):
        join(operator, f"w{number}", number + 1)
    session = session_opener(kind=CountingSession)
    assert isinstance(session, CountingSession)
    resolver = resolver_maker(session)
    resolver.wait_ready(60)
    assert session.reads == 100 and session.most_reading == 16 and session.listings == 1
    for number in range(100, 150):
        join(operator, f"w{number}", number + 1)
    eventually(lambda: len(ports(resolver) or ()) == 150)
    assert session.reads == 150 and session.listings < 40
    listings, connections = session.listings, session.connections
    session.drop()
    eventually(lambda: session.listings > listings and not resolver.is_stale)
    gevent.sleep(0.3)
    assert session.reads == 150 and session.listings - listings == session.connections - connections


def test_resolver_reads_only_the_member_that_was_replaced(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session
) -> None:
    """The names are the same, and the marks tell which of a hundred it was."""
    paths = Paths("users")
    operator.znodes.ensure_path(paths.incarnations)
    for number in range(100):
        join(operator, f"w{number}", number + 1)
        operator.znodes.create(mark_path(paths.member(f"w{number}"), record(number + 1), "1"), ephemeral=True)
    session = session_opener(kind=CountingSession)
    assert isinstance(session, CountingSession)
    resolver = resolver_maker(session)
    resolver.wait_ready(60)
    path = paths.member("w17")
    replacement = Create(path=path, value=record(5000), ephemeral=True)
    mark = Create(path=mark_path(path, record(5000), "2"), ephemeral=True)
    operator.znodes.multi([Delete(path=path), replacement, mark])
    eventually(lambda: 5000 in (ports(resolver) or ()))
    assert session.reads == 101


def test_change_costs_small_requests_where_the_watch_stays(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session, persistent: bool
) -> None:
    """One, or two for who is replaced, however long the list is; elsewhere it is listed at every change."""
    for number in range(50):
        join(operator, f"w{number}", number + 1)
    session = session_opener(kind=CountingSession)
    assert isinstance(session, CountingSession)
    resolver = resolver_maker(session)
    resolver.wait_ready(60)
    assert session.requests == ["watch", "list"][not persistent :] + ["get"] * 50
    session.requests.clear()
    join(operator, "new", 1000)
    eventually(lambda: 1000 in (ports(resolver) or ()))
    path = Paths("users").member("w17")
    operator.znodes.multi([Delete(path=path), Create(path=path, value=record(2000), ephemeral=True)])
    eventually(lambda: 2000 in (ports(resolver) or ()))
    leave(operator, "new")
    eventually(lambda: 1000 not in (ports(resolver) or ()))
    if persistent:
        assert set(session.requests) == {"get"} and 3 <= len(session.requests) <= 4
    else:
        assert session.requests.count("list") >= 3


def test_resolver_sees_every_change_while_connections_break(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session, network: Proxy, behind_network: str
) -> None:
    """Wherever a change falls: before the loss, while there is no watch, or between the watch and the listing."""
    resolver = resolver_maker(session_opener(behind_network))
    resolver.wait_ready(60)
    path = Paths("users").member("same")
    join(operator, "same", 1)
    for number in range(100, 130):
        join(operator, f"w{number}", number)
        operator.znodes.multi([Delete(path=path), Create(path=path, value=record(number - 90), ephemeral=True)])
        if number % 3 == 0:
            leave(operator, f"w{number - 1}" if number % 2 else f"w{number}")
        if number % 6 == 0:
            network.cut()
        gevent.sleep(0.01)
    left = {number if number % 2 == 0 else number - 1 for number in range(102, 130, 3)}
    eventually(lambda: ports(resolver) == [39, *sorted(set(range(100, 130)) - left)])
    gevent.sleep(0.2)
    join(operator, "last", 9)
    eventually(lambda: 9 in (ports(resolver) or ()))


def test_resolver_waits_for_a_parent_that_is_not_there(session_opener: SessionOpener, resolver_maker: Maker) -> None:
    """A service that was never registered is empty, and found as soon as it is; also when it is deleted and back."""
    operator = session_opener()
    resolver = resolver_maker(session_opener())
    assert resolver.wait_ready(60).instances == ()
    for port in (1, 2, 3):
        operator.znodes.ensure_path(MEMBERS)
        join(operator, "a", port)
        assert eventually(lambda: ports(resolver) == [port]) < 24.0
        leave(operator, "a")
        operator.znodes.delete(MEMBERS)
        assert eventually(lambda: ports(resolver) == []) < 24.0
    operator.znodes.ensure_path(MEMBERS)
    join(operator, "a", 4)
    eventually(lambda: ports(resolver) == [4])
    leave(operator, "a")
    operator.znodes.delete(MEMBERS)
    operator.znodes.ensure_path(MEMBERS)
    join(operator, "a", 5)
    assert eventually(lambda: ports(resolver) == [5]) < 24.0


def test_resolver_skips_what_it_cannot_read(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """Bad records are counted and said, the others served; the newest owner of an endpoint has it."""
    join(operator, "a", 1)
    join(operator, "b", 1)
    operator.znodes.create(MEMBERS + "/member_bad", b"\xff", ephemeral=True)
    operator.znodes.create(MEMBERS + "/member_huge", b" " * 70_000, ephemeral=True)
    snapshot = resolver_maker(session_opener()).wait_ready(60)
    assert [instance.id for instance in snapshot.instances] == ["b"] and snapshot.skipped == 2
    (record,) = (record for record in caplog.records if "bad records" in record.message)
    assert record.message.startswith("2 bad records below /services/users/members are left out; ")
    assert (
        "member_bad: a record that is not JSON" in record.message and "member_huge: a record of 70000" in record.message
    )


def test_resolver_finds_its_members_among_many_nodes_of_somebody_else(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session
) -> None:
    """Whoever may write there can make them, some as large as ZooKeeper takes: they are counted, and keep nobody from
    finding members, also such that come later."""
    join(operator, "a", 1)
    operator.znodes.multi(
        [Create(path=f"{MEMBERS}/member_{number}", value=b"{}" * (number % 3)) for number in range(500)]
    )
    for number in range(2):

        def send(kazoo: Any, path: str = f"{MEMBERS}/member_large_{number}") -> Any:
            return kazoo.create_async(path, b"[" * 1_000_000, acl=OPEN_ACL_UNSAFE)

        operator._send("create", send, 60)
    resolver = resolver_maker(session_opener())
    resolver.wait_ready(60)
    eventually(lambda: resolver.snapshot is not None and resolver.snapshot.skipped == 502)
    assert ports(resolver) == [1]
    join(operator, "b", 2)
    eventually(lambda: ports(resolver) == [1, 2])


def test_resolver_serves_those_that_it_may_read(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """A member whose node is closed to us is told, tried again, and served once we may; the others are meanwhile."""

    def set_access(acl: list[ACL]) -> None:
        path = Paths("users").member("closed")
        operator._send("set access", lambda kazoo: kazoo.set_acls_async(path, acl), 10)

    join(operator, "a", 1)
    resolver = resolver_maker(session_opener())
    resolver.wait_ready(60)
    join(operator, "closed", 2)
    eventually(lambda: ports(resolver) == [1, 2])
    set_access([make_acl("world", "anyone", write=True, create=True, delete=True, admin=True)])
    operator.znodes.set(Paths("users").member("closed"), record(3))
    another = resolver_maker(session_opener())
    join(operator, "b", 4)
    eventually(lambda: ports(another) == [1, 4] and 4 in (ports(resolver) or ()))
    assert "NoAuth" in caplog.text
    set_access(OPEN_ACL_UNSAFE)
    eventually(lambda: ports(another) == [1, 3, 4])


def test_resolver_reads_lists_that_others_keep(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session
) -> None:
    """A Curator list, wherever it is."""
    operator.znodes.ensure_path("/discovery/users")
    spring = dump_curator(Instance(id="i-1", endpoint=Endpoint("10.0.0.9", 8080)), "users")
    operator.znodes.create("/discovery/users/i-1", spring, ephemeral=True)
    resolver = resolver_maker(session_opener(), tree=Tree(path="/discovery/users"))
    (instance,) = resolver.wait_ready(60).instances
    assert instance == Instance(id="i-1", endpoint=Endpoint("10.0.0.9", 8080))


def test_resolver_follows_other_values_in_foreign_nodes(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session, network: Proxy, behind_network: str
) -> None:
    """As Curator's ``updateService`` writes them: at once, every time; and after a reconnect those that it missed."""
    for name in ("i-1", "i-2"):
        operator.znodes.ensure_path("/discovery/users")
        operator.znodes.create(f"/discovery/users/{name}", record(int(name[-1])), ephemeral=True)
    resolver = resolver_maker(session_opener(behind_network), tree=Tree(path="/discovery/users"))
    resolver.wait_ready(60)
    assert ports(resolver) == [1, 2]
    for port in (11, 12, 13):
        operator.znodes.set("/discovery/users/i-1", record(port))
        assert eventually(lambda: ports(resolver) == [2, port]) < 24.0  # noqa: B023
    network.mode = ProxyMode.REFUSE
    eventually(lambda: resolver.is_stale)
    operator.znodes.set("/discovery/users/i-2", record(22))
    network.mode = ProxyMode.FORWARD
    eventually(lambda: ports(resolver) == [13, 22])
    operator.znodes.set("/discovery/users/i-2", record(23))
    assert eventually(lambda: ports(resolver) == [13, 23]) < 24.0


def test_resolver_multiplies_by_the_weights_beside_the_members(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session
) -> None:
    """Finagle's vectors, also among our own members; turned in the same node, they count at once."""

    def weights() -> list[float]:
        assert resolver.snapshot is not None
        return [one.weight for one in resolver.snapshot.instances]

    join(operator, "a", 1)
    join(operator, "b", 2)
    text = b'{"vector":[{"select":"member=member_a","weight":%d,"priority":1}]}'
    operator.znodes.create(f"{MEMBERS}/vector_0000000001", text % 3)
    resolver = resolver_maker(session_opener())
    resolver.wait_ready(60)
    assert weights() == [3.0, 1.0]
    for weight in (5, 0):
        operator.znodes.set(f"{MEMBERS}/vector_0000000001", text % weight)
        assert eventually(lambda: weights() == [weight, 1.0]) < 24.0  # noqa: B023
    operator.znodes.delete(f"{MEMBERS}/vector_0000000001")
    assert eventually(lambda: weights() == [1.0, 1.0]) < 24.0


def test_subscribers_hear_every_list_in_order(
    session_opener: SessionOpener,
    resolver_maker: Maker,
    operator: Session,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The current one at once, later ones as they come; one that fails hurts nobody, one that left hears nothing."""
    join(operator, "a", 1)
    resolver = resolver_maker(session_opener())
    early: list[Snapshot] = []
    resolver.subscribe(early.append)
    resolver.wait_ready(60)
    heard: list[int] = []

    def fail(snapshot: Snapshot) -> None:
        raise gevent.Timeout(0, ValueError("mine"))

    resolver.subscribe(fail)
    unsubscribe = resolver.subscribe(lambda snapshot: heard.append(len(snapshot.instances)))
    assert heard == [1]
    join(operator, "b", 2)
    eventually(lambda: heard == [1, 2])
    unsubscribe()
    unsubscribe()
    leave(operator, "a")
    eventually(lambda: ports(resolver) == [2])
    assert heard == [1, 2] and [len(snapshot.instances) for snapshot in early] == [1, 2, 1]
    assert "subscriber to the members of users failed" in caplog.text


def test_resolver_keeps_the_last_list_while_zookeeper_is_away(
    session_opener: SessionOpener,
    resolver_maker: Maker,
    operator: Session,
    network: Proxy,
    behind_network: str,
) -> None:
    """Stale, not gone; what was missed is seen after the reconnect, also in a new session."""
    join(operator, "a", 1)
    session = session_opener(behind_network)
    resolver = resolver_maker(session)
    resolver.wait_ready(60)
    network.mode = ProxyMode.REFUSE
    eventually(lambda: resolver.is_stale)
    join(operator, "b", 2)
    assert ports(resolver) == [1]
    network.mode = ProxyMode.FORWARD
    eventually(lambda: ports(resolver) == [1, 2])
    before = session.session_id
    password = session.password
    assert before is not None and password is not None
    assert close_session(behind_network, before, password, 60)
    leave(operator, "a")
    eventually(lambda: ports(resolver) == [2])
    eventually(lambda: session.session_id != before and not resolver.is_stale)
    join(operator, "c", 3)
    assert eventually(lambda: ports(resolver) == [2, 3]) < 24.0


def test_resolver_starts_from_the_file_when_zookeeper_is_away(
    session_opener: SessionOpener,
    resolver_maker: Maker,
    operator: Session,
    network: Proxy,
    behind_network: str,
    tmp_path: Path,
) -> None:
    """Saved in one life, used in the next, corrected when ZooKeeper is back."""
    file = tmp_path / "users.json"
    join(operator, "a", 1)
    first = resolver_maker(session_opener(), snapshot_file=file)
    first.wait_ready(60)
    first.close()
    assert [instance.endpoint.port for instance in load_snapshot(file, "users")] == [1]
    join(operator, "b", 2)
    network.mode = ProxyMode.REFUSE
    second = resolver_maker(session_opener(behind_network, connected=False), snapshot_file=file)
    assert second.snapshot is None
    snapshot = second.wait_ready(60)
    assert ports(second) == [1] and snapshot.confirmed_at is None and second.is_stale
    network.mode = ProxyMode.FORWARD
    eventually(lambda: ports(second) == [1, 2] and not second.is_stale)
    eventually(lambda: len(load_snapshot(file, "users")) == 2)


def test_resolver_prefers_zookeeper_to_the_file(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session, tmp_path: Path
) -> None:
    """With ZooKeeper there, nobody hears of what was saved."""
    file = tmp_path / "users.json"
    save_snapshot(file, Snapshot(service="users", instances=(Instance(id="z", endpoint=Endpoint("h", 99)),)))
    join(operator, "a", 1)
    heard: list[Snapshot] = []
    resolver = resolver_maker(session_opener(), snapshot_file=file)
    resolver.subscribe(heard.append)
    resolver.wait_ready(60)
    gevent.sleep(0.6)
    assert [[instance.id for instance in snapshot.instances] for snapshot in heard] == [["a"]]


def test_resolver_that_cannot_save_goes_on(
    session_opener: SessionOpener,
    resolver_maker: Maker,
    operator: Session,
    tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """The file is a convenience; its directory may be impossible."""
    (tmp_path / "file").write_bytes(b"")
    resolver = resolver_maker(session_opener(), snapshot_file=tmp_path / "file" / "users.json")
    join(operator, "a", 1)
    eventually(lambda: ports(resolver) == [1])
    resolver.close()
    assert "are not saved" in caplog.text


def test_resolver_refreshes_without_being_told(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session
) -> None:
    """The safety net: a record changed in place, of which no watch tells, is seen with the next refresh."""
    join(operator, "a", 1)
    config = dataclasses.replace(RegistryConfig(), refresh_interval=0.3)
    resolver = resolver_maker(session_opener(), config=config)
    confirmed_at = resolver.wait_ready(60).confirmed_at
    operator.znodes.set(Paths("users").member("a"), record(11))
    eventually(lambda: ports(resolver) == [11], 20)
    assert resolver.snapshot is not None and confirmed_at is not None
    assert resolver.snapshot.confirmed_at is not None and resolver.snapshot.confirmed_at > confirmed_at


def test_resolver_without_any_list_says_so(resolver_maker: Maker) -> None:
    """Waiting is bounded, and the error names the service and the session's state."""
    session = Session("127.0.0.1:1")
    session.start()
    resolver = resolver_maker(session)
    started_at = time.monotonic()
    with pytest.raises(
        CoordinationError,
        match=r"users known after 0.3 s: the session has been connecting for [\d.]+ s: 127.0.0.1:1: connection refused",
    ):
        resolver.wait_ready(0.299991)  # what is left of a call, for example
    resolver.close()
    session.close()
    assert time.monotonic() - started_at < 4


def test_closing_ends_the_greenlets_in_the_middle_of_a_request(
    session_opener: SessionOpener, resolver_maker: Maker, operator: Session, network: Proxy, behind_network: str
) -> None:
    """Within about a second though nobody answers; the last list stays, and nobody is called back any more."""
    join(operator, "a", 1)
    heard: list[Snapshot] = []
    resolver = resolver_maker(
        session_opener(behind_network), config=dataclasses.replace(RegistryConfig(), refresh_interval=0.05)
    )
    resolver.wait_ready(60)
    resolver.subscribe(heard.append)
    network.mode = ProxyMode.HOLE
    gevent.sleep(0.1)
    started_at = time.monotonic()
    resolver.close()
    resolver.close()
    assert time.monotonic() - started_at < 4
    assert resolver._driver._greenlet is not None and resolver._driver._greenlet.dead and not len(resolver._readers)
    assert ports(resolver) == [1] and len(heard) == 1
    resolver.start()


@pytest.fixture
def older(zookeeper_server: DevZooKeeper) -> Iterator[OlderServer]:
    """A server that does not know watches that stay."""
    with OlderServer(("127.0.0.1", zookeeper_server.ports[0])) as server:
        yield server


def test_resolver_follows_a_server_that_is_older(
    session_opener: SessionOpener,
    resolver_maker: Maker,
    operator: Session,
    older: OlderServer,
    zookeeper: str,
    persistent: bool,
) -> None:
    """It is asked once, hangs up, and is followed by one-shot watches; the session goes on."""
    join(operator, "a", 1)
    session = session_opener(f"{older.hosts}/{zookeeper.partition('/')[2]}")
    before = session.session_id
    resolver = resolver_maker(session)
    eventually(lambda: ports(resolver) == [1] and not resolver.is_stale)
    for port in (2, 3, 4):
        join(operator, f"w{port}", port)
        eventually(lambda: port in (ports(resolver) or ()))
        leave(operator, f"w{port}")
        eventually(lambda: ports(resolver) == [1])
    assert older.asked == persistent and session.session_id == before


def test_resolver_decides_anew_at_each_connection(
    session_opener: SessionOpener,
    resolver_maker: Maker,
    operator: Session,
    older: OlderServer,
    network: Proxy,
    zookeeper: str,
) -> None:
    """An ensemble under a rolling upgrade, back and forth."""
    join(operator, "a", 1)
    network.mode = ProxyMode.REFUSE
    session = session_opener(f"{older.hosts},{network.hosts}/{zookeeper.partition('/')[2]}", kind=CountingSession)
    assert isinstance(session, CountingSession)
    resolver = resolver_maker(session)
    expected = [1]
    for port in range(2, 6):
        eventually(lambda: not resolver.is_stale)
        join(operator, f"w{port}", port)
        expected.append(port)
        eventually(lambda: ports(resolver) == expected)
        left, other = (older, network) if port % 2 == 0 else (network, older)
        other.mode, left.mode = ProxyMode.FORWARD, ProxyMode.REFUSE
        eventually(lambda: session.status().server == other.hosts)
    assert older.asked <= 1
