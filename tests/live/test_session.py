"""The ZooKeeper session, on a real server, through a network that fails on demand."""

from __future__ import annotations

import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import Event

from tests.support.waiting import eventually
from zkrpc.config import RegistryConfig
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.errors import ConfigError, CoordinationError, OutcomeUnknown, SessionSuspended
from zkrpc.testing.proxy import Proxy, ProxyMode
from zkrpc.zookeeper.closing import close_session
from zkrpc.zookeeper.operations import SessionState
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

LASTING = RegistryConfig(session_timeout=10.0, request_timeout=60.0)
"""The most that the server grants: what ends a session is the test, and no machine that stands still for seconds."""
Opener = Callable[..., Session]


@pytest.fixture
def proxy(zookeeper_server: DevZooKeeper) -> Iterator[Proxy]:
    """A network of our own to the server."""
    with Proxy(("127.0.0.1", zookeeper_server.ports[0])) as between:
        yield between


@pytest.fixture
def chroot(zookeeper: str) -> str:
    """A path of our own, to go behind a proxy's address."""
    return "/" + zookeeper.partition("/")[2]


@pytest.fixture
def opened(zookeeper: str) -> Iterator[Opener]:
    """Opens connected sessions and closes them at the end."""
    sessions = []

    def open_session(
        hosts: str = zookeeper, config: RegistryConfig = LASTING, *, connected: bool = True, **options: object
    ) -> Session:
        session = Session(hosts, config, **options)  # type: ignore[arg-type]  # the options are the session's own
        sessions.append(session)
        session.start()
        assert not connected or session.wait_connected(60)
        return session

    yield open_session
    for session in sessions:
        session.close()


def test_session_answers_requests_by_itself_too(opened: Opener) -> None:
    """Programs that use a registry's session need not know of its znodes."""
    session = opened()
    session.ensure_path("/by-itself")
    assert session.create("/by-itself/one", b"1") == "/by-itself/one"
    assert session.children("/by-itself") == session.znodes.children("/by-itself") == ["one"]
    assert session.exists("/by-itself/one") and session.get("/by-itself/two") is None


# The gate


def test_a_thousand_greenlets_do_not_wedge_the_client(opened: Opener) -> None:
    """The gate keeps kazoo's wake-up socket from overflowing; afterwards everything still works."""
    session = opened(config=LASTING)
    session.znodes.create("/a")
    readers = [gevent.spawn(session.znodes.exists, "/a") for _ in range(1000)]
    gevent.joinall(readers, timeout=60)
    assert sum(reader.successful() for reader in readers) == 1000
    assert session.znodes.exists("/a", timeout=60) is not None


def test_a_full_gate_refuses_in_time(opened: Opener, proxy: Proxy, chroot: str) -> None:
    """Whoever gets no slot within its timeout was not sent."""
    config = RegistryConfig(session_timeout=10.0, request_timeout=60.0, max_in_flight=1)
    session = opened(proxy.hosts + chroot, config)
    proxy.mode = ProxyMode.HOLE
    first = gevent.spawn(session.znodes.exists, "/", timeout=60)
    gevent.sleep(0)
    with pytest.raises(SessionSuspended, match="not sent, 1 requests"):
        session.znodes.exists("/", timeout=0.1)
    proxy.mode = ProxyMode.FORWARD
    assert first.get(timeout=60) is not None
    assert session.znodes.exists("/") is not None


def test_a_wrong_argument_costs_no_slot(opened: Opener) -> None:
    """What kazoo refuses to send is the caller's TypeError, and the gate stays open."""
    session = opened(config=RegistryConfig(request_timeout=60.0, max_in_flight=1))
    for _ in range(3):
        with pytest.raises(TypeError):
            session.znodes.exists(42)  # type: ignore[arg-type]  # the point of the test
    assert session.znodes.exists("/") is not None


def test_session_refuses_to_survive_a_fork(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two processes on one connection would lose the session for both."""
    session = opened()
    here = os.getpid()
    with monkeypatch.context() as patched:
        patched.setattr(os, "getpid", lambda: here + 1)
        with pytest.raises(ConfigError, match="does not survive a fork"):
            session.znodes.exists("/")
    assert session.znodes.exists("/") is not None


# Faults


def test_an_answer_that_does_not_come_is_an_unknown_outcome(opened: Opener, proxy: Proxy, chroot: str) -> None:
    """The caller gives up in time; its slot stays taken until kazoo has let go of the request."""
    session = opened(proxy.hosts + chroot)
    proxy.mode = ProxyMode.HOLE
    started_at = time.monotonic()
    with pytest.raises(OutcomeUnknown, match="create /a: sent, no answer within 0.2 s"):
        session.znodes.create("/a", timeout=0.2)
    assert time.monotonic() - started_at < 30.0
    assert session._link is not None
    assert session._link._slots.counter == 127
    proxy.mode = ProxyMode.FORWARD
    assert session.znodes.exists("/a") is not None
    link = session._link
    eventually(lambda: link._slots.counter == 128)


def test_a_lost_reply_is_an_unknown_outcome_that_happened(opened: Opener, proxy: Proxy, chroot: str) -> None:
    """The connection breaks before the answer: only a look tells that the node was made."""
    session = opened(proxy.hosts + chroot)
    before = session.session_id
    proxy.mode = ProxyMode.DROP_REPLIES
    creating = gevent.spawn(session.znodes.create, "/a", ephemeral=True)
    eventually(lambda: session._link is not None and session._link._slots.counter == 127)
    gevent.sleep(0.1)
    proxy.mode = ProxyMode.FORWARD
    with pytest.raises(OutcomeUnknown, match="ConnectionLoss"):
        creating.get(timeout=60)
    assert session.wait_connected(60)
    stat = session.znodes.exists("/a")
    assert stat is not None and stat.owner == before == session.session_id


def test_a_short_cut_keeps_the_session(
    opened: Opener, proxy: Proxy, chroot: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Suspended, refusing, then connected again as the same session; watchers of the state hear it; kazoo is quiet."""
    caplog.set_level(logging.INFO)
    told = []
    session = opened(proxy.hosts + chroot, on_new_session=lambda number, password: told.append((number, password)))
    before, changed, watch = session.session_id, Event(), Event()
    session.znodes.create("/e", ephemeral=True)
    session.watch_state(changed)
    session.znodes.exists("/e", watch)
    proxy.mode = ProxyMode.REFUSE
    assert watch.wait(60), "a raw watch is gone when the connection is, and must say so"
    assert changed.wait(60) and session.state is SessionState.SUSPENDED
    assert session.session_id == before and not session.wait_connected(0)
    started_at = time.monotonic()
    with pytest.raises(SessionSuspended, match="not sent, the session is suspended"):
        session.znodes.exists("/e")
    assert time.monotonic() - started_at < 30.0
    changed.clear()
    proxy.mode = ProxyMode.FORWARD
    assert changed.wait(60) and session.wait_connected(60)
    stat = session.znodes.exists("/e")
    assert stat is not None and stat.owner == session.session_id == before
    assert told == [(before, session.password)]
    session.unwatch_state(changed)
    assert {record.name.partition(".")[0] for record in caplog.records} == {"zkrpc"}
    assert not [record for record in caplog.records if record.name == "zkrpc.zookeeper.kazoo"]


def test_black_hole_under_traffic_is_noticed_before_the_session_expires(
    opened: Opener, proxy: Proxy, chroot: str
) -> None:
    """kazoo takes each request it sends for a heartbeat; the watchdog waits for answers, 2/3 of the timeout."""
    session = opened(proxy.hosts + chroot)
    assert session.timeout == 10.0
    before = session.session_id

    def talk() -> None:
        while True:
            with pytest.raises(CoordinationError):
                session.znodes.exists("/", timeout=0.05)
            gevent.sleep(0.05)

    proxy.mode = ProxyMode.HOLE
    talker = gevent.spawn(talk)
    took = eventually(lambda: session.state is SessionState.SUSPENDED)
    assert took < 10.0
    proxy.mode = ProxyMode.FORWARD
    eventually(lambda: session.state is SessionState.CONNECTED)
    talker.kill()
    assert session.session_id == before
    link = session._link
    assert link is not None
    eventually(lambda: link._slots.counter == 128)  # the last request's slot is its own until it is answered


def test_a_healthy_idle_session_is_left_alone(opened: Opener) -> None:
    """Heartbeats alone satisfy the watchdog."""
    session = opened()
    changed = Event()
    session.watch_state(changed)
    first = session.last_ack_at
    assert not changed.wait(8.0)
    assert first is not None and session.last_ack_at is not None and session.last_ack_at > first + 1


def test_a_blocked_hub_does_not_make_the_watchdog_bite(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a block of more than 2/3 of the timeout, what is answered in the moment after it counts."""
    monkeypatch.setattr("zkrpc.zookeeper.link._WATCHDOG_GRACE", 2.0)  # a moment for a server that pauses, too
    session = opened()
    changed = Event()
    session.watch_state(changed)
    session.znodes.exists("/")
    time.sleep(7.0)
    assert not changed.wait(3.0)
    assert session.znodes.exists("/") is not None


def test_an_ended_session_is_followed_by_another(opened: Opener, zookeeper: str) -> None:
    """Lost, then a new id, told before the first request of the new session is let through."""
    states = []
    sessions: list[Session] = []

    def tell(number: int, password: bytes) -> None:
        states.append((number, password, sessions[0].state if sessions else None))
        raise RuntimeError("a callback's failure is logged, not more")

    session = opened(on_new_session=tell)
    sessions.append(session)
    seen = []
    changed, watch = Event(), Event()
    session.watch_state(changed)

    def follow() -> None:
        while True:
            changed.wait()
            changed.clear()
            seen.append((session.state, session.session_id))

    follower = gevent.spawn(follow)
    before, password = session.session_id, session.password
    assert before is not None and password is not None
    session.znodes.create("/e", ephemeral=True)
    session.znodes.exists("/e", watch)
    assert close_session(zookeeper, before, password, 60)
    eventually(lambda: session.session_id not in (None, before))
    assert session.wait_connected(60) and watch.wait(60)
    after = session.session_id
    eventually(lambda: seen[-1:] == [(SessionState.CONNECTED, after)])
    follower.kill()
    assert (SessionState.LOST, None) in seen
    assert [entry[0] for entry in states] == [before, after]
    assert states[1][1] == session.password and states[1][2] is SessionState.LOST
    assert session.znodes.exists("/e") is None


@pytest.mark.parametrize("ended", [False, True])
def test_a_client_that_died_for_good_is_replaced(opened: Opener, zookeeper: str, ended: bool) -> None:
    """Its session is continued if it lives; if it does not, a new one follows."""
    session = opened()
    before, password = session.session_id, session.password
    assert before is not None and password is not None and session._link is not None
    session.znodes.create("/e", ephemeral=True)
    watch = Event()
    session.znodes.exists("/e", watch)
    dead = session._link
    dead._client._connection._connection_routine.kill()
    assert session.state is SessionState.SUSPENDED and watch.wait(60)
    if ended:
        assert close_session(zookeeper, before, password, 60)
    assert session.wait_connected(60)
    assert session._link is not dead
    if ended:
        assert session.session_id != before and session.znodes.exists("/e") is None
    else:
        stat = session.znodes.exists("/e")
        assert stat is not None and stat.owner == session.session_id == before


def test_control_survives_surprises(opened: Opener, monkeypatch: pytest.MonkeyPatch) -> None:
    """An unexpected failure in the control greenlet costs a pause, not the session."""
    session = opened(connected=False)
    step, failures = session._step, [RuntimeError("surprise"), SessionSuspended("gone again")]

    def stumble() -> float | None:
        if failures:
            raise failures.pop()
        return step()

    monkeypatch.setattr(session, "_step", stumble)
    assert session.wait_connected(60) and not failures


# The beginning and the end


@pytest.mark.parametrize(("asked", "granted"), [(0.1, 1.0), (3.0, 3.0), (60.0, 10.0)])
def test_negotiated_timeout_is_the_servers(opened: Opener, asked: float, granted: float) -> None:
    """The server grants 2 to 20 ticks, whatever was asked."""
    session = opened(config=RegistryConfig(session_timeout=asked))
    assert session.timeout == granted
    assert session.last_ack_at is not None and 0 <= time.monotonic() - session.last_ack_at < 30


def test_close_takes_the_nodes_away_at_once(opened: Opener) -> None:
    """Ephemeral nodes go with close(), which may be called again; nothing works afterwards."""
    session, other = opened(), opened()
    session.znodes.create("/e", ephemeral=True)
    changed = Event()
    session.watch_state(changed)
    session.close()
    assert other.znodes.exists("/e") is None
    assert changed.is_set() and session.state is SessionState.CLOSED
    session.close()
    session.start()
    with pytest.raises(SessionSuspended, match="the session is closed"):
        session.znodes.exists("/e")
    assert "closed" in repr(session) and not session.wait_connected(0)


@pytest.mark.parametrize("mode", [ProxyMode.HOLE, ProxyMode.REFUSE])
def test_close_is_bounded_when_nobody_answers(opened: Opener, proxy: Proxy, chroot: str, mode: ProxyMode) -> None:
    """Two seconds at most where nothing else keeps the process, and whoever waits for an answer is told at once."""
    session = opened(proxy.hosts + chroot)
    proxy.mode = mode
    gevent.sleep(0.2)
    waiting = gevent.spawn(session.znodes.exists, "/", timeout=60)
    started_at = time.monotonic()
    gevent.sleep(0)
    session.close()
    assert time.monotonic() - started_at < 20.0
    with pytest.raises((OutcomeUnknown, SessionSuspended)):
        waiting.get(timeout=30)


def test_session_waits_for_a_server_that_is_not_there(opened: Opener) -> None:
    """start() returns at once; requests are refused; close() ends it."""
    with Proxy(("127.0.0.1", 1)) as nowhere:
        session = opened(nowhere.hosts, connected=False)
        assert not session.wait_connected(0.3)
        assert session.state is SessionState.CONNECTING
        assert (session.session_id, session.password, session.timeout, session.last_ack_at) == (None, None, None, None)
        with pytest.raises(SessionSuspended, match="the session is connecting"):
            session.znodes.exists("/")
        session.close()
    never_started = Session("127.0.0.1:1")
    assert never_started.timeout is None and never_started.last_ack_at is None
    never_started.close()


def test_a_frozen_server_is_left_for_another(opened: Opener, zookeeper_ensemble: DevZooKeeper) -> None:
    """With three servers a frozen one costs a reconnect, not the session."""
    session = opened(f"{zookeeper_ensemble.hosts}/frozen")
    before = session.session_id
    session.znodes.ensure_path("/")
    session.znodes.create("/e", ephemeral=True)
    assert session._link is not None
    port = session._link._client._connection._socket.getpeername()[1]
    frozen = zookeeper_ensemble.ports.index(port)
    changed = Event()
    session.watch_state(changed)
    zookeeper_ensemble.freeze(frozen)
    assert changed.wait(60)
    assert session.wait_connected(60)
    zookeeper_ensemble.thaw(frozen)
    assert session.session_id == before and session.znodes.exists("/e") is not None


def test_a_patched_program_may_use_a_session(zookeeper: str) -> None:
    """The rest of these tests run without monkey patching; with it, names resolve without blocking as well."""
    program = f"""
import gevent.monkey; gevent.monkey.patch_all()
import gevent
from zkrpc.zookeeper.session import Session
session = Session({zookeeper.replace("127.0.0.1", "localhost")!r})
session.start()
assert session.wait_connected(60)
session.znodes.create("/a", b"1")
readers = [gevent.spawn(session.znodes.get, "/a") for _ in range(300)]
gevent.joinall(readers, timeout=60, raise_error=True)
session.close()
"""
    done = subprocess.run([sys.executable, "-c", program], timeout=60, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_session_passes_over_servers_that_accept_and_say_nothing(opened: Opener, zookeeper: str) -> None:
    """Mute servers cost a small part of the session timeout each, not all of it, as when it starts."""
    mutes = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    try:
        hosts = ",".join(f"127.0.0.1:{mute.getsockname()[1]}" for mute in mutes)
        session = opened(f"{hosts},{zookeeper}", RegistryConfig(session_timeout=60.0), connected=False)
        began = time.monotonic()
        assert session.wait_connected(60)
        # kazoo alone would give each of them 60 s / 3 servers.
        assert time.monotonic() - began < 19.9
    finally:
        for mute in mutes:
            mute.close()


def test_session_never_looks_a_name_up_in_the_hub(
    opened: Opener, zookeeper: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A name that leads nowhere may take a resolver ten seconds, and all calls would stand still."""

    def block(*_: object, **__: object) -> None:
        pytest.fail("looked up in the hub")

    monkeypatch.setattr(socket, "getaddrinfo", block)
    opened(f"no-such-host.invalid:2181,{zookeeper.replace('127.0.0.1', 'localhost')}")
