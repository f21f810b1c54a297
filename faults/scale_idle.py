"""Ten thousand connections that do nothing to one worker: what they cost it, and what they cost those who call."""

from __future__ import annotations

import contextlib
import random
import resource
import time

import gevent

import zkrpc
from faults import memory, scale_target
from faults.companion import Companion
from faults.spinning import cpu_seconds
from scripts.report import Report

CONNECTIONS = 10_000
_HOLDERS = 2
_BUDGET = 40
"""Mebibytes for all of them."""
_REST = 5.0
"""Seconds over which the worker's idle time is watched."""
_CPU = 0.05
_CALLS = 200
_QUICK = 20.0
"""Milliseconds of a call beside them."""


def idle(report: Report, _: random.Random) -> None:
    """Once with peers that speak our protocol, once with plain ones, each against a worker of its own."""
    needed, allowed = CONNECTIONS + 500, resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    if allowed != resource.RLIM_INFINITY and allowed < needed:
        raise OSError(f"a process may have {allowed} open files here, and this needs {needed}: see ulimit -Hn")
    for kind in ("zkrpc", "framed"):
        with report.guard(f"idle {kind}", "runs"):
            _hold(report, kind)


def _hold(report: Report, kind: str) -> None:
    with contextlib.ExitStack() as cleanup:
        worker = cleanup.enter_context(Companion("faults.scale_target", 1))
        endpoint = worker.line()
        stub = cleanup.enter_context(zkrpc.connect(scale_target.idl.Scale, [endpoint]))
        alone = _p99(stub)
        before, began = memory.resident(worker.pid), time.monotonic()
        holders = [
            cleanup.enter_context(Companion("faults.scale_holder", endpoint, kind, CONNECTIONS // _HOLDERS))
            for _ in range(_HOLDERS)
        ]
        for holder in holders:
            holder.line()
        opened = time.monotonic() - began
        gevent.sleep(1.0)
        growth = memory.resident(worker.pid) - before
        report.check(
            f"idle {kind}: memory of {CONNECTIONS} connections, MiB",
            round(growth, 1),
            _BUDGET,
            note=f"{growth * 1024 / CONNECTIONS:.2f} KiB each, beside {before:.1f} MiB; opened in {opened:.1f} s",
        )
        report.check(f"idle {kind}: processor, of a core", round(_idle_cpu(worker.pid), 4), _CPU)
        report.check(f"idle {kind}: p99 of {_CALLS} calls beside them, ms", _p99(stub), _QUICK, note=f"alone {alone}")
        report.check(f"idle {kind}: memory afterwards, MiB", round(memory.resident(worker.pid) - before, 1), _BUDGET)


def _idle_cpu(pid: int) -> float:
    began, used = time.monotonic(), cpu_seconds(pid)
    gevent.sleep(_REST)
    return (cpu_seconds(pid) - used) / (time.monotonic() - began)


def _p99(stub: object) -> float:
    """Milliseconds of calls one after another, a moment apart so that they meet whatever the worker does by turns."""
    times = []
    for _ in range(_CALLS):
        began = time.monotonic()
        stub.echo("x" * 100)  # type: ignore[attr-defined]  # a stub's methods are the IDL's
        times.append(time.monotonic() - began)
        gevent.sleep(0.007)
    return round(sorted(times)[int(_CALLS * 0.99)] * 1000, 2)
