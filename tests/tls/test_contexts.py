"""What is made of files: modern settings, and errors that name the file."""

from __future__ import annotations

import dataclasses
import ssl
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.support.certificates import SERVER_NAMES, Files, authority
from zkrpc.errors import ConfigError
from zkrpc.tls.contexts import client_context, files_of, server_context
from zkrpc.tls.layer import TlsLayer
from zkrpc.tls.settings import ClientTls, ServerTls


def test_only_modern_tls_is_spoken(files: Files) -> None:
    """From 1.2 on, with forward secrecy; no compression, no renegotiation, no resumption."""
    for context in (server_context(files.server()), client_context(files.client())):
        assert context.minimum_version == ssl.TLSVersion.TLSv1_2
        assert context.options & ssl.OP_NO_COMPRESSION and context.options & ssl.OP_NO_RENEGOTIATION
        names = [cipher["name"] for cipher in context.get_ciphers()]
        assert names and all(name.startswith(("TLS_", "ECDHE-")) for name in names)
    assert server_context(files.server()).num_tickets == 0


def test_a_client_checks_names_and_authorities(files: Files) -> None:
    """The system's, if none are given."""
    context = client_context(files.client())
    assert context.check_hostname and context.verify_mode == ssl.CERT_REQUIRED
    assert client_context(ClientTls()).verify_mode == ssl.CERT_REQUIRED
    assert client_context(files.client(check_name=False)).verify_mode == ssl.CERT_REQUIRED


def shake_hands(client: ClientTls, server: ServerTls) -> tuple[str, str]:
    """Why either side ended a handshake of the two; empty where it did not."""
    ends = TlsLayer(client_context(client), "localhost"), TlsLayer(server_context(server))
    for one, peer in (ends, ends[::-1]) * 4:
        one.handshake()
        data = one.data_to_send()
        one.sent(len(data))
        peer.receive_data(data)
    return ends[0].failure, ends[1].failure


def test_revoked_certificates_are_refused(files: Files) -> None:
    """On both sides, and with them all whose authority has no list there, or one that has expired."""
    server, client = files.server(clients="required"), files.client("web.internal")
    for revoked, about, failure in (
        ((), {}, ""),
        ((client.certificate, server.certificate), {}, "certificate revoked"),
        ((), {"lasts": -1}, "CRL has expired"),
        ((), {"by": "others"}, "unable to get certificate CRL"),
    ):
        crl = files.revoke(*revoked, **about)  # type: ignore[arg-type]
        by_client, _ = shake_hands(dataclasses.replace(client, crl=crl), server)
        _, by_server = shake_hands(client, dataclasses.replace(server, crl=crl))
        assert all(failure in told and bool(failure) is bool(told) for told in (by_client, by_server)), by_client
        assert all(crl in files_of(dataclasses.replace(one, crl=crl)) for one in (client, server))
    for wrong, complaint in ((files.ca, "ca.pem: no lists of revoked"), ("nowhere.crl", "nowhere.crl: No such file")):
        with pytest.raises(ConfigError, match=complaint):
            client_context(dataclasses.replace(client, crl=wrong))
    with pytest.raises(ConfigError, match="ServerTls.crl must be given with a ca only"):
        ServerTls(certificate=server.certificate, crl=crl)


def test_a_certificate_may_be_trusted_as_it_stands(files: Files) -> None:
    """Whoever has issued it, while another one of its authority is not; with the key in the same file, too."""
    certificate, key = files.issue("server", *SERVER_NAMES, by="others")
    both = files.folder / "both.pem"
    both.write_bytes(Path(key).read_bytes() + Path(certificate).read_bytes())
    other, its_key = files.issue("other", *SERVER_NAMES, by="others")
    for pinned in (certificate, str(both)):
        for served, by, failure in ((certificate, key, ""), (other, its_key, "is not accepted")):
            pins = ClientTls(pinned=pinned, ca=files.ca)
            told, _ = shake_hands(pins, ServerTls(certificate=served, key=by))
            assert failure in told and bool(failure) is bool(told)
    assert list(files_of(ClientTls(pinned=certificate))) == [certificate]


@pytest.mark.parametrize(
    "clients, mode", [("required", ssl.CERT_REQUIRED), ("asked", ssl.CERT_OPTIONAL), ("none", ssl.CERT_NONE)]
)
def test_a_server_wants_of_clients_what_it_was_told(files: Files, clients: str, mode: int) -> None:
    """A certificate, one if there is one, or nothing."""
    assert server_context(files.server(clients=clients)).verify_mode == mode


def test_errors_name_the_file_and_what_is_wrong(files: Files, tmp_path: Path) -> None:
    """One that is missing, is no PEM, or does not belong to the other."""
    certificate, key = files.issue("server", "localhost")
    _, other = files.issue("other", "localhost")
    empty, missing = tmp_path / "empty.pem", str(tmp_path / "missing.pem")
    empty.write_text("")
    for tls, complaint in (
        (ServerTls(certificate=missing, key=key), "missing.pem: No such file or directory"),
        (ServerTls(certificate=certificate, key=missing), "missing.pem: No such file or directory"),
        (ServerTls(certificate=certificate, key=other), "other.key is not that of the certificate in .*server.pem"),
        (ServerTls(certificate=str(empty), key=key), "empty.pem and .*: not a certificate and its key, as PEM"),
        (ServerTls(certificate=certificate), "server.pem: not a certificate and its key"),
        (ServerTls(certificate=certificate, key=key, ca=missing), "missing.pem: No such file"),
        (ServerTls(certificate=certificate, key=key, ca=str(empty)), "empty.pem: no certificates of authorities"),
    ):
        with pytest.raises(ConfigError, match=complaint):
            server_context(tls)
    with pytest.raises(ConfigError, match=r"missing.pem: No such file"):
        client_context(ClientTls(ca=missing))


def test_an_encrypted_key_asks_nobody(files: Files) -> None:
    """OpenSSL would wait for somebody at a terminal."""
    certificate, key = files.issue("server", "localhost")
    made = serialization.load_pem_private_key(Path(key).read_bytes(), None)
    secret = made.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    Path(key).write_bytes(secret)
    with pytest.raises(ConfigError, match="server.key is encrypted"):
        server_context(ServerTls(certificate=certificate, key=key))


def test_a_certificate_may_be_in_one_file_with_its_key(files: Files) -> None:
    """As HAProxy and others want it."""
    made = authority("ours").issue_cert("localhost")
    path = files.folder / "both.pem"
    path.write_bytes(made.private_key_and_cert_chain_pem.bytes())
    tls = ServerTls(certificate=str(path), ca=files.ca)
    server_context(tls)
    assert list(files_of(tls)) == [str(path), files.ca]
