"""What has to hold of the codec by itself, and the figures for people."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from bench.codecs.contest import CONTESTANTS, CYBIN, FASTBINARY, MSGSPEC, WAYS, ZKRPC, Contestant, Times
from bench.codecs.values import TITLES
from bench.table import align
from scripts.report import Report


def check(times: Times, report: Report) -> None:
    """Ahead of the other Thrift codecs with every value, and of msgspec in one way with that of a whole order."""
    for rival in (FASTBINARY, CYBIN):
        for way in WAYS:
            ratios = [(ratio, value) for value in TITLES if (ratio := times.ratio(ZKRPC, rival, value, way))]
            if ratios:
                ratio, value = min(ratios)
                name = f"{way}: times as fast as {rival.name}, at the least"
                report.check(name, round(ratio, 3), 1.0, comparison=">=", note=TITLES[value])
    ratios = [(ratio, way) for way in WAYS if (ratio := times.ratio(ZKRPC, MSGSPEC, "rich", way))]
    if ratios:
        ratio, way = max(ratios)
        name = f"{TITLES['rich']}: times as fast as {MSGSPEC.name}, the better way"
        report.check(name, round(ratio, 3), 1.0, comparison=">=", note=way)


def render(times: Times) -> str:
    """Two tables, and who was left out."""
    parts = [
        align(list(_rows(times, "us to encode / decode, fastest turn", times.least))),
        align(list(_rows(times, "the same, median turn", times.median))),
        *(f"{name} is left out: {why}" for name, why in times.left_out.items()),
    ]
    return "\n\n".join(parts)


def _rows(
    times: Times, title: str, figure: Callable[[Contestant, str, str], float | None]
) -> Iterator[tuple[str, ...]]:
    there = [contestant for contestant in CONTESTANTS if figure(contestant, "rich", "encode") is not None]
    yield (title, *(contestant.name for contestant in there))
    for value, name in TITLES.items():
        cells = (" / ".join(_text(figure(contestant, value, way)) for way in WAYS) for contestant in there)
        yield (name, *cells)


def _text(took: float | None) -> str:
    return "" if took is None else f"{took:.2f}" if took < 10 else f"{took:.1f}" if took < 100 else f"{took:.0f}"
