"""A server with TLS: who is let in, what the others are told, and what they may cost."""

from __future__ import annotations

import socket as system_socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
from gevent import socket
from gevent.threadpool import ThreadPool

import zkrpc
from faults.crowd import hello
from tests.support.certificates import Files
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually
from zkrpc.config import ServerConfig
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConnectionLost, Executed, PermissionDenied, Unavailable
from zkrpc.server.complaints import PeerLog
from zkrpc.server.server import Server, log
from zkrpc.telemetry.events import Event, HandshakeFailed
from zkrpc.telemetry.observer import Observer
from zkrpc.tls.settings import ClientTls, ServerTls


class Failures(Observer):
    """Notes why handshakes failed."""

    kinds = (HandshakeFailed,)

    def __init__(self) -> None:
        self.reasons: list[str] = []

    def receive(self, event: Event) -> None:
        assert isinstance(event, HandshakeFailed)
        self.reasons.append(event.reason)


class Running:
    """A server with its handler."""

    def __init__(self, tls: ServerTls | None, **fields: Any) -> None:
        self.handler, self.failures = EchoHandler(), Failures()
        config = ServerConfig(tls=tls, linger=0.0, **fields)
        self.server = Server(idl.Echo, self.handler, config=config, observers=[self.failures])
        self.endpoint = self.server.bind(Endpoint("127.0.0.1", 0))
        self.server.start()

    @property
    def port(self) -> int:
        return self.endpoint.port

    def call(self, tls: ClientTls | None, timeout: float = 60.0) -> Any:
        with zkrpc.connect(idl.Echo, [self.endpoint], tls=tls) as stub:
            return stub.options(timeout=timeout).echo("grüße")

    def refusal(self, tls: ClientTls | None) -> zkrpc.CallError:
        """How a call fails. It is made again if it ends in the middle of an attempt, as the last one of a call may."""
        while True:
            with pytest.raises(zkrpc.CallError) as caught:
                self.call(tls, timeout=0.5)
            if not isinstance(caught.value, zkrpc.DeadlineExceeded):
                return caught.value


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """A folder with the certificate of an authority, and room for what it issues."""
    return Files(tmp_path)


@pytest.fixture
def start() -> Iterator[Any]:
    """Starts servers that end with the test."""
    started: list[Running] = []

    def starter(tls: ServerTls | None, **fields: Any) -> Running:
        started.append(Running(tls, **fields))
        return started[-1]

    yield starter
    for running in started:
        running.server.kill()


@pytest.fixture
def in_thread() -> Iterator[Any]:
    """Runs what blocks in a native thread, while the server goes on here."""
    pool = ThreadPool(1)
    yield lambda work, *arguments: pool.spawn(work, *arguments).get(timeout=60)
    pool.kill()


@pytest.mark.parametrize("dialect", ["zkrpc", "theader-compact", "framed", "framed-old", "binary", "compact"])
def test_all_dialects_are_spoken_over_tls(start: Any, files: Files, dialect: str) -> None:
    """What is said on a connection does not depend on it; long answers arrive whole."""
    running = start(files.server())
    with zkrpc.connect(idl.Echo, [running.endpoint], tls=files.client(), dialect=dialect) as stub:
        assert stub.echo("grüße") == "grüße"
        assert stub.large(1_000_000) == "x" * 1_000_000
        assert stub.echo("y" * 300_000) == "y" * 300_000


def test_many_calls_go_on_one_connection(start: Any, files: Files) -> None:
    """Beside each other, as without TLS."""
    running = start(files.server())
    with zkrpc.connect(idl.Echo, [running.endpoint], tls=files.client()) as stub:
        calls = [gevent.spawn(stub.slow, str(number), 20) for number in range(50)]
        assert [call.get() for call in calls] == [str(number) for number in range(50)]
        assert len(running.server.connections) == 1


def test_a_server_that_requires_certificates_serves_nobody_else(start: Any, files: Files) -> None:
    """With one it answers; without one, or with a foreign one, nothing is executed, and the error says why."""
    running = start(files.server(clients="required"))
    assert running.call(files.client("web.internal")) == "grüße"
    for tls in (files.client(), files.client("web.internal", by="theirs")):
        error = running.refusal(tls)
        assert isinstance(error, ConnectionLost) and "certificate" in str(error) and error.executed is Executed.NO
    # A client that ends while it dials once more breaks that handshake off, which is a failure, too.
    assert len(running.handler.seen) == 1 and running.failures.reasons.count("certificate") >= 2


@pytest.mark.parametrize(
    "settings, complaint",
    [
        ({"server_name": "elsewhere.internal"}, "not valid for 'elsewhere.internal'"),
        ({"ca": ""}, "unable to get local issuer certificate"),
    ],
)
def test_a_client_calls_no_server_that_it_does_not_trust(
    start: Any, files: Files, settings: dict[str, Any], complaint: str
) -> None:
    """By its name, and by its authority."""
    running = start(files.server())
    error = running.refusal(ClientTls(**{"ca": files.ca, **settings}))
    assert isinstance(error, Unavailable) and complaint in str(error)
    assert not running.handler.seen


def test_who_speaks_no_tls_is_named_and_told(start: Any, files: Files, caplog: pytest.LogCaptureFixture) -> None:
    """In one line of the log; each in its own protocol."""
    running = start(files.server())
    assert "TLS on a plain Thrift connection" in str(running.refusal(None))
    for said, named, told in (
        (b"GET / HTTP/1.1\r\n\r\n", "it speaks HTTP without TLS", b"HTTP/1.1 400"),
        (b"\x80\x01\0\1\0\0\0\4echo", "it speaks Thrift (unframed binary) without TLS", b"\x15\x03\x01"),
        (b"what is this", "it speaks something else without TLS", b"\x15\x03\x01"),
    ):
        running.server.complaints = PeerLog(log)  # as after a minute
        with socket.create_connection(("127.0.0.1", running.port)) as sock:
            sock.sendall(said)
            assert sock.recv(1000).startswith(told)
            assert sock.recv(100) == b""
        assert named in caplog.text
    assert set(running.failures.reasons) == {"plain"}


def test_who_does_tls_at_a_plain_port_is_named_and_told(
    start: Any, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    """In one line of the log, and by an alert."""
    running = start(None)
    assert "speaks no TLS, or none of the versions" in str(running.refusal(files.client()))
    assert "TLS, which this port is served without" in caplog.text


def test_silent_peers_are_cut_in_time_while_others_are_served(
    start: Any, files: Files, caplog: pytest.LogCaptureFixture
) -> None:
    """They take no room from those who come; a port that is only looked at is no failure."""
    running = start(files.server(handshake_timeout=1.0, max_handshakes=10))
    socket.create_connection(("127.0.0.1", running.port)).close()
    silent = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(50)]
    assert running.call(files.client()) == "grüße"
    assert [sock.recv(10) for sock in silent] == [b""] * 50
    assert sorted(set(running.failures.reasons)) == ["crowded", "slow"]
    assert caplog.text.count("TLS handshake") == 1
    eventually(lambda: len(running.server._handshakes) == 0)
    for sock in silent:
        sock.close()


def test_silent_peers_do_not_use_up_the_connections(start: Any, files: Files) -> None:
    """Half of them are the most that handshakes get; a server that has one connection is not upset either."""
    for most in (4, 1):
        running = start(files.server(handshake_timeout=1.0), max_connections=most)
        silent = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(8)]
        assert running.call(files.client()) == "grüße"
        for sock in silent:
            sock.close()


def test_handshakes_give_way_to_connections(start: Any, files: Files) -> None:
    """Where all places are taken, those end first that are not served yet, failed ones among them; nobody who is served
    is closed for them."""
    running = start(files.server(), max_connections=8)
    with zkrpc.connect(idl.Echo, [running.endpoint], tls=files.client()) as stub:
        assert stub.echo("x") == "x"
        (served,) = running.server.connections
        crowd = [socket.create_connection(("127.0.0.1", running.port)) for _ in range(2)]
        for sock in crowd:
            sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
            assert sock.recv(10)
        crowd += [socket.create_connection(("127.0.0.1", running.port)) for _ in range(20)]
        assert running.call(files.client()) == "grüße"
        assert not served.closed and stub.echo("y") == "y"
        for sock in crowd:
            sock.close()


def test_half_a_handshake_is_cut_in_time(start: Any, files: Files) -> None:
    """Also one that has begun."""
    running = start(files.server(handshake_timeout=0.3))
    with socket.create_connection(("127.0.0.1", running.port)) as sock:
        sock.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
        while sock.recv(100):
            pass
    assert running.failures.reasons == ["slow"]


def test_handshakes_go_on_beside_other_work(start: Any, files: Files) -> None:
    """The hub has no spare time as long as something else is to be done in each round; newcomers get in."""
    running = start(files.server())
    loop, rounds = gevent.get_hub().loop, [0]
    timer = loop.timer(1e-6, 1e-6)

    def busy() -> None:
        rounds[0] += 1

    timer.start(busy)
    try:
        assert running.call(files.client()) == "grüße"
    finally:
        timer.stop()
        timer.close()
    assert rounds[0] > 10


def test_peers_that_begin_many_handshakes_hold_up_their_own(start: Any, files: Files) -> None:
    """Two hundred that say their first word at once, again and again; others are let in between."""
    running, said = start(files.server(max_handshakes=400)), hello()

    def begin() -> None:
        while True:
            with socket.create_connection(("127.0.0.1", running.port), source_address=("127.0.0.66", 0)) as sock:
                sock.sendall(said)
                sock.recv(1)

    crowd = [gevent.spawn(begin) for _ in range(200)]
    try:
        eventually(lambda: len(running.server._handshakes) > 100)
        assert running.call(files.client()) == "grüße"
    finally:
        gevent.killall(crowd)


def test_who_has_failed_may_read_why_and_is_left_then(start: Any, files: Files) -> None:
    """Within a second, or as soon as it has sent more than was on its way; the alert arrives whole."""
    running = start(files.server(handshake_timeout=60.0))
    quiet, loud = (socket.create_connection(("127.0.0.1", running.port)) for _ in range(2))
    for sock in (quiet, loud):
        sock.sendall(b"GET / HTTP/1.1\r\n\r\n")
        assert sock.recv(1000).startswith(b"HTTP/1.1 400") and sock.recv(100) == b""
    with pytest.raises(OSError):
        for _ in range(1000):
            loud.sendall(bytes(65536))
            gevent.sleep(0.001)
    eventually(lambda: len(running.server._handshakes) == 0, 30.0)
    for sock in (quiet, loud):
        sock.close()


def test_a_stop_ends_handshakes(start: Any, files: Files) -> None:
    """And frees what they hold."""
    running = start(files.server())
    with socket.create_connection(("127.0.0.1", running.port)) as sock:
        eventually(lambda: len(running.server._handshakes) == 1)
        assert repr(running.server._handshakes) == "<Handshakes pending=1 begun=0 leaving=0>"
        running.server.kill()
        assert sock.recv(10) == b""
    assert len(running.server._handshakes) == 0


def test_handlers_see_who_calls_by_the_certificate(start: Any, files: Files) -> None:
    """All of its names; nobody, where none was shown."""
    running = start(files.server(clients="asked"))
    running.call(files.client("web.internal", common_name="nightly report"))
    running.call(files.client())
    named, nobody = (call.caller.identity for call in running.handler.seen)
    assert (named.dns, named.common_name, named.name) == (("web.internal",), "nightly report", "dns:web.internal")
    assert nobody is None


def test_allow_lists_go_by_certificates(files: Files) -> None:
    """Who is not on the list is told so, and nothing of the call is executed."""
    handler = EchoHandler()
    config = ServerConfig(tls=files.server(clients="asked"), linger=0.0, drain_timeout=1.0)
    service = zkrpc.Service(idl.Echo, handler, name="echo", config=config, allow={"echo": ["dns:web.internal"]})
    with zkrpc.serve(service) as app:

        def call(tls: ClientTls) -> str:
            with zkrpc.connect(idl.Echo, [app.endpoint], tls=tls) as stub:
                return str(stub.echo("x"))

        assert call(files.client("web.internal")) == "x"
        for tls in (files.client("batch.internal"), files.client()):
            with pytest.raises(PermissionDenied) as caught:
                call(tls)
            assert caught.value.executed is Executed.NO
        assert len(handler.seen) == 1


def test_a_spiffe_id_is_who_calls(start: Any, files: Files) -> None:
    """And is what its share is counted by."""
    running = start(files.server(clients="required"))
    with zkrpc.connect(idl.Echo, [running.endpoint], tls=files.workload("spiffe://prod/ns/web")) as stub:
        assert stub.echo("x") == "x"
        assert running.handler.seen[0].caller.identity.spiffe == "spiffe://prod/ns/web"
        assert [peer.address for peer in running.server.status().peers] == ["spiffe://prod/ns/web"]


@pytest.mark.parametrize("dialect", ["zkrpc", "framed", "binary"])
def test_lists_let_in_whom_certificates_prove(files: Files, dialect: str) -> None:
    """In every dialect; whoever shows another certificate, or none, is told so and is not served, whatever it says."""
    handler, allowed = EchoHandler(), {"echo": ["spiffe://prod/ns/*/sa/web"], "slow": ["any"]}
    config = ServerConfig(tls=files.server(clients="asked"), linger=0)
    web = files.workload("spiffe://prod/ns/shop/sa/web")
    other, nobody = files.client("web.internal", common_name="web"), files.client()
    with zkrpc.serve(zkrpc.Service(idl.Echo, handler, config=config, allow=allowed)) as app:

        def call(tls: ClientTls, method: str, *arguments: object) -> Any:
            with zkrpc.connect(idl.Echo, [app.endpoint], tls=tls, dialect=dialect) as stub:
                return getattr(stub.options(timeout=5), method)(*arguments)

        assert call(web, "echo", "a") == "a" and call(other, "slow", "b", 0) == "b"
        for tls, method, arguments in ((other, "echo", ("a",)), (nobody, "echo", ("a",)), (nobody, "slow", ("a", 0))):
            with pytest.raises(zkrpc.CallError) as caught:
                call(tls, method, *arguments)
            assert "on the list of the service's code" in str(caught.value)
            if dialect == "zkrpc":
                assert type(caught.value) is zkrpc.PermissionDenied and caught.value.executed is Executed.NO
    assert len(handler.seen) == 1


# -- clients that are not ours


def test_pythons_own_tls_gets_an_answer_and_a_goodbye(start: Any, files: Files, in_thread: Any) -> None:
    """With the name of the protocol, if it asks for it; TLS 1.2 as well."""
    running = start(files.server())

    def talk(version: ssl.TLSVersion, offered: list[str]) -> tuple[str | None, str | None, bytes]:
        context = ssl.create_default_context(cafile=files.ca)
        context.maximum_version = version
        context.set_alpn_protocols(offered)
        with system_socket.create_connection(("127.0.0.1", running.port), 10) as plain:
            with context.wrap_socket(plain, server_hostname="localhost", suppress_ragged_eofs=False) as sock:
                sock.sendall(b"\x80\x01\0\1\0\0\0\4echo\0\0\0\1\x0b\0\1\0\0\0\2hi\0")
                answer = sock.recv(100)
                sock.sendall(b"no more of that")
                while sock.recv(100):
                    pass
                return sock.version(), sock.selected_alpn_protocol(), answer[-7:]

    for version, offered, chosen in (
        (ssl.TLSVersion.TLSv1_3, ["h2", "zkrpc"], "zkrpc"),
        (ssl.TLSVersion.TLSv1_2, ["h2"], None),
    ):
        spoken, protocol, answer = in_thread(talk, version, offered)
        assert spoken == version.name.replace("_", ".")
        assert (protocol, answer) == (chosen, b"\0\0\0\2hi\0")


def test_thriftpy2_calls_over_tls(start: Any, files: Files, in_thread: Any) -> None:
    """By its own socket, with a client's certificate."""
    from thriftpy2.protocol import TBinaryProtocolFactory
    from thriftpy2.transport import TBufferedTransportFactory, TSSLSocket

    running = start(files.server(clients="required"))
    client = files.client("web.internal")

    def talk() -> bytes:
        sock = TSSLSocket("localhost", running.port, cafile=files.ca, certfile=client.certificate, keyfile=client.key)
        transport = TBufferedTransportFactory().get_transport(sock)
        transport.open()
        protocol = TBinaryProtocolFactory().get_protocol(transport)
        protocol.trans.write(b"\x80\x01\0\1\0\0\0\4echo\0\0\0\1\x0b\0\1\0\0\0\2hi\0")
        protocol.trans.flush()
        answer: bytes = protocol.trans.read(26)
        transport.close()
        return answer

    assert in_thread(talk)[-7:] == b"\0\0\0\2hi\0"


def test_openssl_itself_gets_in(start: Any, files: Files, in_thread: Any) -> None:
    """And may ask for new keys in the middle, but renegotiate nothing."""
    running = start(files.server())
    command = ["openssl", "s_client", "-connect", f"127.0.0.1:{running.port}", "-CAfile", files.ca, "-alpn", "zkrpc"]

    def talk(version: str, said: bytes) -> str:
        done = subprocess.run([*command, version], input=said, capture_output=True, timeout=30)
        return done.stdout.decode("latin-1") + done.stderr.decode("latin-1")

    said = in_thread(talk, "-tls1_3", b"K\nK\nQ\n")
    assert "Verification: OK" in said and "ALPN protocol: zkrpc" in said and "KEYUPDATE" in said
    assert "Compression: NONE" in said
    said = in_thread(talk, "-tls1_2", b"R\nQ\n")
    assert "Secure Renegotiation IS" in said and "no renegotiation" in said
