"""The supervisor with real processes: what becomes of workers, and of their sessions."""

from __future__ import annotations

import dataclasses
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.programs import Program, Programs
from tests.support.supervised import NODE, NONSENSE
from tests.support.waiting import eventually
from zkrpc.dev.zookeeper import free_ports
from zkrpc.server.supervision import EXIT_CONFIG
from zkrpc.server.supervisor import Supervisor
from zkrpc.zookeeper.session import Session

HANDLED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGCHLD)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One line of the workers' journal."""

    at: float
    slot: int
    pid: int
    event: str


class Family:
    """A running supervisor and what its workers wrote."""

    def __init__(self, program: Program, folder: Path) -> None:
        self.program = program
        self._journal = folder / "journal"

    def entries(self, event: str) -> list[Entry]:
        """What happened, by kind."""
        lines = self._journal.read_text().splitlines() if self._journal.exists() else []
        fields = [line.split() for line in lines]
        found = [Entry(float(at), int(slot), int(pid), what) for at, slot, pid, what in fields]
        return [entry for entry in found if entry.event == event]

    def await_entries(self, event: str, count: int, bound: float = 60.0) -> list[Entry]:
        """Waits until it happened that often."""
        eventually(lambda: len(self.entries(event)) >= count, bound)
        return self.entries(event)

    def await_ready(self, count: int) -> list[Entry]:
        """Waits until that many workers began; they take signals from then on."""
        return self.await_entries("start", count)


@pytest.fixture
def programs(tmp_path: Path) -> Iterator[Programs]:
    """Starts programs that end with the test."""
    started = Programs(tmp_path)
    yield started
    started.close()


Start = Callable[..., Family]


@pytest.fixture
def supervise(programs: Programs, tmp_path: Path) -> Start:
    """Starts a supervisor in a process of its own; orphans of a killed one end by themselves."""

    def start(behaviour: str, workers: int = 1, *options: str) -> Family:
        command = ["-m", "tests.support.supervised", "supervise", str(tmp_path), str(workers), behaviour, *options]
        return Family(programs.python(*command), tmp_path)

    return start


def test_supervisor_restarts_a_killed_worker_with_growing_pauses(supervise: Start) -> None:
    """The first time at once, then after 0.2 s, then after 0.4 s; each has the same slot."""
    family = supervise("draining")
    pauses = []
    for number in range(1, 4):
        last = family.await_ready(number)[-1]
        killed_at = time.monotonic()
        os.kill(last.pid, signal.SIGKILL)
        pauses.append(family.await_ready(number + 1)[-1].at - killed_at)
    assert pauses[0] < 30.0 and pauses[1] >= 0.2 and pauses[2] >= 0.4  # with the start of a process
    assert {entry.slot for entry in family.entries("start")} == {0}
    assert "ended with signal SIGKILL" in family.program.output


def test_supervisor_ends_with_workers_whose_settings_are_wrong(supervise: Start) -> None:
    """One worker says so: the other one drains, and the exit status tells the caller."""
    family = supervise("misconfigured", 2)
    assert family.program.wait(60) == EXIT_CONFIG
    assert len(family.entries("start")) <= 2 and f"ended with status {EXIT_CONFIG}" in family.program.output


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_supervisor_drains_its_workers_when_told(supervise: Start, number: signal.Signals) -> None:
    """Each worker is asked once and ends by itself; then so does the supervisor, with status 0."""
    family = supervise("draining", 2)
    family.await_ready(2)
    family.program.tell(number)
    assert family.program.wait(60) == 0
    assert len(family.entries("SIGTERM")) == len(family.entries("end")) == 2
    assert family.entries("SIGINT") == [] and len(family.entries("start")) == 2


def test_supervisor_drains_once_however_often_it_is_told(supervise: Start, tmp_path: Path) -> None:
    """SIGTERM again and again, SIGINT, SIGHUP: each worker is asked once, nobody is started, and nobody is killed."""
    family = supervise("patient", 2)
    family.await_entries("ready", 2)
    family.program.tell(signal.SIGTERM)
    family.await_entries("SIGTERM", 2)
    for _ in range(3):
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            family.program.tell(number)
            time.sleep(0.05)
    eventually(lambda: "stopping already" in family.program.output)
    (tmp_path / "go").touch()
    assert family.program.wait(60) == 0
    assert len(family.entries("SIGTERM")) == len(family.entries("end")) == len(family.entries("start")) == 2
    output = family.program.output
    assert "SIGTERM: draining 2 workers; SIGQUIT ends all at once" in output and "stopped after " in output
    assert output.count("stopping already, waiting for 2 workers") == 1


def test_supervisor_kills_when_told_so(supervise: Start) -> None:
    """SIGQUIT waits for nobody, whether or not a drain was begun."""
    family = supervise("stubborn", 2)
    family.await_entries("ready", 2)
    family.program.tell(signal.SIGTERM)
    family.await_entries("SIGTERM", 2)
    assert family.program.process.poll() is None
    family.program.tell(signal.SIGQUIT)
    assert family.program.wait(60) == 0
    assert family.entries("end") == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_supervisor_kills_a_worker_that_does_not_answer(supervise: Start, number: signal.Signals) -> None:
    """One that is stopped or wedged for good has its bound and a grace; then a stop ends, and a reload goes on."""
    family = supervise("draining", 2)
    first = family.await_entries("ready", 2)
    frozen = next(entry for entry in first if entry.slot == 0)
    os.kill(frozen.pid, signal.SIGSTOP)
    family.program.tell(number)
    if number is signal.SIGHUP:
        family.await_entries("ready", 4)
        eventually(lambda: len(family.entries("end")) == 1, 60)
        family.program.tell(signal.SIGTERM)
    assert family.program.wait(60) == 0
    assert f"worker 0 (pid {frozen.pid}) does not end within the time it has, and is killed" in family.program.output
    assert all(entry.pid != frozen.pid for entry in family.entries("end"))


def test_supervisor_keeps_ctrl_c_from_its_workers(supervise: Start) -> None:
    """The terminal signals the whole foreground group; workers hear of it from their supervisor alone."""
    family = supervise("draining")
    family.await_ready(1)
    os.killpg(family.program.process.pid, signal.SIGINT)
    assert family.program.wait(60) == 0
    assert family.entries("SIGINT") == [] and len(family.entries("SIGTERM")) == 1


def test_supervisor_replaces_workers_one_after_another(supervise: Start) -> None:
    """SIGHUP: each is asked to end when its successor is ready, and the next slot is taken when it has."""
    family = supervise("draining", 3)
    first = family.await_entries("ready", 3)
    family.program.tell(signal.SIGHUP)
    ends = family.await_entries("end", 3)
    assert sorted(entry.pid for entry in ends) == sorted(entry.pid for entry in first)
    order = sorted([*ends, *family.entries("ready")[3:]], key=lambda entry: entry.at)
    assert [entry.event for entry in order] == ["ready", "end"] * 3
    assert [entry.slot for entry in order] == [0, 0, 1, 1, 2, 2]


@pytest.mark.parametrize("status", [1, EXIT_CONFIG])
def test_supervisor_keeps_what_runs_when_the_new_code_is_broken(supervise: Start, tmp_path: Path, status: int) -> None:
    """A successor that does not come up costs nobody anything; once the code is mended the next SIGHUP replaces all."""
    family = supervise("draining", 2)
    first = {entry.pid for entry in family.await_entries("ready", 2)}
    (tmp_path / "broken").write_text(str(status))
    family.program.tell(signal.SIGHUP)
    eventually(lambda: f"ended with status {status}" in family.program.output)
    assert family.entries("SIGTERM") == [] and family.program.process.poll() is None
    (tmp_path / "broken").unlink()
    family.program.tell(signal.SIGHUP)
    assert {entry.pid for entry in family.await_entries("end", 2)} == first


def test_supervisor_has_a_worker_and_its_successor_share_a_port(supervise: Start) -> None:
    """Whoever calls while a worker is replaced is served by the one or the other; without a worker it is refused."""
    (port,) = free_ports(1)
    family = supervise("draining", 1, f"--port={port}")
    first = family.await_entries("ready", 1)[0]
    greeted = [greeting(port)]
    family.program.tell(signal.SIGHUP)
    while not family.entries("end"):
        greeted.append(greeting(port))
    last = family.entries("ready")[1]
    assert greeted[0] == str(first.pid) and greeting(port) == str(last.pid)
    assert set(greeted) <= {str(first.pid), str(last.pid)}
    family.program.tell(signal.SIGTERM)
    assert family.program.wait(60) == 0
    with pytest.raises(ConnectionRefusedError):
        greeting(port)


def test_supervisor_waits_for_a_port_that_an_earlier_worker_gives_up(supervise: Start) -> None:
    """A supervisor that was killed alone leaves workers that drain; the next one says so and waits for their port."""
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", port)):
        family = supervise("draining", 1, f"--port={port}")
        eventually(lambda: "an earlier worker may be draining there" in family.program.output, 60)
        assert family.entries("start") == []
    (worker,) = family.await_entries("ready", 1)
    assert greeting(port) == str(worker.pid)


def greeting(port: int) -> str:
    """Who serves there."""
    with socket.create_connection(("127.0.0.1", port), timeout=60) as client:
        return client.recv(100).decode()


def test_supervisor_replaces_workers_when_their_files_change(supervise: Start, tmp_path: Path) -> None:
    """New and changed sources count; what is hidden, generated or installed does not."""
    sources = tmp_path / "sources"
    for folder in ("package", ".git", "venv", "__pycache__"):
        (sources / folder).mkdir(parents=True)
    (sources / "venv" / "pyvenv.cfg").touch()
    family = supervise("draining", 1, "--watch", str(sources))
    for number, path in enumerate(("package/handler.py", "users.thrift"), 1):
        family.await_ready(number)
        for nobody in (".git/hook.py", "venv/module.py", "__pycache__/x.py", "notes.txt"):
            (sources / nobody).write_text(str(number))
        (sources / "written").write_text(f"# {number}")
        (sources / "written").rename(sources / path)  # at once, so that it changes once
        family.await_ready(number + 1)
    assert len(family.entries("start")) == 3 and family.program.output.count("files changed") == 2


def test_supervisor_leaves_workers_that_drain_by_themselves(supervise: Start) -> None:
    """kill -9 of the supervisor: each worker reads end-of-file and ends in order."""
    family = supervise("draining", 2)
    family.await_ready(2)
    family.program.tell(signal.SIGKILL)
    assert family.program.wait(60) == -signal.SIGKILL
    family.await_entries("end", 2)
    assert len(family.entries("orphaned")) == 2 and family.entries("SIGTERM") == []


def test_supervisor_survives_a_worker_that_talks_nonsense(supervise: Start) -> None:
    """Each line that is no report is logged; the worker is supervised as before."""
    family = supervise("babbling")
    worker = family.await_ready(1)[0]
    eventually(lambda: family.program.output.count("is no report") >= len(NONSENSE))
    os.kill(worker.pid, signal.SIGKILL)
    family.await_ready(2)
    family.program.tell(signal.SIGTERM)
    assert family.program.wait(60) == 0


def test_supervisor_survives_a_worker_that_cannot_be_started(supervise: Start) -> None:
    """No process to be had is trouble like a crash: the other worker runs, and this one is tried again."""
    family = supervise("missing", 2)
    assert {entry.slot for entry in family.await_ready(2)} == {0, 1}
    assert "cannot start worker 0" in family.program.output
    family.program.tell(signal.SIGTERM)
    assert family.program.wait(60) == 0


@pytest.mark.zookeeper
def test_supervisor_closes_the_session_of_a_dead_worker(supervise: Start, zookeeper: str) -> None:
    """Killed, a worker's nodes go in a moment, not after the session timeout of 10 s."""
    observer = Session(zookeeper)
    observer.start()
    try:
        assert observer.wait_connected(60)
        family = supervise("session", 1, "--zookeeper", zookeeper)
        worker = family.await_entries("created", 1)[0]
        os.kill(worker.pid, signal.SIGKILL)
        assert eventually(lambda: (observer.znodes.get(NODE) or (b"", None))[0] != str(worker.pid).encode()) < 5.0
        family.await_entries("created", 2)
    finally:
        observer.close()


def test_supervisor_puts_signal_handlers_back() -> None:
    """A program that runs one inside itself finds its own handlers afterwards."""
    before = [signal.getsignal(number) for number in HANDLED]
    supervisor = Supervisor(lambda slot: ["/bin/sh", "-c", f"exit {EXIT_CONFIG}"], 2)
    assert supervisor.run() == EXIT_CONFIG
    after = [signal.getsignal(number) for number in HANDLED]
    assert after == before
