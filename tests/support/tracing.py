"""Tracing in tests: a tracer whose spans stay in a list, and a small collector that real exporters send to."""

from __future__ import annotations

import gzip
import http.server
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from zkrpc.telemetry.status import TracingStatus
from zkrpc.telemetry.tracer import install_tracer
from zkrpc.tracing.own import OwnTracer
from zkrpc.tracing.records import SpanRecord
from zkrpc.tracing.settings import Sampler
from zkrpc.tracing.spans import SpanProvider

CLIENT, SERVER, INTERNAL = 2, 1, 0


@contextmanager
def tracing(
    sampler: Sampler = Sampler(), *, dice: Callable[[], float] = random.random, **options: Any
) -> Iterator[list[SpanRecord]]:
    """Clients and servers that are made within it are traced; gives the list of ended spans."""
    spans: list[SpanRecord] = []
    provider = SpanProvider(
        lambda ended: spans.extend(one.merged() for one in ended.records()), sampler, random.Random(1).getrandbits
    )
    status = TracingStatus(exporting=False, spans=0, dropped=0, lost=0)
    install_tracer(OwnTracer(provider.get_tracer("zkrpc"), dice=dice, status=lambda: status, **options))
    try:
        yield spans
    finally:
        install_tracer(None)


class Collector:
    """A collector of OTLP over HTTP; ``url`` is its address. It answers with ``status``, after ``hold`` is set."""

    def __init__(self) -> None:
        self.spans: list[Any] = []
        """OTLP's own spans, as they came."""
        self.resources: list[dict[str, str]] = []
        self.status = 200
        self.hold = threading.Event()
        self.hold.set()
        self.requests = 0
        collector = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                """Takes what an exporter sends."""
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if self.headers.get("Content-Encoding") == "gzip":
                    body = gzip.decompress(body)
                collector.requests += 1
                collector.hold.wait()
                if collector.status == 200:
                    collector.take(body)
                self.send_response(collector.status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                """Says nothing."""

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()
        self.url = f"otlp://127.0.0.1:{self._server.server_address[1]}"

    def take(self, body: bytes) -> None:
        """Reads one request."""
        request = ExportTraceServiceRequest.FromString(body)
        for resource in request.resource_spans:
            self.resources.append({one.key: one.value.string_value for one in resource.resource.attributes})
            for scope in resource.scope_spans:
                self.spans += scope.spans

    def close(self) -> None:
        """Ends it, also for those that it holds."""
        self.hold.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


def attributes_of(span: Any) -> dict[str, Any]:
    """The attributes of one of OTLP's spans."""
    return {one.key: getattr(one.value, one.value.WhichOneof("value")) for one in span.attributes}
