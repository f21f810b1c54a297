"""How ``zkrpc serve`` ends and is replaced, whoever sends which signals to whom, with calls in flight."""

from __future__ import annotations

import os
import re
import signal
import time
from pathlib import Path
from typing import Any

import gevent
import pytest

import zkrpc
from tests.support.command import Command
from tests.support.echo import idl as echo
from tests.support.programs import ROOT, Program
from tests.support.waiting import eventually
from zkrpc.dev.zookeeper import free_ports

SLOW = """
import ctypes, gevent, os, threading, zkrpc
from tests.support.echo import idl, EchoHandler

class Handler(EchoHandler):
    def note(self, text):
        while not os.path.exists("go"):
            gevent.sleep(0.01)
        open("noted", "w").write(text)

    def large(self, size):
        if size == -2:
            while True:
                ctypes.PyDLL(None).pause()  # keeps Python's lock, and the hub
        return "x" * size

service = zkrpc.Service(idl.Echo, Handler, "echo")

class Leader(EchoHandler):
    @zkrpc.primary_only
    def slow(self, text, milliseconds):
        return super().slow(text, milliseconds)

led = zkrpc.Service(idl.Echo, Leader, "led")

class Lasting(EchoHandler):
    def __init__(self):
        super().__init__()
        threading.Thread(target=gevent.sleep, args=[600]).start()

lasting = zkrpc.Service(idl.Echo, Lasting, "lasting")
"""

CONFIG = zkrpc.ClientConfig(timeout=60.0)


@pytest.fixture
def serve(command: Command, tmp_path: Path) -> Any:
    """Starts ``zkrpc serve`` of a service that takes its time."""
    (tmp_path / "slow.py").write_text(SLOW)

    def start(*options: str, service: str = "service") -> Program:
        return command.start("serve", f"slow:{service}", *options, folder=tmp_path, PYTHONPATH=str(ROOT))

    return start


def places(program: Program, count: int) -> list[tuple[int, str]]:
    """The process ids of its workers so far and where they serve, in the order in which they came up."""

    def found() -> list[tuple[int, str]]:
        return [(int(pid), place) for pid, place in re.findall(r"\[(\d+)\].* serves at (\S+) as ", program.output)]

    eventually(lambda: len(found()) >= count, 60)
    return found()


def tell(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        try:
            os.kill(pid, number)
        except ProcessLookupError:
            pass


@pytest.mark.parametrize("order", ["workers first", "supervisor first", "only workers, then the supervisor"])
def test_serve_finishes_calls_whoever_is_signalled_in_whatever_order(serve: Any, order: str) -> None:
    """As systemd does to every process of a unit, and more than once: what runs is answered, and it ends with 0."""
    program = serve("--workers=2", "--linger=0.2")
    workers = places(program, 2)
    pids, supervisor = [pid for pid, _ in workers], [program.process.pid]
    with zkrpc.connect(echo.Echo, [place for _, place in workers], config=CONFIG) as stub:
        for _ in range(4):
            assert stub.echo("warm") == "warm"
        calls = [gevent.spawn(stub.slow, str(number), 1500) for number in range(8)]
        gevent.sleep(0.2)
        if order == "workers first":
            tell(pids + supervisor, signal.SIGTERM)
        elif order == "supervisor first":
            tell(supervisor + pids, signal.SIGTERM)
        else:
            tell(pids, signal.SIGINT)
        for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGTERM):
            gevent.sleep(0.15)
            tell(supervisor + pids, number)
        gevent.joinall(calls, timeout=60)
        assert [call.value for call in calls] == [str(number) for number in range(8)], program.output
    assert program.wait(60) == 0


def test_serve_is_not_ended_by_a_signal_for_its_supervisor(serve: Any) -> None:
    """SIGHUP to every process of the unit replaces the workers; what runs in the old ones is answered."""
    program = serve("--workers=1", "--linger=0.2")
    ((pid, place),) = places(program, 1)
    with zkrpc.connect(echo.Echo, [place], config=CONFIG) as stub:
        assert stub.echo("warm") == "warm"
        call = gevent.spawn(stub.slow, "answered", 1500)
        gevent.sleep(0.2)
        tell([pid, program.process.pid], signal.SIGHUP)
        assert call.get(timeout=60) == "answered"
    assert places(program, 2)[1][0] != pid
    program.tell(signal.SIGTERM)
    assert program.wait(60) == 0


def test_serve_finishes_what_nobody_waits_for(serve: Any, tmp_path: Path) -> None:
    """A oneway call whose caller has left is in flight all the same, and the log says so."""
    program = serve("--linger=0", "--drain-timeout=60")
    ((_, place),) = places(program, 1)
    with zkrpc.connect(echo.Echo, [place], config=CONFIG) as stub:
        stub.note("done")
        assert stub.echo("arrived") == "arrived"
    program.tell(signal.SIGTERM)
    eventually(lambda: "waiting up to 60 s for 1 call in flight (note)" in program.output)
    (tmp_path / "go").touch()
    assert program.wait(60) == 0
    assert (tmp_path / "noted").read_text() == "done"


def test_serve_with_nothing_to_do_stops_within_linger(serve: Any) -> None:
    """Also when a client has a connection and is itself blocked: it never says that nothing more will come."""
    program = serve("--linger=0.5", "--drain-timeout=60")
    ((_, place),) = places(program, 1)
    with zkrpc.connect(echo.Echo, [place], config=CONFIG) as stub:
        assert stub.echo("warm") == "warm"
        began = time.monotonic()
        program.tell(signal.SIGTERM)
        while program.process.poll() is None:
            time.sleep(0.02)  # blocks our hub, and so the stub's connection
            assert time.monotonic() - began < 60
        assert time.monotonic() - began < 30.0
    (seconds,) = re.findall(r"stopped after (\S+) s: no call in flight", program.output)
    assert 0.5 <= float(seconds) < 30.0


@pytest.mark.parametrize("wedge", ["stopped", "in C"])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_serve_does_not_wait_for_a_wedged_worker_for_ever(serve: Any, wedge: str, number: signal.Signals) -> None:
    """It has linger, the drain timeout and a grace; then it is killed, and after SIGHUP its successor serves."""
    program = serve("--linger=0", "--drain-timeout=0.5")
    ((pid, place),) = places(program, 1)
    if wedge == "stopped":
        os.kill(pid, signal.SIGSTOP)
    else:
        with zkrpc.connect(echo.Echo, [place], config=zkrpc.ClientConfig(timeout=0.5)) as stub:
            with pytest.raises(zkrpc.CallError):
                stub.large(-2)
    program.tell(number)
    if number is signal.SIGHUP:
        _, (_, fresh) = places(program, 2)
        with zkrpc.connect(echo.Echo, [fresh], config=CONFIG) as stub:
            assert stub.echo("served") == "served"
        eventually(lambda: f"(pid {pid}) ended with signal SIGKILL" in program.output, 60)
        program.tell(signal.SIGTERM)
    assert program.wait(60) == 0
    assert f"(pid {pid}) does not end within the time it has, and is killed" in program.output


def test_serve_ends_a_worker_that_hangs_when_it_is_done(serve: Any) -> None:
    """A thread of the service's that is no daemon would keep it for ever; there is nothing left to wait for."""
    program = serve("--linger=0", "--drain-timeout=60", service="lasting")
    places(program, 1)
    program.tell(signal.SIGTERM)
    began = time.monotonic()
    assert program.wait(60) == 0
    assert time.monotonic() - began < 30 and "ended with signal SIGKILL" in program.output


@pytest.mark.zookeeper
def test_serve_finishes_what_only_a_primary_can_do(serve: Any, zookeeper: str) -> None:
    """A call that must not be repeated, and takes longer than others are kept waiting for a step-down."""
    program = serve("--zookeeper", zookeeper, service="led")
    eventually(lambda: "primary of led/main" in program.output, 60)
    with zkrpc.connect(echo.Echo, "led", zookeeper=zookeeper, config=CONFIG) as stub:
        assert stub.slow("warm", 1) == "warm"
        call = gevent.spawn(stub.slow, "answered", 2500)
        gevent.sleep(0.2)
        program.tell(signal.SIGTERM)
        assert call.get(timeout=60) == "answered"
    assert program.wait(60) == 0


@pytest.fixture
def port() -> int:
    """A port that nobody had a moment ago."""
    (found,) = free_ports(1)
    return found


def test_serve_with_a_fixed_port_replaces_its_only_worker_without_a_failed_call(serve: Any, port: int) -> None:
    """SIGHUP, twice: worker and successor have the port together; calls that must not be repeated all succeed."""
    program = serve(f"--bind=127.0.0.1:{port}", "--linger=0.3")
    places(program, 1)
    with calling([f"127.0.0.1:{port}"]) as done:
        program.tell(signal.SIGHUP)
        places(program, 2)
        program.tell(signal.SIGHUP)
        places(program, 3)
        eventually(lambda: program.output.count("after it was asked") == 2, 60)
        before = done[0]
        eventually(lambda: done[0] > before + 20, 60)


@pytest.mark.zookeeper
@pytest.mark.parametrize("fixed", [True, False])
def test_serve_replaces_its_only_worker_without_a_failed_call(
    serve: Any, port: int, fixed: bool, zookeeper: str
) -> None:
    """SIGHUP: the successor is registered under the same name before the old one leaves."""
    program = serve(f"--bind=127.0.0.1:{port if fixed else 0}", "--linger=0.3", "--zookeeper", zookeeper, "--id=one")
    places(program, 1)
    eventually(lambda: "registered /" in program.output, 60)
    with zkrpc.Registry(zookeeper) as registry, calling("echo", zookeeper=registry) as done:
        program.tell(signal.SIGHUP)
        eventually(lambda: "after it was asked" in program.output, 60)
        before = done[0]
        eventually(lambda: done[0] > before + 20, 60)
    complaints = [line for line in program.output.splitlines() if " ERROR " in line or " WARNING " in line]
    # That a busy machine took the processor away is no fault of a replacement.
    assert [line for line in complaints if "hub was blocked" not in line and "session" not in line] == []
    program.tell(signal.SIGTERM)
    assert program.wait(60) == 0


class calling:
    """Calls all the time, one that must not be repeated; one that fails fails the block. Gives the number of those
    done."""

    def __init__(self, target: Any, **options: Any) -> None:
        self._stub = zkrpc.connect(echo.Echo, target, config=CONFIG, **options)
        self._done = [0]
        self._callers: list[Any] = []
        self._ended = False

    def __enter__(self) -> list[int]:
        self._callers = [gevent.spawn(self._call) for _ in range(4)]
        eventually(lambda: self._done[0] > 20, 60)
        return self._done

    def __exit__(self, *_: object) -> None:
        self._ended = True
        try:
            gevent.joinall(self._callers, timeout=60, raise_error=True)
        finally:
            zkrpc.close(self._stub)

    def _call(self) -> None:
        while not self._ended:
            self._stub.slow("x", 20)
            self._done[0] += 1


@pytest.mark.zookeeper
def test_serve_whose_supervisor_was_killed_alone_comes_back_on_its_port(serve: Any, port: int, zookeeper: str) -> None:
    """The orphan drains; the next one waits for its port and its name, and is registered."""
    options = [f"--bind=127.0.0.1:{port}", "--zookeeper", zookeeper, "--id=same"]
    first = serve(*options, "--linger=8")  # so long it has the port, and the next one has to be there by then
    ((pid, place),) = places(first, 1)
    eventually(lambda: "registered /" in first.output, 60)
    with zkrpc.connect(echo.Echo, [place], config=CONFIG) as stub:
        assert stub.echo("warm") == "warm"
        call = gevent.spawn(stub.slow, "answered", 1500)
        gevent.sleep(0.1)
        first.tell(signal.SIGKILL)
        second = serve(*options, "--linger=0")
        assert call.get(timeout=60) == "answered"
    eventually(lambda: "registered /" in second.output, 60)
    assert "an earlier worker may be draining there" in second.output
    assert "the supervisor is gone: draining" in first.output
    second.tell(signal.SIGTERM)
    assert second.wait(60) == 0
