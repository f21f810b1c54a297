"""Writes what precedes a call's body on the wire, and remembers it to write it faster the next time.

A call without headers of its own differs from the one before only in its id, its size and its deadline budget. So the
bytes are kept by name and budget; both come from this process, so no peer can fill the memory. The table has two
levels, and the budget is floored by ``// 1``, because a tuple and ``int()`` cost twice as much as the look-up itself
(measured).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from zkrpc.config import WireLimits
from zkrpc.deadline import Deadline
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.headers import DEADLINE_BUDGET, TRACEPARENT
from zkrpc.wire.message import PLAIN_MAGIC, TRACEPARENT_SIZE, Dialect, Template, remember, template_of, write_head
from zkrpc.wire.theader import NO_HEADERS, write_block

MAX_BUDGETS = 256
"""The most budgets that are remembered for one name."""

templates: dict[bytes, dict[float, Template]] = {}
"""The templates of THeader binary calls by name and by budget: ``(deadline_at - now) * 1000 // 1``."""


TracedTemplate = tuple[Callable[..., bytes], bytes, bytes, int, int]
"""A template whose shape is in two parts, before and after the text of the ``traceparent``; and the size of its header
block."""


def learn_template(name: bytes, deadline_at: float, now: float) -> Template:
    """Makes the template of a call that is not in ``templates``, and remembers it there."""
    payload = Dialect.HEADER_BINARY.payload
    template = template_of(write_block(payload, _metadata(None, deadline_at, now)), MessageKind.CALL, name)
    if deadline_at != math.inf:
        if name not in templates:
            remember(templates, name, {})
        remember(templates[name], (deadline_at - now) * 1000 // 1, template, MAX_BUDGETS)
    return template


_traced: dict[bytes, dict[float, TracedTemplate]] = {}
"""The same for calls whose only header is a ``traceparent``."""


def _learn_traced(name: bytes, deadline_at: float, now: float) -> TracedTemplate:
    payload, anything = Dialect.HEADER_BINARY.payload, "0" * TRACEPARENT_SIZE
    block = write_block(payload, _metadata({TRACEPARENT: anything}, deadline_at, now))
    pack, shape, base = template_of(block, MessageKind.CALL, name)
    before, _, after = shape.partition(anything.encode())
    template = pack, before, after, base, len(block)
    if name not in _traced:
        remember(_traced, name, {})
    remember(_traced[name], (deadline_at - now) * 1000 // 1, template, MAX_BUDGETS)
    return template


def _write_traced_head(
    limits: WireLimits, name: bytes, call_id: int, size: int, deadline_at: float, now: float, text: str
) -> bytes | None:
    """The same as ``write_call_head`` writes; None if it is not as usual and not known therefore."""
    if len(text) != TRACEPARENT_SIZE or not text.isascii() or deadline_at == math.inf:
        return None
    try:
        template = _traced[name][(deadline_at - now) * 1000 // 1]
    except KeyError:
        template = _learn_traced(name, deadline_at, now)
    pack, before, after, base, block_size = template
    if block_size > limits.max_header or limits.max_header_entries < 2:
        return None
    return pack(base + size, PLAIN_MAGIC, call_id, before + text.encode() + after, call_id)


def write_call_head(
    dialect: Dialect,
    limits: WireLimits,
    name: bytes,
    call_id: int,
    size: int,
    deadline_at: float,
    now: float,
    headers: Mapping[str, str] | None,
    oneway: bool,
) -> bytes:
    """The bytes before a body of ``size`` bytes, in any dialect. Raises LocalProtocolError if the headers are over a
    limit."""
    if headers and len(headers) == 1 and TRACEPARENT in headers and dialect is Dialect.HEADER_BINARY and not oneway:
        head = _write_traced_head(limits, name, call_id, size, deadline_at, now, headers[TRACEPARENT])
        if head is not None:
            return head
    block = None
    if dialect.has_header:
        metadata = _metadata(headers, deadline_at, now)
        entries = limits.max_header_entries
        block = write_block(dialect.payload, metadata, max_size=limits.max_header, max_entries=entries)
    kind = MessageKind.ONEWAY if oneway else MessageKind.CALL
    return write_head(dialect, kind, name, call_id, size, block=block)


def _metadata(headers: Mapping[str, str] | None, deadline_at: float, now: float) -> Mapping[str, str]:
    """The metadata of a call: the caller's headers and, if it has a deadline, its budget."""
    if deadline_at == math.inf:
        return headers or NO_HEADERS
    return {**(headers or NO_HEADERS), DEADLINE_BUDGET: Deadline(deadline_at).budget(now)}
