"""Finished spans as bytes, for the way to the exporting process. Pure.

Both ends are one version of one program, and nobody else can write to the way between them, so the bytes are Python's
own ``marshal``: it is the fastest, and can hold nothing but plain values.
"""

from __future__ import annotations

import marshal
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeAlias

MOST_BYTES = 32 * 1024
"""The largest message. What is larger goes without its attributes' texts, events and links."""
MOST_SPANS = 32
"""The most spans in one message."""
_SHORT = 64

Plain: TypeAlias = "str | bool | int | float | list[str] | list[bool] | list[int] | list[float]"
Event: TypeAlias = "tuple[str, int, dict[str, Plain]]"
"""Name, nanoseconds since 1970, attributes."""
Link: TypeAlias = "tuple[int, int, int, str, dict[str, Plain]]"
"""Trace id, span id, flags, trace state, attributes."""


class SpanRecord(NamedTuple):
    """A finished span: plain values only."""

    scope: str
    """The name of the instrumentation that made it."""
    name: str
    kind: int
    """OpenTelemetry's ``SpanKind``."""
    trace_id: bytes
    span_id: bytes
    flags: int
    state: str
    """``tracestate``."""
    parent_id: bytes
    """Empty for a root."""
    parent_is_remote: bool
    start: int
    """Nanoseconds since 1970."""
    end: int
    status: int
    """OpenTelemetry's ``StatusCode``."""
    description: str
    attributes: dict[str, Any]
    events: Sequence[Any]
    links: Sequence[Any]
    facts: tuple[Mapping[str, Any], ...] = ()
    """Further attributes: dictionaries that many spans share, so that a message holds each of them once."""

    def merged(self) -> SpanRecord:
        """The same with all attributes in ``attributes``; those that stand there already count."""
        attributes: dict[str, Any] = {}
        for facts in self.facts:
            attributes |= facts
        return self._replace(attributes=attributes | self.attributes, facts=())


class Ended(Protocol):
    """What has ended, and can be exported."""

    def records(self) -> list[SpanRecord]:
        """Its spans. Called once."""


class Batch(NamedTuple):
    """What one message holds."""

    pid: int
    """The process that made the spans."""
    resource: dict[str, Any]
    """What that process is, as OpenTelemetry names such facts."""
    spans: list[SpanRecord]


def dump_batches(pid: int, resource: Mapping[str, Any], spans: Sequence[SpanRecord]) -> Iterator[tuple[bytes, int]]:
    """Messages with these spans, and how many spans each holds; the message is empty for a span that even without its
    texts is too large for one."""
    facts = (pid, dict(resource))
    message = marshal.dumps((*facts, [tuple(span) for span in spans]))
    if len(message) <= MOST_BYTES:
        yield message, len(spans)
    elif len(spans) > 1:
        middle = len(spans) // 2
        yield from dump_batches(pid, resource, spans[:middle])
        yield from dump_batches(pid, resource, spans[middle:])
    else:
        message = marshal.dumps((*facts, [tuple(_lean(span.merged())) for span in spans]))
        yield message if len(message) <= MOST_BYTES else b"", 1


def load_batch(message: bytes) -> Batch:
    """What one of these messages holds."""
    pid, resource, spans = marshal.loads(message)
    return Batch(pid, resource, [SpanRecord(*span).merged() for span in spans])


def _lean(span: SpanRecord) -> SpanRecord:
    attributes = {
        key[:_SHORT]: value[:_SHORT] if isinstance(value, str) else value
        for key, value in list(span.attributes.items())[:_SHORT]
        if not isinstance(value, list)
    }
    return span._replace(
        name=span.name[: 4 * _SHORT], description=span.description[:_SHORT], attributes=attributes, events=[], links=[]
    )
