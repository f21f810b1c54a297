"""The table of metrics is what Prometheus and the documentation expect."""

from __future__ import annotations

import re

import pytest

from tests.support.programs import ROOT
from zkrpc.metrics import table
from zkrpc.metrics.table import TABLE, Family, Kind


@pytest.mark.parametrize("family", TABLE, ids=lambda family: family.name)
def test_name_follows_prometheus(family: Family) -> None:
    """Counters end in ``_total``, durations in ``_seconds``; labels are words; the sentence says what is counted."""
    assert re.fullmatch(r"(rpc|zkrpc)(_[a-z]+)+", family.name)
    assert (family.kind is Kind.COUNTER) == family.name.endswith("_total")
    assert family.kind is not Kind.HISTOGRAM or family.name.endswith("_seconds")
    assert all(re.fullmatch(r"[a-z]+(_[a-z]+)*", label) for label in family.labels) and "le" not in family.labels
    assert len(set(family.labels)) == len(family.labels) and family.says.endswith(".")
    assert family.merge in ("sum", "max", "min")


def test_names_are_there_once() -> None:
    """Also where Prometheus adds to them."""
    names = [family.name for family in TABLE]
    assert len(set(names)) == len(names) and all(isinstance(family, Family) for family in TABLE)
    written = {f"{name}{end}" for name in names for end in ("_bucket", "_count", "_sum")}
    assert written.isdisjoint(names)


def test_calls_are_named_as_opentelemetry_names_them() -> None:
    """With its attributes, spelt as Prometheus spells them."""
    assert table.CLIENT_CALLS.name == "rpc_client_call_duration_seconds"
    assert table.SERVER_CALLS.name == "rpc_server_call_duration_seconds"
    common = {"rpc_system_name", "rpc_method", "rpc_status_code", "error_type"}
    assert set(table.CLIENT_CALLS.labels) == common | {"server_address"}
    assert set(table.SERVER_CALLS.labels) == common | {"service_name"}


def test_page_on_metrics_has_the_table() -> None:
    """Every metric with its kind, its labels and what it says, in this order, and none besides."""
    page = (ROOT / "docs" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(r?z?k?r?pc_\w+)` \| (\w+) \| (.*?) \| (.*) \|$", page, re.MULTILINE)
    assert [tuple(row) for row in rows] == [
        (one.name, one.kind.value, ", ".join(f"`{label}`" for label in one.labels), one.says.rstrip("."))
        for one in TABLE
    ]
