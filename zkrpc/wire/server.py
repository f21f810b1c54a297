"""The server's end of one connection, as a byte machine without I/O: bytes in, requests out, replies in, bytes out.

=========  =====================================================================================================
OPEN       requests come and are answered
DRAINING   the peer was asked to send no more (``send_draining``); what is in flight, or comes still, is served
CLOSED     the peer left, or sent what cannot be framed (``failure``), or was too slow: nothing more is read or sent
=========  =====================================================================================================

The first bytes tell what the peer speaks (:mod:`zkrpc.wire.detection`), and it is answered in kind. Requests for
built-in services (``zkrpc.Health:check``) are set aside: they are no part of the load.

It answers by itself what handlers should not see: pings, calls over ``max_in_flight``, and well-framed messages that
are not calls. It does not know methods, structs or deadlines, reads no clock, and never raises for bytes that a peer
sent.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Mapping

from zkrpc.config import WireLimits
from zkrpc.errors import LocalProtocolError, RemoteProtocolError
from zkrpc.wire import status
from zkrpc.wire.answers import is_too_heavy, write_refusal, write_reply_head
from zkrpc.wire.cores import ServerCore
from zkrpc.wire.detection import LENGTH_SIZE, Stranger
from zkrpc.wire.envelope import EnvelopeError, MessageKind
from zkrpc.wire.fast_path import KnownRequests
from zkrpc.wire.held import HeldRequests
from zkrpc.wire.hello import hello_frame, narrowed
from zkrpc.wire.inflow import Inflow
from zkrpc.wire.message import (
    BUILT_IN_PREFIX,
    CANCEL,
    CONTROL_PREFIX,
    DRAINING,
    HELLO,
    PING,
    PONG,
    Inflated,
    Opening,
    ProtocolState,
    Request,
    control_frame,
    open_unread,
)
from zkrpc.wire.status import Status
from zkrpc.wire.theader import NO_HEADERS, Unspoken, deflate
from zkrpc.wire.unframed import Endless

MAX_NAME = 256
"""The most bytes in a method's name."""

_CALL, _ONEWAY, _REPLY = MessageKind.CALL, MessageKind.ONEWAY, MessageKind.REPLY
_KINDS = {int(kind): kind for kind in MessageKind}
"""A look-up takes a tenth of what a call of the enumeration takes."""
_CLOSED = ProtocolState.CLOSED


class ServerProtocol(ServerCore):
    """One accepted connection."""

    __slots__ = (
        "_cancelled",
        "_held",
        "_peer_is_done",
        "_takes",
        "aside",
        "failure",
        "has_news",
        "inflow",
        "limits",
        "peer_headers",
        "peer_is_zkrpc",
        "state",
    )

    def __init__(self, limits: WireLimits, now: float) -> None:
        super().__init__()
        self.limits, self.state = limits, ProtocolState.OPEN
        self.failure: str | None = None
        """Why the connection must be closed, in one line for the log; None if nothing is wrong or the peer just
        left."""
        self.peer_is_zkrpc = False
        """True once the peer's hello came: it understands control frames."""
        self.peer_headers: Mapping[str, str] = NO_HEADERS
        """The headers of the peer's hello."""
        self.has_news = False
        """Set when the peer has introduced itself, cancelled calls, or asked a built-in service; the shell reads and
        clears it."""
        self.last_heard_at = now
        """When bytes were last received."""
        # What the peer takes: what we do, until it says less.
        self._takes, self._max_frame = limits, limits.max_frame
        self.inflow, self._known = Inflow(limits, now), KnownRequests(limits)
        self.ready: list[Request] = []
        """Requests for ``next_request``. There are few at a time, and an empty deque takes 700 bytes more."""
        self.aside: list[Request] = []
        """Requests for built-in services; the shell takes them all out. Each is answered or finished as any other."""
        self._active: dict[int, Request] = {}
        self._held, self._peer_is_done = HeldRequests(), False
        # In the order in which they came, each once; a dict, because a peer may cancel much and again and again.
        self._cancelled: dict[Request, None] = {}
        self._out: list[bytes] = []
        self._room = limits.max_in_flight

    # -- what the shell looks at

    @property
    def in_flight(self) -> int:
        """The number of requests that were received and neither answered nor finished."""
        return len(self._active) + self._held.count

    @property
    def partial_since(self) -> float | None:
        """When the incomplete message's first bytes came; None if none is incomplete."""
        return self.inflow.partial_since

    @property
    def held_bytes(self) -> int:
        """Bytes of frames that are incomplete or in flight; takes time in proportion to their number."""
        waiting = itertools.chain(self._active.values(), self._held)
        return len(self.inflow.buffer) + sum(len(request.frame) for request in waiting)

    @property
    def wants_close(self) -> bool:
        """True when nothing is left but to send what ``data_to_send`` returns and to close.

        While draining, that is so when nothing is in flight. A zkrpc peer must also have said that no more will come,
        so that no call is lost at the last moment. A plain Thrift peer cannot say so: wait for ``linger`` seconds
        before ``send_draining``.
        """
        if self.state is ProtocolState.DRAINING:
            return not self.in_flight and (self._peer_is_done or not self.peer_is_zkrpc)
        return self.state is _CLOSED

    # -- from the peer

    def _receive(self, data: bytes, now: float, start: int) -> None:
        """Takes any bytes, from ``start`` on, before which all were messages as usual."""
        if self.state is _CLOSED:
            return
        self.last_heard_at = now
        self._is_whole = False
        inflow = self.inflow
        try:
            if inflow.prelude is not None:
                data = inflow.unwrap(inflow.prelude, data, now)
            if inflow.partial_since is None:
                self._take(data, start, now)
            elif data:
                joined, start = inflow.buffer.join(data)
                if joined:
                    self._take(joined, 0, now)
                start = inflow.buffer.skip(data, start)
                if not inflow.buffer:
                    inflow.partial_since = None
                if start != len(data):
                    self._take(data, start, now)
        except RemoteProtocolError as exc:
            if isinstance(exc, Stranger):
                self._out.append(exc.answer)
            elif isinstance(exc, Endless):
                with contextlib.suppress(RemoteProtocolError):  # it cannot be answered
                    kind, name, seqid, _ = exc.opening.envelope()
                    self._refuse(exc.opening, name[:MAX_NAME], seqid, str(exc), exc.told, kind)
            self._become_closed(str(exc))
        if self._cancelled:
            self._withdraw_cancelled()
        self._settle()
        self.wanted = inflow.buffer.wanted if inflow.prelude is None and self.state is not _CLOSED else 0

    def _settle(self) -> None:
        """Tells the core, after whatever may change it, what is as usual."""
        inflow = self.inflow
        self._is_simple = self.state is not _CLOSED and inflow.prelude is None and not self._held.count
        self._is_whole = (
            self._is_simple
            and inflow.dialect is None
            and inflow.partial_since is None
            and inflow.first_message_by is None
            and not self._cancelled
        )

    def _take(self, data: bytes, start: int, now: float) -> None:
        """Takes the messages from ``start`` on; the last one is kept if it is incomplete. Raises RemoteProtocolError if
        the connection cannot go on."""
        active, add, inflow = self._active, self.ready.append, self.inflow
        room = self.limits.max_in_flight - self._held.count
        buffer, is_framed = inflow.buffer, inflow.dialect is None
        end, began = len(data), start
        while start != end:
            if is_framed:
                start = self._known.take(data, start, now, active, room, add)
                if start == end:
                    break
            stop = buffer.end_of_frame(data, start)
            if stop < 0:
                break
            self._take_any(data[start + buffer.lead : stop], now)
            start = stop
        if start != began:
            inflow.first_message_by = None
            inflow.partial_since = None if start == end and not buffer.skipping else now
        elif inflow.partial_since is None and start != end:
            inflow.partial_since = now

    def _take_any(self, frame: bytes, now: float) -> None:
        """One frame of any kind. Raises RemoteProtocolError if the connection cannot go on after it."""
        buffer = self.inflow.buffer
        try:
            opening = self.inflow.open(frame, self._known, now)
            kind, name, seqid, offset = opening.envelope()
        except Unspoken as exc:
            opening = open_unread(frame, exc.payload)
            self._refuse(opening, b"", opening.header_seqid, str(exc), Status(exc.kind, NO_HEADERS))
            return
        except Inflated as exc:
            told = status.TOO_LARGE if exc.is_too_large else status.OVERLOADED
            self._refuse(exc.opening, exc.name[:MAX_NAME], exc.seqid, str(exc), told, exc.kind)
            return
        except EnvelopeError as exc:
            if exc.seqid is None:
                raise
            self._refuse(opening, b"", exc.seqid, str(exc), status.MALFORMED)
            return
        if kind == _ONEWAY and opening.dialect.has_header and name.startswith(CONTROL_PREFIX):
            self._receive_control(name, seqid, opening.headers)
        elif kind not in (_CALL, _ONEWAY):
            self._refuse(opening, name[:MAX_NAME], seqid, "not a call", status.NO_CALL)
        elif len(name) > MAX_NAME:
            message = f"method name of {len(name)} bytes is over {MAX_NAME}"
            self._refuse(opening, b"", seqid, message, status.MALFORMED, kind)
        elif buffer.is_oversized:
            message = f"request of {buffer.claimed} bytes is over this server's max_frame {buffer.max_frame}"
            self._refuse(opening, name, seqid, message, status.TOO_LARGE, kind)
        elif self.in_flight >= self.limits.max_in_flight or is_too_heavy(
            opening.frame, itertools.chain(self._active.values(), self._held), self.limits
        ):
            self._refuse(opening, name, seqid, "overloaded", status.OVERLOADED, kind)
        else:
            self._admit(opening, _KINDS[kind], name, seqid, offset, now)

    def _admit(self, opening: Opening, kind: MessageKind, name: bytes, seqid: int, offset: int, now: float) -> None:
        dialect, frame, _, headers, flags, header_seqid, _ = opening
        template = self._known.learn(opening, offset, name, kind, headers)
        request = Request(name, seqid, kind, headers, frame, offset, dialect, now, header_seqid, flags, template)
        if seqid in self._active:
            self._held.add(request)
        else:
            self._give_out(request)

    def _give_out(self, request: Request) -> None:
        self._active[request.seqid] = request
        if request.name.startswith(BUILT_IN_PREFIX):
            self.aside.append(request)
            self.has_news = True
        else:
            self.ready.append(request)

    def _receive_control(self, name: bytes, seqid: int, headers: Mapping[str, str]) -> None:
        # Names we do not know are of a later version, and ignored.
        self.has_news = True
        if name == HELLO:
            if not self.peer_is_zkrpc:
                self._out.append(hello_frame(self.limits))
                self._takes = narrowed(self.limits, headers)
                self._max_frame = self._takes.max_frame
            self.peer_is_zkrpc, self.peer_headers = True, headers
        elif name == PING:
            self._out.append(control_frame(PONG, seqid))
        elif name == DRAINING:
            self._peer_is_done = True
        elif name == CANCEL and seqid in self._active:  # else it was answered already, which the caller could not know
            self._cancelled[self._active[seqid]] = None

    def _withdraw_cancelled(self) -> None:
        """Removes requests that were cancelled before they were given out, all in one pass, as there may be many of
        both."""
        withdrawn = [request for request in self.ready if request in self._cancelled]
        if withdrawn:
            self.ready = [request for request in self.ready if request not in self._cancelled]
            for request in withdrawn:
                del self._cancelled[request]
                self.finish(request)

    def _refuse(self, opening: Opening, name: bytes, seqid: int, message: str, told: Status, kind: int = _CALL) -> None:
        """Answers a message that never becomes a request, in the caller's dialect; a ONEWAY message gets no answer."""
        if kind == _ONEWAY:
            return
        if seqid in self._active:
            # Some clients use one seqid for all calls and take answers in order; this one would come too early.
            raise RemoteProtocolError(f"{message}, with the seqid of a call in flight")
        self._out += write_refusal(opening, name, seqid, message, told, self._takes)

    def receive_eof(self, now: float) -> None:
        """The peer has closed the connection: calls in flight may finish, and their replies are dropped."""
        if self.state is not _CLOSED:
            self._become_closed(None if self.partial_since is None else "the peer closed in the middle of a frame")

    # -- from the application

    def take_cancelled(self) -> list[Request]:
        """Requests that were given out and then cancelled; call ``finish`` for those that are ended."""
        cancelled, self._cancelled = self._cancelled, {}
        self._settle()
        return list(cancelled)

    def send_ping(self) -> None:
        """Asks a zkrpc peer for a sign of life, which shows in ``last_heard_at``. No effect with other peers."""
        if self.peer_is_zkrpc and self.state is not _CLOSED:
            self._out.append(control_frame(PING))

    def _send_reply(
        self, request: Request, body: bytes, *, kind: MessageKind = _REPLY, headers: Mapping[str, str] | None = None
    ) -> None:
        """Any answer, as ``send_reply`` says."""
        seqid, size = request.seqid, len(body)
        head = write_reply_head(request, self._takes, kind, headers, size)
        length = len(head) + size - (LENGTH_SIZE if request.dialect.is_framed else 0)
        if request.dialect.is_deflated:
            head, body = deflate(head, body, self._takes)
        if length > self._max_frame:
            whose = "max_frame" if self._max_frame == self.limits.max_frame else "the caller's max_frame"
            raise LocalProtocolError(f"reply of {length} bytes is over {whose} {self._max_frame}")
        if self._active.get(seqid) is not request:
            raise LocalProtocolError(f"{request!r} was answered or given up before, or has not been handed out")
        del self._active[seqid]
        if self.state is not _CLOSED:
            out = self._out
            out.append(head)
            out.append(body)
        if self._held.count:
            self._release(seqid)

    def finish(self, request: Request) -> None:
        """Forgets a request that gets no reply, as it is oneway or its handler was ended. Harmless if done already."""
        seqid = request.seqid
        if self._active.get(seqid) is request:
            del self._active[seqid]
            if self._held.count:
                self._release(seqid)

    def _release(self, seqid: int) -> None:
        """Releases the next held request with this seqid."""
        request = self._held.pop(seqid)
        if request is not None:
            self._give_out(request)
        self._settle()

    def send_draining(self) -> None:
        """Asks the peer, if it is a zkrpc peer, to send no more calls; starts DRAINING."""
        if self.state is ProtocolState.OPEN:
            self.state = ProtocolState.DRAINING
            if self.peer_is_zkrpc:
                self._out.append(control_frame(DRAINING))

    def _data_to_send(self) -> bytes:
        """The same, also if it must be deflated."""
        joined = b"".join(self._out)
        self._out.clear()
        return self.inflow.outward(joined)

    # -- time

    def next_timer(self) -> float | None:
        """When to call ``handle_timer``, or None."""
        return None if self.state is _CLOSED else self.inflow.next_timer()

    def handle_timer(self, now: float) -> None:
        """Ends the connection of a peer that is too slow; does nothing if it is called early."""
        if self.state is not _CLOSED and (failure := self.inflow.overdue(now)) is not None:
            self._become_closed(failure)

    def _become_closed(self, failure: str | None) -> None:
        self.state, self.failure = _CLOSED, failure
        self.inflow.clear()
        self._settle()

    def abandon(self, failure: str | None = None) -> None:
        """The connection is closed, or to be closed because of ``failure``: forgets all requests that are not
        answered."""
        if self.state is not _CLOSED:
            self._become_closed(failure)
        for some in (self._active, self.ready, self.aside, self._cancelled, self._out):
            some.clear()
        self._held.clear()

    def __repr__(self) -> str:
        """State and counts."""
        return f"<ServerProtocol {self.state.name} in_flight={self.in_flight} failure={self.failure!r}>"
