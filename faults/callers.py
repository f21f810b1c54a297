"""Callers that are threads, or tasks of asyncio, in a program of their own without monkey patching.

``python -m faults.callers load WORLD HOSTS JSON`` calls the probe until its standard input says to stop; JSON is a
:class:`_Pace`. ``python -m faults.callers late WORLD HOSTS SNAPSHOTS CALLS`` makes a few calls as a client that starts
now. Suites hold them by :class:`RemoteLoad` and :func:`call_late`.
"""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import json
import pickle
import random
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import zkrpc
from faults import probe
from faults.companion import Companion
from faults.load import Outcome, Record

WORLDS = ("threads", "asyncio")
_START_TIMEOUT = 60.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Pace:
    """How the callers call: as those of ``faults.load.Load``; their outcomes are written to ``file``."""

    callers: int
    interval: float
    seed: int
    file: str


class RemoteLoad(Record):
    """The load of one world; it goes on from when this is made until ``stop``."""

    def __init__(self, world: str, hosts: str, folder: Path, *, callers: int, interval: float, seed: int) -> None:
        super().__init__()
        self._file = folder / f"{world}.outcomes"
        pace = _Pace(callers=callers, interval=interval, seed=seed, file=str(self._file))
        self._process = Companion("faults.callers", "load", world, hosts, json.dumps(dataclasses.asdict(pace)))
        try:
            self._process.line(_START_TIMEOUT)
        except BaseException:
            self._process.close()
            raise

    def stop(self) -> None:
        """Lets every caller finish its call."""
        with self._process:
            self._process.tell("stop")
            self._process.line(_START_TIMEOUT)
            self.outcomes = pickle.loads(self._file.read_bytes())


def call_late(world: str, hosts: str, snapshots: Path, calls: int) -> int:
    """How many of ``calls`` a client answers that starts now and knows its service from a snapshot file."""
    with Companion("faults.callers", "late", world, hosts, snapshots, calls) as process:
        return int(process.line(_START_TIMEOUT))


# -- in the program


def _plans(pace: _Pace) -> Iterator[tuple[bool, random.Random]]:
    """For each caller, whether it reads, and its dice."""
    for number in range(pace.callers):
        yield number % 2 == 1, random.Random(f"{pace.seed} {number}")


def _call(stub: Any, reads: bool, request_id: str) -> Any:
    return stub.get("calls") if reads else stub.add("calls", 1, request_id)


def _next_id(rng: random.Random) -> str:
    return uuid.UUID(int=rng.getrandbits(128)).hex


def load_in_threads(hosts: str, pace: _Pace, ready: Callable[[], object], wait: Callable[[], object]) -> list[Outcome]:
    """The load of threads: half of them wait in the call, half of them for its future."""
    outcomes: list[Outcome] = []
    stopped = threading.Event()

    def loop(number: int, reads: bool, rng: random.Random) -> None:
        while not stopped.is_set():
            request_id, began, error = "" if reads else _next_id(rng), time.monotonic(), None
            try:
                if number // 2 % 2:
                    _call(stub, reads, request_id)
                else:
                    _call(stub.submit, reads, request_id).result()
            except zkrpc.CallError as failure:
                error = failure
            outcomes.append(Outcome(began, time.monotonic(), reads, request_id, error))
            stopped.wait(rng.uniform(0.5, 1.5) * pace.interval)

    with zkrpc.threads.connect(probe.idl.Probe, "probe", zookeeper=hosts) as stub:
        stub.get("warm-up")
        with ThreadPoolExecutor(pace.callers) as pool:
            callers = [pool.submit(loop, number, *plan) for number, plan in enumerate(_plans(pace))]
            ready()
            wait()
            stopped.set()
        for one in callers:
            one.result()
    return outcomes


async def load_in_tasks(
    hosts: str, pace: _Pace, ready: Callable[[], object], wait: Callable[[], object]
) -> list[Outcome]:
    """The load of tasks."""
    outcomes: list[Outcome] = []
    stopped = asyncio.Event()

    async def loop(reads: bool, rng: random.Random) -> None:
        while not stopped.is_set():
            request_id, began, error = "" if reads else _next_id(rng), time.monotonic(), None
            try:
                await _call(stub, reads, request_id)
            except zkrpc.CallError as failure:
                error = failure
            outcomes.append(Outcome(began, time.monotonic(), reads, request_id, error))
            await asyncio.sleep(rng.uniform(0.5, 1.5) * pace.interval)

    async with zkrpc.aio.connect(probe.idl.Probe, "probe", zookeeper=hosts) as stub:
        await stub.get("warm-up")
        callers = [asyncio.create_task(loop(*plan)) for plan in _plans(pace)]
        ready()
        await asyncio.to_thread(wait)
        stopped.set()
        await asyncio.gather(*callers)
    return outcomes


def late_in_threads(hosts: str, snapshots: str, calls: int) -> int:
    """Calls in a row by a client of threads."""
    with zkrpc.threads.connect(probe.idl.Probe, "probe", zookeeper=hosts, snapshot_dir=snapshots) as stub:
        return len([stub.get("from the snapshot file") for _ in range(calls)])


async def late_in_tasks(hosts: str, snapshots: str, calls: int) -> int:
    """Calls in a row by a client of asyncio."""
    async with zkrpc.aio.connect(probe.idl.Probe, "probe", zookeeper=hosts, snapshot_dir=snapshots) as stub:
        return len([await stub.get("from the snapshot file") for _ in range(calls)])


def main(what: str, world: str, hosts: str, *rest: str) -> None:
    """What the module says."""
    say = functools.partial(print, flush=True)
    if what == "late":
        snapshots, calls = rest[0], int(rest[1])
        if world == "threads":
            say(late_in_threads(hosts, snapshots, calls))
        else:
            say(asyncio.run(late_in_tasks(hosts, snapshots, calls)))
        return
    pace = _Pace(**json.loads(rest[0]))
    way: Any = (hosts, pace, lambda: say("ready"), sys.stdin.readline)
    outcomes = load_in_threads(*way) if world == "threads" else asyncio.run(load_in_tasks(*way))
    Path(pace.file).write_bytes(pickle.dumps(outcomes))
    say("done")


if __name__ == "__main__":
    main(*sys.argv[1:])
