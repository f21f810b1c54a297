"""What all rounds came to: medians with their spread, ratios of medians, histograms put together."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Sequence
from typing import Any

from bench.plan import Cell, Row
from bench.sample import Sample

Measure = Callable[[Sample], float | None]

MEASURES: dict[str, Measure] = {
    "calls/s": lambda sample: sample.rate,
    "p50 us": lambda sample: None if sample.p50 is None else sample.p50 * 1e6,
    "p99 us": lambda sample: None if sample.p99 is None else sample.p99 * 1e6,
    "client us": lambda sample: sample.client_us,
    "server us": lambda sample: sample.server_us,
    "cpu us": lambda sample: sample.client_us + sample.server_us,
}


@dataclasses.dataclass(frozen=True, slots=True)
class Spread:
    """A figure over the rounds."""

    median: float
    lowest: float
    highest: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """Of one value at least."""
        return cls(statistics.median(values), min(values), max(values))


@dataclasses.dataclass(frozen=True, slots=True)
class Tail:
    """Latencies of an open loop in microseconds, at calls per second."""

    rate: float
    p50: float
    p99: float
    p999: float


class Figures:
    """All samples, by row and cell."""

    def __init__(self) -> None:
        self.samples: dict[tuple[str, Cell], list[Sample]] = {}
        self.open_samples: dict[tuple[str, str], list[Sample]] = {}
        """Of the open loops, by row and by the row at half of whose most it was measured."""
        self.rates: dict[str, float] = {}
        """Half of what each row can do, in calls a second."""
        self.memory: dict[str, tuple[float, float]] = {}
        """Bytes of an idle connection in the server and in the client, by row."""

    def add(self, row: Row, cell: Cell, sample: Sample) -> None:
        """One round's sample of a closed loop."""
        self.samples.setdefault((row.name, cell), []).append(sample)

    def spread(self, row: Row | str, cell: Cell, measure: str = "calls/s") -> Spread | None:
        """A figure of a cell; None if it was not measured."""
        name = row if isinstance(row, str) else row.name
        values = [MEASURES[measure](sample) for sample in self.samples.get((name, cell), ())]
        known = [value for value in values if value is not None]
        return Spread.of(known) if known else None

    def ratio(self, row: Row, other: Row, cell: Cell, measure: str = "calls/s") -> float | None:
        """How many times as much of something a row has as another, by medians; None if one was not measured."""
        mine, theirs = self.spread(row, cell, measure), self.spread(other, cell, measure)
        return None if mine is None or theirs is None else mine.median / theirs.median

    @property
    def disturbance(self) -> Spread:
        """Cores that other processes used while something was measured; more than a little spoils the figures."""
        return Spread.of([sample.disturbance for samples in self.samples.values() for sample in samples])

    def tail(self, row: str, rival: str) -> Tail | None:
        """The latencies of all rounds of a row's open loop at half of another one's most, or its own, together."""
        from hdrh.histogram import HdrHistogram

        histograms = [HdrHistogram.decode(sample.histogram) for sample in self.open_samples.get((row, rival), ())]
        if not histograms:
            return None
        whole = histograms[0]
        for another in histograms[1:]:
            whole.add(another)
        at = whole.get_value_at_percentile
        return Tail(self.rates[rival], at(50.0), at(99.0), at(99.9))

    def as_object(self) -> dict[str, Any]:
        """All that was measured, for machines."""
        return {
            "closed": [
                {
                    "row": row,
                    "workload": cell.workload,
                    "callers": cell.callers,
                    **{name: _spread_object(self.spread(row, cell, name)) for name in MEASURES},
                }
                for row, cell in self.samples
            ],
            "cores used by others": _spread_object(self.disturbance),
            "open": [
                {"row": row, "half of": rival, **dataclasses.asdict(tail)}
                for row, rival in self.open_samples
                if (tail := self.tail(row, rival))
            ],
            "bytes per idle connection": {
                row: {"server": round(server), "client": round(client)} for row, (server, client) in self.memory.items()
            },
        }


def _spread_object(spread: Spread | None) -> list[float] | None:
    return None if spread is None else [round(value, 2) for value in dataclasses.astuple(spread)]
