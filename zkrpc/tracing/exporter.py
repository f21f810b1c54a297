"""The process that exports spans: it reads them from a packet socket, and sends them to a collector by OTLP.

It is an ordinary process, without gevent: OpenTelemetry's exporter runs in it with the threads, locks and sockets that
it was written for. It holds a bounded number of spans. While a collector hangs, nothing is read beyond that; the
kernel's buffer fills, and those who make spans drop and count them. What cannot be delivered within the exporter's own
time (``OTEL_EXPORTER_OTLP_TIMEOUT``, 10 s) is lost and counted in shared memory, and said on standard error: at first,
and once a minute while it goes on. When everybody who could send spans has ended, it delivers what it has, for a few
seconds at most, and ends.
"""

from __future__ import annotations

import logging
import mmap
import os
import select
import struct
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from zkrpc.legible import legible
from zkrpc.telemetry.log_records import JsonFormatter
from zkrpc.tracing.records import MOST_BYTES, Batch, SpanRecord, load_batch

log = logging.getLogger("zkrpc.tracing")

FLUSH_TIMEOUT = 5.0
"""Seconds for what is left, when everybody has ended."""
_SAY_EVERY = 60.0
_LOOK_EVERY = 0.02
_IDLE_AFTER = 1.0
_MOST_RESOURCES = 256
_NICE = 5
_COUNTER = struct.Struct("Q")

Deliver = Callable[[Sequence[Batch]], str]
"""Delivers spans to a collector; returns what went wrong, or an empty text."""


class ExportQueue:
    """Spans that wait for the collector, between the thread that reads them and the one that delivers them.

    Args:
        deliver: delivers some of them; may take long.
        lose: told how many spans were lost, and why.
        most: spans to hold.
        batch: spans to deliver at once.
        delay: seconds for which a span may wait for others.
    """

    def __init__(
        self,
        deliver: Deliver,
        lose: Callable[[int, str], object],
        *,
        most: int = 2048,
        batch: int = 512,
        delay: float = 1.0,
    ) -> None:
        self._deliver = deliver
        self._lose = lose
        self._most = max(1, most)
        self._batch = max(1, min(batch, most))
        self._delay = delay
        self._changed = threading.Condition()
        self._waiting: deque[Batch] = deque()
        self._count = 0
        self._is_closed = False
        self._thread = threading.Thread(target=self._work, daemon=True)
        self._thread.start()

    def put(self, batch: Batch) -> None:
        """Adds spans; waits while there are too many."""
        with self._changed:
            self._changed.wait_for(lambda: self._count < self._most)
            self._waiting.append(batch)
            self._count += len(batch.spans)
            if len(self._waiting) == 1 or self._count >= self._batch:
                self._changed.notify_all()

    def close(self, timeout: float) -> None:
        """Delivers what is left; gives up after ``timeout`` seconds."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        self._thread.join(timeout)

    def _work(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._waiting or self._is_closed)
                if not self._waiting:
                    return
                self._changed.wait_for(lambda: self._count >= self._batch or self._is_closed, self._delay)
                some: list[Batch] = []
                while self._waiting and sum(len(one.spans) for one in some) < self._batch:
                    some.append(self._waiting.popleft())
            failure = self._deliver(some)
            count = sum(len(one.spans) for one in some)
            with self._changed:
                self._count -= count
                self._changed.notify_all()
            if failure:
                self._lose(count, failure)


class Losses:
    """Counts lost spans where others can see it, and says so now and then."""

    def __init__(self, counter: mmap.mmap, clock: Callable[[], float] = time.monotonic) -> None:
        self._counter = counter
        self._clock = clock
        self._say_at = 0.0
        self._unsaid = self.total = 0

    def lose(self, count: int, reason: str) -> None:
        """So many were lost, for this reason."""
        self.total += count
        self._unsaid += count
        self._counter[: _COUNTER.size] = _COUNTER.pack(self.total)
        now = self._clock()
        if now >= self._say_at:
            self._say_at = now + _SAY_EVERY
            log.warning("%d spans could not be delivered: %s; calls go on", self._unsaid, legible(reason, 300))
            self._unsaid = 0


def make_deliverer(environment: Mapping[str, str]) -> Deliver:
    """A function that delivers by OpenTelemetry's OTLP exporter, as the environment says where and how."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.trace.export import SpanExportResult

    exporter = OTLPSpanExporter()
    translator = Translator()
    last = _LastWords()
    # It says of each failure, and of each try, what we say once a minute.
    for name in ("opentelemetry", "urllib3"):
        logger = logging.getLogger(name)
        logger.handlers, logger.propagate = [last], False

    def deliver(batches: Sequence[Batch]) -> str:
        try:
            result = exporter.export(translator.translate(batches))
        except Exception as error:  # whatever it is, this process and the calls of the others go on
            return f"{type(error).__name__}: {error}"
        return "" if result is SpanExportResult.SUCCESS else last.take() or "the collector did not take them"

    return deliver


class _LastWords(logging.Handler):
    """Remembers the last message."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self._words = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps it in place of the one before."""
        self._words = record.getMessage()

    def take(self) -> str:
        """Gives it once."""
        words, self._words = self._words, ""
        return words


class Translator:
    """Makes OpenTelemetry's own spans of ours."""

    def __init__(self) -> None:
        from opentelemetry import trace
        from opentelemetry.sdk import resources
        from opentelemetry.sdk import trace as sdk
        from opentelemetry.sdk.util.instrumentation import InstrumentationScope

        self._trace, self._sdk, self._make_scope, self._make_resource = (
            trace,
            sdk,
            InstrumentationScope,
            resources.Resource,
        )
        self._resources: dict[int, tuple[dict[str, Any], Any]] = {}

    def translate(self, batches: Sequence[Batch]) -> list[Any]:
        """The spans of these batches."""
        return [self._span(span, self._resource(batch)) for batch in batches for span in batch.spans]

    def _resource(self, batch: Batch) -> Any:
        known = self._resources.get(batch.pid)
        if known is None or known[0] != batch.resource:
            if len(self._resources) >= _MOST_RESOURCES:
                self._resources.clear()
            resource = self._make_resource({**_utf8(batch.resource), "process.pid": batch.pid})
            known = self._resources[batch.pid] = (batch.resource, resource)
        return known[1]

    def _span(self, span: SpanRecord, resource: Any) -> Any:
        trace = self._trace
        flags, state = trace.TraceFlags(span.flags), trace.TraceState.from_header([span.state])
        trace_id = int.from_bytes(span.trace_id, "big")

        def context(span_id: bytes, is_remote: bool) -> Any:
            return trace.SpanContext(trace_id, int.from_bytes(span_id, "big"), is_remote, flags, state)

        return self._sdk.ReadableSpan(
            name=_text(span.name),
            context=context(span.span_id, False),
            parent=context(span.parent_id, span.parent_is_remote) if span.parent_id else None,
            resource=resource,
            attributes=_utf8(span.attributes),
            events=[self._sdk.Event(_text(name), _utf8(told), timestamp=at) for name, at, told in span.events],
            links=[self._link(*link) for link in span.links],
            kind=trace.SpanKind(span.kind),
            instrumentation_scope=self._make_scope(_text(span.scope)),
            status=trace.Status(trace.StatusCode(span.status), _text(span.description) or None),
            start_time=span.start,
            end_time=span.end,
        )

    def _link(self, trace_id: int, span_id: int, flags: int, state: str, attributes: dict[str, Any]) -> Any:
        trace = self._trace
        ids = trace.SpanContext(trace_id, span_id, True, trace.TraceFlags(flags), trace.TraceState.from_header([state]))
        return trace.Link(ids, _utf8(attributes))


def _utf8(attributes: Mapping[str, Any]) -> dict[str, Any]:
    """With everything that UTF-8 cannot encode as escapes: one such letter would lose a whole batch."""
    return {_text(key): _value(value) for key, value in attributes.items()}


def _value(value: Any) -> Any:
    if isinstance(value, str):
        return _text(value)
    return [_value(one) for one in value] if isinstance(value, list) else value


def _text(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()


def _number(environment: Mapping[str, str], name: str, usual: int) -> int:
    text = environment.get(name, "").strip()
    return int(text) if text.isascii() and text.isdigit() and int(text) > 0 else usual


def run(descriptor: int, counter: int, environment: Mapping[str, str]) -> None:
    """Exports until everybody who could send spans has ended."""
    losses = Losses(mmap.mmap(counter, _COUNTER.size))
    queue = ExportQueue(
        make_deliverer(environment),
        losses.lose,
        most=_number(environment, "OTEL_BSP_MAX_QUEUE_SIZE", 2048),
        batch=_number(environment, "OTEL_BSP_MAX_EXPORT_BATCH_SIZE", 512),
        delay=_number(environment, "OTEL_BSP_SCHEDULE_DELAY", 1000) / 1000,
    )
    for message in read_packets(descriptor):
        queue.put(load_batch(message))
    queue.close(FLUSH_TIMEOUT)


def read_packets(descriptor: int) -> Iterator[bytes]:
    """The packets that come through a socket, until its other end is closed everywhere.

    While there are any, it looks fifty times a second instead of waiting for each: to be woken costs the one who sends,
    which serves calls, more than the sending does, and more again if both share a core.
    """
    os.set_blocking(descriptor, False)
    looks = 0
    while True:
        try:
            message = os.read(descriptor, MOST_BYTES)
        except BlockingIOError:
            looks += 1
            if looks * _LOOK_EVERY < _IDLE_AFTER:
                time.sleep(_LOOK_EVERY)
            else:
                select.select([descriptor], [], [])
            continue
        if not message:
            return
        looks = 0
        yield message


if __name__ == "__main__":
    handler = logging.StreamHandler()
    text = logging.Formatter("%(asctime)s %(levelname)-7s [%(process)d] %(name)s: %(message)s")
    handler.setFormatter(JsonFormatter() if os.environ.get("ZKRPC_LOG_FORMAT") == "json" else text)
    logging.getLogger().addHandler(handler)
    os.nice(_NICE)
    run(int(sys.argv[1]), int(sys.argv[2]), os.environ)
    os._exit(0)  # a delivery that still hangs must not hold the process
