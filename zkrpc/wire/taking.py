"""Cuts messages of known shapes out of the bytes: the loops of :mod:`zkrpc.wire.fast_path`, in Python.

They know no limits but those they are told, and learn nothing. ``_compiled.c`` has classes that do the same;
``RequestTaker`` and ``ReplyTaker`` are those if they are there (:mod:`zkrpc.compiled`), and otherwise these. A peer
uses one dialect as a rule, so only the loop for its last dialect is tried.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from zkrpc import compiled
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.headers import TRACEPARENT
from zkrpc.wire.message import (
    PLAIN_MAGIC,
    TRACEPARENT_SIZE,
    Dialect,
    PendingCall,
    Reply,
    Request,
    Shapes,
    layout_at,
    layout_of,
    make_tuple,
    plain_layout_at,
    plain_layout_of,
)
from zkrpc.wire.theader import text_of

_HEADER_BINARY, _FRAMED_BINARY = Dialect.HEADER_BINARY, Dialect.FRAMED_BINARY
_REPLY = MessageKind.REPLY
TRACED = bytes((len(TRACEPARENT),)) + TRACEPARENT.encode() + bytes((TRACEPARENT_SIZE,))
"""What precedes the text of a ``traceparent`` in a header block."""


class PureRequestTaker:
    """Takes requests of the shapes in ``shapes``, of frames of up to ``most`` bytes.

    ``take(data, start, now, active, room, add)`` goes through the frames from ``start`` on as long as they have known
    shapes, their ids are free and no more than ``room`` are active: it puts each into ``active`` by its id and gives it
    to ``add``. It returns where the first other frame starts, or the end of ``data``.
    """

    __slots__ = ("_layout", "_most", "_plain_layout", "_shapes", "take")

    def __init__(self, shapes: Shapes, most: int) -> None:
        self._shapes, self._most = shapes, most
        self._layout, self._plain_layout = layout_of(0), plain_layout_of(0)
        self.take: Callable[..., int] = self._take_header

    def expect(self, plain: bool | None) -> None:
        """From here on frames are plain, or THeader's, or are all left if it is None."""
        if plain is None:
            self.take = lambda data, start, *_: start
        else:
            self.take = self._take_plain if plain else self._take_header

    def _take_header(
        self, data: bytes, start: int, now: float, active: dict[int, Request], room: int, add: Callable[[Any], Any]
    ) -> int:
        unpack, _, offset = self._layout
        known, end, most = self._shapes.requests.get, len(data), self._most
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
                at = lead.find(TRACED) + len(TRACED)
                shape = self._shapes.traced_requests.get(lead[:at] + lead[at + TRACEPARENT_SIZE :])
                if shape is None:
                    return start
                name, kind, headers, template = shape
                parent = text_of(lead[at : at + TRACEPARENT_SIZE])
                shape = name, kind, MappingProxyType({**headers, TRACEPARENT: parent}), template
            stop = start + 4 + length
            if (
                magic != PLAIN_MAGIC
                or stop > end
                or not offset < length <= most
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
        known, end, most = self._shapes.plain_requests.get, len(data), self._most
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
            if stop > end or not offset < length <= most or seqid in active or len(active) >= room:
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


class PureReplyTaker:
    """Takes replies of the shapes in ``shapes``, in frames of up to ``most`` bytes, in THeader binary only: speed
    matters little with a plain connection's single call."""

    __slots__ = ("_layout", "_most", "_shapes")

    def __init__(self, shapes: Shapes, most: int) -> None:
        self._shapes, self._most = shapes, most
        self._layout = layout_of(0)

    def take(
        self, data: bytes, start: int, pending: dict[int, PendingCall], flushed: int, add: Callable[[Any], Any]
    ) -> int:
        """Goes through the frames from ``start`` on as long as they have known shapes and answer a pending call that
        has left: takes it out of ``pending`` and gives its token, with the reply, to ``add``. Returns where the first
        other frame starts, or the end of ``data``."""
        unpack, _, offset = self._layout
        known, end, most = self._shapes.replies.get, len(data), self._most
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
            if magic != PLAIN_MAGIC or stop > end or not offset < length <= most:
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


_module = compiled.load("zkrpc.wire._compiled")
if TYPE_CHECKING or _module is None:
    RequestTaker = PureRequestTaker
    ReplyTaker = PureReplyTaker
else:
    _module.describe(
        request=Request,
        reply=Reply,
        header_binary=_HEADER_BINARY,
        framed_binary=_FRAMED_BINARY,
        kind_reply=_REPLY,
        traceparent=TRACEPARENT,
    )
    RequestTaker, ReplyTaker = _module.RequestTaker, _module.ReplyTaker
