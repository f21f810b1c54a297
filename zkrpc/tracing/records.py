"""Finished spans as bytes, for the way to the exporting process. Pure.

Both ends are one version of one program, and nobody else can write to the way between them, so the bytes are Python's
own ``marshal``: it is the fastest, and can hold nothing but plain values.
"""

from __future__ import annotations

import marshal
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

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
    events: list[Any]
    links: list[Any]


class Batch(NamedTuple):
    """What one message holds."""

    pid: int
    """The process that made the spans."""
    resource: dict[str, Any]
    """What that process is, as OpenTelemetry names such facts."""
    spans: list[SpanRecord]


def dump_batch(pid: int, resource: Mapping[str, Any], spans: Sequence[SpanRecord]) -> bytes:
    """The message with these spans. Raises ValueError if even without texts they are too large for one."""
    facts: Any = (pid, dict(resource))
    message = marshal.dumps((*facts, [tuple(span) for span in spans]))
    if len(message) <= MOST_BYTES:
        return message
    message = marshal.dumps((*facts, [tuple(_lean(span)) for span in spans]))
    if len(message) > MOST_BYTES:
        raise ValueError(f"{len(spans)} spans are {len(message)} bytes")
    return message


def load_batch(message: bytes) -> Batch:
    """The opposite of ``dump_batch``."""
    pid, resource, spans = marshal.loads(message)
    return Batch(pid, resource, [SpanRecord(*span) for span in spans])


def _lean(span: SpanRecord) -> SpanRecord:
    attributes = {
        key[:_SHORT]: value[:_SHORT] if isinstance(value, str) else value
        for key, value in list(span.attributes.items())[:_SHORT]
        if not isinstance(value, list)
    }
    return span._replace(
        name=span.name[: 4 * _SHORT], description=span.description[:_SHORT], attributes=attributes, events=[], links=[]
    )
