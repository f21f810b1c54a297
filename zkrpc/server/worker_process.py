"""One worker process, as its supervisor holds it: the process, and the supervisor's end of the socket pair."""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import os
import socket
import subprocess
import time
from collections.abc import Container, Sequence

from zkrpc.endpoint import Endpoint
from zkrpc.server.startup import StartFailure
from zkrpc.server.supervisor_channel import OpenedSession

_MAX_REPORT = 65536
_PR_GET_CHILD_SUBREAPER = 37


@dataclasses.dataclass(slots=True)
class WorkerProcess:
    """A worker from its start until its end was observed."""

    number: int
    slot: int
    process: subprocess.Popen[bytes]
    channel: socket.socket
    started_at: float
    received: bytes = b""
    session: OpenedSession | None = None
    asked_at: float | None = None
    failure: StartFailure | None = None
    """Why it ends, as the worker reported."""
    admin: Endpoint | None = None
    """Where its admin door is; None if it has none, or has not said."""
    is_ready: bool = False

    def __str__(self) -> str:
        """The worker's name in the log."""
        return f"worker {self.slot} (pid {self.process.pid})"

    @classmethod
    def start(cls, number: int, slot: int, command: Sequence[str], inherited: Sequence[int]) -> WorkerProcess:
        """Starts the command, with ``--channel FD`` appended, and these descriptors open. Raises OSError."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        with theirs:
            try:
                # A session of its own, so that Ctrl-C in the terminal reaches us alone and we stop it in order.
                process = subprocess.Popen(
                    [*command, "--channel", str(theirs.fileno())],
                    pass_fds=[theirs.fileno(), *inherited],
                    start_new_session=True,
                )
            except OSError:
                ours.close()
                raise
        return cls(number, slot, process, ours, time.monotonic())

    def read_lines(self) -> tuple[list[bytes], bool]:
        """The lines that it has sent since the last time, and whether it has closed its end, as it does when it
        exits."""
        lines: list[bytes] = []
        try:
            while chunk := self.channel.recv(_MAX_REPORT):
                *whole, self.received = (self.received + chunk)[-_MAX_REPORT:].split(b"\n")
                lines += whole
        except (BlockingIOError, ConnectionError):
            return lines, False
        return lines, True


def adopts_orphans() -> bool:
    """Whether processes whose parents have ended become this one's children: it is the first process of a container, or
    has said that it wants them (``prctl(2)``). Nobody else would take their exit statuses then."""
    if os.getpid() == 1:
        return True
    wants = ctypes.c_int(0)
    try:
        return ctypes.CDLL(None).prctl(_PR_GET_CHILD_SUBREAPER, ctypes.byref(wants), 0, 0, 0) == 0 and wants.value != 0
    except (OSError, AttributeError, TypeError):
        return False


def reap_orphans(ours: Container[int]) -> None:
    """Takes the exit statuses of ended children, except for ``ours``, whose Popen takes them."""
    with contextlib.suppress(ChildProcessError):
        while ended := os.waitid(os.P_ALL, 0, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            if ended.si_pid in ours:
                return  # it comes first until it is taken, and then there is another round
            os.waitpid(ended.si_pid, os.WNOHANG)
