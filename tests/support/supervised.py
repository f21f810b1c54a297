"""A supervisor of small workers, for tests: ``python -m tests.support.supervised``.

    supervised.py supervise FOLDER WORKERS BEHAVIOUR [--zookeeper HOSTS] [--watch FOLDER] [--port PORT]
    supervised.py work FOLDER SLOT BEHAVIOUR [HOSTS] --channel FD [--listener FD]

Workers write what happens to them as lines ``time slot pid event`` to ``FOLDER/journal``. One that was given a listener
greets whoever connects with its process id. While there is a file ``FOLDER/broken``, those that start exit with the
status in it. Those of behaviour ``patient`` drain until there is a file ``FOLDER/go``.
"""

from __future__ import annotations

import argparse
import contextlib
import logging
import os
import signal
import socket
import sys
import threading
import time
from pathlib import Path

from zkrpc.endpoint import Endpoint
from zkrpc.server.supervision import EXIT_CONFIG
from zkrpc.server.supervisor import Supervisor
from zkrpc.server.supervisor_channel import SupervisorChannel

NONSENSE = (b"no json", b"[]", b'{"session": 1}', b'{"session": [1, "xyz"]}', b"[" * 3000, b"\xff", b"x" * 9000)

NODE = "/of-a-worker"
"""What a worker of behaviour ``session`` keeps in ZooKeeper."""


class Worker:
    """Does as ``behaviour`` says, and otherwise drains in order."""

    def __init__(self, folder: Path, slot: int, behaviour: str, descriptor: int, listener: int | None) -> None:
        self.folder = folder
        self.slot = slot
        self.behaviour = behaviour
        self.descriptor = descriptor
        self.channel = SupervisorChannel(descriptor)
        self.listener = None if listener is None else socket.socket(fileno=listener)
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
        if (broken := self.folder / "broken").exists():
            return int(broken.read_text())
        self.channel.tell_bound(60.0 if self.behaviour == "patient" else 0.5)
        if self.behaviour == "babbling":
            os.write(self.descriptor, b"".join(line + b"\n" for line in NONSENSE))
        if self.listener is not None:
            self.listener.listen()
        self.note("ready")
        self.channel.tell_ready()
        threading.Thread(target=self._follow_supervisor, daemon=True).start()
        # In slices, for a wait without end would not let Python run the signal handlers.
        while not self.asked.wait(0.02) or self.behaviour == "stubborn":
            self._greet()
        if self.behaviour == "patient":
            while not (self.folder / "go").exists():
                time.sleep(0.02)
        self.note("end")
        return 0

    def _greet(self) -> None:
        if self.listener is not None:
            self.listener.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                accepted, _ = self.listener.accept()
                with accepted:
                    accepted.sendall(str(os.getpid()).encode())

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

    from zkrpc.zookeeper.session import Session

    session = Session(hosts, on_new_session=worker.channel.tell_session)
    session.start()
    assert session.wait_connected(60)
    session.znodes.create(NODE, str(os.getpid()).encode(), ephemeral=True)
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
    parser.add_argument("--listener", type=int)
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    if given.role == "work":
        return Worker(given.folder, given.number, given.behaviour, given.channel, given.listener).run(given.zookeeper)
    starts = 0

    def command(slot: int) -> list[str]:
        nonlocal starts
        starts += 1
        if given.behaviour == "missing" and starts == 1:
            return ["/nonexistent/python"]
        work = [sys.executable, "-m", "tests.support.supervised", "work", str(given.folder), str(slot)]
        return [*work, given.behaviour, f"--zookeeper={given.zookeeper}"]

    watched = [given.watch] if given.watch else []
    binds = [Endpoint("127.0.0.1", given.port + slot) for slot in range(given.number)] if given.port else []
    supervisor = Supervisor(command, given.number, zookeeper=given.zookeeper or None, watched=watched, binds=binds)
    return supervisor.run()


if __name__ == "__main__":
    sys.exit(main())
