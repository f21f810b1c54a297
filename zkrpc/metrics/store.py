"""Counters and histograms by their labels, of which there are never more than a fixed number. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from zkrpc.metrics.durations import Durations, no_trace
from zkrpc.metrics.table import Family
from zkrpc.telemetry.events import OTHER

MOST_VALUES = {"rpc_method": 500, "server_address": 100, "error_type": 50, "rpc_status_code": 50}
"""How many values a label may have, before all further ones are ``_OTHER``."""
_MOST_OTHERWISE = 100
MOST_SERIES = 2000
"""Series of one metric: beyond it, a combination of known values is counted as ``_OTHER`` throughout."""
_LONGEST = 200
"""Characters of a value; a connect string of a large ensemble has as many."""

Labels = tuple[str, ...]
"""The values of a metric's labels, in the order of its ``labels``."""


class Store:
    """The counters, histograms and set gauges of one process. Belongs to one thread, as the hub does. ``find_trace``
    gives the id of the trace that is current and recorded; empty if there is none."""

    def __init__(self, find_trace: Callable[[], str] = no_trace) -> None:
        self._find_trace = find_trace
        self._values: dict[Family, dict[Labels, float]] = {}
        self._durations: dict[Family, dict[Labels, Durations]] = {}
        self._known: dict[str, dict[str, str]] = {}

    def __repr__(self) -> str:
        """How many series there are."""
        return f"<Store series={sum(map(len, self._values.values())) + sum(map(len, self._durations.values()))}>"

    def add(self, family: Family, *labels: str, amount: float = 1.0) -> None:
        """Adds to a counter."""
        series = self._values.setdefault(family, {})
        key = self._admit(family, labels, series)
        series[key] = series.get(key, 0.0) + amount

    def put(self, family: Family, *labels: str, value: float) -> None:
        """Sets a gauge that nobody can be asked for later."""
        series = self._values.setdefault(family, {})
        series[self._admit(family, labels, series)] = value

    def durations(self, family: Family, *labels: str) -> Durations:
        """The histogram of these labels, to be kept by whoever records often."""
        series = self._durations.setdefault(family, {})
        key = self._admit(family, labels, series)
        found = series.get(key)
        if found is None:
            found = series[key] = Durations(self._find_trace)
        return found

    def bound(self, family: Family, labels: Labels) -> Labels:
        """The labels with every value beyond the number that its label may have replaced."""
        return tuple(self._bound(name, text) for name, text in zip(family.labels, labels, strict=True))

    def values(self, family: Family) -> Mapping[Labels, float]:
        """The series of a counter or a gauge."""
        return dict(self._values.get(family, {}))  # in one step, as another thread may add to them

    def histograms(self, family: Family) -> Iterator[tuple[Labels, Durations]]:
        """The series of a histogram."""
        return iter(list(self._durations.get(family, {}).items()))

    def _admit(self, family: Family, labels: Labels, series: Mapping[Labels, object]) -> Labels:
        key = self.bound(family, labels)
        if key in series or len(series) < MOST_SERIES:
            return key
        return tuple(OTHER for _ in key)

    def _bound(self, name: str, text: str) -> str:
        known, text = self._known.setdefault(name, {}), text[:_LONGEST]
        found = known.get(text)
        if found is None:
            if len(known) >= MOST_VALUES.get(name, _MOST_OTHERWISE):
                return OTHER
            # A half of a surrogate pair can be in a str and not in UTF-8; one of them would take all metrics away.
            found = known[text] = text.encode(errors="replace").decode()
        return found
