"""What the rounds come to."""

from __future__ import annotations

from bench.figures import Figures, Spread
from bench.plan import APACHE, THRIFTPY2, ZKRPC, Cell
from bench.sample import Sample

CELL = Cell("echo", 64)


def sample(rate: float, *, cpu: float = 0.5, p50: float | None = None) -> Sample:
    """A second in which a peer did that many calls."""
    return Sample(calls=int(rate), seconds=1.0, client_cpu=cpu, server_cpu=cpu, p50=p50)


def test_spread_is_the_median_between_the_worst_and_the_best_round() -> None:
    """One round that something disturbed moves the edge and not the figure."""
    figures = Figures()
    for rate in (1000, 10, 1100, 900, 950):
        figures.add(ZKRPC, CELL, sample(rate))
    assert figures.spread(ZKRPC, CELL) == Spread(950, 10, 1100)


def test_ratio_is_one_of_medians() -> None:
    """It is not the median of ratios, which a single round of either side would move."""
    figures = Figures()
    for mine, theirs in ((400, 100), (200, 100), (400, 10)):
        figures.add(ZKRPC, CELL, sample(mine))
        figures.add(THRIFTPY2, CELL, sample(theirs))
    assert figures.ratio(ZKRPC, THRIFTPY2, CELL) == 4.0


def test_ratio_of_what_was_not_measured_is_none() -> None:
    """Neither a peer that was left out nor a latency that nobody took counts as a figure."""
    figures = Figures()
    figures.add(ZKRPC, CELL, sample(100))
    figures.add(THRIFTPY2, CELL, sample(100))
    assert figures.ratio(ZKRPC, APACHE, CELL) is None
    assert figures.ratio(ZKRPC, THRIFTPY2, CELL, "p50 us") is None


def test_sample_counts_processor_time_by_the_call() -> None:
    """In microseconds, each side by itself and both together."""
    figures = Figures()
    figures.add(ZKRPC, CELL, sample(1000, cpu=0.02))
    cpu = [figures.spread(ZKRPC, CELL, measure) for measure in ("client us", "server us", "cpu us")]
    assert [round(one.median) for one in cpu if one] == [20, 20, 40]
