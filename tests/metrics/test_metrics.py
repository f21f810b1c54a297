"""A process is measured by one observer, whoever calls and serves in it."""

from __future__ import annotations

from collections.abc import Iterator

import gevent
import pytest
from prometheus_client import REGISTRY, CollectorRegistry

import zkrpc
from tests.client.test_observing import echoes, refusing
from tests.support.echo import EchoHandler, idl
from tests.support.tracing import tracing
from zkrpc.config import ClientConfig
from zkrpc.errors import Draining
from zkrpc.metrics.metrics import Metrics, borrow, give_back
from zkrpc.metrics.table import TABLE
from zkrpc.testing.loopback import Loopback


@pytest.fixture
def metrics() -> Iterator[Metrics]:
    """Metrics with a registry of their own, observing."""
    made = Metrics(registry=CollectorRegistry())
    made.observe()
    yield made
    made.close()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    """One sample, as a scrape finds it."""
    return metrics._registry.get_sample_value(name, labels)


CLIENT = {"rpc_method": "Echo/echo", "server_address": "echoes"}
SYSTEM = {"rpc_system_name": "apache_thrift"}
WELL = {"rpc_status_code": "OK", "error_type": ""}


def test_calls_are_measured_on_both_sides(metrics: Metrics) -> None:
    """Of what is made while it observes, with nobody handing it over."""
    with Loopback(echoes()) as stub:
        for _ in range(3):
            assert stub.echo("x") == "x"
        with pytest.raises(idl.Oops):
            stub.fail("declared")
        assert value(metrics, "zkrpc_client_connections", server_address="echoes") == 1
        assert value(metrics, "zkrpc_client_members", server_address="echoes", connectivity="ready") == 1
    assert value(metrics, "rpc_client_call_duration_seconds_count", **SYSTEM, **CLIENT, **WELL) == 3
    server = {**SYSTEM, "service_name": "echoes"}
    assert value(metrics, "rpc_server_call_duration_seconds_count", rpc_method="Echo/echo", **server, **WELL) == 3
    declared = {"rpc_method": "Echo/fail", "rpc_status_code": "Oops", "error_type": ""}
    assert value(metrics, "rpc_server_call_duration_seconds_count", **server, **declared) == 1
    assert value(metrics, "zkrpc_client_connections", server_address="echoes") is None


def test_attempts_are_calls_retries_and_second_copies(metrics: Metrics) -> None:
    """Also those that found no instance."""
    loopback = Loopback(echoes(refusing(1, Draining("soon"))), replicas=2, config=ClientConfig(patience=0))
    with loopback as stub:
        assert [stub.echo("x"), stub.echo("x")] == ["x", "x"]
        assert value(metrics, "zkrpc_client_attempts_total", **CLIENT) == 3
        assert value(metrics, "zkrpc_client_retries_total", error_type="Draining", **CLIENT) == 1
        for number in (0, 1):
            loopback.kill(number)
            loopback.unlist(number)
        with pytest.raises(zkrpc.Unavailable):
            stub.echo("x")
    failed = {"error_type": "Unavailable", "executed": "no"}
    assert value(metrics, "zkrpc_client_call_failures_total", **CLIENT, **failed) == 1
    retried = value(metrics, "zkrpc_client_retries_total", error_type="Unavailable", **CLIENT)
    assert value(metrics, "zkrpc_client_attempts_total", **CLIENT) == 4 + (retried or 0)


def test_every_metric_is_there_before_anything_happens(metrics: Metrics) -> None:
    """With its type and its sentence, so that a query for it can be written."""
    assert [family for family, _ in metrics.families()] == list(TABLE)
    content_type, parts = metrics.write()
    text = b"".join(parts).decode()
    assert content_type.startswith("text/plain")
    assert [family.name for family in TABLE if f"# TYPE {family.name} {family.kind.value}\n" not in text] == []
    assert value(metrics, "zkrpc_build_info", version=zkrpc.__version__) == 1


def test_slow_call_names_its_trace(metrics: Metrics) -> None:
    """That which is recorded where it was made, for whoever asks for OpenMetrics."""

    class Slow(EchoHandler):
        def echo(self, text: str) -> str:
            gevent.sleep(0.003)
            return text

    with tracing() as spans, Loopback(echoes(handler=Slow)) as stub:
        stub.echo("x")
    _, parts = metrics.write("application/openmetrics-text;version=1.0.0")
    text = b"".join(parts).decode()
    (trace,) = {span.trace_id.hex() for span in spans}
    exemplars = [line for line in text.splitlines() if f'# {{trace_id="{trace}"}} ' in line]
    assert {line.partition("{")[0] for line in exemplars} == {
        "rpc_client_call_duration_seconds_bucket",
        "rpc_server_call_duration_seconds_bucket",
    }


def test_nothing_is_observed_after_the_end(metrics: Metrics) -> None:
    """What was counted stays; ending twice, or observing twice, does no harm."""
    metrics.observe()
    assert "observing" in repr(metrics)
    metrics.close()
    metrics.close()
    with Loopback(echoes()) as stub:
        stub.echo("x")
    assert "observing" not in repr(metrics) and "series=0" in repr(metrics)


def test_process_has_one_for_all_who_show_it() -> None:
    """In prometheus_client's own registry, until the last of them gives it back."""
    first, second = borrow(), borrow()
    assert first is second and REGISTRY.get_sample_value("zkrpc_build_info", {"version": zkrpc.__version__}) == 1
    give_back()
    assert REGISTRY.get_sample_value("zkrpc_build_info", {"version": zkrpc.__version__}) == 1
    give_back()
    assert REGISTRY.get_sample_value("zkrpc_build_info", {"version": zkrpc.__version__}) is None
