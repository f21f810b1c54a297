"""The thread beside the hub, with a hub that is really blocked."""

from __future__ import annotations

import ctypes
import itertools
import logging
import os
import re
import sys
import threading
import time
import traceback
from collections.abc import Iterable, Iterator
from pathlib import Path

import gevent
import pytest

from tests.server.test_server import METHODS, Running, idl
from tests.support.listening import Listener
from tests.support.programs import Programs
from tests.support.waiting import eventually
from zkrpc.server.dispatch import Dispatcher
from zkrpc.server.watchdog import Watchdog, find_place
from zkrpc.telemetry.events import HubBlocked


@pytest.fixture
def watchdog() -> Iterator[Watchdog]:
    """One that watches this hub."""
    made = Watchdog()
    made.start()
    gevent.sleep(0.1)
    yield made
    made.stop()


def crunch(seconds: float) -> None:
    """Computes for so long: of this thread's own time, so that a machine with much else to do takes nothing away."""
    until = time.thread_time() + seconds
    while time.thread_time() < until:
        pass


def reports(caplog: pytest.LogCaptureFixture, place: str) -> list[logging.LogRecord]:
    """What the log says of a hub that was blocked there: a start or a machine with no time for us may block it too."""
    return [one for one in caplog.records if "blocked" in one.message and place in one.message]


def test_watchdog_names_the_method_and_the_way_out(watchdog: Watchdog, caplog: pytest.LogCaptureFixture) -> None:
    """For how long, in which method and where, the stack of what its author wrote, and what to do; once a minute."""
    running = Running()

    def echo(text: str) -> str:
        crunch(0.6)
        return text

    running.handler.echo = echo  # type: ignore[method-assign]
    running.server.dispatcher = Dispatcher(idl.Echo, running.handler, on_failure=lambda *_: None)
    try:
        peer = running.peer()
        for _ in range(2):
            assert peer.call(METHODS["echo"], "x") == "x"
            gevent.sleep(0.1)
        eventually(lambda: reports(caplog, "by the method echo ("))
    finally:
        running.close()
    (record,) = reports(caplog, "by the method echo (")
    first, text = record.message, record.stack_info or ""
    assert record.levelno == logging.WARNING and "zkrpc.offload(" in first
    assert float(first.split(" for ")[1].split()[0]) >= 0.6
    assert "in echo\n      crunch(0.6)" in text and "in crunch" in text and "zkrpc/server" not in text


def test_watchdog_sees_what_keeps_the_lock_of_python(watchdog: Watchdog, caplog: pytest.LogCaptureFixture) -> None:
    """Compiled code that never lets another thread run: the thread looks in the moment after it."""

    def compress() -> None:
        ctypes.PyDLL(None).usleep(400_000)
        crunch(0.1)

    compress()
    eventually(lambda: reports(caplog, "in compress") or reports(caplog, "in crunch"))
    (record,) = [one for one in caplog.records if "in compress" in (one.message + (one.stack_info or ""))]
    assert float(record.message.split(" for ")[1].split()[0]) >= 0.4


def test_watchdog_is_quiet_about_a_hub_that_is_only_busy() -> None:
    """Many short pieces of work are what a hub is for, twice as long as it may be blocked.

    Where the machine takes the processor away from this process, the hub is blocked indeed, and a piece of work takes
    as long: each time that it is told, there was such a piece. Where it is taken away in many small parts, once more.
    """
    steps: list[float] = []

    def work(seconds: float = 0.002, times: int = 10) -> None:
        for _ in range(times):
            crunch(seconds)
            steps.append(time.monotonic())
            gevent.sleep(0.001)
            steps.append(time.monotonic())

    def is_told_of_gaps_only() -> bool:
        steps[:] = [time.monotonic()]
        listener = Listener(HubBlocked)
        made = Watchdog([listener])
        made.start()
        try:
            work(0, 80)
            gevent.joinall([gevent.spawn(work) for _ in range(20)], raise_error=True)
            work(0, 80)
        finally:
            made.stop()
        return len(listener.events) <= sum(later - earlier > 0.1 for earlier, later in itertools.pairwise(steps))

    eventually(is_told_of_gaps_only)


def threads_of(watchdogs: Iterable[Watchdog]) -> int:
    """How many threads run for these. By what they run: the number of one that ended is soon that of another."""
    watched = {id(one) for one in watchdogs}
    return sum(
        frame.f_code is Watchdog._look.__code__ and id(frame.f_locals["self"]) in watched
        for innermost in sys._current_frames().values()
        for frame, _ in traceback.walk_stack(innermost)
    )


def test_watchdog_leaves_nothing_behind() -> None:
    """Its thread ends with it; stopping one that never began is no error, nor is stopping twice."""
    Watchdog().stop()
    watchdogs = [Watchdog() for _ in range(3)]
    for one in watchdogs:
        one.start()
    eventually(lambda: threads_of(watchdogs) == 3)
    for one in watchdogs:
        one.stop()
        one.stop()
    eventually(lambda: threads_of(watchdogs) == 0)


def test_watchdog_knows_nothing_of_a_thread_that_is_gone() -> None:
    """No frames, or only the library's own, are no reason to guess."""
    assert "left no trace" in str(find_place(None))
    found = find_place(sys._getframe())
    assert found.frames[-1][2] == "test_watchdog_knows_nothing_of_a_thread_that_is_gone"
    assert threading.current_thread() is threading.main_thread()


STUCK = """
import gevent, os, signal, sys, time
from zkrpc.server.watchdog import Watchdog
watchdog = Watchdog()
watchdog.start()
def stuck():
    time.sleep(60)
gevent.sleep(0.1)
if sys.argv[1] == "fork":
    if os.fork() == 0:
        gevent.reinit()
        said = os.open(sys.argv[2], os.O_WRONLY | os.O_CREAT)
        os.dup2(said, 1)
        os.dup2(said, 2)
        gevent.sleep(0.5)
        print("child ends", flush=True)
        os._exit(0)
    os.wait()
    watchdog.stop()
else:
    stuck()
"""


def test_watchdog_speaks_up_for_a_hub_that_may_never_run_again(tmp_path: Path) -> None:
    """After five seconds, on the standard error, as nobody else can."""
    programs = Programs(tmp_path)
    try:
        program = programs.python("-c", STUCK, "stuck")
        eventually(lambda: re.search(r"the hub is blocked since ([5-9]|\d\d)\.", program.output), 60)
        assert f"pid {program.process.pid}: " in program.output and "in stuck" in program.output
    finally:
        program.process.kill()
        programs.close()


def test_watchdog_does_nothing_in_a_child_that_was_forked(tmp_path: Path) -> None:
    """Its thread stayed with the parent, whose hub may well be found blocked where the machine is busy."""
    programs, said = Programs(tmp_path), tmp_path / "said by the child"
    try:
        program = programs.python("-c", STUCK, "fork", str(said))
        assert program.wait(60) == 0 and said.read_text() == "child ends\n"
    finally:
        programs.close()
    assert os.getpid() != program.process.pid


def test_watchdog_tells_observers_of_every_blockage() -> None:
    """Also of one at a place of which the log has spoken, and for how long the hub was blocked."""
    listener = Listener(HubBlocked)
    made = Watchdog([listener])

    def of_ours() -> list[HubBlocked]:
        return [event for event in listener.of(HubBlocked) if "in crunch" in event.place]

    made.start()
    try:
        gevent.sleep(0.1)
        for count in (1, 2):
            crunch(0.5)
            eventually(lambda: len(of_ours()) == count)
    finally:
        made.stop()
    assert all(0.5 <= event.seconds < 60 for event in of_ours())


def test_blocked_hub_is_not_ready_while_it_lasts(watchdog: Watchdog, monkeypatch: pytest.MonkeyPatch) -> None:
    """As another thread of the process can tell; after a minute it is not live either."""
    running, seen = Running(), []
    running.server.health.require(watchdog.doubt)
    running.server.health.require(watchdog.despair, to_live=True)
    monkeypatch.setattr("zkrpc.server.watchdog.HOPELESS_AFTER", 0.5)

    def look() -> None:
        while not seen or seen[-1].live:
            seen.append(running.server.health.status())
            time.sleep(0.01)

    try:
        thread = threading.Thread(target=look)
        eventually(lambda: running.server.health.status().ready)
        thread.start()
        until = time.monotonic() + 60.0
        while (not seen or seen[-1].live) and time.monotonic() < until:
            crunch(0.01)
        thread.join(60)
        assert any(not one.ready and one.live and one.reasons == ("the event loop is blocked",) for one in seen)
        assert not seen[-1].live and seen[-1].reasons[0] == "the event loop has been blocked for 0.5 s"
        eventually(lambda: running.server.health.status().ready and running.server.health.status().live)
    finally:
        running.close()
