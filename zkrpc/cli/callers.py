"""Who calls a service: ``zkrpc ls --callers``."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterator, Sequence
from typing import Any

from zkrpc.cli.output import tell, tell_json
from zkrpc.client.inquiry import ask_callers
from zkrpc.endpoint import Instance
from zkrpc.errors import CoordinationError
from zkrpc.legible import ago
from zkrpc.telemetry.callers import CallersReport, CallerSum

_COLUMNS = ("CALLER", "VERSION", "CALLS", "ERRORS", "REFUSED", "LAST CALL", "CONNECTIONS", "INSTANCES")


def tell_callers(service: str, instances: Sequence[Instance], timeout: float, as_json: bool) -> None:
    """Asks the instances and writes what they tell. Raises CoordinationError if there are some and none answers."""
    report = ask_callers(service, instances, timeout=timeout)
    if instances and not report.answered:
        reasons = "; ".join(f"{name}: {reason}" for name, reason in list(report.silent.items())[:3])
        raise CoordinationError(f"none of the {len(instances)} instances of {service} tells who calls it: {reasons}")
    if as_json:
        tell_json(_plain(report))
        return
    for line in _lines(report, time.time()):
        tell(line)


def _plain(report: CallersReport) -> dict[str, Any]:
    return {**dataclasses.asdict(report), "answered": list(report.answered)}


def _lines(report: CallersReport, now: float) -> Iterator[str]:
    asked = len(report.answered) + len(report.silent)
    since = "" if report.since is None else f", since {ago(report.since, now)}"
    yield f"{report.service}: {len(report.answered)} of {asked} instance{'s' if asked != 1 else ''} tell{since}"
    for name, reason in report.silent.items():
        yield f"  {name} does not: {reason}"
    rows = [_COLUMNS, *(row for one in report.callers for row in _rows(one, now))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    if not report.callers:
        yield "  nobody has called"
        return
    for row in rows:
        yield "  " + "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()


def _rows(one: CallerSum, now: float) -> Iterator[tuple[str, ...]]:
    last = "" if one.called_at is None else ago(one.called_at, now)
    counts = (str(one.calls), str(one.errors), str(one.refused))
    yield one.name, one.version or "-", *counts, last, str(one.connections), str(one.instances)
    for some in one.methods:
        yield f"  {some.method}", "", str(some.calls), str(some.errors), "", ago(some.called_at, now), "", ""
