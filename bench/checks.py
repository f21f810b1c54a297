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
    GEVENT_FLOOR,
    GRPCIO,
    GRPCIO_AIO,
    GRPCIO_TLS,
    LOADED,
    MEASURED,
    PLAIN_APACHE,
    PLAIN_CONNECTIONS,
    PLAIN_THRIFTPY2,
    PLAIN_ZKRPC,
    ROWS,
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
    (_LOADED, _THRIFTPY2, 4.0),
    (_LOADED, _GRPCIO, 20.0),
    (_LOADED, _APACHE, 3.4),
    # One connection on both sides; those above have one for each caller.
    (_LOADED, (THRIFTPY2_ONE,), 3.5),
    (_LOADED, (APACHE_ONE,), 3.5),
    (_RICH, _THRIFTPY2, 5.0),
    (_RICH, _GRPCIO, 5.5),
    (_RICH, _APACHE, 2.4),
    (_BLOB, _THRIFTPY2, 1.3),
    (_BLOB, _GRPCIO, 3.0),
    (_BLOB, _APACHE, 2.0),
)
"""With what can be compiled; in pure Python some of it is missed."""
_LATENCY = (
    ("p50", _THRIFTPY2, 0.8),
    ("p50", _GRPCIO, 0.4),
    ("p50", (APACHE_THREADS,), 1.0),
    ("p99", _THRIFTPY2, 1.0),
    ("p99", (APACHE_THREADS,), 1.0),
)
_TAIL = ("p50", "p99", "p999")
_PLAIN_RATIOS = ((PLAIN_THRIFTPY2, 1.9), (PLAIN_APACHE, 1.3))
_FLOOR = 2.2
"""Times what the busier side of raw gevent needs for a call."""
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
    for measure, rivals, bound in _LATENCY:
        ratios = _ratios(figures, rivals, _ALONE, f"{measure} us")
        _hold(report, f"echo, 1 caller: times the {measure} of ", max(ratios, default=None), bound, "<=")
    _check_worlds(figures, report)
    for row, bound in _PLAIN_RATIOS:
        plain = figures.ratio(PLAIN_ZKRPC, row, _PLAIN)
        name = f"{PLAIN_CONNECTIONS} connections: times the calls/s of "
        _hold(report, name, None if plain is None else (plain, row.title), bound, ">=")
    _check_tails(figures, report)
    busier, floor = (_busier_side(figures, row) for row in (ZKRPC, GEVENT_FLOOR))
    name = f"echo, {LOADED} callers: CPU of the busier side, times that of "
    _hold(report, name, None if not busier or not floor else (busier / floor, GEVENT_FLOOR.title), _FLOOR, "<=")
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


def _check_tails(figures: Figures, report: Report) -> None:
    """At half of what each peer can do, zkrpc is to answer as soon as that peer."""
    for row, rival in figures.open_samples:
        mine, theirs = figures.tail(ZKRPC.name, rival), figures.tail(rival, rival)
        if row == ZKRPC.name != rival and mine is not None and theirs is not None:
            for measure in _TAIL:
                ratio = getattr(mine, measure) / getattr(theirs, measure)
                name = f"echo at half of its most, {mine.rate:.0f} calls/s: times the {measure} of "
                _hold(report, name, (ratio, ROWS[rival].title), 1.0, "<=")


def _busier_side(figures: Figures, row: Row) -> float | None:
    """Microseconds of the processor for a call."""
    sides = [figures.spread(row, _LOADED, side) for side in ("client us", "server us")]
    return max((side.median for side in sides if side), default=None)


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
