"""The programs of suite ``worlds``: callers without gevent, or patched by it, that are used roughly.

``python -m faults.worlds_program WHAT WORLD HOSTS …``, WORLD being ``threads``, ``patched`` (threads that gevent made
greenlets) or ``asyncio``:

==================  ==================================================================================================
``cancel``          for each line of input, which is a number, cancels so many calls at random moments, and prints what
                    is held then
``fork CHILDREN``   forks after it has connected and while threads call, again and again; prints what became of all
``ends MANY SEED``  starts so many programs ``end``, one after another; prints how long each took for its end
``end SEED``        ends with calls in flight; before, it prints when, and for how long no processor was free for it
==================  ==================================================================================================
"""

from __future__ import annotations

import sys

if "patched" in sys.argv and "ends" not in sys.argv:
    from gevent import monkey

    monkey.patch_all()

import asyncio
import collections
import dataclasses
import gc
import json
import os
import random
import signal
import subprocess
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import zkrpc
from faults import memory, processes
from faults.worlds_target import idl
from tests.support.descriptors import descriptors, sockets
from zkrpc.worlds.hub_thread import hub_thread

CALLERS = 32
PATIENT = 60.0
_SETTLE = 20.0
"""Seconds within which nothing may be under way any more."""
_CHILD_TIMEOUT = _END_TIMEOUT = 60.0
_AT_ONCE = 4
"""Children that live at a time."""
_SHARED, _WRONG = 3, 4
"""Exit statuses of children."""


# -- cancel


def _moments(seed: object) -> tuple[random.Random, Callable[[], int], Callable[[], float]]:
    """Dice, how long calls nap in milliseconds, and after how many seconds they are cancelled."""
    rng = random.Random(str(seed))
    return rng, lambda: rng.choice((0, 1, 5, 20)), lambda: rng.choice((0.0, 0.001, 0.01, 0.1)) * rng.random()


def cancel_in_threads(stub: Any, count: int) -> collections.Counter[str]:
    """Futures that are cancelled by the threads that began the calls; what became of them."""
    fates: collections.Counter[str] = collections.Counter()
    patient, turns = stub.options(timeout=PATIENT), iter(range(count))

    def caller(number: int) -> None:
        _, nap, wait = _moments(number)
        for _ in turns:
            future = patient.submit.nap(nap())
            time.sleep(wait())
            if future.cancel():
                fates["cancelled"] += 1
            else:
                fates["failed" if future.exception() else "answered"] += 1

    threads = [threading.Thread(target=caller, args=(number,)) for number in range(CALLERS)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    return fates


async def cancel_in_tasks(stub: Any, count: int) -> collections.Counter[str]:
    """Tasks that are cancelled by others; what became of them."""
    fates: collections.Counter[str] = collections.Counter()
    patient, turns = stub.options(timeout=PATIENT), iter(range(count))

    async def caller(number: int) -> None:
        _, nap, wait = _moments(number)
        for _ in turns:
            task = asyncio.ensure_future(patient.nap(nap()))
            await asyncio.sleep(wait())
            task.cancel()
            (found,) = await asyncio.gather(task, return_exceptions=True)
            fates["cancelled" if task.cancelled() else "failed" if found is not None else "answered"] += 1

    await asyncio.gather(*(caller(number) for number in range(CALLERS)))
    return fates


def _entries() -> int:
    entrance = hub_thread().entrance
    return entrance.running + entrance.waiting


def _in_flight(status: zkrpc.ClientStatus) -> int:
    return sum(one.in_flight for one in status.members)


def _report(fates: collections.Counter[str], in_flight: int, entries: int) -> None:
    gc.collect()
    held = {
        "in flight": in_flight,
        "entries": entries,
        "descriptors": descriptors(),
        "threads": len(os.listdir("/proc/self/task")),
        "objects": len(gc.get_objects()),
        "MiB": memory.own(os.getpid()),
    }
    print(json.dumps({"fates": fates, "held": held}), flush=True)


def cancel_threads(hosts: str) -> None:
    """Until the input ends."""
    with zkrpc.threads.connect(idl.Worlds, "worlds", zookeeper=hosts) as stub:
        while line := sys.stdin.readline():
            fates, give_up_at = cancel_in_threads(stub, int(line)), time.monotonic() + _SETTLE
            while (left := (_in_flight(zkrpc.status(stub)), _entries())) != (0, 0) and time.monotonic() < give_up_at:
                time.sleep(0.02)
            _report(fates, *left)


async def cancel_tasks(hosts: str) -> None:
    """Until the input ends."""
    async with zkrpc.aio.connect(idl.Worlds, "worlds", zookeeper=hosts) as stub:
        while line := await asyncio.to_thread(sys.stdin.readline):
            fates, give_up_at = await cancel_in_tasks(stub, int(line)), time.monotonic() + _SETTLE
            while True:
                left = _in_flight(await zkrpc.aio.status(stub)), _entries()
                if left == (0, 0) or time.monotonic() > give_up_at:
                    break
                await asyncio.sleep(0.02)
            _report(fates, *left)


# -- fork


@dataclasses.dataclass(slots=True)
class _Callers:
    """Threads of a parent that call all the time, each in its own way; how their calls went."""

    calls: int = 0
    failed: int = 0
    stopped: bool = False

    def loop(self, call: Callable[[], object]) -> None:
        """Until it is stopped."""
        while not self.stopped:
            try:
                call()
                self.calls += 1
            except Exception:
                self.failed += 1
            time.sleep(0.005)


def _child(call: Callable[[], object], close: Callable[[], object], mine: set[str]) -> int:
    """The child's exit status."""
    if mine & sockets():
        return _SHARED
    if [call() for _ in range(3)] != ["x"] * 3:
        return _WRONG
    if mine & sockets():
        return _SHARED
    close()
    return 0


def _fork(child: Callable[[], int]) -> int:
    pid = os.fork()
    if pid == 0:
        status = 99
        try:
            status = child()
        finally:
            os._exit(status)
    return pid


class _Children:
    """Children, some at a time, and what became of them."""

    def __init__(self) -> None:
        self.fates: collections.Counter[str] = collections.Counter()
        self.slowest = 0.0
        self._living: dict[int, float] = {}

    def add(self, pid: int) -> None:
        """A child that was just forked; waits until few enough live."""
        self._living[pid] = time.monotonic()
        self.wait(_AT_ONCE - 1)

    def wait(self, most: int) -> None:
        """Until no more than that many live."""
        while len(self._living) > most:
            for pid, began in list(self._living.items()):
                ended, status = os.waitpid(pid, os.WNOHANG)
                age = time.monotonic() - began
                if ended:
                    code = os.waitstatus_to_exitcode(status)
                    names = {0: "well", _SHARED: "shared", -signal.SIGKILL: "hung"}
                    self.fates[names.get(code, "failed")] += 1
                    self.slowest = max(self.slowest, age)
                    del self._living[pid]
                elif age > _CHILD_TIMEOUT:
                    os.kill(pid, signal.SIGKILL)
            time.sleep(0.005)


def fork(world: str, hosts: str, children: int) -> None:
    """Forks; the parent's own threads call meanwhile."""
    warnings.filterwarnings("ignore", "This process", DeprecationWarning)  # of forks beside threads: that is the point
    call, close = _way_of(world, hosts)
    call()
    parent, family, mine = _Callers(), _Children(), sockets()
    threads = [threading.Thread(target=parent.loop, args=(call,)) for _ in range(2)]
    for one in threads:
        one.start()
    for _ in range(children):
        family.add(_fork(lambda: _child(call, close, mine)))
    family.wait(0)
    parent.stopped = True
    for one in threads:
        one.join()
    found = {
        "fates": family.fates,
        "slowest": family.slowest,
        "calls": parent.calls,
        "failed": parent.failed,
        "kept": len(mine & sockets()) == len(mine),
    }
    close()
    print(json.dumps(found), flush=True)


def _way_of(world: str, hosts: str) -> tuple[Callable[[], object], Callable[[], object]]:
    """How any thread calls, and how the stub is closed."""
    if world != "asyncio":
        stub = zkrpc.threads.connect(idl.Worlds, "worlds", zookeeper=hosts)
        return lambda: stub.echo("x"), stub.close

    async def connect() -> Any:
        return await zkrpc.aio.connect(idl.Worlds, "worlds", zookeeper=hosts)

    tasks = asyncio.run(connect())
    return lambda: asyncio.run(tasks.echo("x")), lambda: asyncio.run(tasks.close())


# -- end


def _naps(seed: str) -> Iterator[int]:
    rng = random.Random(seed)
    while True:
        yield rng.choice((0, 1, 3, 100_000))


def ends(world: str, hosts: str, count: int, seed: str) -> None:
    """Here, where nothing else goes on, a child's end is noticed at once, and what it waited can be asked for then."""
    rng, found = random.Random(seed), collections.defaultdict[str, list[Any]](list)
    for _ in range(count):
        command = [sys.executable, "-m", "faults.worlds_program", "end", world, hosts, str(rng.getrandbits(32))]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            try:
                ended = processes.wait_ended(process.pid, _END_TIMEOUT)
            except TimeoutError:
                process.kill()
                raise
            starved = processes.starved(process.pid)
            out, errors = process.communicate()
        began, before = map(float, out.split())
        found["starved"].append(starved - before)
        found["seconds"].append(ended - began - (starved - before))
        found["statuses"].append(process.returncode)
        found["said"] += [errors] if errors else []
    print(json.dumps({"said": [], **found}), flush=True)


def _say_when() -> None:
    print(time.monotonic(), processes.starved(os.getpid()), flush=True)


def end_threads(hosts: str, seed: str) -> None:
    """Daemons that wait and daemons that call again and again, and futures, some of which end just now."""
    stub = zkrpc.threads.connect(idl.Worlds, "worlds", zookeeper=hosts)
    patient, rng = stub.options(timeout=PATIENT), random.Random(seed)
    stub.echo("x")

    def again() -> None:
        while True:
            stub.echo("x")

    for target in (lambda: patient.nap(100_000), again, again):
        threading.Thread(target=target, daemon=True).start()
    futures = [patient.submit.nap(nap) for nap, _ in zip(_naps(seed), range(50))]
    time.sleep(rng.random() * 0.05)
    futures += [patient.submit.nap(nap) for nap, _ in zip(_naps(seed), range(50))]
    _say_when()
    if rng.random() < 0.5:
        sys.exit(0)


async def end_tasks(hosts: str, seed: str) -> None:
    """Tasks, which the end of the loop cancels, and a stub that nobody closes."""
    stub = await zkrpc.aio.connect(idl.Worlds, "worlds", zookeeper=hosts)
    patient, rng = stub.options(timeout=PATIENT), random.Random(seed)
    await stub.echo("x")

    async def again() -> None:
        while True:
            await stub.echo("x")

    tasks = [asyncio.create_task(again()) for _ in range(2)]
    tasks += [asyncio.create_task(patient.nap(nap)) for nap, _ in zip(_naps(seed), range(50))]
    await asyncio.sleep(rng.random() * 0.05)
    tasks += [asyncio.create_task(patient.nap(nap)) for nap, _ in zip(_naps(seed), range(50))]
    await asyncio.sleep(0)
    _say_when()


def main(what: str, world: str, hosts: str, *rest: str) -> None:
    """What the module says."""
    if what == "fork":
        fork(world, hosts, int(rest[0]))
    elif what == "cancel":
        asyncio.run(cancel_tasks(hosts)) if world == "asyncio" else cancel_threads(hosts)
    elif what == "ends":
        ends(world, hosts, int(rest[0]), rest[1])
    else:
        asyncio.run(end_tasks(hosts, rest[0])) if world == "asyncio" else end_threads(hosts, rest[0])


if __name__ == "__main__":
    main(*sys.argv[1:])
