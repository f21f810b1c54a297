"""The fast path for requests and replies that look like earlier ones: they are cut out of the bytes without being
parsed.

See :mod:`zkrpc.wire.message` for what a shape is. Whatever is new, large, incomplete or wrong takes the slow path,
which also learns the shapes of new messages. A peer uses one dialect as a rule, so only the loop for its last dialect
is tried.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from zkrpc.config import WireLimits
from zkrpc.wire.answers import SMALL
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.headers import TRACEPARENT
from zkrpc.wire.message import (
    BUILT_IN_PREFIX,
    EMPTY_BLOCKS,
    PLAIN_MAGIC,
    TRACEPARENT_SIZE,
    Dialect,
    Opening,
    PendingCall,
    Reply,
    Request,
    Template,
    bare_name,
    layout_at,
    layout_of,
    make_tuple,
    plain_layout_at,
    plain_layout_of,
    plain_template_of,
    remember,
    shapes_of,
    template_of,
)
from zkrpc.wire.theader import text_of

_HEADER_BINARY, _FRAMED_BINARY = Dialect.HEADER_BINARY, Dialect.FRAMED_BINARY
_EMPTY_BLOCK = EMPTY_BLOCKS[_HEADER_BINARY.payload]
_CALL, _REPLY = MessageKind.CALL, MessageKind.REPLY
_TRACED = bytes((len(TRACEPARENT),)) + TRACEPARENT.encode() + bytes((TRACEPARENT_SIZE,))
"""What precedes the text of a ``traceparent`` in a header block."""


class KnownRequests:
    """The known shapes of one connection's requests.

    ``take(data, start, now, active, room, add)`` goes through the frames from ``start`` on as long as they have known
    shapes, their ids are free and no more than ``room`` are active: it puts each into ``active`` by its id and gives it
    to ``add``. It returns where the first other frame starts, or the end of ``data``.
    """

    __slots__ = ("_known", "_layout", "_plain_known", "_plain_layout", "_small", "_traced", "take")

    def __init__(self, limits: WireLimits) -> None:
        shapes = shapes_of(limits.max_header, limits.max_header_entries)
        self._known, self._plain_known, self._traced = shapes.requests, shapes.plain_requests, shapes.traced_requests
        self._layout, self._plain_layout = layout_of(0), plain_layout_of(0)
        self._small = min(limits.max_frame, SMALL)
        self.take: Callable[..., int] = self._take_header

    def _take_header(
        self, data: bytes, start: int, now: float, active: dict[int, Request], room: int, add: Callable[[Any], Any]
    ) -> int:
        unpack, _, offset = self._layout
        known, end, small = self._known.get, len(data), self._small
        while start != end:
            try:
                length, magic, header_seqid, lead, seqid = unpack(data, start)
                shape = known(lead)
            except struct.error:
                lead, shape = b"", None
            if shape is None:
                layout = layout_at(data, start)
                if layout is None:
                    return start
                if layout is not self._layout:
                    unpack, _, offset = self._layout = layout
                    continue
                at = lead.find(_TRACED) + len(_TRACED)
                shape = self._traced.get(lead[:at] + lead[at + TRACEPARENT_SIZE :])
                if shape is None:
                    return start
                name, kind, headers, template = shape
                parent = text_of(lead[at : at + TRACEPARENT_SIZE])
                shape = name, kind, MappingProxyType({**headers, TRACEPARENT: parent}), template
            stop = start + 4 + length
            if (
                magic != PLAIN_MAGIC
                or stop > end
                or not offset < length <= small
                or seqid in active
                or len(active) >= room
            ):
                return start
            name, kind, headers, template = shape
            # A read that is one frame, as long ones are, is not copied to lose its length.
            frame, at = (data, offset + 4) if stop - start == end else (data[start + 4 : stop], offset)
            active[seqid] = request = make_tuple(
                Request, (name, seqid, kind, headers, frame, at, _HEADER_BINARY, now, header_seqid, 0, template)
            )
            add(request)
            start = stop
        return start

    def _take_plain(
        self, data: bytes, start: int, now: float, active: dict[int, Request], room: int, add: Callable[[Any], Any]
    ) -> int:
        unpack, _, offset = self._plain_layout
        known, end, small = self._plain_known.get, len(data), self._small
        while start != end:
            try:
                length, lead, seqid = unpack(data, start)
                shape = known(lead)
            except struct.error:
                shape = None
            if shape is None:
                layout = plain_layout_at(data, start)
                if layout is None or layout is self._plain_layout:
                    return start
                unpack, _, offset = self._plain_layout = layout
                continue
            stop = start + 4 + length
            if stop > end or not offset < length <= small or seqid in active or len(active) >= room:
                return start
            name, kind, headers, template = shape
            # A read that is one frame, as long ones are, is not copied to lose its length.
            frame, at = (data, offset + 4) if stop - start == end else (data[start + 4 : stop], offset)
            active[seqid] = request = make_tuple(
                Request, (name, seqid, kind, headers, frame, at, _FRAMED_BINARY, now, 0, 0, template)
            )
            add(request)
            start = stop
        return start

    def forgo(self) -> None:
        """From here on THeader requests are parsed, as what they mean depends on earlier ones."""
        self.take = lambda data, start, *_: start

    def learn(
        self, opening: Opening, offset: int, name: bytes, kind: MessageKind, headers: Mapping[str, str]
    ) -> Template | None:
        """Remembers the shape of a request that the slow path has read, and returns the template of its reply, if there
        is one. Nothing is remembered of requests for built-in services."""
        if name.startswith(BUILT_IN_PREFIX):
            return None  # so that it is parsed each time, and known from the others
        if opening.persistent:
            return None
        plain = opening.dialect is _FRAMED_BINARY
        self.take = self._take_plain if plain else self._take_header
        shape, known = opening.shape(offset), self._plain_known if plain else self._known
        if shape is not None and TRACEPARENT in headers:
            # The same shape never comes again, but for that text: which must be where it seems to be.
            at = shape.find(_TRACED) + len(_TRACED)
            text = text_of(shape[at : at + TRACEPARENT_SIZE])
            if headers[TRACEPARENT] != text or shape.count(TRACEPARENT.encode()) > 1:
                return None
            shape, known = shape[:at] + shape[at + TRACEPARENT_SIZE :], self._traced
            headers = MappingProxyType({key: value for key, value in headers.items() if key != TRACEPARENT})
        if shape is None:
            return None
        template = None
        if kind is _CALL:
            reply_to = bare_name(name)
            template = plain_template_of(_REPLY, reply_to) if plain else template_of(_EMPTY_BLOCK, _REPLY, reply_to)
        remember(known, shape, (name, kind, headers, template))
        return template


class KnownReplies:
    """The known shapes of one connection's replies, for THeader binary only: speed matters little with a plain
    connection's single call."""

    __slots__ = ("_known", "_layout", "_max_frame")

    def __init__(self, limits: WireLimits) -> None:
        self._known = shapes_of(limits.max_header, limits.max_header_entries).replies
        self._layout = layout_of(0)
        self._max_frame = limits.max_frame

    def take(
        self, data: bytes, start: int, pending: dict[int, PendingCall], flushed: int, add: Callable[[Any], Any]
    ) -> int:
        """Goes through the frames from ``start`` on as long as they have known shapes and answer a pending call that
        has left: takes it out of ``pending`` and gives its token, with the reply, to ``add``. Returns where the first
        other frame starts, or the end of ``data``."""
        unpack, _, offset = self._layout
        known, end, max_frame = self._known.get, len(data), self._max_frame
        while start != end:
            try:
                length, magic, _, lead, call_id = unpack(data, start)
                shape = known(lead)
            except struct.error:
                shape = None
            if shape is None:
                layout = layout_at(data, start)
                if layout is None or layout is self._layout:
                    return start
                unpack, _, offset = self._layout = layout
                continue
            stop = start + 4 + length
            if magic != PLAIN_MAGIC or stop > end or not offset < length <= max_frame:
                return start
            call = pending.get(call_id)
            kind, headers, name = shape
            if call is None or call[2] > flushed or (name != call[4] and kind is _REPLY):
                return start
            del pending[call_id]
            # A read that is one frame, as long ones are, is not copied to lose its length.
            frame, at = (data, offset + 4) if stop - start == end else (data[start + 4 : stop], offset)
            reply = make_tuple(Reply, (kind, headers, frame, at, _HEADER_BINARY))
            add((call[0], reply))
            start = stop
        return start

    def learn(self, opening: Opening, offset: int, kind: MessageKind, name: bytes) -> None:
        """Remembers the shape of a reply that the slow path has read."""
        shape = opening.shape(offset)
        if shape is not None:
            remember(self._known, shape, (kind, opening.headers, name))
