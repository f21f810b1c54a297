"""The figures for people."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bench.figures import Figures, Spread
from bench.plan import ROWS, ZKRPC, Cell

_HEAD = ("", "calls/s", "min - max", "zkrpc is", "p50 us", "p99 us", "CPU us: client", "server")


def render(figures: Figures) -> str:
    """A table for each workload, one for latencies under a fixed rate, one for memory."""
    parts = [*_closed(figures)]
    if figures.open_samples:
        parts.append(_open(figures))
    if figures.memory:
        parts.append(_memory(figures))
    others = figures.disturbance
    parts.append(
        f"Other processes used {others.median:.2f} cores meanwhile, {others.highest:.2f} at the worst; "
        "it should be nearly none."
    )
    return "\n\n".join(parts)


def _closed(figures: Figures) -> Iterator[str]:
    for cell in dict.fromkeys(cell for _, cell in figures.samples):
        rows = [row for row in ROWS if (row, cell) in figures.samples]
        title = f"{cell.workload}, {cell.callers} {'caller' if cell.callers == 1 else 'callers'}"
        yield align([(title, *_HEAD[1:]), *(_cells(figures, row, cell) for row in rows)])


def _cells(figures: Figures, row: str, cell: Cell) -> tuple[str, ...]:
    rate = figures.spread(row, cell)
    assert rate is not None
    ratio = figures.ratio(ZKRPC, ROWS[row], cell)
    return (
        ROWS[row].title,
        f"{rate.median:.0f}",
        f"{rate.lowest:.0f} - {rate.highest:.0f}",
        "" if ratio is None or row == ZKRPC.name else f"{ratio:.2f} x",
        *(_median(figures.spread(row, cell, measure)) for measure in ("p50 us", "p99 us")),
        *(_median(figures.spread(row, cell, measure), 1) for measure in ("client us", "server us")),
    )


def _median(spread: Spread | None, digits: int = 0) -> str:
    return "" if spread is None else f"{spread.median:.{digits}f}"


def _open(figures: Figures) -> str:
    rows = [("echo at a fixed rate", "half of the most of", "calls/s", "p50 us", "p99 us", "p99.9 us")]
    for row, rival in figures.open_samples:
        tail = figures.tail(row, rival)
        assert tail is not None
        rate, p50, p99, p999 = (f"{number:.0f}" for number in (tail.rate, tail.p50, tail.p99, tail.p999))
        rows.append((ROWS[row].title, ROWS[rival].title, rate, p50, p99, p999))
    return align(rows)


def _memory(figures: Figures) -> str:
    rows = [("memory of an idle connection", "server KiB", "client KiB")]
    for row, (server, client) in figures.memory.items():
        rows.append((ROWS[row].title, f"{server / 1024:.1f}", f"{client / 1024:.1f}"))
    return align(rows)


def align(rows: Sequence[Sequence[str]]) -> str:
    """Columns, the first to the left and figures to the right."""
    widths = [max(map(len, column)) for column in zip(*rows)]
    lines = (
        "  ".join(
            cell.rjust(width) if place else cell.ljust(width) for place, (cell, width) in enumerate(zip(row, widths))
        )
        for row in rows
    )
    return "\n".join(line.rstrip() for line in lines)
