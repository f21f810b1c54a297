"""A server, or a client with many callers, that traces: ``python -m faults.telemetry_target ROLE COLLECTOR LOG …``.

It ends with its standard input. The client makes calls for as many seconds as a line says and answers with how many
there were, and how many failed; both answer ``status`` with the number of spans that were dropped.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

import gevent
from gevent.fileobject import FileObject

import zkrpc
from faults.scale_target import idl

CALLERS = 64
SHARE = 0.01
"""Share of the traces that are recorded, as a service with much traffic has it."""
_TEXT = "x" * 100


class Handler:
    """Does what is asked of it here, and nothing else."""

    def echo(self, text: str) -> str:
        """The text."""
        return text

    def wait(self, text: str, milliseconds: int) -> str:
        """The text, later."""
        gevent.sleep(milliseconds / 1000)
        return text

    def objects(self) -> int:
        """None are counted here."""
        return 0

    def decline(self, why: str) -> None:
        """Always."""
        raise idl.Declined(why=why)


def exporters_of(pid: int) -> list[int]:
    """The exporting processes that a process has started."""
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            parent = int(path.read_text().rpartition(")")[2].split()[1])
            command = path.with_name("cmdline").read_bytes()
        except OSError:  # it has ended meanwhile
            continue
        if parent == pid and b"zkrpc.tracing.exporter" in command:
            found.append(int(path.parent.name))
    return found


def main(role: str, collector: str, log: str, *address: str) -> None:
    """Works until the standard input ends."""
    descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(descriptor, sys.stderr.fileno())
    sampler = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": str(SHARE)}
    tracing = zkrpc.start_tracing(collector, service=role, environment={**os.environ, **sampler})
    if role == "server":
        app = zkrpc.serve(zkrpc.Service(idl.Scale, Handler, name="scale"))
        print(app.endpoint, flush=True)
        for _ in _lines():
            print(tracing.status().dropped, flush=True)
        app.kill()
        return
    with zkrpc.connect(idl.Scale, list(address)) as stub:
        stub.echo(_TEXT)
        print("ready", flush=True)
        for line in _lines():
            answer = tracing.status().dropped if line == "status" else _round(stub, float(line))
            print(answer, flush=True)


def _lines() -> Any:
    return (line.decode().strip() for line in FileObject(sys.stdin.buffer, "rb"))


def _round(stub: Any, seconds: float) -> str:
    end = time.monotonic() + seconds
    callers = [gevent.spawn(_call, stub, end) for _ in range(CALLERS)]
    gevent.joinall(callers, raise_error=True)
    calls, failed = (sum(column) for column in zip(*(one.value for one in callers)))
    return f"{calls} {failed}"


def _call(stub: Any, end: float) -> tuple[int, int]:
    calls = failed = 0
    while time.monotonic() < end:
        try:
            stub.echo(_TEXT)
            calls += 1
        except zkrpc.CallError:
            failed += 1
    return calls, failed


if __name__ == "__main__":
    main(*sys.argv[1:])
