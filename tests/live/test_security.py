"""A ZooKeeper that speaks TLS and serves only those whom it knows: sessions, services and elections on a real one."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

import zkrpc
from tests.live.test_primary import QUICK, SWIFT, Board
from tests.live.test_primary import idl as board
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from tests.support.worlds import World
from zkrpc.config import RegistryConfig
from zkrpc.credentials import FILE_VARIABLE, ZooKeeperSecurity
from zkrpc.dev.secured import DevSecurity
from zkrpc.dev.zookeeper import DevZooKeeper
from zkrpc.errors import ConfigError, CoordinationError
from zkrpc.zookeeper.access import Identity
from zkrpc.zookeeper.closing import SessionCloser
from zkrpc.zookeeper.operations import SessionState
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

Opener = Callable[..., Session]


@pytest.fixture
def security(secured_zookeeper: DevZooKeeper) -> DevSecurity:
    """The files of the secured ZooKeeper."""
    assert secured_zookeeper.security is not None
    return secured_zookeeper.security


@pytest.fixture
def opened() -> Iterator[Opener]:
    """Opens sessions and closes them at the end."""
    sessions: list[Session] = []

    def open_session(hosts: str, security: ZooKeeperSecurity) -> Session:
        sessions.append(Session(hosts, RegistryConfig(session_timeout=10.0, security=security)))
        sessions[-1].start()
        return sessions[-1]

    yield open_session
    for session in sessions:
        session.close()


def plain(server: DevZooKeeper) -> str:
    """The connect string of the port without TLS."""
    return f"127.0.0.1:{server.ports[0]}"


def test_a_session_in_tls_is_known_by_certificate_and_password(
    secured_zookeeper: DevZooKeeper, security: DevSecurity, opened: Opener
) -> None:
    """Names are checked, of addresses and of hosts; many answers that come together all arrive; a watch fires."""
    for hosts in (secured_zookeeper.hosts, secured_zookeeper.hosts.replace("127.0.0.1", "localhost")):
        session = opened(hosts, security.client)
        assert session.wait_connected(60), session.explain()
        who = session.znodes.identities()
        assert {Identity("x509", "CN=dev"), Identity("sasl", "dev")} <= set(who)
    session.znodes.ensure_path("/many")
    session.znodes.set("/many", b"x" * 1000)
    reads = [gevent.spawn(session.znodes.get, "/many") for _ in range(300)]
    gevent.joinall(reads, timeout=60)
    assert all(one.value is not None and len(one.value[0]) == 1000 for one in reads)
    changed = gevent.event.Event()
    session.znodes.get("/many", changed)
    opened(secured_zookeeper.hosts, security.client)
    session.znodes.set("/many", b"y")
    assert changed.wait(60)


def test_who_is_not_to_be_trusted_hears_nothing(
    secured_zookeeper: DevZooKeeper, security: DevSecurity, opened: Opener
) -> None:
    """A name that the certificate does not have, an authority that we do not know, a port without TLS, a client
    without a certificate: each is said in words, for people who have to mend it."""
    client = security.client
    wrong = {
        "Hostname mismatch, certificate is not valid for 'zk.example'": (
            secured_zookeeper.hosts,
            ZooKeeperSecurity(ca=client.ca, certificate=client.certificate, server_name="zk.example"),
        ),
        "its certificate is not one to trust": (secured_zookeeper.hosts, ZooKeeperSecurity(tls=True)),
        "it is a port without TLS": (plain(secured_zookeeper), ZooKeeperSecurity(ca=client.ca)),
        "it wants a client certificate": (secured_zookeeper.hosts, ZooKeeperSecurity(ca=client.ca)),
        "speaks another protocol, as TLS": (secured_zookeeper.hosts, ZooKeeperSecurity()),
    }
    sessions = {text: opened(*given) for text, given in wrong.items()}
    for text, session in sessions.items():
        eventually(lambda text=text, session=session: text in session.explain(), 60)
        assert session.state is SessionState.CONNECTING


def test_whom_zookeeper_does_not_know_is_told_so_and_does_not_hammer(
    secured_zookeeper: DevZooKeeper, opened: Opener
) -> None:
    """Waiting for a session ends at once, an error and the log say as whom we came; attempts become rare."""
    wrong = opened(plain(secured_zookeeper), ZooKeeperSecurity(username="eve", password="wr0ng", mechanism="sasl"))
    assert not wrong.wait_connected(60)
    assert "refuses us, who come as sasl eve: the server does not accept the SASL credentials of eve" in wrong.refusal
    assert "wr0ng" not in wrong.refusal + repr(wrong) + repr(wrong.status())
    right = opened(plain(secured_zookeeper), ZooKeeperSecurity(username="eve", password="evil", mechanism="sasl"))
    assert right.wait_connected(60)
    assert Identity("sasl", "eve") in right.znodes.identities()
    nobody = opened(plain(secured_zookeeper), ZooKeeperSecurity())
    assert nobody.wait_connected(60)
    with pytest.raises(CoordinationError, match="it serves only those whom it knows; set ZKRPC_ZOOKEEPER_USERNAME"):
        nobody.znodes.children("/")
    assert "who come as nobody: there are no credentials" in nobody.refusal

    def refused_again() -> bool:
        with contextlib.suppress(CoordinationError):
            nobody.znodes.children("/")
        return nobody._health._deaths >= 2

    eventually(refused_again, 60)
    assert nobody._health.receive_death("being refused") >= 2


def test_a_service_says_at_its_start_that_it_is_refused(secured_zookeeper: DevZooKeeper) -> None:
    """Instead of waiting for ever: a start with credentials that are none ends."""
    for given in (ZooKeeperSecurity(), ZooKeeperSecurity(username="eve", password="no", mechanism="sasl")):
        with zkrpc.Registry(plain(secured_zookeeper), config=RegistryConfig(security=given)) as registry:
            with pytest.raises(ConfigError, match="refuses us, who come as .*docs/zookeeper-security.md"):
                zkrpc.serve(zkrpc.Service(idl.Echo, EchoHandler), zookeeper=registry)


def test_services_and_clients_take_the_settings_of_the_environment(
    secured_zookeeper: DevZooKeeper, security: DevSecurity, monkeypatch: pytest.MonkeyPatch, world: World
) -> None:
    """A connect string is enough then, to register, to elect and to call; the session of a process that has died is
    closed in TLS, too."""
    monkeypatch.setenv(FILE_VARIABLE, str(security.file))
    hosts = f"{secured_zookeeper.hosts}/environment-{type(world).__name__}"
    service = zkrpc.Service(board.Board, Board, name="board", groups=["main"], config=QUICK, election=SWIFT)
    app = zkrpc.serve(service, zookeeper=hosts)
    patient = zkrpc.ClientConfig(timeout=60.0, patience=60.0)
    with app, world.connect(board.Board, "board", zookeeper=hosts, config=patient) as stub:
        assert "hello" in stub.write("hello")
        assert app.registry is not None
        password = security.client.password or ""
        assert password not in repr(app.registry) + repr(app.status()) + repr(app.registry.config)
    lost = Session(hosts)
    lost.start()
    assert lost.wait_connected(60)
    lost.znodes.create("/lost", ephemeral=True)
    identity = lost.session_id, lost.password
    assert lost._link is not None and lost._control is not None
    lost._link.forked()  # as a process that is gone: nothing of it connects again
    lost._control.kill()
    lost._become(SessionState.CLOSED)
    closer = SessionCloser(hosts, 10.0, security.client)
    assert identity[0] is not None and identity[1] is not None
    closer.close(identity[0], identity[1])
    closer.wait()
    with zkrpc.Registry(hosts) as registry:
        assert registry.session.wait_connected(60)
        assert registry.session.znodes.exists("/lost") is None
    lost._link.stop(1.0)
    monkeypatch.setenv(FILE_VARIABLE, str(security.folder / "absent.toml"))
    with pytest.raises(ConfigError, match="absent.toml: No such file"):
        world.connect(idl.Echo, "echo", zookeeper=hosts)


def test_certificates_are_replaced_while_a_session_lives(
    secured_zookeeper: DevZooKeeper, security: DevSecurity, opened: Opener, tmp_path: Path
) -> None:
    """Each connection reads the files again; what cannot be used leaves the ones before in use, and is logged."""
    own, other = (security.certificate("first").certificate, security.certificate("second").certificate)
    file = tmp_path / "own.pem"
    shutil.copy(own, file)
    session = opened(secured_zookeeper.hosts, ZooKeeperSecurity(ca=security.client.ca, certificate=str(file)))
    assert session.wait_connected(60)

    def reconnected() -> bool:
        before = session.connected_at
        session.drop()
        eventually(lambda: session.connected_at != before and session.state is SessionState.CONNECTED, 60)
        return True

    file.write_text("half a certif")
    assert reconnected()
    assert Identity("x509", "CN=first") in session.znodes.identities()
    shutil.copy(other, file)
    assert reconnected()
    assert Identity("x509", "CN=second") in session.znodes.identities()
    with pytest.raises(ConfigError, match="cannot use our certificate and its key in .*absent"):
        Session(secured_zookeeper.hosts, RegistryConfig(security=ZooKeeperSecurity(certificate="absent.pem")))
    with pytest.raises(ConfigError, match="cannot use the certificates of those who may vouch for it in .*absent"):
        Session(secured_zookeeper.hosts, RegistryConfig(security=ZooKeeperSecurity(ca="absent.pem")))
