"""A supervisor of small workers, for tests: ``python -m tests.server.supervised``.

    supervised.py supervise FOLDER WORKERS BEHAVIOUR [--zookeeper HOSTS] [--watch FOLDER]
    supervised.py work FOLDER SLOT BEHAVIOUR [HOSTS] --channel FD

Workers write what happens to them as lines ``time slot pid event`` to ``FOLDER/journal``.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
import threading
import time
from pathlib import Path

from zkrpc.server.supervision import EXIT_CONFIG
from zkrpc.server.supervisor import Supervisor, SupervisorChannel

NONSENSE = (b"no json", b"[]", b'{"session": 1}', b'{"session": [1, "xyz"]}', b"[" * 3000, b"\xff", b"x" * 9000)

NODE = "/of-a-worker"
"""What a worker of behaviour ``session`` keeps in ZooKeeper."""


class Worker:
    """Does as ``behaviour`` says, and otherwise drains in order."""

    def __init__(self, folder: Path, slot: int, behaviour: str, descriptor: int) -> None:
        self.slot = slot
        self.behaviour = behaviour
        self.descriptor = descriptor
        self.channel = SupervisorChannel(descriptor)
        self.asked = threading.Event()
        self._journal = os.open(folder / "journal", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def note(self, event: str) -> None:
        os.write(self._journal, f"{time.monotonic()} {self.slot} {os.getpid()} {event}\n".encode())

    def run(self, hosts: str) -> int:
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, self._signalled)
        self.note("start")
        if self.behaviour == "crashing":
            return 1
        if self.behaviour == "misconfigured" and self.slot == 0:
            return EXIT_CONFIG
        if self.behaviour == "session":
            return keep_session(hosts, self)
        if self.behaviour == "babbling":
            os.write(self.descriptor, b"".join(line + b"\n" for line in NONSENSE))
        self.channel.tell_ready()
        threading.Thread(target=self._follow_supervisor, daemon=True).start()
        # In slices, for a wait without end would not let Python run the signal handlers.
        while not self.asked.wait(0.05) or self.behaviour == "stubborn":
            pass
        self.note("end")
        return 0

    def _signalled(self, number: int, _frame: object) -> None:
        self.note(signal.Signals(number).name)
        self.asked.set()

    def _follow_supervisor(self) -> None:
        self.channel.wait_for_end()
        self.note("orphaned")
        self.asked.set()


def keep_session(hosts: str, worker: Worker) -> int:
    """Holds an ephemeral node until asked to end."""
    import gevent

    from zkrpc.registry.session import Session

    session = Session(hosts, on_new_session=worker.channel.tell_session)
    session.start()
    assert session.wait_connected(10)
    session.create(NODE, str(os.getpid()).encode(), ephemeral=True)
    worker.note("created")
    while not worker.asked.is_set():
        gevent.sleep(0.05)
    session.close()
    return 0


def main() -> int:
    """Either side."""
    logging.basicConfig(level=logging.INFO, stream=sys.stderr)
    parser = argparse.ArgumentParser()
    parser.add_argument("role", choices=["supervise", "work"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("number", type=int)
    parser.add_argument("behaviour")
    parser.add_argument("--zookeeper", default="")
    parser.add_argument("--watch", type=Path)
    parser.add_argument("--channel", type=int)
    given = parser.parse_args()
    if given.role == "work":
        return Worker(given.folder, given.number, given.behaviour, given.channel).run(given.zookeeper)
    starts = 0

    def command(slot: int) -> list[str]:
        nonlocal starts
        starts += 1
        if given.behaviour == "missing" and starts == 1:
            return ["/nonexistent/python"]
        work = [sys.executable, "-m", "tests.server.supervised", "work", str(given.folder), str(slot)]
        return [*work, given.behaviour, f"--zookeeper={given.zookeeper}"]

    watched = [given.watch] if given.watch else []
    return Supervisor(command, given.number, zookeeper=given.zookeeper or None, watched=watched).run()


if __name__ == "__main__":
    sys.exit(main())
