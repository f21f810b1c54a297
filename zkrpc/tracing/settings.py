"""What the environment and the command line say about traces, by OpenTelemetry's standard names. Pure.

https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/ lists the variables. Those of the
export itself (``OTEL_EXPORTER_OTLP_HEADERS``, ``_TIMEOUT``, ``_COMPRESSION``, ``_CERTIFICATE`` and so on) are read by
OpenTelemetry's exporter, in the exporting process. Samplers have their standard names, too:

====================================  ================================================================
``always_on``, ``always_off``         every span, or none, whatever its parent is
``traceidratio``                      a share of all traces, decided by the trace's id alone
``parentbased_always_on`` and so on   as the parent was decided; the rest of the name holds for roots
====================================  ================================================================

https://opentelemetry.io/docs/specs/otel/trace/sdk/#traceidratiobased has the rule for ids.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

from zkrpc.errors import ConfigError

ENDPOINT = "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
_ANY_ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"
_SCHEMES = {"otlp": "http", "otlps": "https", "http": "http", "https": "https"}
_PATH = "/v1/traces"
_MOST_ATTRIBUTES = 64


_DEFAULT_SAMPLER = "parentbased_always_on"
_PARENT_BASED = "parentbased_"
_RATIOS = {"always_on": 1.0, "always_off": 0.0}
_RATIO = "traceidratio"
SAMPLERS = tuple(prefix + name for prefix in ("", _PARENT_BASED) for name in (*_RATIOS, _RATIO))
_IDS = 1 << 64


@dataclasses.dataclass(frozen=True, slots=True)
class Sampler:
    """A sampler: a share of the traces that begin here, and whether a parent's decision counts."""

    ratio: float = 1.0
    """Share of traces, from 0 to 1."""
    follows_parent: bool = True

    @property
    def bound(self) -> int:
        """Traces are recorded whose ids, in their lower 64 bits, are below this."""
        return round(self.ratio * _IDS)

    def records(self, trace_id: int, parent_is_sampled: bool | None) -> bool:
        """Whether a span of this trace is recorded; ``parent_is_sampled`` is None for a root."""
        if parent_is_sampled is not None and self.follows_parent:
            return parent_is_sampled
        return trace_id % _IDS < self.bound


def parse_sampler(name: str | None, argument: str | None) -> Sampler:
    """The sampler that ``OTEL_TRACES_SAMPLER`` and ``OTEL_TRACES_SAMPLER_ARG`` name. Raises ConfigError."""
    name = (name or _DEFAULT_SAMPLER).strip().lower()
    if name not in SAMPLERS:
        raise ConfigError(f"OTEL_TRACES_SAMPLER must be one of {', '.join(SAMPLERS)}, got {name!r}")
    plain = name.removeprefix(_PARENT_BASED)
    ratio = _RATIOS.get(plain)
    return Sampler(_parse_ratio(argument) if ratio is None else ratio, plain != name)


def _parse_ratio(text: str | None) -> float:
    try:
        ratio = float(text or 1.0)
    except ValueError:
        ratio = math.nan
    if not 0 <= ratio <= 1:
        raise ConfigError(f"OTEL_TRACES_SAMPLER_ARG must be a share from 0 to 1, got {text!r}")
    return ratio


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TracingSettings:
    """How traces are made and where they go."""

    endpoint: str | None = None
    """The collector's URL; None leaves it to the exporter's own variables."""
    sampler: Sampler = Sampler()
    resource: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """Facts about the process that the environment gives; ``service.name`` is among them if it names the service."""
    hands_baggage_on: bool = False
    """Whether ``baggage`` travels with calls; only if ``OTEL_PROPAGATORS`` names it."""


def is_disabled(environment: Mapping[str, str]) -> bool:
    """Whether ``OTEL_SDK_DISABLED`` is true: then nothing is traced, whatever else is said."""
    return environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"


def wants_traces(environment: Mapping[str, str]) -> bool:
    """Whether the environment asks for traces: by ``OTEL_TRACES_EXPORTER=otlp``, or by the address of a collector."""
    if is_disabled(environment):
        return False
    exporter = environment.get("OTEL_TRACES_EXPORTER", "").strip().lower()
    if exporter:
        return exporter == "otlp"
    return bool(environment.get(ENDPOINT) or environment.get(_ANY_ENDPOINT))


def read_settings(environment: Mapping[str, str], endpoint: str | None = None) -> TracingSettings:
    """The settings of an environment; ``endpoint`` is what the command line or the program says. Raises ConfigError."""
    resource = dict(_parse_resource(environment.get("OTEL_RESOURCE_ATTRIBUTES", "")))
    name = environment.get("OTEL_SERVICE_NAME", "").strip()
    if name:
        resource["service.name"] = name
    propagators = [one.strip().lower() for one in environment.get("OTEL_PROPAGATORS", "").split(",")]
    return TracingSettings(
        endpoint=None if endpoint is None else parse_endpoint(endpoint),
        sampler=parse_sampler(environment.get("OTEL_TRACES_SAMPLER"), environment.get("OTEL_TRACES_SAMPLER_ARG")),
        resource=resource,
        hands_baggage_on="baggage" in propagators,
    )


def parse_endpoint(text: str) -> str:
    """The URL of a collector, from ``otlp://host:port`` (plain HTTP), ``otlps://`` (HTTPS) or the URL itself; port 4318
    and the path are added if they are missing. Raises ConfigError."""
    try:
        parts = urlsplit(text)
        scheme, host, port = _SCHEMES.get(parts.scheme), parts.hostname, parts.port
    except ValueError:
        scheme, host, port = None, None, None
    if scheme is None or not host:
        raise ConfigError(f"{text!r} is no address for traces; write otlp://HOST:PORT, as in otlp://127.0.0.1:4318")
    place = f"[{host}]" if ":" in host else host
    credentials = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    path = parts.path if parts.path not in ("", "/") else _PATH
    return f"{scheme}://{credentials}{place}:{port or 4318}{path}"


def _parse_resource(text: str) -> list[tuple[str, str]]:
    """``key=value,key=value``, percent-encoded; pairs that are none are left out."""
    pairs = [pair.partition("=") for pair in text.split(",")[:_MOST_ATTRIBUTES]]
    return [(key.strip(), unquote(value.strip())) for key, equals, value in pairs if equals and key.strip()]
