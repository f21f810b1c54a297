"""What has to hold: ratios, for seconds say more about the machine than about what runs on it."""

from __future__ import annotations

from collections.abc import Sequence

from bench.figures import Figures
from bench.plan import (
    AIO,
    APACHE,
    APACHE_ONE,
    APACHE_THREADS,
    BARE,
    GRPCIO,
    GRPCIO_AIO,
    GRPCIO_TLS,
    LOADED,
    MEASURED,
    PLAIN_CONNECTIONS,
    PLAIN_THRIFTPY2,
    PLAIN_ZKRPC,
    THREADS,
    THRIFTPY2,
    THRIFTPY2_ONE,
    TLS,
    TRACED,
    ZKRPC,
    Cell,
    Row,
)
from scripts.report import Report

_ALONE, _LOADED = Cell("echo", 1), Cell("echo", LOADED)
_RICH, _BLOB = Cell("rich", LOADED), Cell("blob", LOADED)
_PLAIN = Cell("echo", PLAIN_CONNECTIONS)

# Where there are two ways to use a peer, the one counts that is harder to beat.
_THRIFTPY2, _GRPCIO, _APACHE = (THRIFTPY2,), (GRPCIO, GRPCIO_AIO), (APACHE, APACHE_THREADS)
_THROUGHPUT = (
    (_LOADED, _THRIFTPY2, 3.5),
    (_LOADED, _GRPCIO, 14.0),
    (_LOADED, _APACHE, 3.5),
    # One connection on both sides; those above have one for each caller.
    (_LOADED, (THRIFTPY2_ONE,), 3.5),
    (_LOADED, (APACHE_ONE,), 3.5),
    (_RICH, _THRIFTPY2, 1.5),
    (_RICH, _GRPCIO, 4.0),
    (_RICH, _APACHE, 1.5),
    (_BLOB, _THRIFTPY2, 1.0),
    (_BLOB, _GRPCIO, 1.0),
    (_BLOB, _APACHE, 1.0),
)
_LATENCY = ((_THRIFTPY2, 1.0), (_GRPCIO, 0.4))
_WORLDS = ((THREADS, GRPCIO, 3.0), (AIO, GRPCIO_AIO, 4.0))
_WORLDS_DELAY = 60.0
"""Microseconds that a caller in another thread may wait longer than one on gevent."""
_STACK_SHARE = 0.25
_TRACES_SHARE = 0.05
_METRICS_SHARE = 0.05


def check(figures: Figures, report: Report) -> None:
    """Holds the figures to everything of which both sides were measured."""
    for cell, rivals, bound in _THROUGHPUT:
        ratios = _ratios(figures, rivals, cell, "calls/s")
        name = f"{cell.workload}, {cell.callers} callers: times the calls/s of "
        _hold(report, name, min(ratios, default=None), bound, ">=")
    for rivals, bound in _LATENCY:
        ratios = _ratios(figures, rivals, _ALONE, "p50 us")
        _hold(report, "echo, 1 caller: times the p50 of ", max(ratios, default=None), bound, "<=")
    _check_worlds(figures, report)
    plain = figures.ratio(PLAIN_ZKRPC, PLAIN_THRIFTPY2, _PLAIN)
    name = f"plain clients, {PLAIN_CONNECTIONS} connections: times the calls/s of the server of "
    _hold(report, name, None if plain is None else (plain, THRIFTPY2.title), 1.2, ">=")
    tls = figures.ratio(TLS, GRPCIO_TLS, _LOADED)
    name = f"echo over TLS, {LOADED} callers: times the calls/s of "
    _hold(report, name, None if tls is None else (tls, GRPCIO_TLS.title), 3.0, ">=")
    whole = figures.ratio(ZKRPC, BARE, _LOADED, "cpu us")
    name = f"echo, {LOADED} callers: CPU of the stack, as a share of that of "
    _hold(report, name, None if whole is None else (whole - 1, BARE.title), _STACK_SHARE, "<=")
    traced = figures.ratio(TRACED, ZKRPC, _LOADED, "cpu us")
    name = f"echo, {LOADED} callers: CPU of tracing 1 % of the calls, as a share of that of "
    _hold(report, name, None if traced is None else (traced - 1, ZKRPC.title), _TRACES_SHARE, "<=")
    measured = figures.ratio(MEASURED, ZKRPC, _LOADED, "cpu us")
    name = f"echo, {LOADED} callers: CPU of metrics, as a share of that of "
    _hold(report, name, None if measured is None else (measured - 1, ZKRPC.title), _METRICS_SHARE, "<=")


def _check_worlds(figures: Figures, report: Report) -> None:
    """Threads and tasks, each beside those of grpcio; and what the way through another thread takes."""
    for row, rival, bound in _WORLDS:
        times = figures.ratio(row, rival, _LOADED)
        name = f"echo, {LOADED} callers: times the calls/s of {row.title}, against "
        _hold(report, name, None if times is None else (times, rival.title), bound, ">=")
        mine, theirs = (figures.spread(one, _ALONE, "p50 us") for one in (row, ZKRPC))
        delay = None if mine is None or theirs is None else (mine.median - theirs.median, ZKRPC.title)
        _hold(
            report, f"echo, 1 caller: us by which the p50 of {row.title} is over that of ", delay, _WORLDS_DELAY, "<="
        )


def _ratios(figures: Figures, rivals: Sequence[Row], cell: Cell, measure: str) -> list[tuple[float, str]]:
    """What zkrpc has, divided by what each of them has, and who that is."""
    ratios = [(figures.ratio(ZKRPC, rival, cell, measure), rival.title) for rival in rivals]
    return [(ratio, title) for ratio, title in ratios if ratio is not None]


def _hold(report: Report, name: str, found: tuple[float, str] | None, bound: float, comparison: str) -> None:
    if found is not None:
        ratio, rival = found
        report.check(name + rival, round(ratio, 3), bound, comparison=comparison)
