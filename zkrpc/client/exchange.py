"""What a connection does for each call and for each read, while all goes well: the base of
:class:`~zkrpc.client.connection.Connection`, which does everything else.

``Exchange`` is compiled where that is in use, else ``PureExchange``, which says the same. Whatever either meets that is
out of the ordinary it hands to a method of the class that derives from it.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from gevent import getcurrent
from gevent.event import Event

from zkrpc import compiled
from zkrpc.client.waiting import Alarm, Waiter
from zkrpc.errors import LocalProtocolError
from zkrpc.outbox import Outbox
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.message import Reply

_READ_SIZE = 80 * 1024
"""Bytes, where the wire machine wants no other number: a reply with 64 KiB in it comes in one read then, and is not put
together from two."""
FRESH = 0.001
"""Seconds for which one look at the socket counts. A single read later than that is not a look, as the end of the
stream may follow right after its bytes. A change within this time could as well happen while a call is on its way."""


class PureExchange:
    """The hot part of a connection."""

    __slots__ = (
        "_alarm",
        "_clock",
        "_closes_when_idle",
        "_flush_armed",
        "_heard",
        "_hub",
        "_looked_at",
        "_loop",
        "_outbox",
        "_protocol",
        "_recv",
        "_sends_at_once",
        "closed",
    )

    _alarm: Alarm
    _clock: Callable[[], float]
    _closes_when_idle: bool
    _flush_armed: bool
    _heard: Event | None
    _hub: Any
    _looked_at: float
    _loop: Any
    _outbox: Outbox
    _protocol: ClientProtocol
    _recv: Callable[[int], bytes]
    _sends_at_once: bool
    closed: bool

    def call(
        self,
        name: bytes,
        body: bytes,
        deadline_at: float,
        headers: Mapping[str, str] | None = None,
        oneway: bool = False,
        movable: bool = False,
    ) -> Reply | None:
        """Sends a call and waits for its reply; None for a oneway call, which ends when its bytes have left this
        process.

        A ``movable`` call, which may be sent twice, fails with ConnectionLost when the server gives no sign of life.

        Raises ConnectionLost and DeadlineExceeded, both with ``executed`` NO if no byte of the call was sent, and
        TooLarge if the call is over a limit. A large call waits for the server's hello, once per connection.
        """
        if oneway:
            self._send_oneway(name, body, deadline_at, headers)
            return None
        waiter = Waiter(getcurrent(), movable)
        try:
            call_id = self._protocol.send_call(
                name, body, waiter, deadline_at=deadline_at, now=self._clock(), headers=headers
            )
        except LocalProtocolError as error:
            return self._refused(error, name, body, deadline_at, headers, oneway, movable)
        if deadline_at < self._alarm.at:
            self._alarm.set(deadline_at)
        if self._sends_at_once:
            self._sends_at_once = False
            self._flush()
        elif not self._flush_armed:
            self.flush_soon()
        try:
            reply: Reply = self._hub.switch()
            return reply
        finally:
            if waiter.greenlet is not None:
                waiter.greenlet = None
                self._forget(call_id)

    def _on_readable(self) -> None:
        replies = self._read()
        if replies is not None:
            if self._protocol.wanted:
                self._read_on(replies)
            self._hand_out(replies)

    def _read(self) -> list[tuple[Waiter, Reply]] | None:
        """Reads once. Returns the replies that came; None if there was nothing to read, or the connection has ended."""
        try:
            chunk = self._recv(self._protocol.wanted or _READ_SIZE)
        except OSError as error:
            self._unread(error)
            return None
        if not chunk:
            self._break(None)
            return None
        protocol, now = self._protocol, self._clock()
        if now - self._looked_at < FRESH:
            self._looked_at = now
        replies = protocol.receive_data(chunk, now)
        heard = self._heard
        if heard is not None:
            self._heard = None
            heard.set()
        if not protocol.accepts:
            self._after_step()
        return replies

    def _hand_out(self, replies: list[tuple[Waiter, Reply]]) -> None:
        """In the hub: wakes the calls that wait for these replies."""
        # A woken greenlet may call again: those calls leave with the flush below, which counts as armed meanwhile.
        self._flush_armed = True
        left = len(replies)
        for waiter, reply in replies:
            left -= 1
            # After the last reply no other greenlet is woken, so its next call is sent at once.
            self._sends_at_once = not left
            greenlet = waiter.greenlet
            if greenlet is not None:
                waiter.greenlet = None
                try:
                    greenlet.switch(reply)
                except BaseException:  # of a raw greenlet; one failing must not keep the others from their replies
                    self._hub.handle_error(greenlet, *sys.exc_info())
        self._sends_at_once = False
        self._flush()
        if self._closes_when_idle or not self._protocol.accepts:
            self._after_step()

    def _flush(self) -> None:
        """Sends what is buffered, unless earlier bytes still wait: a call that stays in the wire machine can be taken
        back."""
        self._flush_armed = False
        if self.closed or self._outbox.unsent:
            return
        if self._clock() - self._looked_at > FRESH:
            self._look()
        chunk = self._protocol.data_to_send()
        if chunk and not self._outbox.push(chunk) and not self.closed:
            self._protocol.keep_backlog(chunk)
        if self._closes_when_idle:
            self._after_step()

    # -- what is out of the ordinary

    def flush_soon(self) -> None:
        """Has what is buffered leave in this turn of the loop."""
        raise NotImplementedError

    def _send_oneway(self, name: bytes, body: bytes, deadline_at: float, headers: Mapping[str, str] | None) -> None:
        raise NotImplementedError

    def _refused(
        self,
        error: LocalProtocolError,
        name: bytes,
        body: bytes,
        deadline_at: float,
        headers: Mapping[str, str] | None,
        oneway: bool,
        movable: bool,
    ) -> Reply | None:
        """The wire machine has not taken a call."""
        raise NotImplementedError

    def _forget(self, call_id: int) -> None:
        """A caller has stopped waiting."""
        raise NotImplementedError

    def _unread(self, error: OSError) -> None:
        """A read has failed, or there was nothing to read."""
        raise NotImplementedError

    def _read_on(self, replies: list[tuple[Waiter, Reply]]) -> None:
        """A long reply is among these, or the beginning of one has come: adds what another read gives, if it should."""
        raise NotImplementedError

    def _break(self, reason: str | None, unsent: float = 0) -> None:
        """The connection has ended."""
        raise NotImplementedError

    def _look(self) -> None:
        """Reads what has arrived, before more is sent."""
        raise NotImplementedError

    def _after_step(self) -> None:
        """Follows the wire machine's state."""
        raise NotImplementedError


_part = compiled.load("zkrpc.client._compiled")
compiled.acquaint(_part, Waiter, Alarm, Outbox)
if TYPE_CHECKING or _part is None:
    Exchange = PureExchange
else:
    Exchange = _part.Exchange
