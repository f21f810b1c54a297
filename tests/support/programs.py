"""Programs that tests start: their output in a file, their end by their handle, their waits with a bound."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from tests.support.waiting import eventually

ROOT = Path(__file__).resolve().parents[2]
_END_TIMEOUT = 20.0


class Program:
    """One process in a process group of its own, as a shell's job is."""

    def __init__(self, arguments: Sequence[str], log: Path, *, folder: Path, environment: dict[str, str]) -> None:
        self.arguments = list(arguments)
        self._log = log
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                self.arguments,
                cwd=folder,
                env={**os.environ, "PYTHONUNBUFFERED": "1", **environment},
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def output(self) -> str:
        """What it and its children have written so far, on both streams."""
        return self._log.read_text(errors="replace")

    def tell(self, number: signal.Signals) -> None:
        """Sends it a signal, and nobody else."""
        self.process.send_signal(number)

    def wait(self, bound: float = 60.0) -> int:
        """Waits for its end by itself; the exit status."""
        eventually(lambda: self.process.poll() is not None, bound)
        return int(self.process.returncode)

    def close(self) -> None:
        """Asks it to end, then not to wait for anything, and then ends it."""
        for number in (signal.SIGTERM, signal.SIGQUIT, signal.SIGKILL):
            if self.process.poll() is None:
                self.process.send_signal(number)
                try:
                    self.process.wait(_END_TIMEOUT)
                except subprocess.TimeoutExpired:
                    continue


class Programs:
    """Starts programs and closes all of them at the end."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._started: list[Program] = []

    def start(self, *arguments: str, folder: Path = ROOT, **environment: str) -> Program:
        """Starts a program; ``environment`` is added to ours."""
        log = self._folder / f"program-{len(self._started)}.log"
        self._started.append(Program(arguments, log, folder=folder, environment=environment))
        return self._started[-1]

    def python(self, *arguments: str, folder: Path = ROOT, **environment: str) -> Program:
        """Starts this Python."""
        return self.start(sys.executable, *arguments, folder=folder, **environment)

    def close(self) -> None:
        """Closes those that still run."""
        for program in self._started:
            program.close()
