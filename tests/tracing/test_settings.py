"""OpenTelemetry's variables."""

from __future__ import annotations

import random

import pytest
from opentelemetry.sdk.trace.sampling import TraceIdRatioBased

from zkrpc.errors import ConfigError
from zkrpc.tracing.settings import (
    SAMPLERS,
    Sampler,
    TracingSettings,
    parse_endpoint,
    parse_sampler,
    read_settings,
    wants_traces,
)


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("otlp://collector", "http://collector:4318/v1/traces"),
        ("otlp://127.0.0.1:4319/", "http://127.0.0.1:4319/v1/traces"),
        ("otlps://[::1]:1/mine", "https://[::1]:1/mine"),
        ("https://me:secret@collector", "https://me:secret@collector:4318/v1/traces"),
    ],
)
def test_an_address_becomes_a_url(text: str, url: str) -> None:
    """With the port and the path that collectors have."""
    assert parse_endpoint(text) == url


@pytest.mark.parametrize("text", ["", "collector:4318", "grpc://collector", "otlp://", "otlp://host:port", "otlp://["])
def test_what_is_no_address_is_refused(text: str) -> None:
    """With an example of one."""
    with pytest.raises(ConfigError, match="otlp://127.0.0.1:4318"):
        parse_endpoint(text)


def test_variables_are_honoured() -> None:
    """The service's name, resource attributes, the sampler and the propagators."""
    environment = {
        "OTEL_SERVICE_NAME": "shop",
        "OTEL_RESOURCE_ATTRIBUTES": "service.name=other,deployment.environment=a%20b,nonsense,=x",
        "OTEL_TRACES_SAMPLER": "traceidratio",
        "OTEL_TRACES_SAMPLER_ARG": "0.1",
        "OTEL_PROPAGATORS": "tracecontext, baggage",
    }
    assert read_settings(environment, "otlp://c") == TracingSettings(
        endpoint="http://c:4318/v1/traces",
        sampler=Sampler(0.1, False),
        resource={"service.name": "shop", "deployment.environment": "a b"},
        hands_baggage_on=True,
    )
    assert read_settings({}) == TracingSettings()


@pytest.mark.parametrize(
    ("environment", "wanted"),
    [
        ({}, False),
        ({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://c:4318/v1/traces"}, True),
        ({"OTEL_TRACES_EXPORTER": "otlp"}, True),
        ({"OTEL_TRACES_EXPORTER": "none", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://c:4318"}, False),
        ({"OTEL_SDK_DISABLED": "true", "OTEL_TRACES_EXPORTER": "otlp"}, False),
    ],
)
def test_the_environment_alone_can_turn_traces_on(environment: dict[str, str], wanted: bool) -> None:
    """By an exporter or a collector's address; and off again."""
    assert wants_traces(environment) is wanted


@pytest.mark.parametrize(
    ("name", "argument", "sampler"),
    [
        (None, None, Sampler(1.0, True)),
        ("", None, Sampler(1.0, True)),
        ("always_on", None, Sampler(1.0, False)),
        ("always_off", "0.5", Sampler(0.0, False)),
        ("traceidratio", "0.25", Sampler(0.25, False)),
        ("PARENTBASED_TRACEIDRATIO", "0.01", Sampler(0.01, True)),
        ("parentbased_always_off", None, Sampler(0.0, True)),
        ("parentbased_traceidratio", None, Sampler(1.0, True)),
    ],
)
def test_samplers_have_their_standard_names(name: str | None, argument: str | None, sampler: Sampler) -> None:
    """As OpenTelemetry's variables have them, with a ratio of 1 if none is said."""
    assert parse_sampler(name, argument) == sampler


@pytest.mark.parametrize(
    ("name", "argument"),
    [("sometimes", None), ("traceidratio", "lots"), ("traceidratio", "1.5"), ("traceidratio", "nan")],
)
def test_a_wrong_sampler_is_named(name: str, argument: str | None) -> None:
    """With the variable that says it."""
    with pytest.raises(ConfigError, match="OTEL_TRACES_SAMPLER"):
        parse_sampler(name, argument)
    assert len(SAMPLERS) == 6


def test_a_parent_decides_if_it_is_followed() -> None:
    """Whatever the trace's id says; otherwise only that does."""
    assert Sampler(0.0, True).records(1, True) and not Sampler(1.0, True).records(1, False)
    assert Sampler(1.0, False).records(1, False) and not Sampler(0.0, False).records(1, True)


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.5, 1.0])
def test_ids_are_judged_as_opentelemetry_judges_them(ratio: float) -> None:
    """So that all services of a trace record it, or none, whoever made them."""
    dice, theirs, ours = random.Random(1), TraceIdRatioBased(ratio), Sampler(ratio, False)
    for _ in range(2000):
        trace_id = dice.getrandbits(128)
        assert ours.records(trace_id, None) == theirs.should_sample(None, trace_id, "x").decision.is_sampled()
