"""ZooKeeper comes back as another one: without its data, from an older backup, or as a new ensemble."""

from __future__ import annotations

import contextlib
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

import zkrpc
from tests.live.test_primary import Board
from tests.live.test_primary import idl as board
from tests.live.test_registrar import delete_tree
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from tests.support.worlds import ELSEWHERE, World
from zkrpc.config import RegistryConfig
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.registry.config_watch import ConfigWatch
from zkrpc.zookeeper.operations import SessionState
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

TIMEOUT = 6.0
CONFIG = RegistryConfig(session_timeout=TIMEOUT, request_timeout=2.0)
BOUND = 60.0
"""Seconds from ZooKeeper's return until everything is as before."""


class Other:
    """A ZooKeeper whose data can be exchanged."""

    def __init__(self, folder: Path, nodes: int = 1) -> None:
        self.folder = folder
        self.server = DevZooKeeper(nodes, directory=folder / "zk").start()
        self.hosts = f"{self.server.hosts}/app/zkrpc"

    def data(self) -> list[Path]:
        """Each server's folder of transactions."""
        return sorted((self.folder / "zk").glob("*/version-2"))

    def back_up(self) -> None:
        """Keeps the data as they are now."""
        self.server.stop_all()
        for place in self.data():
            shutil.copytree(place, self.folder / "backup" / place.parent.name)
        self.server.start_all()

    def come_back(self, how: str) -> None:
        """Starts as another one, on the old addresses."""
        self.server.stop_all()
        for place in self.data():
            shutil.rmtree(place)
            if how == "restored":
                shutil.copytree(self.folder / "backup" / place.parent.name, place)
        self.server.start_all()


@pytest.fixture
def make_other(tmp_path: Path) -> Iterator[Callable[..., Other]]:
    """Starts a ZooKeeper of one server, or three."""
    made: list[Other] = []

    def make(nodes: int = 1) -> Other:
        made.append(Other(tmp_path, nodes))
        return made[-1]

    yield make
    for other in made:
        other.server.close()


def grow(session: Session, count: int) -> None:
    """Has transactions happen that the backup does not know, and the session see them."""
    for number in range(count):
        session.znodes.ensure_path(f"/growth/{number}")


@pytest.mark.parametrize(("nodes", "how"), [(1, "wiped"), (1, "restored"), (3, "wiped"), (3, "restored")])
def test_everything_is_back_when_zookeeper_is_another_one(
    nodes: int,
    how: str,
    make_other: Callable[..., Other],
    worlds: dict[str, World],
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Servers register and clients call again within a session timeout and a few seconds; nobody restarts anything, and
    clients call on meanwhile, wherever they call from."""
    other = make_other(nodes)
    with zkrpc.Registry(other.hosts, config=CONFIG) as serving, zkrpc.Registry(other.hosts, config=CONFIG) as calling:
        assert serving.session.wait_connected(60) and calling.session.wait_connected(60)
        serving.session.znodes.ensure_path("/")
        if how == "restored":
            other.back_up()
            eventually(lambda: serving.session.state is SessionState.CONNECTED, 60)
        quick = zkrpc.ServerConfig(linger=0.0)
        with zkrpc.serve(zkrpc.Service(idl.Echo, EchoHandler, config=quick), zookeeper=serving) as app:
            stubs = [world.connect(idl.Echo, "echo", zookeeper=calling) for world in worlds.values()]
            for stub in stubs:
                assert stub.options(timeout=60).echo("before") == "before"
            watch = ConfigWatch(calling.session, "echo", CONFIG, rng=lambda: 0.5)
            told: list[float | None] = []
            watch.follow(lambda config: told.append(config.timeout))
            grow(serving.session, 20)
            grow(calling.session, 5)
            sessions = serving.session.session_id, calling.session.session_id
            stopped_at = time.monotonic()
            other.come_back(how)
            back_at = time.monotonic()
            while not (app.registrar.registered and serving.session.histories and calling.session.histories):
                for stub in stubs:
                    assert stub.options(timeout=20).echo("meanwhile") == "meanwhile"
                assert time.monotonic() - back_at < BOUND, (serving, calling)
                gevent.sleep(0.05)
            assert sessions != (serving.session.session_id, calling.session.session_id)
            for world in worlds.values():
                with world.connect(idl.Echo, "echo", zookeeper=other.hosts) as fresh:
                    assert fresh.options(timeout=60).echo("anew") == "anew"
            for stub in stubs:
                assert stub.options(timeout=60).echo("after") == "after"
            calling.session.znodes.create("/services/echo/config", b'{"timeout_ms": 1234}')
            eventually(lambda: told[-1:] == [1.234], 60)
            watch.close()
            for stub in stubs:
                stub.close()
    # The two above do, once each; a client with a session of its own may do so before it is closed.
    told_by = sum("beginning a new session" in record.message for record in caplog.records)
    assert 2 <= told_by <= 2 + len(ELSEWHERE)
    print(f"{nodes} {how}: away {back_at - stopped_at:.1f} s")


def test_a_primary_is_elected_by_another_zookeeper(make_other: Callable[..., Other], worlds: dict[str, World]) -> None:
    """The election begins again with who is there, and callers follow."""
    other = make_other()
    with zkrpc.Registry(other.hosts, config=CONFIG) as serving, zkrpc.Registry(other.hosts, config=CONFIG) as calling:
        service = zkrpc.Service(
            board.Board, lambda: Board("only"), groups=["main"], config=zkrpc.ServerConfig(linger=0.0)
        )
        with zkrpc.serve(service, zookeeper=serving):
            stubs = [world.connect(board.Board, "board", zookeeper=calling) for world in worlds.values()]
            for stub in stubs:
                assert stub.options(timeout=60).write("before").endswith("before")
            other.come_back("wiped")
            back_at, answers = time.monotonic(), [""]
            while not serving.session.histories or not all(one.endswith("after") for one in answers):
                assert time.monotonic() - back_at < BOUND
                text = "after" if serving.session.histories else "meanwhile"
                try:
                    answers = [stub.options(timeout=1).write(text) for stub in stubs]
                except zkrpc.CallError:
                    gevent.sleep(0.05)
            for stub in stubs:
                stub.close()


def test_everything_is_back_when_the_chroot_was_deleted(
    make_other: Callable[..., Other], worlds: dict[str, World]
) -> None:
    """An operator's slip under living sessions: registered, elected and called again, in the same sessions."""
    other = make_other()
    with (
        zkrpc.Registry(other.hosts, config=CONFIG) as serving,
        zkrpc.Registry(other.hosts, config=CONFIG) as calling,
        zkrpc.Registry(other.server.hosts, config=CONFIG) as operator,
    ):
        service = zkrpc.Service(
            board.Board, lambda: Board("only"), groups=["main"], config=zkrpc.ServerConfig(linger=0.0)
        )
        with zkrpc.serve(service, zookeeper=serving):
            stubs = [world.connect(board.Board, "board", zookeeper=calling) for world in worlds.values()]
            for stub in stubs:
                assert stub.options(timeout=60).write("before").endswith("before")
            sessions = serving.session.session_id, calling.session.session_id
            for _ in range(3):
                assert operator.session.wait_connected(60)
                delete_tree(operator.session, "/app")
                members = "/app/zkrpc/services/board/members"
                eventually(lambda: operator.session.znodes.children(members), 60)
                eventually(
                    lambda: operator.session.znodes.exists("/app/zkrpc/services/board/election/main/primary"), 60
                )
                answers, give_up_at = [""], time.monotonic() + 60
                while not all(one.endswith("after") for one in answers):
                    assert time.monotonic() < give_up_at
                    with contextlib.suppress(zkrpc.CallError):
                        answers = [stub.options(timeout=1).write("after") for stub in stubs]
            assert sessions == (serving.session.session_id, calling.session.session_id)
            for stub in stubs:
                stub.close()


def test_no_quorum_is_no_other_zookeeper(make_other: Callable[..., Other]) -> None:
    """The one server that is left hangs up on everybody, for longer than the session lasts: the session is kept for
    when the others are back."""
    other = make_other(3)
    with zkrpc.Registry(other.hosts, config=CONFIG) as registry:
        assert registry.session.wait_connected(60)
        registry.session.znodes.ensure_path("/")
        before = registry.session.session_id
        leader = other.server.leader()
        followers = [index for index in range(3) if index != leader]
        other.server.kill(followers[0])
        other.server.kill(followers[1])
        eventually(lambda: registry.session.state is SessionState.SUSPENDED, 60)
        gevent.sleep(TIMEOUT + 3.0)
        assert "hangs up" in registry.session.explain()
        other.server.start_all()
        assert registry.session.wait_connected(60)
        assert registry.session.session_id == before and not registry.session.histories
