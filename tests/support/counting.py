"""A service that counts who called it, in a process of its own; and programs that use it in all kinds of ways.

``python -m tests.support.counting`` serves until it is killed and prints its address. A program is a piece of source
that finds the names of ``_PREFACE``; what it writes is for its test to judge.
"""

from __future__ import annotations

import collections
import contextlib
import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import gevent

import zkrpc
from tests.support.programs import ROOT

idl: Any = zkrpc.load(Path(__file__).with_suffix(".thrift"))

_PREFACE = """
import os, sys
if "patched" in sys.argv[2:]:
    from gevent import monkey
    monkey.patch_all()
import logging, multiprocessing, signal, threading, time, traceback
import gevent, zkrpc
from tests.support.counting import CountingHandler, idl
from tests.support.descriptors import held, holds_more, settled, sockets
address, parent = sys.argv[1], os.getpid()
fork_context = multiprocessing.get_context("fork")
# That ZooKeeper is slow to answer on a starved machine is told in the log, and no complaint of a program's.
logging.getLogger("zkrpc.zookeeper").setLevel(logging.ERROR)

def say(*words):
    os.write(1, (" ".join(map(str, words)) + "\\n").encode())

def status(pid):
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])

def child(function):
    "What most programs do: a fork, and the function in the child, which ends without ceremony."
    pid = os.fork()
    if pid == 0:
        try:
            function()
            os._exit(0)
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(99)
    return pid

def refused(function):
    try:
        function()
    except zkrpc.RpcError as error:
        return f"{type(error).__name__} {getattr(error, 'executed', None)} {error}"
    return "not refused"
"""


class CountingHandler:
    """Counts. ``fork`` does so in the handler, and returns what became of the child, or who it is if it stays."""

    def __init__(self) -> None:
        self.calls: collections.Counter[str] = collections.Counter()

    def add(self, who: str) -> int:
        self.calls[who] += 1
        return self.calls[who]

    def total(self, who: str) -> int:
        return self.calls[who]

    def echo(self, text: str) -> str:
        gevent.sleep(0.001)
        return text

    def nap(self, milliseconds: int) -> None:
        gevent.sleep(milliseconds / 1000)

    def fork(self, how: str) -> int:
        pid = os.fork()
        if pid and how == "stays":
            return pid
        if pid == 0:
            gevent.sleep(60 if how == "stays" else 0.3)
            if how == "exits":
                sys.exit(3)
            if how == "raises":
                raise ValueError("in the child")
            return 0
        while (ended := os.waitpid(pid, os.WNOHANG)) == (0, 0):
            gevent.sleep(0.01)
        return os.waitstatus_to_exitcode(ended[1])

    def inheritable(self) -> int:
        """How many descriptors of this process a program that it starts could have, beside the three of everybody."""
        found = 0
        for name in os.listdir("/proc/self/fd"):
            with contextlib.suppress(OSError):  # the one that lists them
                found += int(name) > 2 and os.get_inheritable(int(name))
        return found


service = zkrpc.Service(idl.Counting, CountingHandler, name="counting")


def start_server() -> tuple[subprocess.Popen[str], str]:
    """A process that serves, and its address."""
    arguments = [sys.executable, "-m", "tests.support.counting"]
    process = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True, cwd=ROOT)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def run_program(source: str, address: str, *words: str, options: tuple[str, ...] = ()) -> list[str]:
    """Runs a program to its end, which it must reach in order and without a word on its standard error; its lines."""
    program = _PREFACE + textwrap.dedent(source)
    done = subprocess.run(
        [sys.executable, *options, "-c", program, address, *words],
        capture_output=True,
        text=True,
        timeout=120,
        cwd=ROOT,
        # Python 3.12 and later warn of every fork beside threads, of gevent's pool for one.
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore:This process:DeprecationWarning"},
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stdout + done.stderr
    return done.stdout.splitlines()


if __name__ == "__main__":
    app = zkrpc.serve(service)
    print(app.endpoint, flush=True)
    app.wait_stopped()
