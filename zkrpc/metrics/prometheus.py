"""The door to prometheus_client, which writes metrics down. Nothing else imports it.

The process's own registry is used, so that what the program counts with prometheus_client, and what that library tells
of the process (memory, descriptors, garbage collection), is on the same page.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping

import prometheus_client
from prometheus_client import CollectorRegistry
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.registry import Collector
from prometheus_client.samples import Exemplar

from zkrpc.metrics.durations import Buckets
from zkrpc.metrics.store import Labels
from zkrpc.metrics.table import TABLE, Family, Kind

Series = Mapping[Labels, float] | Mapping[Labels, Buckets]
Gather = Callable[[], Iterable[tuple[Family, Series]]]
"""What there is at this moment."""

Registry = CollectorRegistry
PROCESS: Registry = prometheus_client.REGISTRY
"""The process's registry, to which programs add their metrics."""
_END = b"# EOF\n"
"""The last line of OpenMetrics."""


class FamilyCollector(Collector):
    """Gives prometheus_client the metrics that ``gather`` returns."""

    def __init__(self, gather: Gather) -> None:
        self._gather = gather

    def collect(self) -> Iterator[Metric]:
        """Every metric with its series."""
        for family, series in self._gather():
            metric = _metric(family)
            for labels, value in series.items():
                if isinstance(value, Buckets):
                    assert isinstance(metric, HistogramMetricFamily)
                    metric.add_metric(labels, buckets=_cumulative(value), sum_value=value.total)
                else:
                    assert not isinstance(metric, HistogramMetricFamily)
                    metric.add_metric(labels, value)
            yield metric

    def describe(self) -> Iterator[Metric]:
        """Every metric's name, by which the registry finds names that are there twice."""
        return map(_metric, TABLE)


def write(registry: Registry, accept: str = "") -> tuple[str, Iterator[bytes]]:
    """The registry's metrics in the format that an ``Accept`` header asks for: its content type, and a part for each
    metric, so that whoever sends them can let others have their turn in between."""
    try:
        encode, content_type = choose_encoder(accept)
    except (ValueError, TypeError):  # a version that is no number
        encode, content_type = choose_encoder("")

    def parts() -> Iterator[bytes]:
        end = b""
        for metric in registry.collect():
            part: bytes = encode(_Only(metric))
            if part.endswith(_END):
                part, end = part.removesuffix(_END), _END
            yield part
        yield end

    return content_type, parts()


class _Only:
    """A registry of one metric."""

    def __init__(self, metric: Metric) -> None:
        self._metric = metric

    def collect(self) -> Iterator[Metric]:
        """The metric."""
        return iter([self._metric])


def _metric(family: Family) -> CounterMetricFamily | GaugeMetricFamily | HistogramMetricFamily:
    if family.kind is Kind.COUNTER:
        return CounterMetricFamily(family.name, family.says, labels=family.labels)
    if family.kind is Kind.GAUGE:
        return GaugeMetricFamily(family.name, family.says, labels=family.labels)
    return HistogramMetricFamily(family.name, family.says, labels=family.labels)


def _cumulative(buckets: Buckets) -> list[tuple[str, float] | tuple[str, float, Exemplar]]:
    """The buckets as Prometheus has them: each with all that lower ones hold."""
    found: list[tuple[str, float] | tuple[str, float, Exemplar]] = []
    below, names = 0, [*map(str, buckets.bounds), "+Inf"]
    for name, count, noted in zip(names, buckets.counts, buckets.exemplars, strict=True):
        below += count
        if noted is None:
            found.append((name, below))
        else:
            found.append((name, below, Exemplar({"trace_id": noted.trace}, noted.seconds)))
    return found
