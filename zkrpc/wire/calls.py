"""Writes what precedes a call's body on the wire, and remembers it to write it faster the next time.

A call without headers of its own differs from the one before only in its id, its size and its deadline budget. So the
bytes are kept by name and budget; both come from this process, so no peer can fill the memory. The table has two
levels, and the budget is floored by ``// 1``, because a tuple and ``int()`` cost twice as much as the look-up itself
(measured).
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from zkrpc.config import WireLimits
from zkrpc.deadline import Deadline
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.headers import DEADLINE_BUDGET
from zkrpc.wire.message import Dialect, Template, remember, template_of, write_head
from zkrpc.wire.theader import NO_HEADERS, write_block

MAX_BUDGETS = 256
"""The most budgets that are remembered for one name."""

templates: dict[bytes, dict[float, Template]] = {}
"""The templates of THeader binary calls by name and by budget: ``(deadline_at - now) * 1000 // 1``."""


def learn_template(name: bytes, deadline_at: float, now: float) -> Template:
    """Makes the template of a call that is not in ``templates``, and remembers it there."""
    payload = Dialect.HEADER_BINARY.payload
    template = template_of(write_block(payload, _metadata(None, deadline_at, now)), MessageKind.CALL, name)
    if deadline_at != math.inf:
        if name not in templates:
            remember(templates, name, {})
        remember(templates[name], (deadline_at - now) * 1000 // 1, template, MAX_BUDGETS)
    return template


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
