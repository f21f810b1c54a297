"""Our client calls stock servers of other libraries, and what is no Thrift server at all."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from typing import Any

import gevent
import pytest

import zkrpc
from tests.interop.behaviour import ANSWERS, BOTH, IDL, PATIENCE, ask, ask_both
from tests.support.processes import first_line, python
from zkrpc.client.client import Client
from zkrpc.client.resolver import StaticResolver
from zkrpc.client.stub import make_stub
from zkrpc.errors import CallError, ConnectionLost, DeadlineExceeded, Executed, RemoteError, UnknownMethod

idl = zkrpc.load(IDL)
FRAMED = ("thriftpy2", "apache", "apache, accelerated", "apache, sniffing")
THEADER = ("apache, THeader", "apache, sniffing")
ALL = [
    *((name, "framed") for name in FRAMED),
    *((name, "theader") for name in THEADER),
    ("apache, sniffing", "theader-compact"),
    ("apache, THeader", "theader-zlib"),
    ("apache, sniffing", "theader-compact-zlib"),
    ("apache", "framed-old"),
    ("apache, framed compact", "framed-compact"),
    ("apache, unframed", "binary"),
    ("apache, unframed", "binary-old"),
    ("apache, compact", "compact"),
    ("thriftpy2, unframed", "binary"),
]


@pytest.fixture(scope="module")
def ports() -> Iterator[dict[str, int]]:
    """The foreign servers, which end with this module."""
    with python("-m", "tests.interop.servers") as process:
        yield json.loads(first_line(process))


@pytest.fixture
def connect(ports: dict[str, int]) -> Iterator[Callable[..., Any]]:
    """Makes stubs that are closed with the test."""
    stubs: list[Any] = []

    def connecting(server: str, dialect: str, interface: Any = idl.Newer, **options: Any) -> Any:
        stubs.append(zkrpc.connect(interface, [f"127.0.0.1:{ports[server]}"], dialect=dialect, **options))
        return stubs[-1]

    yield connecting
    for stub in stubs:
        stub.close()


@pytest.mark.parametrize(("server", "dialect"), ALL)
def test_server_of_another_library_is_called(connect: Any, server: str, dialect: str) -> None:
    """Every kind of call, what failed included, and the calls after it."""
    stub = connect(server, dialect)
    told = ask(stub, idl, CallError, f"zkrpc, {dialect}")
    assert told == ANSWERS | {"undeclared": ["failure", None], "unknown": ["failure", None]}


@pytest.mark.parametrize(("server", "dialect"), ALL)
def test_server_of_another_library_fails_in_its_own_way(connect: Any, server: str, dialect: str) -> None:
    """An undeclared exception: thriftpy2 hangs up, so nobody knows; Apache says that it failed."""
    stub = connect(server, dialect)
    with pytest.raises(ConnectionLost if server.startswith("thriftpy2") else RemoteError) as caught:
        stub.fail("undeclared")
    assert caught.value.executed is (Executed.MAYBE if server.startswith("thriftpy2") else Executed.YES)
    assert "secret" not in str(caught.value) and caught.value.attempts == 1
    with pytest.raises(UnknownMethod) as unknown:
        stub.added()
    assert unknown.value.executed is Executed.NO
    with pytest.raises(idl.Oops, match="as declared"):
        stub.fail("declared")


@pytest.mark.parametrize(("server", "dialect"), ALL)
def test_server_of_another_library_is_called_by_many_at_once(connect: Any, server: str, dialect: str) -> None:
    """Each greenlet gets the answer to its own call, whether calls share a connection or wait for one."""
    stub = zkrpc.options(connect(server, dialect), timeout=60.0)

    def caller(number: int) -> list[str]:
        return [stub.slow(f"{number}-{turn}", (number + turn) % 3) for turn in range(5)]

    callers = [gevent.spawn(caller, number) for number in range(20)]
    gevent.joinall(callers, timeout=60, raise_error=True)
    assert [one.value for one in callers] == [[f"{n}-{turn}" for turn in range(5)] for n in range(20)]


@pytest.mark.parametrize(("server", "dialect"), ALL)
def test_late_answer_is_not_taken_for_the_next_one(connect: Any, server: str, dialect: str) -> None:
    """A call that timed out is over: what comes for it later reaches nobody."""
    stub = connect(server, dialect)
    assert stub.echo("warm") == "warm"
    with pytest.raises(DeadlineExceeded) as caught:
        zkrpc.options(stub, timeout=0.4).slow("late", 900)
    assert caught.value.executed is Executed.MAYBE
    until = time.monotonic() + 0.8
    number = 0
    while time.monotonic() < until:
        number += 1
        assert stub.echo(f"next {number}") == f"next {number}"
        gevent.sleep(0.02)


@pytest.mark.parametrize(
    ("server", "dialect"),
    [
        ("thriftpy2", "framed"),
        ("apache", "framed"),
        ("apache, sniffing", "framed"),
        ("apache, framed compact", "framed-compact"),
        ("apache, unframed", "binary"),
        ("apache, compact", "compact"),
        ("thriftpy2, unframed", "binary"),
        ("apache, THeader", "theader"),
    ],
)
def test_dialect_of_a_server_of_which_nothing_is_known_is_found_out(
    ports: dict[str, int], server: str, dialect: str
) -> None:
    """And no call is made twice for that."""
    resolver = StaticResolver([f"127.0.0.1:{ports[server]}"], dialect=None)
    with make_stub(idl.Newer, Client(resolver, config=zkrpc.ClientConfig(connect_timeout=2.0))) as stub:
        note = f"found out: {server}"
        zkrpc.options(stub, timeout=20.0).note(note)
        assert stub.echo("x") == "x" and stub.notes().count(note) == 1
        assert zkrpc.explain(stub).instances[0].dialect == dialect


def test_server_that_left_an_idle_client_is_dialled_again(connect: Any) -> None:
    """thriftpy2 closes connections that are idle; a call that must not be repeated is not lost to that."""
    stub = connect("thriftpy2, impatient", "framed")
    for number in range(3):
        stub.note(f"patience {number}")
        assert f"patience {number}" in stub.notes()
        gevent.sleep(PATIENCE / 1000 + 0.15)


def test_server_that_is_taken_for_one_of_ours_is_named(connect: Any) -> None:
    """``dialect="zkrpc"`` for a plain THeader server: the error says which of the two it is."""
    with pytest.raises(ConnectionLost, match="speaks THeader but not zkrpc"):
        connect("apache, THeader", "zkrpc").fail("x")


@pytest.mark.parametrize(("server", "dialect"), [("thriftpy2", "theader"), ("apache, THeader", "framed")])
def test_server_that_does_not_speak_our_dialect_fails_the_call(connect: Any, server: str, dialect: str) -> None:
    """It hangs up; the call ends at once and says where."""
    with pytest.raises(ConnectionLost, match=f"127.0.0.1|perhaps the server does not speak {dialect}"):
        connect(server, dialect).echo("x")


def test_server_that_says_nothing_to_what_it_cannot_read_is_hinted_at(connect: Any) -> None:
    """It takes the length of a frame for that of a name: no answer, and the client says what it spoke."""
    stub = connect("apache, unframed", "framed")
    with pytest.raises(CallError, match=r"not a byte has come .* does not speak framed \(see dialect=\)"):
        zkrpc.options(stub, timeout=1.5).echo("x")
    [view] = zkrpc.explain(stub).instances
    assert view.dialect == "framed" and "does not speak framed" in view.remarks[-1]
    well = connect("apache, unframed", "binary")
    assert well.echo("x") == "x"
    [view] = zkrpc.explain(well).instances
    assert (view.dialect, view.remarks) == ("binary", ())


@pytest.mark.parametrize("dialect", ["zkrpc", "theader", "framed", "binary", "compact"])
def test_server_that_speaks_http_is_named(dialect: str) -> None:
    """A web server at the address: what it says in its own language is recognised."""
    with python("-m", "http.server", "0", "--bind", "127.0.0.1") as process:
        port = re.search(r"port (\d+)", first_line(process))
        assert port is not None
        with zkrpc.connect(idl.Newer, [f"127.0.0.1:{port[1]}"], dialect=dialect) as stub:
            with pytest.raises(ConnectionLost, match="HTTP, not Thrift"):
                # Web servers answer what ends a line.
                zkrpc.options(stub, timeout=3).echo("\r\n\r\n")


@pytest.mark.parametrize(
    ("server", "dialect"),
    [
        ("apache, multiplexed", "framed"),
        ("apache, multiplexed compact", "compact"),
        ("apache, multiplexed THeader", "theader"),
    ],
)
def test_server_of_another_library_is_called_by_multiplexed_names(connect: Any, server: str, dialect: str) -> None:
    """Apache's multiplexed processor, by its names and, for its default, by plain ones; a name that it does not know
    breaks the connection, as it hangs up without an answer, and the next call goes on."""
    beside = connect(server, dialect, interface=idl.Second, multiplexed="second service")
    assert ask_both(connect(server, dialect), beside) == BOTH
    first = connect(server, dialect, multiplexed="Foreign")
    assert ask_both(first, beside) == BOTH
    told = ask(first, idl, CallError, f"zkrpc, {dialect}")
    assert told == ANSWERS | {"undeclared": ["failure", None], "unknown": ["failure", None]}
    with pytest.raises(CallError):
        connect(server, dialect, interface=idl.Second, multiplexed=True).echo("never")
    assert beside.echo("x") == "second x"
