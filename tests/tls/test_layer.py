"""One end of a TLS connection against another: what comes out, in which state, and what counts as sent."""

from __future__ import annotations

import ssl
from collections.abc import Iterator

import pytest

from tests.support.certificates import Files
from zkrpc.tls.contexts import client_context, server_context
from zkrpc.tls.layer import LARGEST_RECORD, MOST_UNSENT, TlsLayer, TlsState, explain
from zkrpc.tls.settings import ClientTls, ServerTls


def pair(server: ServerTls, client: ClientTls, name: str = "localhost") -> tuple[TlsLayer, TlsLayer]:
    return TlsLayer(server_context(server)), TlsLayer(client_context(client), name)


def carry(source: TlsLayer, target: TlsLayer, size: int = 1 << 20) -> int:
    """Moves everything that waits, in pieces; how many bytes of the application have left."""
    left = 0
    while data := source.data_to_send():
        target.receive_data(data[:size])
        left += source.sent(len(data[:size]))
        target.handshake()
    return left


def shake_hands(server: TlsLayer, client: TlsLayer, size: int = 1 << 20) -> None:
    client.handshake()
    for _ in range(4):
        carry(client, server, size)
        carry(server, client, size)


@pytest.fixture
def ends(files: Files) -> Iterator[tuple[TlsLayer, TlsLayer]]:
    """A server and a client whose handshake is over."""
    server, client = pair(files.server(), files.client())
    shake_hands(server, client)
    yield server, client


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_bytes_come_out_as_they_went_in_however_they_are_cut(files: Files, size: int) -> None:
    """The handshake and what follows do not depend on how the network cuts them."""
    server, client = pair(files.server(), files.client())
    assert (server.state, client.state, server.version) == (TlsState.HANDSHAKING, TlsState.HANDSHAKING, "")
    shake_hands(server, client, size)
    assert (server.state, client.state) == (TlsState.OPEN, TlsState.OPEN) and client.version == "TLSv1.3"
    assert "open TLSv1.3" in repr(server)
    client.write(b"a call")
    assert server.read(100) is None
    assert carry(client, server, size) == 6
    assert server.read(100) == b"a call" and server.read(100) is None


def test_nothing_of_a_record_counts_as_sent_before_its_last_byte(ends: tuple[TlsLayer, TlsLayer]) -> None:
    """The rest of it is of no use to the peer; what is given again meanwhile is not encrypted twice."""
    server, client = ends
    client.write(b"x" * 40_000)
    data = client.data_to_send()
    assert client.sent(len(data) - 1) == 0
    client.write(b"x" * 40_000)
    assert len(client.data_to_send()) == 1
    server.receive_data(data[:-1])
    assert server.read(100) is None and not server.has_input
    server.receive_data(client.data_to_send())
    assert client.sent(1) == LARGEST_RECORD
    assert server.read(10) == b"x" * 10 and server.has_input
    assert server.read(100_000) == b"x" * (LARGEST_RECORD - 10)


def test_several_records_are_read_at_once_up_to_the_size_that_is_wanted(ends: tuple[TlsLayer, TlsLayer]) -> None:
    """One read gives as much as it may, also from several records, and stops at one that is not whole."""
    server, client = ends
    for text in (b"one", b"two", b"three"):
        client.write(text)
        data = client.data_to_send()
        server.receive_data(data[:-1] if text == b"three" else data)
        client.sent(len(data))
    assert server.read(4) == b"onet"
    assert server.read(100) == b"wo"


def test_an_end_in_order_is_read_as_the_end(ends: tuple[TlsLayer, TlsLayer]) -> None:
    """Said by the peer or not: messages tell where they end."""
    server, client = ends
    client.write(b"last")
    carry(client, server)
    client.close()
    carry(client, server)
    assert server.read(100) == b"last" and server.read(100) == b"" == server.read(100)
    assert (server.state, server.failure, client.failure) == (TlsState.CLOSED, "", "")
    server.write(b"too late")
    assert client.read(10) == b""


def test_a_stream_that_just_ends_is_read_as_the_end(ends: tuple[TlsLayer, TlsLayer]) -> None:
    """As when the peer's process was killed."""
    server, _ = ends
    server.receive_data(b"")
    assert server.read(100) == b"" and not server.failure
    server.close()
    assert not server.data_to_send()


def test_a_record_that_was_tampered_with_ends_the_connection(ends: tuple[TlsLayer, TlsLayer]) -> None:
    """It is told why, and nothing of it is read."""
    server, client = ends
    client.write(b"a call")
    data = bytearray(client.data_to_send())
    data[-1] ^= 1
    server.receive_data(bytes(data))
    assert server.read(100) == b""
    assert (server.state, server.failure) == (TlsState.CLOSED, "decryption failed or bad record mac")
    assert not server.refused


def test_a_peer_that_has_us_write_and_reads_nothing_is_let_go(ends: tuple[TlsLayer, TlsLayer]) -> None:
    """As one that asks for new keys without end."""
    server, _ = ends
    server._outgoing.write(b"k" * (LARGEST_RECORD + MOST_UNSENT + 1))
    server.data_to_send()
    assert server.failure == "it lets us write and reads nothing"


@pytest.mark.parametrize(
    "name, failure",
    [
        ("elsewhere", "its certificate is not accepted: Hostname mismatch, certificate is not valid for 'elsewhere'"),
        ("10.0.0.1", "its certificate is not accepted: IP address mismatch, certificate is not valid for '10.0.0.1'"),
    ],
)
def test_a_client_wants_the_name_that_it_has_called(files: Files, name: str, failure: str) -> None:
    """A certificate for another host is none."""
    server, client = pair(files.server(), files.client(), name)
    shake_hands(server, client)
    assert client.failure == failure and client.distrusts
    assert server.failure == "it does not accept the certificate" and not server.distrusts


def test_names_are_not_looked_at_where_that_is_turned_off(files: Files) -> None:
    """The authority still counts."""
    server, client = pair(files.server(), files.client(check_name=False), "elsewhere")
    shake_hands(server, client)
    assert server.state is client.state is TlsState.OPEN
    server, client = pair(files.server(), ClientTls(check_name=False), "elsewhere")
    shake_hands(server, client)
    assert client.failure == "its certificate is not accepted: unable to get local issuer certificate"


def test_a_server_that_requires_a_certificate_takes_no_other_client(files: Files) -> None:
    """The client's handshake is over by then; it learns that nothing was done of what it sent."""
    server, client = pair(files.server(clients="required"), files.client())
    shake_hands(server, client)
    assert server.failure == "it shows no certificate" and server.distrusts
    assert client.read(100) == b"" and client.refused
    assert client.failure == "it wants a certificate, and was shown none"


def test_a_certificate_of_a_foreign_authority_is_none(files: Files) -> None:
    """Where one is asked for, too."""
    for clients in ("required", "asked"):
        server, client = pair(files.server(clients=clients), files.client("web.internal", by="theirs"))
        shake_hands(server, client)
        assert server.failure.startswith("its certificate is not accepted: ") and server.distrusts
        assert client.read(100) == b"" and client.refused


def test_a_verified_certificate_is_told(files: Files) -> None:
    """And that there is none, where it is only asked for."""
    server, client = pair(files.server(clients="asked"), files.client("web.internal"))
    shake_hands(server, client)
    assert (server.certificate() or {})["subjectAltName"] == (("DNS", "web.internal"),)
    server, client = pair(files.server(clients="asked"), files.client())
    shake_hands(server, client)
    assert server.state is TlsState.OPEN and not server.certificate()


def test_what_is_no_tls_ends_the_handshake(files: Files) -> None:
    """Whatever it is, and also if it is nothing."""
    for said, failure in (
        (b"\0\0\0\x20\x80\x01\0\1\0\0\0\4echo", "it speaks no TLS"),
        (b"GET / HTTP/1.1\r\n\r\n", "it speaks HTTP, and no TLS"),
        (b"", "it closed the connection in the handshake"),
    ):
        server, _ = pair(files.server(), files.client())
        server.receive_data(said)
        assert server.handshake() is TlsState.CLOSED and server.failure == failure
        assert server.handshake() is TlsState.CLOSED


def test_versions_before_1_2_are_not_spoken(files: Files) -> None:
    """A client that has no newer one is told so."""
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with pytest.warns(DeprecationWarning):
        old.minimum_version, old.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1
    old.set_ciphers("ALL:@SECLEVEL=0")
    server, client = TlsLayer(server_context(files.server())), TlsLayer(old, "localhost")
    shake_hands(server, client)
    assert server.failure == "it offers no version of TLS from 1.2 on"
    assert client.failure == "it speaks no TLS, or none of the versions from 1.2 on"


def test_an_error_that_nobody_knows_is_still_readable() -> None:
    """In OpenSSL's words, without its codes."""
    error = ssl.SSLError(1, "[SSL: ODD_THING] odd thing (_ssl.c:1000)")
    error.reason = "ODD_THING"
    assert explain(error) == "odd thing"
