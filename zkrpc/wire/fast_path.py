"""The fast path for requests and replies that look like earlier ones: they are cut out of the bytes without being
parsed, by what :mod:`zkrpc.wire.taking` has.

See :mod:`zkrpc.wire.message` for what a shape is. Whatever is new, large, incomplete or wrong takes the slow path,
which also learns the shapes of new messages, here.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from zkrpc.config import WireLimits
from zkrpc.wire.answers import SMALL
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.headers import TRACEPARENT
from zkrpc.wire.message import (
    BUILT_IN_PREFIX,
    EMPTY_BLOCKS,
    TRACEPARENT_SIZE,
    Dialect,
    Opening,
    Template,
    bare_name,
    plain_template_of,
    remember,
    shapes_of,
    template_of,
)
from zkrpc.wire.taking import TRACED, ReplyTaker, RequestTaker
from zkrpc.wire.theader import text_of

_HEADER_BINARY, _FRAMED_BINARY = Dialect.HEADER_BINARY, Dialect.FRAMED_BINARY
_EMPTY_BLOCK = EMPTY_BLOCKS[_HEADER_BINARY.payload]
_CALL, _REPLY = MessageKind.CALL, MessageKind.REPLY


class KnownRequests(RequestTaker):
    """The known shapes of one connection's requests."""

    __slots__ = ("_learnt",)

    def __init__(self, limits: WireLimits) -> None:
        self._learnt = shapes_of(limits.max_header, limits.max_header_entries)
        super().__init__(self._learnt, min(limits.max_frame, SMALL))

    def forgo(self) -> None:
        """From here on THeader requests are parsed, as what they mean depends on earlier ones."""
        self.expect(None)

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
        self.expect(plain)
        shape, known = opening.shape(offset), self._learnt.plain_requests if plain else self._learnt.requests
        if shape is not None and TRACEPARENT in headers:
            # The same shape never comes again, but for that text: which must be where it seems to be.
            at = shape.find(TRACED) + len(TRACED)
            text = text_of(shape[at : at + TRACEPARENT_SIZE])
            if headers[TRACEPARENT] != text or shape.count(TRACEPARENT.encode()) > 1:
                return None
            shape, known = shape[:at] + shape[at + TRACEPARENT_SIZE :], self._learnt.traced_requests
            headers = MappingProxyType({key: value for key, value in headers.items() if key != TRACEPARENT})
        if shape is None:
            return None
        template = None
        if kind is _CALL:
            reply_to = bare_name(name)
            template = plain_template_of(_REPLY, reply_to) if plain else template_of(_EMPTY_BLOCK, _REPLY, reply_to)
        remember(known, shape, (name, kind, headers, template))
        return template


class KnownReplies(ReplyTaker):
    """The known shapes of one connection's replies."""

    __slots__ = ("_learnt",)

    def __init__(self, limits: WireLimits) -> None:
        self._learnt = shapes_of(limits.max_header, limits.max_header_entries)
        super().__init__(self._learnt, limits.max_frame)

    def learn(self, opening: Opening, offset: int, kind: MessageKind, name: bytes) -> None:
        """Remembers the shape of a reply that the slow path has read."""
        shape = opening.shape(offset)
        if shape is not None:
            remember(self._learnt.replies, shape, (kind, opening.headers, name))
