"""What every call goes through in the two machines, as long as all is as usual: their base classes, in Python.

A core takes a step only if nothing about it is out of the ordinary, and otherwise leaves all of it, or what remains of
it, to the machine that derives from it: to a method of the same signature whose name begins with ``_``. It raises
nothing. ``_compiled.c`` has classes that do the same; ``ClientCore`` and ``ServerCore`` are those if they are there.

The machines tell their cores by a few attributes whether all is as usual:

====================  ===============================================================================================
``_is_whole``         open, framed, and nothing incomplete is kept: messages start where a read does
``_is_simple``        of a server: open, no zlib stream around it, no request held: an answer is all that an answer is
``_has_templates``    of a client: calls can be written from templates, and replies can be known by their shapes
====================  ===============================================================================================

What their shells look at is ``wanted``: how many bytes to read at once, so that a long message, which is best not put
together from pieces, begins where a read does. It is 0 if that does not matter. Once a read has that many bytes and is
one message, the next one is taken to be as long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from zkrpc import compiled
from zkrpc.wire.calls import templates
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.fast_path import KnownReplies, KnownRequests
from zkrpc.wire.message import PLAIN_MAGIC, Dialect, PendingCall, Reply, Request

_REPLY = MessageKind.REPLY
_HEADER_BINARY = Dialect.HEADER_BINARY
LAST_ID = 0x7FFFFFFF


class PureServerCore:
    """Reads, requests, answers and writes of a :class:`~zkrpc.wire.server.ServerProtocol`."""

    __slots__ = (
        "_active",
        "_is_simple",
        "_is_whole",
        "_known",
        "_max_frame",
        "_out",
        "_room",
        "last_heard_at",
        "ready",
        "wanted",
    )

    _active: dict[int, Request]
    _known: KnownRequests
    _max_frame: int
    _out: list[bytes]
    _room: int
    ready: list[Request]

    def __init__(self) -> None:
        self.last_heard_at = 0.0
        self.wanted = 0
        self._is_whole = self._is_simple = False

    def _receive(self, data: bytes, now: float, start: int) -> None:
        raise NotImplementedError

    def _send_reply(
        self, request: Request, body: bytes, *, kind: MessageKind = _REPLY, headers: Mapping[str, str] | None = None
    ) -> None:
        raise NotImplementedError

    def _data_to_send(self) -> bytes:
        raise NotImplementedError

    def receive_data(self, data: bytes, now: float) -> None:
        """Takes bytes from the socket. Call ``next_request`` until it returns None, and ``data_to_send``,
        afterwards."""
        start = 0
        if self._is_whole:
            self.last_heard_at = now
            start = self._known.take(data, 0, now, self._active, self._room, self.ready.append)
            if start == len(data):
                if start != self.wanted:
                    self.wanted = 0
                return
        self._receive(data, now, start)

    def next_request(self) -> Request | None:
        """The next request to run, or None. Requests that came whole before a failure are still given out.

        Call it again after ``send_reply`` and ``finish``, too: they release a held request of the same seqid.
        """
        return self.ready.pop(0) if self.ready else None

    def send_reply(
        self, request: Request, body: bytes, *, kind: MessageKind = _REPLY, headers: Mapping[str, str] | None = None
    ) -> None:
        """Answers a CALL, with an encoded result struct or, if ``kind`` is EXCEPTION, a TApplicationException.

        Raises LocalProtocolError if the request was answered before, expects no answer, or if the answer is over a
        limit; in the last case another answer may still be sent. On a closed connection the answer is dropped.
        """
        template, seqid = request.template, request.seqid
        if template is not None and kind is _REPLY and not headers and self._is_simple:
            pack, shape, base = template
            length = base + len(body)
            if length <= self._max_frame and self._active.get(seqid) is request:
                out = self._out
                if request.dialect is _HEADER_BINARY:
                    out.append(pack(length, PLAIN_MAGIC, request.header_seqid, shape, seqid))
                else:
                    out.append(pack(length, shape, seqid))
                out.append(body)
                del self._active[seqid]
                return
        self._send_reply(request, body, kind=kind, headers=headers)

    def data_to_send(self) -> bytes:
        """Everything written since the last time, for the socket."""
        out = self._out
        if not out:
            return b""
        if not self._is_simple:
            return self._data_to_send()
        joined = b"".join(out)
        out.clear()
        return joined


class PureClientCore:
    """Calls, writes and reads of a :class:`~zkrpc.wire.client.ClientProtocol`."""

    __slots__ = (
        "_backlog",
        "_before",
        "_flushed",
        "_has_templates",
        "_is_whole",
        "_known",
        "_latest",
        "_max_frame",
        "_out",
        "_pending",
        "_pong_waits",
        "_serial",
        "accepts",
        "last_heard_at",
        "wanted",
    )

    _backlog: list[tuple[int, int]]
    _known: KnownReplies
    _max_frame: int
    _out: list[bytes]
    _pending: dict[int, PendingCall]

    def __init__(self) -> None:
        self._serial = self._flushed = self._before = 0
        self._latest = self.last_heard_at = 0.0
        self.wanted = 0
        self._is_whole = self._has_templates = self._pong_waits = self.accepts = False

    def _send_call(
        self,
        name: bytes,
        body: bytes,
        token: Any,
        *,
        deadline_at: float,
        now: float,
        headers: Mapping[str, str] | None = None,
        oneway: bool = False,
    ) -> int:
        raise NotImplementedError

    def _receive(self, data: bytes, now: float, start: int, replies: list[tuple[Any, Reply]]) -> None:
        raise NotImplementedError

    def send_call(
        self,
        name: bytes,
        body: bytes,
        token: Any,
        *,
        deadline_at: float,
        now: float,
        headers: Mapping[str, str] | None = None,
        oneway: bool = False,
    ) -> int:
        """Takes an encoded argument struct; returns the call's id. ``token`` comes back with the reply.

        The remaining time travels as ``Deadline-Budget`` where there is a header. A oneway call is over with this, and
        cannot be cancelled. Raises LocalProtocolError if the connection is closed or draining, TooLarge if the call is
        over a limit, and NotIntroduced if the server has not told its limits yet; nothing has changed then.
        """
        if self.accepts and self._has_templates and not headers and not oneway and name in templates:
            template = templates[name].get((deadline_at - now) * 1000 // 1)
            pending, serial = self._pending, self._serial + 1
            call_id = serial & LAST_ID
            if template is not None and call_id not in pending and (deadline_at >= self._latest or not pending):
                pack, shape, base = template
                length = base + len(body)
                if length <= self._max_frame:
                    out = self._out
                    pending[call_id] = (token, deadline_at, serial, len(out), name)
                    out.append(pack(length, PLAIN_MAGIC, call_id, shape, call_id))
                    out.append(body)
                    self._serial, self._latest = serial, deadline_at
                    return call_id
        return self._send_call(name, body, token, deadline_at=deadline_at, now=now, headers=headers, oneway=oneway)

    def data_to_send(self) -> bytes:
        """Everything written since the last time. From here on it counts as having left, unless ``close`` is told
        otherwise."""
        out = self._out
        if not out:
            return b""
        joined = b"".join(out)
        out.clear()
        self._before, self._flushed = self._flushed, self._serial
        self._backlog = []
        self._pong_waits = False
        return joined

    def receive_data(self, data: bytes, now: float) -> list[tuple[Any, Reply]]:
        """Takes bytes from the socket; returns the tokens of the calls that they answer, with their replies.

        Check ``state`` afterwards: it is CLOSED if the peer broke the protocol, and then ``close`` returns the other
        calls.
        """
        replies: list[tuple[Any, Reply]] = []
        start = 0
        if self._is_whole and self._has_templates:
            self.last_heard_at = now
            start = self._known.take(data, 0, self._pending, self._flushed, replies.append)
            if start == len(data):
                if start != self.wanted:
                    self.wanted = 0
                return replies
        self._receive(data, now, start, replies)
        return replies


_module = compiled.load("zkrpc.wire._compiled")
if TYPE_CHECKING or _module is None:
    ClientCore = PureClientCore
    ServerCore = PureServerCore
else:
    _module.describe(templates=templates)
    ClientCore, ServerCore = _module.ClientCore, _module.ServerCore
