"""``zkrpc bench``: an open loop against a real service."""

from __future__ import annotations

import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

import zkrpc
from tests.cli.test_call import ECHO, FAST, NOBODY, Ended
from tests.support.echo import EchoHandler, idl
from tests.support.waiting import eventually

QUICK = ("--rate=200", "--seconds=0.5", "--warm-up=0.2")


@pytest.fixture(scope="module")
def echo() -> Iterator[zkrpc.App]:
    """The echo service in this process, at an address and without a registry."""
    with zkrpc.serve(zkrpc.Service(idl.Echo, EchoHandler, name="echo", config=FAST)) as app:
        yield app


def at(app: zkrpc.App) -> tuple[str, str]:
    """The options by which the service is found without ZooKeeper."""
    return f"--idl={ECHO}", f"--address={app.endpoint}"


def test_a_run_is_told_to_people(echo: zkrpc.App, tmp_path: Path) -> None:
    """What was called, how the calls ended, how long they took, and a picture of it; nothing of the warm-up."""
    done = Ended("bench", "echo.echo", '["x"]', *QUICK, "--connections=2", *at(echo), folder=tmp_path)
    assert (done.status, done.err) == (0, ""), done
    head, calls, ok, latency, late, *picture = done.out.splitlines()
    assert head == "echo.echo for 0.5 s by 2 connections"
    assert calls.startswith("calls     100 at 200/s, 200/s wanted") and ok == "          100 ok"
    assert latency.startswith("latency   mean ") and " p99.9 " in latency and late.startswith("          of which")
    assert sum(int(line.split()[-1]) for line in picture) == 100


def test_a_run_is_told_to_programs(echo: zkrpc.App, tmp_path: Path) -> None:
    """One object; errors and declared exceptions by kind, with whether they were executed."""
    writes = ("--allow-writes", "--json", *QUICK, *at(echo))
    declared = Ended("bench", "echo.fail", '["declared"]', *writes, folder=tmp_path)
    assert (declared.status, declared.err) == (0, "")
    told = declared.told
    assert (told["service"], told["method"], told["calls"], told["ok"]) == ("echo", "fail", 100, 0)
    assert told["outcomes"] == [{"outcome": "Oops", "executed": "yes", "count": 100}] and not told["interrupted"]
    assert 0 < told["latency"]["min"] <= told["latency"]["p50"] <= told["latency"]["p99.9"] <= told["latency"]["max"]
    failed = Ended("bench", "echo.slow", '["", 30000]', "--timeout=0.5", *writes, folder=tmp_path)
    assert failed.status == 1 and failed.told["outcomes"][0]["outcome"] == "DeadlineExceeded"
    assert failed.told["outcomes"][0]["executed"] == "maybe"


def test_a_slow_service_shows_in_latencies_of_calls_that_had_to_wait(echo: zkrpc.App, tmp_path: Path) -> None:
    """One call at a time of 50 ms each, ten times more often: most calls were due long before they were made, and those
    that were never made are counted."""
    options = ("--allow-writes", "--rate=200", "--seconds=1", "--warm-up=0", "--in-flight=1", "--json")
    told = Ended("bench", "echo.slow", '["", 50]', *options, *at(echo), folder=tmp_path).told
    assert told["calls"] + told["unsent"] == 200 and told["unsent"] > 100
    assert told["latency"]["min"] >= 0.05
    # The last one ended when all of them had taken their time, and was due when each but itself had taken 5 ms.
    assert told["latency"]["max"] >= 0.045 * told["calls"] >= 0.045


@pytest.mark.parametrize(
    ("arguments", "status", "complaint"),
    [
        (["echo.pair", '[{"left": ""}]'], 2, "Echo.pair is not idempotent: each of these calls would do something"),
        (["echo.echo", "[]"], 2, "$.text: expected string, but it is missing"),
        (["echo.ecko", "[]"], 1, "there is no method 'ecko' in Echo; did you mean echo?"),
    ],
)
def test_a_mistake_is_one_line(
    arguments: list[str], status: int, complaint: str, echo: zkrpc.App, tmp_path: Path
) -> None:
    """Before anything is called."""
    done = Ended("bench", *arguments, *at(echo), folder=tmp_path)
    assert (done.status, done.out, done.err.count("\n")) == (status, "", 1) and complaint in done.err


def test_zookeeper_being_down_is_one_line(tmp_path: Path) -> None:
    """Or one object."""
    place = (f"--zookeeper={NOBODY}", "--connect-timeout=0.3")
    done = Ended("bench", "users.get", "[1]", *place, folder=tmp_path)
    assert (done.status, done.out, done.err.count("\n")) == (1, "", 1)
    assert done.err.startswith(f"zkrpc: no ZooKeeper at {NOBODY} within 0.3 s")
    done = Ended("bench", "users.get", "[1]", *place, "--json", folder=tmp_path)
    assert (done.status, done.err, done.told["error"]["kind"]) == (1, "", "CoordinationError")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_prints_what_was_measured(number: signal.Signals, echo: zkrpc.App, tmp_path: Path) -> None:
    """With exit status 130; calls that were under way are counted."""
    arguments = ["bench", "echo.slow", '["", 3000]', "--allow-writes", "--rate=50", "--seconds=3000", "--warm-up=0"]
    process = subprocess.Popen(
        [sys.executable, "-m", "zkrpc", *arguments, "--timeout=60", "--json", *at(echo)],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        eventually(lambda: echo.status().server.running >= 10)
        process.send_signal(number)
        out, err = zkrpc.offload(process.communicate, timeout=60)
    finally:
        process.kill()
        process.wait()
    told = json.loads(out)
    assert (process.returncode, err, told["interrupted"]) == (130, "", True) and told["abandoned"] > 0


def test_a_terminal_shows_the_figures_as_they_come(echo: zkrpc.App, tmp_path: Path) -> None:
    """They are drawn again and again, and stand once at the end."""
    leader, follower = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "zkrpc", "bench", "echo.echo", '["x"]', "--rate=50", "--seconds=2", *at(echo)],
        cwd=tmp_path,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "150", "LINES": "40"},
        stdin=subprocess.DEVNULL,
        stdout=follower,
        stderr=subprocess.PIPE,
    )
    os.close(follower)
    shown = b""
    try:
        while True:
            gevent.socket.wait_read(leader, timeout=60)
            try:
                part = os.read(leader, 65536)
            except OSError:  # the other end is closed
                break
            if not part:
                break
            shown += part
        assert zkrpc.offload(process.wait, 60) == 0
    finally:
        process.kill()
        process.wait()
        assert process.stderr is not None
        process.stderr.close()
        os.close(leader)
    text = shown.decode()
    assert "echo.echo for 2 s by one connection: warming up" in text and " of 2 s" in text
    assert text.count("\x1b[") > 3 and text.rstrip().splitlines()[-1].split()[-1].isdigit()


def test_what_every_port_answers_is_measured_as_any_method(echo: zkrpc.App, tmp_path: Path) -> None:
    """Within the bounds that it has."""
    place = ("--rate=20", "--seconds=0.5", "--warm-up=0", f"--address={echo.endpoint}", "--json")
    told = Ended("bench", "echo/zkrpc.Health.check", *place, folder=tmp_path).told
    assert (told["service"], told["method"], told["calls"], told["ok"]) == ("echo/zkrpc.Health", "check", 10, 10)
    done = Ended("bench", "echo/zkrpc.Introspection.tap", *place, folder=tmp_path)
    assert done.status == 2 and "Introspection.tap is not idempotent" in done.told["error"]["message"]
