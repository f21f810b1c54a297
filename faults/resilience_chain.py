"""A call that goes through three services, of which the last is slow: when its time is up, all of them let go of it."""

from __future__ import annotations

import contextlib
import os
import statistics
import time
from pathlib import Path

import gevent

import zkrpc
from faults import chain as services
from faults.fleet import Scene

_CALLS = 20
_TIMEOUT = 0.3
_LATE = 50.0
"""Milliseconds after the deadline within which everybody has stopped."""


def chain(scene: Scene) -> None:
    """Calls one after another; each service's journal tells when it stopped working on each."""
    # The replicas inherit it.
    os.environ["CHAIN_ZOOKEEPER"] = scene.hosts
    for name in reversed(services.NAMES):
        scene.fleet(name, f"faults.chain:{name}", count=1)
    with zkrpc.connect(services.idl.Link, services.NAMES[0], zookeeper=scene.registry) as stub:
        stub.work(services.WARM_UP)
        deadlines, waits = {}, []
        hurried = zkrpc.options(stub, timeout=_TIMEOUT)
        for number in range(_CALLS):
            began = time.monotonic()
            deadlines[f"call-{number}"] = began + _TIMEOUT
            with contextlib.suppress(zkrpc.DeadlineExceeded):
                hurried.work(f"call-{number}")
            waits.append(time.monotonic() - began - _TIMEOUT)
        gevent.sleep(services.SLOW + 0.5)
    scene.report.check("chain: caller told after the deadline, worst ms", round(max(waits) * 1000, 1), _LATE)
    for name in services.NAMES:
        _check_journal(scene, name, deadlines)


def _check_journal(scene: Scene, name: str, deadlines: dict[str, float]) -> None:
    ends = _journal(scene.folder / name)
    late = [(ends[request_id] - deadline) * 1000 for request_id, deadline in deadlines.items() if request_id in ends]
    complete = len(late) == len(deadlines)
    scene.report.check(
        f"chain: {name} works on after the deadline, worst ms",
        round(max(late), 1) if complete else None,
        _LATE,
        note=f"median {statistics.median(late):.1f}" if complete else f"{len(late)} of {len(deadlines)} calls came in",
    )


def _journal(path: Path) -> dict[str, float]:
    return {request_id: float(at) for request_id, at in (line.split() for line in path.read_text().splitlines())}
