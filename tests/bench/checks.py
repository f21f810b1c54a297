"""What has to hold: ratios, for seconds say more about the machine than about what runs on it."""

from __future__ import annotations

from scripts.report import Report
from tests.bench.figures import Figures
from tests.bench.plan import (
    APACHE,
    BARE,
    GRPCIO,
    GRPCIO_AIO,
    LOADED,
    PLAIN_CONNECTIONS,
    PLAIN_THRIFTPY2,
    PLAIN_ZKRPC,
    THRIFTPY2,
    ZKRPC,
    Cell,
    Row,
)

_ALONE, _LOADED = Cell("echo", 1), Cell("echo", LOADED)
_RICH, _BLOB = Cell("rich", LOADED), Cell("blob", LOADED)
_PLAIN = Cell("echo", PLAIN_CONNECTIONS)

_THROUGHPUT = (
    (_LOADED, THRIFTPY2, 3.5),
    (_LOADED, GRPCIO, 14.0),
    (_LOADED, APACHE, 3.5),
    (_RICH, THRIFTPY2, 1.5),
    (_RICH, GRPCIO, 4.0),
    (_RICH, APACHE, 1.5),
    (_BLOB, THRIFTPY2, 1.0),
    (_BLOB, GRPCIO, 1.0),
    (_BLOB, APACHE, 1.0),
)
_LATENCY = ((THRIFTPY2, 1.0), (GRPCIO, 0.4))
_STACK_SHARE = 0.25


def check(figures: Figures, report: Report) -> None:
    """Holds the figures to everything of which both sides were measured."""
    for cell, peer, bound in _THROUGHPUT:
        rival = _better_grpcio(figures, cell) if peer is GRPCIO else peer
        name = f"{cell.workload}, {cell.callers} callers: times the calls/s of {rival.title}"
        _hold(report, name, figures.ratio(ZKRPC, rival, cell), bound, ">=")
    for peer, bound in _LATENCY:
        rival = _better_grpcio(figures, _ALONE, "p50 us") if peer is GRPCIO else peer
        name = f"echo, 1 caller: times the p50 of {rival.title}"
        _hold(report, name, figures.ratio(ZKRPC, rival, _ALONE, "p50 us"), bound, "<=")
    _hold(
        report,
        f"plain clients, {PLAIN_CONNECTIONS} connections: times the calls/s of {THRIFTPY2.title}'s server",
        figures.ratio(PLAIN_ZKRPC, PLAIN_THRIFTPY2, _PLAIN),
        1.2,
        ">=",
    )
    whole = figures.ratio(ZKRPC, BARE, _LOADED, "cpu us")
    _hold(
        report,
        f"echo, {LOADED} callers: CPU of the stack, as a share of the bare connection's",
        None if whole is None else whole - 1,
        _STACK_SHARE,
        "<=",
    )


def _hold(report: Report, name: str, value: float | None, bound: float, comparison: str) -> None:
    if value is not None:
        report.check(name, round(value, 3), bound, comparison=comparison)


def _better_grpcio(figures: Figures, cell: Cell, measure: str = "calls/s") -> Row:
    """Of the two ways to use grpcio, the one that is harder to beat here."""
    ratio = figures.ratio(GRPCIO_AIO, GRPCIO, cell, measure)
    if ratio is None:
        return GRPCIO_AIO if figures.spread(GRPCIO_AIO, cell, measure) else GRPCIO
    return GRPCIO_AIO if (ratio > 1) == (measure == "calls/s") else GRPCIO
