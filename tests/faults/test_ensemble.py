"""The laboratory itself: that a cut link does what a cut link does to a real ZooKeeper, and that clients can be told
apart."""

from __future__ import annotations

import contextlib
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import gevent
import pytest

from faults.cluster import ROOT, wait_until
from faults.ensemble import Lab
from zkrpc.config import RegistryConfig
from zkrpc.errors import ConfigError, CoordinationError
from zkrpc.zookeeper.operations import SessionState
from zkrpc.zookeeper.session import Session

TICK = 500
SYNC_LIMIT = 20
CUT_OFF = TICK * SYNC_LIMIT / 1000  # seconds for which a server believes in a silent peer
TIMEOUT = 4.0

pytestmark = pytest.mark.zookeeper
Opener = Callable[..., Session]


@pytest.fixture(scope="module")
def ensemble() -> Iterator[Lab]:
    """One laboratory for all: starting it is what takes the time."""
    with Lab(tick=TICK, sync_limit=SYNC_LIMIT) as lab:
        yield lab


@pytest.fixture
def lab(ensemble: Lab) -> Iterator[Lab]:
    """The laboratory, whole again after each test."""
    yield ensemble
    ensemble.join_all()
    ensemble.start_all()


@pytest.fixture
def connect(lab: Lab) -> Iterator[Opener]:
    """Opens a session by a client's own ways, to one server only."""
    sessions: list[Session] = []

    def opener(name: str, index: int) -> Session:
        session = Session(lab.hosts_for(name), RegistryConfig(session_timeout=TIMEOUT, request_timeout=5.0))
        sessions.append(session)
        lab.heal(name)
        lab.pin(name, index)
        session.start()
        assert session.wait_connected(60)
        return session

    yield opener
    for session in sessions:
        session.close()


def is_connected(session: Session) -> bool:
    """True while requests are sent."""
    return session.state is SessionState.CONNECTED


def answers(session: Session, path: str) -> bool:
    """True if it was told about a node; False if there is nobody to ask."""
    try:
        return session.znodes.exists(path) is not None
    except CoordinationError:
        return False


def test_a_client_is_followed_from_server_to_server(lab: Lab, connect: Opener) -> None:
    """node_of() says where it is; pin() moves it, with the same session."""
    session = connect("wanderer", 1)
    number = session.session_id
    assert lab.node_of("wanderer") == 1
    lab.pin("wanderer", 2)
    wait_until(lambda: is_connected(session) and lab.node_of("wanderer") == 2, 60, "moved")
    lab.heal("wanderer")
    assert (lab.node_of("wanderer"), session.session_id) == (2, number)
    session.close()
    wait_until(lambda: lab.node_of("wanderer") is None, 60, "gone")


def test_a_client_alone_is_blackholed(lab: Lab, connect: Opener) -> None:
    """Its session ends at the servers, and another client of the same server sees that; it hears of it afterwards."""
    lost, other = connect("lost", 0), connect("other", 0)
    number = lost.session_id
    lost.znodes.create("/lost", ephemeral=True)
    lab.blackhole("lost")
    took = wait_until(lambda: other.znodes.exists("/lost") is None, TIMEOUT + 60, "the lost client's node is gone")
    assert took > TIMEOUT / 2 and not is_connected(lost)
    assert lab.node_of("other") == lab.node_of("lost") == 0
    lab.heal("lost")
    wait_until(lambda: is_connected(lost), 60, "back")
    assert lost.session_id != number


def test_a_follower_cut_off_from_its_leader_answers_after_the_session_has_ended(lab: Lab, connect: Opener) -> None:
    """Reads and pings prove nothing: seconds after the leader has ended the session, its client is still answered."""
    leader = lab.await_leader()
    follower = (leader + 1) % 3
    cut_off, witness = connect("cut-off", follower), connect("witness", leader)
    cut_off.znodes.create("/cut-off", ephemeral=True)
    began = time.monotonic()
    lab.cut(leader, follower)
    ended = wait_until(lambda: witness.znodes.exists("/cut-off") is None, TIMEOUT + 60, "the session has ended")
    assert answers(cut_off, "/cut-off") and is_connected(cut_off)
    gevent.sleep(0.5)
    assert answers(cut_off, "/cut-off")
    assert cut_off.last_ack_at is not None and cut_off.last_ack_at > began + ended
    wait_until(lambda: lab.modes()[follower] is None, CUT_OFF + 60, "the follower has given up")
    assert lab.leader() == leader
    lab.join(follower, leader)
    wait_until(lambda: lab.modes()[follower] == "follower", 60, "the follower is back")


def test_a_leader_cut_off_from_everybody_is_replaced(lab: Lab) -> None:
    """The others elect one of themselves; the old one follows when it hears of that."""
    old = lab.await_leader()
    for other in {0, 1, 2} - {old}:
        lab.cut(old, other)
    new = lab.await_leader(apart_from=old)
    wait_until(lambda: lab.modes()[old] is None, CUT_OFF + 60, "the old leader has given up")
    assert lab.leader() == new
    lab.join_all()
    wait_until(lambda: lab.modes()[old] == "follower", 60, "the old leader follows")


def test_elections_pass_by_the_links_only(lab: Lab) -> None:
    """Server 0 dials the others when it starts; they hang up and call back, through our proxies like everybody."""
    lab.kill(0)
    lab.restart(0)
    passing = [link.election for link in lab._links.values()]
    wait_until(lambda: sum(proxy.connections for proxy in passing) == 3, 60, "one connection for each pair")


def test_servers_die_freeze_and_come_back(lab: Lab) -> None:
    """Links survive their servers."""
    old = lab.await_leader()
    lab.kill(old)
    new = lab.await_leader()
    assert new != old
    lab.restart(old)
    lab.freeze(old)
    wait_until(lambda: lab.modes()[old] is None, 60, "it is frozen")
    lab.thaw(old)
    lab.stop_all()
    with pytest.raises(CoordinationError, match="no ZooKeeper server led within 0.1 s"):
        lab.await_leader(0.1)
    lab.start_all()
    wait_until(lambda: sorted(map(str, lab.modes())) == ["follower", "follower", "leader"], 60, "all are back")


def test_unknown_names_are_refused(lab: Lab) -> None:
    """A misspelt client or link would make a fault that never happens."""
    with pytest.raises(ConfigError, match="no client 'nobody'"):
        lab.blackhole("nobody")
    with pytest.raises(ConfigError, match="no link between ZooKeeper servers 1 and 1"):
        lab.cut(1, 1)


def test_a_laboratory_that_does_not_run_has_no_hosts() -> None:
    """An empty connect string would be somebody else's puzzle."""
    with pytest.raises(ConfigError, match="does not run"):
        Lab().hosts_for("early")


def test_a_client_of_two_servers_is_not_guessed_at(lab: Lab) -> None:
    """Two processes under one name are a mistake of the test's."""
    servers = [server.split(":") for server in lab.hosts_for("two").split(",")[:2]]
    with contextlib.ExitStack() as held:
        for host, port in servers:
            held.enter_context(socket.create_connection((host, int(port)), 60))
        with pytest.raises(CoordinationError, match=r"'two' is connected to several ZooKeeper servers: \[0, 1\]"):
            wait_until(lambda: lab.node_of("two") not in (None, 0, 1), 60, "noticed")


def test_a_patched_program_may_run_it() -> None:
    """The fault suites patch the standard library; the links then are greenlets."""
    program = """
import faults
from gevent import monkey
assert monkey.is_module_patched("threading")
from faults.ensemble import Lab
with Lab() as lab:
    old = lab.leader()
    for other in {0, 1, 2} - {old}:
        lab.cut(old, other)
    assert lab.await_leader(60, apart_from=old) != old
"""
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True, text=True, env=environ)
    assert done.returncode == 0, done.stderr
