"""Replicas as an operator runs them: ``zkrpc serve`` processes, each with its own supervisor."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import gevent

import zkrpc

ROOT = Path(__file__).resolve().parents[1]


def wait_until(condition: Callable[[], object], timeout: float, what: str, *, interval: float = 0.005) -> float:
    """Looks for a condition every ``interval``; returns the seconds that took. Raises TimeoutError, naming ``what``."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > timeout:
            raise TimeoutError(f"{what}: not within {timeout} s")
        gevent.sleep(interval)
    return time.monotonic() - started


def members(registry: zkrpc.Registry, service: str) -> dict[str, zkrpc.Instance]:
    """Who is registered, by worker id, as a process's registry sees it; nobody while it does not know yet."""
    snapshot = registry.resolver(service).snapshot
    return {one.id: one for one in snapshot.instances} if snapshot else {}


class Replica:
    """One ``zkrpc serve`` with one worker; ``log`` is where its output goes."""

    def __init__(self, target: str, name: str, hosts: str, folder: Path, **options: object) -> None:
        self.name = name
        self.log = folder / f"{name}.log"
        arguments = [sys.executable, "-m", "zkrpc", "serve", target, "--zookeeper", hosts, "--id", name]
        arguments += [f"--{option.replace('_', '-')}={value}" for option, value in options.items()]
        environment = {**os.environ, "PROBE_JOURNAL": str(folder), "PROBE_NAME": name, "PYTHONUNBUFFERED": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                arguments, cwd=ROOT, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    @property
    def worker_id(self) -> str:
        """Its only worker's name in the registry."""
        return f"{self.name}-0"

    def drain(self) -> None:
        """Asks it to stop in order."""
        self.process.terminate()

    def close(self, timeout: float = 20.0) -> int:
        """Drains, and kills what is left after ``timeout`` seconds; returns the exit status."""
        if self.process.poll() is None:
            self.process.terminate()
        give_up_at = time.monotonic() + timeout
        while self.process.poll() is None and time.monotonic() < give_up_at:
            gevent.sleep(0.02)
        if self.process.poll() is None:
            self.process.kill()
        return self.process.wait()


def kill_process(pid: int) -> None:
    """Ends a process as a crash would."""
    os.kill(pid, signal.SIGKILL)
