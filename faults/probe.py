"""The service under fault: a counter that journals every addition it executes, on the hub, as tasks, or in threads.

The journal is what tells afterwards how often a call was really done: one line for each execution, appended before the
answer leaves, one file for each process, so that no lock of ours can hide a double execution.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import gevent
from gevent.monkey import get_original

import zkrpc

WORK = 0.004
"""Seconds a call takes after what it does is done: long enough that a crash finds calls executed and unanswered."""

idl = zkrpc.load(Path(__file__).with_name("probe.thrift"))


class JournalingCounter:
    """Counts in memory and writes each request's id to ``$PROBE_JOURNAL/<pid>``."""

    def __init__(self) -> None:
        self._totals: dict[str, int] = {}
        folder = Path(os.environ["PROBE_JOURNAL"])
        self._journal = os.open(folder / str(os.getpid()), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def get(self, key: str) -> int:
        """What this replica has counted; 0 for a key it has not seen."""
        gevent.sleep(WORK)
        return self._totals.get(key, 0)

    def add(self, key: str, amount: int, request_id: str) -> int:
        """Adds, and journals that it did."""
        total = self._add(key, amount, request_id)
        gevent.sleep(WORK)
        return total

    def _add(self, key: str, amount: int, request_id: str) -> int:
        os.write(self._journal, f"{request_id}\n".encode())
        total = self._totals[key] = self._totals.get(key, 0) + amount
        return total


class CounterInTasks(JournalingCounter):
    """The same on an event loop."""

    async def get(self, key: str) -> int:  # type: ignore[override]  # the same method, awaited
        await asyncio.sleep(WORK)
        return self._totals.get(key, 0)

    async def add(self, key: str, amount: int, request_id: str) -> int:  # type: ignore[override]
        total = self._add(key, amount, request_id)
        await asyncio.sleep(WORK)
        return total


class CounterInThreads(JournalingCounter):
    """The same in native threads, which wait as a driver written in C does."""

    @zkrpc.offload
    def get(self, key: str) -> int:
        _block(WORK)
        return self._totals.get(key, 0)

    @zkrpc.offload
    def add(self, key: str, amount: int, request_id: str) -> int:
        total = self._add(key, amount, request_id)
        _block(WORK)
        return total


_block = get_original("time", "sleep")
service = zkrpc.Service(idl.Probe, JournalingCounter, name="probe")
tasks = zkrpc.Service(idl.Probe, CounterInTasks, name="probe")
threads = zkrpc.Service(idl.Probe, CounterInThreads, name="probe")
