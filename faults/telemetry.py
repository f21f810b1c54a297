"""Suite ``telemetry``: two traced services. One has a collector that takes its spans, the other has one that hangs.

Both have 64 callers, in turns of a second or two, so that a slow moment of the machine is shared by both. What is
compared is what the callers get, and what the processes hold at the end of it.
"""

from __future__ import annotations

import contextlib
import http.server
import random
import socket
import statistics
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

from faults.companion import Companion
from faults.memory import resident
from faults.telemetry_target import CALLERS, exporters_of
from scripts.report import Report

_ROUNDS = 21
_MOST_FILLING = 100
"""Rounds until the exporting processes hold as many spans as they may, at most."""
_ROUND = 1.5
"""Seconds. All rounds together are longer than the minute after which a loss is told again."""


class Service:
    """A server and a client in processes of their own, which trace to one collector; ``log`` has what they write."""

    def __init__(self, stack: contextlib.ExitStack, collector: str, log: Path) -> None:
        self.log = log
        self.server = stack.enter_context(Companion("faults.telemetry_target", "server", collector, log))
        address = self.server.line()
        self.client = stack.enter_context(Companion("faults.telemetry_target", "client", collector, log, address))
        self.client.line()
        self.rates: list[float] = []
        self.failed = 0

    def round(self, seconds: float) -> None:
        """Lets all callers call for so long."""
        self.client.tell(f"{seconds}")
        calls, failed = map(int, self.client.line().split())
        self.rates.append(calls / seconds)
        self.failed += failed

    def processes(self) -> list[int]:
        """The two, and what exports for them."""
        own = [self.server.pid, self.client.pid]
        return own + [pid for one in own for pid in exporters_of(one)]

    def dropped(self) -> list[int]:
        """Spans that never left the server, and the client."""
        found = []
        for companion in (self.server, self.client):
            companion.tell("status")
            found.append(int(companion.line()))
        return found


def run(seed: int) -> Report:
    """The whole suite."""
    report = Report("telemetry", seed)
    with tempfile.TemporaryDirectory(prefix="zkrpc-faults-") as folder, contextlib.ExitStack() as stack:
        good = Service(stack, stack.enter_context(_taking()), Path(folder, "good.log"))
        bad = Service(stack, stack.enter_context(_hanging()), Path(folder, "bad.log"))
        with report.guard("telemetry", 0):
            hangs(report, good, bad, random.Random(seed))
    return report


def hangs(report: Report, good: Service, bad: Service, rng: random.Random) -> None:
    """Turns of both, the one that comes first drawn anew."""
    good.round(_ROUND)
    for _ in range(_MOST_FILLING):
        bad.round(_ROUND)
        if min(bad.dropped()):
            break
    good.rates.clear()
    bad.rates.clear()
    before = sum(map(resident, bad.processes()))
    for _ in range(_ROUNDS):
        for service in rng.sample((good, bad), 2):
            service.round(_ROUND)
    after = sum(map(resident, bad.processes()))
    ratios = [slow / fast for slow, fast in zip(bad.rates, good.rates)]
    rate, spread = statistics.median(bad.rates), f"{min(ratios):.2f} to {max(ratios):.2f}"
    report.check(f"telemetry: failed calls of {CALLERS} callers", good.failed + bad.failed, 0, comparison="==")
    report.check(
        "telemetry: calls/s while the collector hangs, as a share",
        round(statistics.median(ratios), 3),
        0.99,
        comparison=">=",
        note=f"median of {len(ratios)} pairs, {spread}; {rate:.0f} calls/s",
    )
    report.check("telemetry: spans dropped and counted meanwhile", min(bad.dropped()), 1, comparison=">=")
    report.check(
        "telemetry: growth of all its processes once nothing more fits, MiB",
        round(after - before, 1),
        16.0,
        note=f"{after:.0f} MiB at the end: server, client, and what exports for each",
    )
    lines = bad.log.read_text().splitlines()
    report.check("telemetry: lines in the log", len(lines), 8, note=lines[0] if lines else "")


@contextlib.contextmanager
def _taking() -> Iterator[str]:
    """A collector that takes everything at once; its address."""

    class Handler(http.server.BaseHTTPRequestHandler):
        """Reads, and says yes."""

        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            """One delivery."""
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"otlp://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextlib.contextmanager
def _hanging() -> Iterator[str]:
    """A collector whose connections are accepted by the kernel and by nobody else; its address."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        yield f"otlp://127.0.0.1:{listener.getsockname()[1]}"
