"""A process beside the suite's own that works until it is told to end, and says when it is ready."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from types import TracebackType

from gevent.select import select

from faults.cluster import ROOT

_END_WITHIN = 10.0


class Companion:
    """``python -m MODULE ARGUMENTS…``, which speaks in lines and ends with its standard input."""

    def __init__(self, module: str, *arguments: object) -> None:
        self.module = module
        self._heard = b""
        command = [sys.executable, "-m", module, *map(str, arguments)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True
        )

    @property
    def pid(self) -> int:
        """Its number."""
        return self._process.pid

    def tell(self, line: str) -> None:
        """Says something to it."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{line}\n".encode())
        self._process.stdin.flush()

    def line(self, timeout: float = 60.0) -> str:
        """The next line it says; others of this hub go on meanwhile.

        Raises TimeoutError, and RuntimeError if it has ended instead.
        """
        assert self._process.stdout is not None
        give_up_at = time.monotonic() + timeout
        while b"\n" not in self._heard:
            if not select([self._process.stdout], [], [], max(0.0, give_up_at - time.monotonic()))[0]:
                raise TimeoutError(f"{self.module} says nothing for {timeout:g} s")
            chunk = os.read(self._process.stdout.fileno(), 65536)
            if not chunk:
                raise RuntimeError(f"{self.module} ended with status {self._process.wait(_END_WITHIN)}")
            self._heard += chunk
        line, _, self._heard = self._heard.partition(b"\n")
        return line.decode()

    def close(self) -> None:
        """Tells it to end, and ends it if it does not."""
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.close()
        try:
            self._process.wait(_END_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def __enter__(self) -> Companion:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ends it."""
        self.close()
