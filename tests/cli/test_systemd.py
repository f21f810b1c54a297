"""``zkrpc serve`` as a unit of systemd starts it."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
from collections.abc import Callable
from pathlib import Path

from tests.support.command import SERVICE, Command
from tests.support.waiting import eventually


def test_unit_of_systemd_is_told_of_start_reload_hang_and_stop(command: Command, tmp_path: Path) -> None:
    """By datagrams to its socket; a worker that hangs is killed and replaced; the workers know nothing of systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.setblocking(False)
        told: list[str] = []

        def hears(*lines: str) -> Callable[[], bool]:
            def heard() -> bool:
                with contextlib.suppress(BlockingIOError):
                    while True:
                        told.extend(listener.recv(4096).decode().split("\n"))
                return all(any(re.fullmatch(line, one) for one in told) for line in lines)

            return heard

        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "12000000"}
        program = command.start("serve", SERVICE, "--workers=2", "--linger=0", **environment)
        eventually(hears("READY=1", "STATUS=2 of 2 workers ready", "WATCHDOG=1"), 120.0)
        told.clear()
        program.tell(signal.SIGHUP)
        eventually(hears("RELOADING=1", r"MONOTONIC_USEC=\d+", "READY=1"), 120.0)
        pids = [int(pid) for pid in re.findall(r"\[(\d+)\].* serves at ", program.output)]
        environ = Path(f"/proc/{pids[-1]}/environ").read_bytes()
        assert b"NOTIFY_SOCKET" not in environ and b"WATCHDOG" not in environ
        told.clear()
        os.kill(pids[-1], signal.SIGSTOP)
        eventually(hears("STATUS=1 of 2 workers ready", "STATUS=2 of 2 workers ready"), 120.0)
        assert "has given no sign of life for 12 s, and is killed" in program.output
        told.clear()
        program.tell(signal.SIGTERM)
        eventually(hears("STOPPING=1", "STATUS=2 workers draining"))
        assert program.wait() == 0
