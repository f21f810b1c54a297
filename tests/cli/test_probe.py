"""The quick half of ``zkrpc health``: one question over a plain socket, whatever listens there."""

from __future__ import annotations

import json
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator

import gevent
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.echo import EchoHandler, idl
from tests.support.programs import ROOT
from zkrpc.cli.probe import MISREAD, UNANSWERED, Answer, _read, ask, lines_of, main, plain, status_of
from zkrpc.config import ServerConfig
from zkrpc.endpoint import Endpoint
from zkrpc.server.server import Server

READY = Answer("h:1", "users", True, True, (), "serving")
UNREADY = Answer("h:2", "users", False, True, ("it is draining", "no database"), "draining")
DEAD = Answer("h:3", "users", False, False, ("its stop takes longer than 41 s",), "draining")
AWAY = Answer("h:4", error="Connection refused")


def asked(endpoint: str, service: str = "", timeout: float = 20.0) -> Answer:
    """Asks from a native thread, as the probe blocks, and the server may be in this one."""
    answer: Answer = gevent.get_hub().threadpool.apply(ask, (endpoint, service, timeout))
    return answer


@pytest.fixture
def server() -> Iterator[Server]:
    """The echo service."""
    made = Server(idl.Echo, EchoHandler(), name="echo", config=ServerConfig(linger=0.0))
    made.bind(Endpoint("127.0.0.1", 0))
    made.start()
    yield made
    made.kill()


def test_probe_asks_a_server(server: Server) -> None:
    """Everything that the status says, by a host, by none, and by name."""
    port = server.endpoint.port if server.endpoint else 0
    for endpoint in (f"127.0.0.1:{port}", f":{port}", f"localhost:{port}"):
        assert asked(endpoint) == Answer(endpoint, "echo", True, True, (), "serving")
    assert asked(f":{port}", "echo").ready
    server.health.require(lambda: "no database")
    assert asked(f":{port}").reasons == ("no database",) and not asked(f":{port}").ready
    assert asked(f":{port}", "users") == Answer(f":{port}", error="echo is served here, not users")
    assert asked(f":{port}", "x" * 20_000).error.startswith("it refused: ")


def test_probe_asks_about_a_group(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    """Whether its primary is there; a service that elects none says so."""
    port = server.endpoint.port if server.endpoint else 0
    line = ["--address", f":{port}", "--group=main", "--timeout", "20"]

    def run() -> tuple[int | None, str]:
        status: int | None = gevent.get_hub().threadpool.apply(main, (line,))
        return status, capsys.readouterr().out

    assert run() == (UNANSWERED, f":{port}: echo has no group 'main' that elects a primary\n")
    doubts: list[str | None] = ["it does not lead main; w2 at h:2 does"]
    server.health.require_to_lead("main", lambda: doubts[0])
    assert run() == (1, f":{port}: echo/main is not ready: it does not lead main; w2 at h:2 does\n")
    doubts[0] = None
    assert run() == (0, f":{port}: echo/main is ready\n")


def reply(sent: bytes) -> Answer:
    """What is made of a peer that sends this and closes."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            sock = listener.accept()[0]
            with sock:
                sock.recv(4096)
                sock.sendall(sent)

        thread = threading.Thread(target=serve)
        thread.start()
        answer = ask(f"127.0.0.1:{listener.getsockname()[1]}", "", 20.0)
        thread.join(60)
    return answer


@pytest.mark.parametrize(
    ("sent", "error"),
    [
        (b"HTTP/1.1 400 Bad Request\r\n\r\n", "something else than zkrpc listens there"),
        (b"", "it closed the connection"),
        (b"\0\0\0\x09\x80\x01", "it closed the connection"),
        (b"\0\0\0\x04abcd", "something else than zkrpc listens there"),
        (struct.pack("!III", 9, 0x80010002, 0) + b"\0\0\0\1\0", "something else than zkrpc listens there"),
        (struct.pack("!III", 13, 0x80010002, 0) + b"\0\0\0\1\0", "something else than zkrpc listens there"),
        (
            struct.pack("!III", 20, 0x80010002, 0) + b"\0\0\0\1\x0b\0\0\0\0\0\0\0",
            "something else than zkrpc listens there",
        ),
    ],
)
def test_probe_says_what_is_wrong_with_who_answers(sent: bytes, error: str) -> None:
    """In one line, whoever it is."""
    assert reply(sent).error == error


def test_probe_does_not_wait_for_a_silent_port() -> None:
    """A blocked event loop accepts in the kernel and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = f"127.0.0.1:{listener.getsockname()[1]}"
        assert ask(place, "", 0.05) == Answer(place, error="no answer within 0.05 s")
    assert ask(place, "", 1.0).error == "Connection refused"


@given(st.binary(max_size=200))
def test_probe_reads_garbage_without_harm(message: bytes) -> None:
    """It is an answer, or one of the few errors that are dealt with."""
    try:
        assert isinstance(_read("h:1", message), Answer)
    except MISREAD:
        pass


@pytest.mark.parametrize(
    ("answers", "ready", "live"),
    [
        ([READY], 0, 0),
        ([READY, UNREADY], 1, 0),
        ([READY, DEAD], 1, 1),
        ([DEAD, AWAY, READY], UNANSWERED, UNANSWERED),
    ],
)
def test_status_is_that_of_the_worst(answers: list[Answer], ready: int, live: int) -> None:
    """All of them have to say yes."""
    assert (status_of(answers, liveness=False), status_of(answers, liveness=True)) == (ready, live)
    assert plain(answers, liveness=False)["ok"] is (ready == 0)


def test_lines_are_for_people() -> None:
    """One for each port; what a peer said is made legible."""
    assert lines_of([READY, UNREADY, DEAD, AWAY], liveness=False) == [
        "h:1: users is ready",
        "h:2: users is not ready: it is draining; no database",
        "h:3: users is not ready: its stop takes longer than 41 s",
        "h:4: Connection refused",
    ]
    assert lines_of([READY, UNREADY, DEAD], liveness=True) == [
        "h:1: users is live",
        "h:2: users is live",
        "h:3: users is not live: its stop takes longer than 41 s",
    ]
    assert lines_of([UNREADY._replace(reasons=("\x1b[2J",))], liveness=False) == ["h:2: users is not ready: \\x1b[2J"]


@pytest.mark.parametrize(
    "line",
    [
        "",
        "users",
        "--help",
        "--address",
        "--address nowhere",
        "--address h:0",
        "--address h:99999",
        "--address h:1 --timeout 0",
        "--address h:1 --timeout soon",
        "--address h:1 --zookeeper h:2",
        "--address h:1 users",
        "--address h:1 --group",
        "--group main",
    ],
)
def test_probe_leaves_what_is_not_plain_to_the_command(line: str) -> None:
    """It knows all options, and explains mistakes."""
    assert main(line.split()) is None


def test_probe_needs_next_to_nothing() -> None:
    """It imports no gevent, no kazoo, no click and nothing of the IDL; its status and its object are right."""
    look = (
        "import sys; sys.argv = ['zkrpc', 'health', '--address=127.0.0.1:1', '--json', '--timeout', '5']\n"
        "import zkrpc.__main__ as m\n"
        "try: m.main()\n"
        "except SystemExit as end: print(end.code)\n"
        "print([name for name in ('gevent', 'kazoo', 'click', 'lark', 'thriftpy2', 'logging') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", look], cwd=ROOT, capture_output=True, text=True, timeout=120)
    told, status, loaded = done.stdout.splitlines()
    assert (status, loaded, done.stderr) == (str(UNANSWERED), "[]", "")
    assert json.loads(told) == {
        "ok": False,
        "instances": [
            {
                "endpoint": "127.0.0.1:1",
                "service": "",
                "ready": False,
                "live": False,
                "reasons": [],
                "state": "",
                "error": "Connection refused",
            }
        ],
    }
