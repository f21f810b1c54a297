"""TLS with certificates and names checked, between two sockets of this process."""

from __future__ import annotations

import dataclasses
import socket
import ssl
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from zkrpc.credentials import NO_SECURITY, ZooKeeperSecurity
from zkrpc.dev.secured import DevSecurity, make_security
from zkrpc.errors import ConfigError
from zkrpc.zookeeper.encryption import Encryption


@pytest.fixture(scope="module")
def security(tmp_path_factory: pytest.TempPathFactory) -> DevSecurity:
    """Certificates of a server and of a client."""
    return make_security(tmp_path_factory.mktemp("encryption") / "security")


@pytest.fixture
def server(security: DevSecurity) -> Iterator[tuple[str, int]]:
    """A server that says ``hello`` in TLS to whoever has a certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(security.folder / "server.pem")
    context.load_verify_locations(security.client.ca)
    context.verify_mode = ssl.CERT_REQUIRED
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        while True:
            try:
                accepted, _ = listener.accept()
            except OSError:
                return
            try:
                accepted.settimeout(60)
                with context.wrap_socket(accepted, server_side=True) as wrapped:
                    wrapped.sendall(b"hello")
            except OSError:
                accepted.close()

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield listener.getsockname()
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join(60)


def heard(encryption: Encryption, server: tuple[str, int], host: str = "127.0.0.1") -> bytes:
    """What the server says."""
    with encryption.wrap(socket.create_connection(server, 60), host) as sock:
        received = sock.recv(100)
        assert isinstance(received, bytes)
        return received


def test_the_name_is_checked(security: DevSecurity, server: tuple[str, int]) -> None:
    """That which is dialled, an address too, or that which the settings say."""
    encryption = Encryption.of(security.client)
    assert encryption is not None
    assert heard(encryption, server) == heard(encryption, server, "localhost") == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError, match="zk.example"):
        heard(encryption, server, "zk.example")
    named = Encryption(dataclasses.replace(security.client, server_name="localhost"))
    assert heard(named, server, "zk.example") == b"hello"
    with pytest.raises(ssl.SSLCertVerificationError):
        heard(Encryption(dataclasses.replace(security.client, ca="")), server)
    assert Encryption.of(NO_SECURITY) is None


def test_files_may_be_replaced_and_be_wrong_for_a_while(
    security: DevSecurity, server: tuple[str, int], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """What was read before is used on, which is logged once."""
    own = tmp_path / "own.pem"
    own.write_bytes(Path(security.client.certificate).read_bytes())
    encryption = Encryption(dataclasses.replace(security.client, certificate=str(own)))
    own.write_text("half")
    assert heard(encryption, server) == heard(encryption, server) == b"hello"
    assert [text.partition(" in ")[0] for text in caplog.messages] == [
        "TLS to ZooKeeper: cannot use our certificate and its key"
    ]


def test_files_that_cannot_be_used_are_named(security: DevSecurity, tmp_path: Path) -> None:
    """At the start, and without asking a terminal for the password of a key."""
    locked = tmp_path / "locked.pem"
    locked.write_text("-----BEGIN ENCRYPTED PRIVATE KEY-----\nMAA=\n-----END ENCRYPTED PRIVATE KEY-----\n")
    for given, message in (
        (ZooKeeperSecurity(ca=str(tmp_path / "absent")), "vouch for it in .*absent: No such file"),
        (ZooKeeperSecurity(certificate=str(tmp_path / "absent")), "certificate and its key in .*absent: No such file"),
        (ZooKeeperSecurity(certificate=security.client.certificate, key=str(locked)), "dev.pem and .*locked.pem: "),
    ):
        with pytest.raises(ConfigError, match=message):
            Encryption(given)
