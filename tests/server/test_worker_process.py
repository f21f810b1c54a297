"""One worker process: what it inherits, and what is read from it."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from tests.support.descriptors import open_files
from tests.support.programs import ROOT
from tests.support.waiting import eventually
from zkrpc.server.worker_process import WorkerProcess

TALKS = """
import os, socket, sys
print_to = socket.socket(fileno=int(sys.argv[sys.argv.index("--channel") + 1]))
print_to.sendall(b"one\\ntwo\\nhalf")
os.read(int(sys.argv[1]), 1)
print_to.sendall(b" three" + b"x" * 200000 + b"\\nfour\\n")
"""


def test_worker_is_heard_line_by_line() -> None:
    """A line that is not whole is kept until it is; of one that is endless the end is; and its own end is noticed."""
    reader, writer = os.pipe()
    worker = WorkerProcess.start(7, 3, [sys.executable, "-c", TALKS, str(reader)], [reader])
    os.close(reader)
    lines: list[bytes] = []

    def hear() -> bool:
        more, ended = worker.read_lines()
        lines.extend(more)
        return ended

    with worker.channel:
        eventually(lambda: hear() or len(lines) == 2)
        assert lines == [b"one", b"two"] and str(worker) == f"worker 3 (pid {worker.process.pid})"
        os.write(writer, b"x")
        os.close(writer)
        eventually(hear)
        assert worker.process.wait(60) == 0
    assert lines[-1] == b"four" and all(len(line) <= 65536 for line in lines)


def test_worker_that_cannot_be_started_leaves_nothing_open() -> None:
    """The error is the caller's to deal with."""
    before = open_files()
    with pytest.raises(OSError):
        WorkerProcess.start(0, 0, ["/nowhere/at/all"], [])
    assert open_files() <= before


ADOPTS = """
import ctypes, os, subprocess, sys, time
from zkrpc.server.worker_process import adopts_orphans, reap_orphans

assert not adopts_orphans()
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)  # PR_SET_CHILD_SUBREAPER
assert adopts_orphans()
worker = subprocess.Popen(["/bin/true"])
while not os.waitid(os.P_PID, worker.pid, os.WEXITED | os.WNOWAIT):
    pass
parent = subprocess.run([sys.executable, "-c", "import os; os.fork() or os._exit(0); os._exit(0)"])
give_up_at = time.monotonic() + 60
reap_orphans({worker.pid})
assert worker.poll() == 0
while time.monotonic() < give_up_at:
    reap_orphans({worker.pid})
    if open(f"/proc/self/task/{os.getpid()}/children").read() == "":
        print("nobody left")
        break
    time.sleep(0.01)
"""


def test_orphans_are_reaped_by_whoever_adopts_them() -> None:
    """As the first process of a container does; the workers' exit statuses are left to those who wait for them."""
    done = subprocess.run([sys.executable, "-c", ADOPTS], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert (done.returncode, done.stdout, done.stderr) == (0, "nobody left\n", "")
