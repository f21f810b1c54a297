"""The client's end of one connection, as a byte machine without I/O: calls in, bytes out, bytes in, replies out.

=======  ======================================================================================================
OPEN     calls go out, replies come in, matched by id; ``draining`` once the server asked for no more calls
CLOSED   closed by us, by the peer, or because of what the peer sent (``failure``): nothing more is read or sent
=======  ======================================================================================================

Every call ends exactly once: as a reply, as an expired call from ``handle_timer``, as a cancelled one, or in the list
that ``close`` or ``receive_eof`` gives. For the last three it is also told whether the call's frame ever left
(``flushed``); a frame that did not is taken back, so that "not executed" stays true.

On a plain dialect not every server's replies can be told apart, so the late reply to an abandoned call could be taken
for the next one. So a call that is abandoned after its frame left closes the connection.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from zkrpc.caller import NOBODY
from zkrpc.config import WireLimits
from zkrpc.errors import LocalProtocolError, RemoteProtocolError
from zkrpc.wire.answers import reply_in_place_of
from zkrpc.wire.calls import learn_template, templates, write_call_head
from zkrpc.wire.cores import LAST_ID, ClientCore
from zkrpc.wire.detection import LENGTH_SIZE
from zkrpc.wire.early import EarlyDeadlines
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.fast_path import KnownReplies
from zkrpc.wire.hello import Introduction, caller_headers, hello_frame
from zkrpc.wire.keepalive import ControlAllowance
from zkrpc.wire.leaving import frames_in, last_that_left
from zkrpc.wire.message import (
    CANCEL,
    CONTROL_PREFIX,
    DRAINING,
    HELLO,
    PING,
    PLAIN_MAGIC,
    PONG,
    Dialect,
    Opening,
    PendingCall,
    ProtocolState,
    Reply,
    bare_name,
    check_reply,
    control_frame,
    open_frame,
)
from zkrpc.wire.theader import deflate, inflating
from zkrpc.wire.unframed import buffer_of

_ONEWAY, _REPLY = MessageKind.ONEWAY, MessageKind.REPLY
_HEADER_BINARY = Dialect.HEADER_BINARY
_CLOSED = ProtocolState.CLOSED


class ClientProtocol(ClientCore):
    """One outgoing connection.

    The table of pending calls is also the queue of their deadlines: it keeps the order of sending, in which deadlines
    usually rise. Only a call whose deadline is before that of a call sent earlier goes into a queue of its own.
    """

    __slots__ = (
        "_buffer",
        "_controls",
        "_early",
        "_given_up",
        "_opened_at",
        "_said",
        "_server",
        "dialect",
        "draining",
        "failure",
        "is_zkrpc",
        "limits",
        "state",
    )

    def __init__(self, dialect: Dialect, limits: WireLimits, now: float, *, zkrpc: bool, **said: Any) -> None:
        """``said`` is what the client says of itself, ``caller`` and ``traces``, as ``hello_frame`` takes them."""
        super().__init__()
        self.dialect = dialect
        self.limits = limits = inflating(limits) if dialect.is_deflated else limits
        self.state = ProtocolState.OPEN
        self.failure: str | None = None
        """Why the connection broke, in one line; None if it did not, or if this side closed it."""
        self.draining = False
        """True once the server asked for no more calls. Those in flight are still answered."""
        self.last_heard_at = self._opened_at = now
        """When bytes were last received; when it was opened, while none were."""
        self.is_zkrpc = zkrpc and dialect.has_header
        """Whether the server understands control messages."""
        self.accepts = True
        """False once no more calls are accepted: the connection is closed, or the server asked for no more."""
        # A server that understands no hello is told with the first call who calls.
        self._said = caller_headers(said.get("caller", NOBODY)) if dialect.has_header and not self.is_zkrpc else {}
        self._has_templates = dialect is _HEADER_BINARY and not self._said
        # Calls that left and whose replies nobody waits for any more: so many may still come, and no more.
        self._given_up, self._pong_waits = 0, False
        self._controls = ControlAllowance(now)
        self._server = Introduction(limits, awaited=self.is_zkrpc)
        self._max_frame = self._server.max_frame
        self._buffer, self._known = buffer_of(dialect, limits), KnownReplies(limits)
        # Counts every id taken; the id is its lower 31 bits. What is at most ``_flushed`` has left; what is over
        # ``_before`` went with the last chunk. The backlog is of that chunk, if the socket did not take it at once.
        self._serial = self._flushed = self._before = 0
        self._backlog: list[tuple[int, int]] = []
        self._pending: dict[int, PendingCall] = {}
        self._early, self._latest = EarlyDeadlines(self._pending), -math.inf
        self._out: list[bytes] = [hello_frame(limits, **said)] if self.is_zkrpc else []
        self._is_whole = True

    # -- what the shell looks at

    @property
    def pending(self) -> int:
        """The number of calls without an answer."""
        return len(self._pending)

    @property
    def is_heard(self) -> bool | None:
        """Whether a byte has ever come; None if no call has left, so that none was due."""
        return True if self.last_heard_at != self._opened_at else False if self._flushed else None

    # -- calls

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
        """Any call, as ``send_call`` says."""
        if not self.accepts:
            reason = self.failure or ("closed" if self.state is _CLOSED else "the server is draining")
            raise LocalProtocolError(f"no calls on this connection: {reason}")
        call_id = (serial := self._serial + 1) & LAST_ID
        pending = self._pending
        while call_id in pending:
            call_id = (serial := serial + 1) & LAST_ID
        size = len(body)
        if headers or oneway or not self._has_templates:
            headers = {**self._said, **(headers or {})} if self._said else headers
            head = write_call_head(
                self.dialect, self._server.takes, name, call_id, size, deadline_at, now, headers, oneway
            )
            length = len(head) + size - (LENGTH_SIZE if self.dialect.is_framed else 0)
            if self.dialect.is_deflated:
                head, body = deflate(head, body, self._server.takes)
            if self._said and length <= self._max_frame:
                self._said, self._has_templates = {}, self.dialect is _HEADER_BINARY
        else:
            try:
                pack, shape, base = templates[name][(deadline_at - now) * 1000 // 1]
            except KeyError:
                pack, shape, base = learn_template(name, deadline_at, now)
            length = base + size
            head = pack(length, PLAIN_MAGIC, call_id, shape, call_id)
        if length > self._max_frame:
            self._server.refuse(length)
        out = self._out
        if not oneway:
            if deadline_at >= self._latest or not pending:
                self._latest = deadline_at
            else:
                self._early.add(deadline_at, call_id, serial)
            pending[call_id] = (token, deadline_at, serial, len(out), name)
        else:
            self._given_up += 1  # some servers complain of it
        self._serial = serial
        out.append(head)
        out.append(body)
        return call_id

    def cancel_call(self, call_id: int) -> bool:
        """Forgets a call; unknown and finished ids are ignored. True if its frame had left, so it may be executed.

        A zkrpc server is told, so that it can end the handler. On a plain dialect the connection is closed, with a
        ``failure`` that says so.
        """
        call = self._pending.pop(call_id, None)
        return call is not None and self._abandon(call, "cancelled")

    def _abandon(self, call: PendingCall, fate: str) -> bool:
        """Takes a call's frame back if it has not left; True if it has."""
        _, _, serial, place, _ = call
        if serial > self._flushed:
            if self._out:  # else it is closed, perhaps by the call that was abandoned before this one
                self._out[place] = self._out[place + 1] = b""
            return False
        self._given_up += 1
        if self.is_zkrpc:
            self._out.append(control_frame(CANCEL, serial & LAST_ID))
        elif not self.dialect.has_header:
            self._become_closed(f"a call {fate}, and a plain Thrift server's late answer could be taken for the next")
        return True

    def waiting(self) -> list[tuple[int, Any]]:
        """The id and the token of every call without an answer, in the order of sending."""
        return [(call_id, call[0]) for call_id, call in self._pending.items()]

    def send_ping(self, now: float) -> None:
        """Asks a zkrpc server for a sign of life, which shows in ``last_heard_at``. No effect with other servers."""
        if self.is_zkrpc and self.state is not _CLOSED:
            self._out.append(control_frame(PING))

    def take_back(self) -> list[Any]:
        """Forgets the calls that have not left, and returns their tokens, so that they can be sent to another
        instance."""
        back = [call_id for call_id, call in self._pending.items() if call[2] > self._flushed]
        calls = [self._pending.pop(call_id) for call_id in back]
        for call in calls:
            self._abandon(call, "taken back")
        return [call[0] for call in calls]

    def keep_backlog(self, chunk: bytes) -> None:
        """Called if the socket did not take all of ``chunk``, which ``data_to_send`` gave last: notes where in it each
        call is."""
        self._backlog = frames_in(chunk, self.dialect)

    # -- from the peer

    def _receive(self, data: bytes, now: float, start: int, replies: list[tuple[Any, Reply]]) -> None:
        """Takes any bytes, from ``start`` on, before which all were replies as usual."""
        if self.state is _CLOSED:
            return
        self.last_heard_at = now
        self._is_whole = False
        try:
            if self._buffer:
                joined, start = self._buffer.join(data)
                self._take(joined, 0, replies)
                start = self._buffer.skip(data, start)
            self._take(data, start, replies)
        except RemoteProtocolError as exc:
            self._become_closed(str(exc))
        self._is_whole = self.state is not _CLOSED and not self._buffer
        self.wanted = self._buffer.wanted if self.state is not _CLOSED else 0

    def _take(self, data: bytes, start: int, replies: list[tuple[Any, Reply]]) -> None:
        """Takes the frames from ``start`` on; the last one is kept if it is incomplete."""
        end = len(data)
        while start != end:
            if self._has_templates:
                start = self._known.take(data, start, self._pending, self._flushed, replies.append)
                if start == end:
                    break
            stop = self._buffer.end_of_frame(data, start)
            if stop < 0:
                break
            self._take_any(data[start + self._buffer.lead : stop], replies)
            start = stop

    def _take_any(self, frame: bytes, replies: list[tuple[Any, Reply]]) -> None:
        """One frame of any kind. Raises RemoteProtocolError if the connection cannot go on after it."""
        opening = open_frame(frame, self.limits) if self.dialect.is_framed else Opening(self.dialect, frame, 0)
        dialect = opening.dialect
        if dialect.has_header is not self.dialect.has_header:
            raise RemoteProtocolError(f"the server answers in {dialect.name} to {self.dialect.name}")
        kind, name, call_id, offset = opening.envelope()
        if kind == _ONEWAY and self.is_zkrpc and name.startswith(CONTROL_PREFIX):
            self._receive_control(name, call_id, opening.headers)
            return
        if not dialect.may_answer(self.dialect):
            raise RemoteProtocolError(f"the server answers in {dialect.name} to {self.dialect.name}")
        check_reply(kind, name)
        call = self._pending.get(call_id)
        if call is None:
            self._check_issued(call_id)
            return
        if kind == _REPLY and name != bare_name(call[4]):
            raise RemoteProtocolError(f"a reply to {name[:99]!r} for a call of {call[4].decode()}")
        if call[2] > self._flushed:
            raise RemoteProtocolError(f"a reply to call {call_id}, which has not been sent yet")
        del self._pending[call_id]
        self._known.learn(opening, offset, MessageKind(kind), name)
        reply = Reply(MessageKind(kind), opening.headers, opening.frame, offset, dialect)
        if self._buffer.is_oversized:
            reply = reply_in_place_of(self._buffer.claimed, self._buffer.max_frame, dialect)
        replies.append((call[0], reply))

    def _check_issued(self, call_id: int) -> None:
        """Accepts a late reply to a call that was given up; raises for one to a call that was never sent, or is
        answered."""
        if call_id < 0 or call_id > self._serial or (call_id == 0 and self._serial <= LAST_ID):
            raise RemoteProtocolError(f"a reply to call {call_id}, which was never made")
        if not self._given_up:
            raise RemoteProtocolError(f"a reply to call {call_id}, which has been answered")
        self._given_up -= 1

    def _receive_control(self, name: bytes, seqid: int, headers: Mapping[str, str]) -> None:
        # Names we do not know are of a later version, and ignored.
        self._controls.count(self.last_heard_at)
        if name == PING:
            if not self._pong_waits:  # one answers all that came before it leaves
                self._pong_waits = True
                self._out.append(control_frame(PONG, seqid))
        elif name == DRAINING and not self.draining:
            self.draining = True
            self.accepts = False
            self._out.append(control_frame(DRAINING))
        elif name in (HELLO, PONG):
            self._server.receive(headers)
            self._max_frame = self._server.max_frame

    def has_left(self, call_id: int) -> bool:
        """Whether the call of this id, one of the last that were taken, has left, as far as is known."""
        return self._serial - ((self._serial - call_id) & LAST_ID) <= self._flushed

    def receive_eof(self, now: float, unsent: float = 0) -> list[tuple[Any, bool]]:
        """The peer closed: every pending call's token, and whether its frame had left. ``unsent`` as for ``close``."""
        if self.state is not _CLOSED:
            where = " in the middle of a frame" if self._buffer else ""
            self._become_closed(f"the peer closed the connection{where}")
        return self.close(unsent)

    def close(self, unsent: float = 0) -> list[tuple[Any, bool]]:
        """Closes, if that has not happened yet: every pending call's token, and whether its frame had left.

        ``unsent`` is how many bytes of the last chunk that ``data_to_send`` gave never left, infinity if none did.
        """
        if self.state is not _CLOSED:
            self._become_closed(None)
        if unsent:
            self._flushed = last_that_left(self._backlog, unsent, self._before, self._flushed)
        flushed = self._flushed
        ended = [(call[0], call[2] <= flushed) for call in self._pending.values()]
        self._pending.clear()
        self._early.clear()
        return ended

    # -- time

    def next_timer(self) -> float | None:
        """The earliest deadline of a pending call, or one before it; None if there is nothing to wait for."""
        if self.state is _CLOSED or not self._pending:
            return None
        # The first call still pending was sent in order, or is in the heap too: nothing sent in order after it can
        # end earlier, as each of those raised the latest deadline known, which this one had not surpassed or had set.
        first: float = next(iter(self._pending.values()))[1]
        first = self._early.first(first)
        return None if first == math.inf else first

    def handle_timer(self, now: float) -> list[tuple[Any, bool]]:
        """Ends the calls whose deadline has passed, and returns them with whether their frames had left; does nothing
        if it is called early."""
        if self.state is _CLOSED:
            return []
        expired = []
        for call_id, call in self._pending.items():
            if call[1] > now:
                break
            expired.append(call_id)
        expired += self._early.expire(now)
        calls = [self._pending.pop(call_id) for call_id in dict.fromkeys(expired)]
        return [(call[0], self._abandon(call, "timed out")) for call in calls]

    def _become_closed(self, failure: str | None) -> None:
        self.state = _CLOSED
        self.failure = failure
        self.accepts = self._is_whole = False
        self._buffer.clear()
        # What has not left must never leave: its calls are reported as not executed.
        self._out.clear()

    def __repr__(self) -> str:
        """State and counts."""
        draining = " draining" if self.draining else ""
        return f"<ClientProtocol {self.state.name}{draining} pending={self.pending} failure={self.failure!r}>"
