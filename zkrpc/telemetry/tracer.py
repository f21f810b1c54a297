"""The tracer of this process: how clients and servers find it, and what they ask of it. Pure.

A process has one tracer, as OpenTelemetry has it, or none; :mod:`zkrpc.tracing` makes it. Clients ask for it when they
first call a method, servers when they are made. Where there is none, or a call is not sampled, calls run the same code
as without this module, but for one comparison or a few.

``find_trace`` is for everything that refers to traces without making any: logs, and exemplars of metrics.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Protocol

from zkrpc.call import Call, Proceed
from zkrpc.caller import Caller
from zkrpc.telemetry.observer import Observer
from zkrpc.telemetry.status import TracingStatus
from zkrpc.wire.message import Request

Dispatch = Callable[[Request, str, float, Caller], Any]
"""Runs one request, as a dispatcher does: the request, the peer, the time in monotonic seconds, and who calls."""


class TraceIds(NamedTuple):
    """The span that is current where it was asked for."""

    trace_id: str
    """32 hex digits."""
    span_id: str
    """16 hex digits."""

    @classmethod
    def of_numbers(cls, trace_id: int, span_id: int) -> TraceIds:
        """As W3C Trace Context writes them."""
        return cls(f"{trace_id:032x}", f"{span_id:016x}")

    def as_fields(self) -> dict[str, str]:
        """Under the names that OpenTelemetry gives them in records of a log."""
        return self._asdict()


class ClientTracing(Protocol):
    """The tracing of one client's calls."""

    def choose(self, plain: Proceed[Call], traced: Proceed[Call]) -> Proceed[Call]:
        """A function that makes each call in one of these two ways, the second within a span."""

    def around_attempt(self, call: Call, proceed: Proceed[Call]) -> Any:
        """The interceptor around each attempt of a traced call."""

    def hedged(self, call: Call) -> object:
        """A traced call's second copy is about to be sent; runs in that copy's context."""


class ServerTracing(Protocol):
    """The tracing of one server's requests."""

    @property
    def observer(self) -> Observer:
        """To be told of the events of traced requests; of those that went well only if it has no recorder for them."""

    def choose(self, plain: Dispatch, told: Dispatch, introduction: Mapping[str, str]) -> Dispatch:
        """A function that runs each request of one peer, in one of these two ways; the second tells ``observer``.

        ``introduction`` is the headers of the peer's hello, empty while it has said none.
        """


class Tracer(Protocol):
    """Makes spans of calls and requests."""

    def trace_client(self, target: str) -> ClientTracing:
        """Tracing for a client; ``target`` is where it looks for the service, empty if that is not known."""

    def trace_server(self, service: str, names: Mapping[bytes, str]) -> ServerTracing:
        """Tracing for a server of this service, with methods of these full names, by their names on the wire."""

    def find_trace(self) -> TraceIds | None:
        """The current span, if it is recorded."""

    @property
    def status(self) -> Callable[[], TracingStatus]:
        """Gives what has become of the spans so far."""


_installed: list[Tracer] = []


def install_tracer(tracer: Tracer | None) -> None:
    """Makes this the tracer of the process; None removes it."""
    _installed[:] = [] if tracer is None else [tracer]


def find_tracer() -> Tracer | None:
    """The tracer of this process."""
    return _installed[0] if _installed else None


def trace_client(target: str) -> ClientTracing | None:
    """Tracing for a client, if this process traces; see ``Tracer.trace_client``."""
    return _installed[0].trace_client(target) if _installed else None


def find_trace() -> TraceIds | None:
    """The recorded span that is current here; None if there is none, or nothing is traced."""
    return _installed[0].find_trace() if _installed else None


def find_trace_id() -> str:
    """The id of the trace that is current and recorded; empty if there is none."""
    trace = find_trace()
    return "" if trace is None else trace.trace_id
