"""Metrics are written as Prometheus reads them."""

from __future__ import annotations

import pytest
from prometheus_client import CollectorRegistry, Counter
from prometheus_client.openmetrics.parser import text_string_to_metric_families as read_openmetrics
from prometheus_client.parser import text_string_to_metric_families as read_text

from zkrpc.metrics import table
from zkrpc.metrics.durations import Durations
from zkrpc.metrics.prometheus import FamilyCollector, write

OPENMETRICS = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5"


def registry_of(durations: Durations | None = None) -> CollectorRegistry:
    """A registry with a few metrics of ours."""
    found = durations or Durations()
    registry = CollectorRegistry()
    registry.register(
        FamilyCollector(
            lambda: [
                (table.DRAINS, {('a "quoted"\n\\ name',): 2.0}),
                (table.CLIENT_BUDGET, {}),
                (table.GAP, {("users", "main"): found.read()}),
            ]
        )
    )
    return registry


def test_counters_gauges_and_histograms_are_read_again() -> None:
    """With their types, sentences, labels of any text and cumulative buckets."""
    durations = Durations()
    for seconds in (0.001, 0.002, 60.0):
        durations.record(seconds)
    content_type, parts = write(registry_of(durations))
    found = {one.name: one for one in read_text(b"".join(parts).decode())}
    assert content_type.startswith("text/plain; version=0.0.4")
    drains, gap = found["zkrpc_server_drains"], found[table.GAP.name]
    assert [(one.labels, one.value) for one in drains.samples] == [({"service_name": 'a "quoted"\n\\ name'}, 2.0)]
    assert (drains.type, drains.documentation) == ("counter", table.DRAINS.says)
    buckets = {one.labels["le"]: one.value for one in gap.samples if one.name.endswith("_bucket")}
    assert (buckets["0.0005"], buckets["0.001"], buckets["0.0025"], buckets["10.0"], buckets["+Inf"]) == (0, 1, 2, 2, 3)
    assert {one.name: one.value for one in gap.samples if "le" not in one.labels} == {
        f"{table.GAP.name}_count": 3,
        f"{table.GAP.name}_sum": 60.003,
    }
    assert found[table.CLIENT_BUDGET.name].samples == []


def test_exemplars_are_written_for_whoever_reads_openmetrics() -> None:
    """With the trace's id; the page ends as the format says, once."""
    durations = Durations(lambda: "c" * 32)
    durations.record(0.2)
    content_type, parts = write(registry_of(durations), OPENMETRICS)
    text = b"".join(parts).decode()
    assert content_type.startswith("application/openmetrics-text") and text.count("# EOF\n") == 1
    samples = [one for family in read_openmetrics(text) for one in family.samples if one.exemplar]
    ((exemplar, le),) = [(one.exemplar, one.labels["le"]) for one in samples]
    assert (le, exemplar.labels, exemplar.value) == ("0.25", {"trace_id": "c" * 32}, 0.2)


def test_page_comes_in_parts_of_one_metric() -> None:
    """So that others have their turn in between."""
    _, parts = write(registry_of())
    assert [part.count(b"# TYPE") for part in parts] == [1, 1, 1, 0]


@pytest.mark.parametrize(
    "accept", ["application/openmetrics-text; version=nonsense", "*/*", "", "text/plain;version=x"]
)
def test_accept_header_of_any_kind_is_answered(accept: str) -> None:
    """In plain text, if it asks for nothing that there is."""
    content_type, _ = write(registry_of(), accept)
    assert content_type.startswith("text/plain")


def test_registry_refuses_the_same_metrics_twice() -> None:
    """And names that a program has taken for itself."""
    registry = registry_of()
    with pytest.raises(ValueError, match="Duplicated"):
        registry.register(FamilyCollector(lambda: []))
    with pytest.raises(ValueError, match="Duplicated"):
        Counter("zkrpc_server_drains", "ours", registry=registry)
