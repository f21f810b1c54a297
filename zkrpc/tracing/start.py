"""Turns tracing on in this process."""

from __future__ import annotations

import atexit
import importlib.metadata
import os
import random
import socket
from collections.abc import Callable, Mapping
from typing import Any

import gevent

from zkrpc.errors import ConfigError
from zkrpc.telemetry.status import TracingStatus
from zkrpc.telemetry.tracer import find_tracer, install_tracer
from zkrpc.tracing.channel import Descriptors, SpanChannel, launch_exporter, require_packages
from zkrpc.tracing.settings import is_disabled, read_settings

SCOPE = "zkrpc"


def start_tracing(
    endpoint: str | None = None,
    *,
    service: str = "",
    instance: str = "",
    environment: Mapping[str, str] = os.environ,
    descriptors: Descriptors | None = None,
) -> Tracing:
    """Makes spans of all calls and requests of clients and servers that are made from here on, and exports them.

    If the program has set a tracer provider of OpenTelemetry's SDK before, spans are made with that one, which also
    exports them. Otherwise zkrpc's own becomes the program's.

    Args:
        endpoint: the collector, ``otlp://host:port``; if not given, ``OTEL_EXPORTER_OTLP_ENDPOINT`` says it.
        service: ``service.name``, unless the environment says another.
        instance: ``service.instance.id``.
        environment: where OpenTelemetry's variables are looked for.
        descriptors: the way to an exporting process that a parent has started.

    Raises ConfigError if OpenTelemetry is not installed, a setting is wrong, or this process has a tracer already.
    """
    if is_disabled(environment):
        return Tracing(None)
    require_packages()
    from opentelemetry import trace

    from zkrpc.tracing.own import OwnTracer
    from zkrpc.tracing.provided import ProvidedTracer
    from zkrpc.tracing.spans import SpanProvider

    version = importlib.metadata.version(SCOPE)
    settings = read_settings(environment, endpoint)
    hands_baggage_on = settings.hands_baggage_on
    provider = trace.get_tracer_provider()
    if find_tracer() is not None or isinstance(provider, SpanProvider):
        raise ConfigError("this process is traced already, or was; start_tracing() is called once")
    if not isinstance(provider, trace.ProxyTracerProvider):
        install_tracer(ProvidedTracer(provider.get_tracer(SCOPE, version), hands_baggage_on=hands_baggage_on))
        return Tracing(None)

    def launch() -> Descriptors:
        return launch_exporter(settings.endpoint, environment)

    resource = {"service.name": service or "unknown_service:zkrpc", "host.name": socket.gethostname()}
    resource |= {"service.instance.id": instance} if instance else {}
    resource |= {"telemetry.sdk.language": "python", "telemetry.sdk.name": SCOPE, "telemetry.sdk.version": version}
    channel = SpanChannel(descriptors or launch(), {**resource, **settings.resource}, launch, later=_later)
    atexit.register(channel.flush)
    trace.set_tracer_provider(SpanProvider(channel.send_one, settings.sampler, random.getrandbits))
    tracer = SpanProvider(channel.put, settings.sampler, random.getrandbits).get_tracer(SCOPE, version)
    options: dict[str, Any] = {"dice": random.random, "hands_baggage_on": hands_baggage_on}
    install_tracer(OwnTracer(tracer, status=channel.status, **options))
    return Tracing(channel, named="service.name" in settings.resource)


class Tracing:
    """Tracing that was turned on."""

    def __init__(self, channel: SpanChannel | None, *, named: bool = False) -> None:
        self._channel = channel
        self._named = named

    def __repr__(self) -> str:
        """The way of the spans."""
        return f"<Tracing {self._channel or 'by the provider of the program'}>"

    def name_service(self, service: str) -> None:
        """Sets ``service.name``, unless the environment has said another."""
        if self._channel is not None and not self._named:
            self._channel.resource = {**self._channel.resource, "service.name": service}

    def status(self) -> TracingStatus:
        """What has become of the spans so far."""
        return _nothing_exported() if self._channel is None else self._channel.status()

    def stop(self, timeout: float = 0.0) -> None:
        """Ends it: clients and servers that are made from here on are not traced, and no more spans leave.

        The exporting process delivers what it has, and ends; ``timeout`` is how many seconds to wait for that. It need
        not be waited for, unless the machine or the container ends with this process.
        """
        install_tracer(None)
        if self._channel is not None:
            atexit.unregister(self._channel.flush)
            self._channel.close(timeout)


def _later(function: Callable[[], object], seconds: float) -> object:
    """A timer of this thread's event loop, which does not keep that from ending. One that has fired is not started
    again: gevent would take its first time for the next one."""
    timer = gevent.get_hub().loop.timer(seconds, ref=False)
    timer.start(function)
    return timer


def _nothing_exported() -> TracingStatus:
    return TracingStatus(exporting=False, spans=0, dropped=0, lost=0)
