"""What every command that asks ZooKeeper does while there is none: new commands are held to it as well."""

from __future__ import annotations

import concurrent.futures
import json
import os
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from typing import NamedTuple

import click
import pytest

from tests.support.commands import LONG_RUNNING, all_commands, takes
from tests.support.programs import ROOT

EXAMPLES: dict[str, list[str]] = {
    "bench": ["users.get", "{}"],
    "call": ["users.get", "{}"],
    "config check": [str(ROOT / "tests" / "support" / "service_config.json"), "--service", "users"],
    "health": ["users"],
    "idl check": ["registry:users", "registry:users"],
    "stubs": ["--from", "users"],
}
"""The arguments of commands that "users" alone makes no sense to."""
STATUSES = {"idl check": 2}
"""Where 1 has a meaning of its own."""

ASKING = {
    words: command for words, command in all_commands() if takes(command, "--zookeeper") and words not in LONG_RUNNING
}
_LONGEST = 5.0
_TRIES = 3
_NOBODY = "127.0.0.1:1"
_LAUNCH = """
import atexit, pathlib, runpy, sys, time
began, delay, note = time.monotonic(), pathlib.Path("/proc/self/schedstat"), pathlib.Path(sys.argv.pop(1))
def look():
    waited = int(delay.read_text().split()[1]) / 1e9 if delay.exists() else 0.0
    note.write_text(str(time.monotonic() - began - waited))
atexit.register(look)
runpy.run_module("zkrpc", run_name="__main__", alter_sys=True)
"""
"""Runs zkrpc, and notes how long it took, without the time in which it was ready to run and others ran."""


class Ended(NamedTuple):
    """How a command ended."""

    status: int
    out: str
    err: str
    seconds: float
    """From its start to its end, without the time in which the machine had no processor for it."""


def arguments_of(words: str) -> list[str]:
    """The command with something for each argument that it must have."""
    given = [*words.split()]
    if words in EXAMPLES:
        return given + EXAMPLES[words]
    for parameter in ASKING[words].params:
        if isinstance(parameter, click.Argument) and parameter.required:
            given.append(os.devnull if isinstance(parameter.type, (click.File, click.Path)) else "users")
        elif isinstance(parameter, click.Option) and parameter.required and "--zookeeper" not in parameter.opts:
            given += [parameter.opts[0], "users"]
    return given


def run(words: str, *options: str) -> Ended:
    """Runs it to its end."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("ZKRPC_")}
    with tempfile.NamedTemporaryFile("r") as note:
        command = [sys.executable, "-c", _LAUNCH, note.name, *arguments_of(words), *options]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, env=environment)
        return Ended(done.returncode, done.stdout, done.stderr, float(note.read()))


def run_to_tell(words: str) -> Ended:
    """Runs it as programs do, with as little patience as it takes."""
    return run(words, "--json", f"--zookeeper={_NOBODY}", *(f"{name}=0.3" for name in patience_of(words)))


def patience_of(words: str) -> list[str]:
    """The option that says how long it waits for ZooKeeper, if it has one."""
    return [name for name in ("--connect-timeout", "--timeout") if takes(ASKING[words], name)][:1]


@pytest.fixture(scope="module")
def pool() -> Iterator[concurrent.futures.Executor]:
    """Runs several at a time, as they mostly wait; what it takes one to get a processor does not count."""
    with concurrent.futures.ThreadPoolExecutor(6) as pool:
        yield pool


@pytest.fixture(scope="module")
def ended(pool: concurrent.futures.Executor) -> dict[str, Ended]:
    """How each of them ends by default."""
    return dict(zip(ASKING, pool.map(lambda words: run(words, f"--zookeeper={_NOBODY}"), ASKING)))


@pytest.fixture(scope="module")
def told(pool: concurrent.futures.Executor) -> dict[str, Ended]:
    """How each of them ends for programs."""
    return dict(zip(ASKING, pool.map(run_to_tell, ASKING)))


@pytest.mark.parametrize("words", ASKING)
def test_every_command_ends_in_one_line_and_five_seconds(words: str, ended: dict[str, Ended]) -> None:
    """On standard error, with exit status 1; on a machine that is busy the best of three tries counts."""
    done = ended[words]
    assert (done.status, done.out) == (STATUSES.get(words, 1), "")
    assert done.err.startswith("zkrpc: ") and done.err.count("\n") == 1
    assert f"no ZooKeeper at {_NOBODY} within 3 s: " in done.err
    seconds = done.seconds
    for _ in range(_TRIES - 1):
        if seconds > _LONGEST:
            seconds = run(words, f"--zookeeper={_NOBODY}").seconds
    assert seconds <= _LONGEST


@pytest.mark.parametrize("words", ASKING)
def test_every_command_tells_programs_that_there_is_no_zookeeper(words: str, told: dict[str, Ended]) -> None:
    """One object on standard output, nothing on standard error, and the status that is in the object."""
    assert takes(ASKING[words], "--json"), f"zkrpc {words} has no --json"
    done = told[words]
    error = json.loads(done.out)["error"]
    assert done.status == error["exit_status"] == STATUSES.get(words, 1) and error["kind"]
    within = "0.3 s" if patience_of(words) else "3 s"
    assert f"no ZooKeeper at {_NOBODY} within {within}" in error["message"] and done.err == ""


@pytest.mark.parametrize("kind", ["silent", "closing", "unknown name"])
def test_any_kind_of_absence_is_one_line(kind: str) -> None:
    """A server that accepts and says nothing, one that hangs up, and a name that nobody knows."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        place = "no-such-host.invalid:2181" if kind == "unknown name" else f"127.0.0.1:{listener.getsockname()[1]}"
        if kind == "closing":
            listener.close()
        done = run("ls", f"--zookeeper={place}", "--timeout=0.5")
    assert done.status == 1 and done.err.startswith(f"zkrpc: no ZooKeeper at {place} within 0.5 s: ")
    assert done.err.count("\n") == 1 and done.out == ""
