"""Which certificates of instances end soon."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from gevent import socket

import zkrpc
from tests.support.certificates import Files
from tests.support.echo import EchoHandler, idl
from zkrpc.inspection.certificates import CertificateFacts, ends_of_certificates, find_expiring
from zkrpc.inspection.servers import NotKnown

DAY = 86400.0


def test_certificates_that_end_soon_are_found() -> None:
    """With what is left; one that has ended, too, and one of which nothing is known beside others is none."""
    ends = {"users": {"a": 20 * DAY, "b": 3 * DAY, "c": None}, "ledger": {"d": -2 * DAY}, "plain": {}}
    assert list(find_expiring(CertificateFacts(ends=ends), 0.0)) == [
        "the certificate of b of users expires in 3 d",
        "the certificate of d of ledger expired 2 d ago",
    ]
    assert not list(find_expiring(CertificateFacts(ends=ends, days=0), -3 * DAY))
    assert not list(find_expiring(CertificateFacts(ends={"plain": {}}), 0.0))
    with pytest.raises(NotKnown, match="no instance that serves with TLS has shown its certificate"):
        list(find_expiring(CertificateFacts(ends={"users": {"c": None}}), 0.0))


@pytest.mark.parametrize("clients", ["none", "required"])
def test_end_is_that_of_the_certificate_which_is_shown(tmp_path: Path, clients: str) -> None:
    """Whoever has issued it, and also to those who have none themselves. Who serves without TLS is not asked."""
    files = Files(tmp_path)
    tls = files.server(clients=clients)
    end = x509.load_pem_x509_certificate(Path(tls.certificate).read_bytes()).not_valid_after_utc.timestamp()
    service = zkrpc.Service(idl.Echo, EchoHandler, config=zkrpc.ServerConfig(linger=0, tls=tls))
    with zkrpc.serve(service) as app, socket.create_server(("127.0.0.1", 0)) as silent:
        assert app.server.status().certificate_expires_at == end
        place = zkrpc.Endpoint("127.0.0.1", silent.getsockname()[1])
        found = [
            zkrpc.Instance(id="shows", endpoint=app.endpoint, tls=True),
            zkrpc.Instance(id="plain", endpoint=app.endpoint),
        ]
        assert ends_of_certificates(found, 10.0) == {"shows": end}
        assert ends_of_certificates([zkrpc.Instance(id="silent", endpoint=place, tls=True)], 0.2) == {"silent": None}
