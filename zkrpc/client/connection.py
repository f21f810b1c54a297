"""One outgoing connection: moves bytes between a socket and the wire machine, and wakes the calls that wait for
replies.

There is no reader greenlet: the hub itself reads when the socket is readable, and switches directly into each greenlet
whose reply came. Calls of one turn of the loop leave in one send. This module does not know what a call means, which
other instance could be tried, or when to dial again.

A waiter is always removed before its greenlet goes on: a call that ends by a reply, an expired deadline, a kill or a
``gevent.Timeout`` of its own cannot be woken a second time by a later reply.

A peer that falls silent while calls wait is pinged. If it does not answer, the connection is *silent*: calls that may
be sent twice fail with ConnectionLost, to be retried elsewhere; the others wait, as they may still be answered. The
peer may answer again; the connection is closed only after a long silence.

A process that was stopped, or whose hub was blocked, has not read what the server sent meanwhile: that it drains, or
the end of the stream. A call sent after that would be lost, and it would not be known whether it ran. So before each
send the socket is read, unless that was done a moment ago. If the server drains or has closed, the calls are not sent,
and fail as not executed. This rule costs a system call per millisecond at most, and none under load, where reads follow
each other more closely than that.
"""

from __future__ import annotations

import functools
import math
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gevent import get_hub
from gevent.event import Event

from zkrpc.caller import NOBODY, Caller
from zkrpc.client.exchange import FRESH, Exchange
from zkrpc.client.pulse import ConnectionOwner, make_pulse
from zkrpc.client.waiting import Alarm, Waiter, executed_if, fail_soon, fail_waiters
from zkrpc.config import WireLimits
from zkrpc.dialling import open_socket
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConnectionLost, DeadlineExceeded, Executed, LocalProtocolError
from zkrpc.outbox import Outbox
from zkrpc.telemetry.tracer import find_tracer
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.hello import NotIntroduced
from zkrpc.wire.message import Dialect, ProtocolState, Reply

_CLOSED = ProtocolState.CLOSED
_READ, _WRITE = 1, 2
_MOST_READS = 16
"""The most reads in one look; a server that has sent still more is certainly alive."""

_PAUSE = 3
"""Long replies after which there is another look for a second one, if there was none."""


class Connection(Exchange):
    """A connection to a peer. ``sock`` is non-blocking, and is owned by this object, which belongs to this thread's
    hub. One that is no plain socket brings watchers of its own: ``sock.watcher(events)``.
    """

    __slots__ = (
        "_owner",
        "_pause",
        "_pulse",
        "_readable",
        "_sock",
        "_told_draining",
        "endpoint",
        "payload",
        "silent",
    )

    def __init__(
        self,
        sock: Any,
        endpoint: Endpoint,
        protocol: ClientProtocol,
        owner: ConnectionOwner[Connection],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoint = endpoint
        self.payload = protocol.dialect.payload
        """The encoding of structs for this peer."""
        self.closed = False
        self.silent = False
        """True while the server gives no sign of life."""
        self._protocol = protocol
        self._owner = owner
        self._clock = clock
        self._sock = sock
        self._recv = sock.recv
        self._hub = get_hub()
        self._loop = self._hub.loop
        watch = getattr(sock, "watcher", None) or functools.partial(self._loop.io, sock.fileno())
        self._readable = watch(_READ)
        self._outbox = Outbox(
            sock,
            watch(_WRITE),
            clock=clock,
            on_empty=self._flush,
            on_broken=lambda error: self._break(f"writing failed: {error}", len(self._outbox) or math.inf),
        )
        self._alarm = Alarm(self._loop, clock, self._on_timer)
        self._flush_armed = self._sends_at_once = self._told_draining = self._closes_when_idle = False
        self._looked_at = now = clock()
        self._pulse = make_pulse(self, protocol, owner, now)
        self._heard: Event | None = None
        self._pause = 0
        self._readable.start(self._on_readable)

    @classmethod
    def dial(
        cls,
        endpoint: Endpoint,
        dialect: Dialect,
        limits: WireLimits,
        connect_timeout: float,
        owner: ConnectionOwner[Connection],
        *,
        zkrpc: bool,
        clock: Callable[[], float] = time.monotonic,
        caller: Caller = NOBODY,
        connect: Callable[[Endpoint, float], Any] = open_socket,
    ) -> Connection:
        """Connects. Raises OSError; after ``connect_timeout`` seconds its subclass TimeoutError."""
        sock = connect(endpoint, connect_timeout)
        protocol = ClientProtocol(
            dialect, limits, clock(), zkrpc=zkrpc, traces=find_tracer() is not None, caller=caller
        )
        return cls(sock, endpoint, protocol, owner, clock)

    def __repr__(self) -> str:
        """Endpoint, dialect, state and pending calls."""
        state = "closed" if self.closed else "draining" if self.draining else "silent" if self.silent else "open"
        return f"<Connection {self.endpoint} {self._protocol.dialect.name} {state} pending={self.pending}>"

    @property
    def draining(self) -> bool:
        """True once the server announced that it drains."""
        return self._protocol.draining

    @property
    def pending(self) -> int:
        """Calls that wait for a reply."""
        return self._protocol.pending

    @property
    def is_heard(self) -> bool | None:
        """Whether a byte has ever come; None if no call has left, so that none was due."""
        return self._protocol.is_heard

    def is_stale(self) -> bool:
        """True if the peer has closed an idle connection, even if the loop has not noticed that yet."""
        if not self.closed and not self.pending:
            self._look()
        return self.closed

    # -- calls

    def _send_oneway(self, name: bytes, body: bytes, deadline_at: float, headers: Mapping[str, str] | None) -> None:
        if self._clock() - self._looked_at > FRESH and not self.closed:
            self._look()  # the caller would never learn that it came too late
        try:
            call_id = self._protocol.send_call(
                name, body, None, deadline_at=deadline_at, now=self._clock(), headers=headers, oneway=True
            )
        except LocalProtocolError as error:
            self._refused(error, name, body, deadline_at, headers, True, False)
        else:
            self._push(call_id, deadline_at)

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
        if self.closed or self._protocol.draining or self._protocol.state is _CLOSED:
            raise self._lost(str(error), Executed.NO) from error
        if not isinstance(error, NotIntroduced):
            try:
                raise error
            finally:
                del error  # its traceback knows this frame
        if not self.prove(deadline_at - self._clock()) and not self.closed:
            raise DeadlineExceeded(str(error), executed=Executed.NO, endpoint=self.endpoint) from None
        return self.call(name, body, deadline_at, headers, oneway, movable)

    def _forget(self, call_id: int) -> None:
        """Removes a call whose caller stopped waiting. A plain peer's late answer could be taken for the next call's,
        so the wire machine closes that connection."""
        self._protocol.cancel_call(call_id)
        if self._closes_when_idle:
            self._flush()
        else:
            self.flush_soon()
        self._after_step()

    def prove(self, timeout: float) -> bool:
        """Pings a zkrpc server and waits for its answer; False if nothing came in ``timeout`` seconds.

        An open connection proves little, as the kernel accepts connections even for a frozen process.
        """
        heard = self._heard = self._heard or Event()
        self._protocol.send_ping(self._clock())
        self.flush_soon()
        return bool(heard.wait(max(0.0, timeout))) and not self.closed

    def _push(self, call_id: int, deadline_at: float) -> None:
        """Sends what is buffered, and waits until the socket has taken it: oneway calls have no other backpressure."""
        self._flush()
        while self._outbox and not self.closed:
            if not self._outbox.await_progress(max(0.0, deadline_at - self._clock())) and not self.closed:
                raise DeadlineExceeded(
                    "a oneway call did not leave in time; is the peer stuck?", endpoint=self.endpoint
                )
        if self.closed:
            raise self._lost("it broke while a oneway call was sent", executed_if(self._protocol.has_left(call_id)))

    # -- reading

    def _unread(self, error: OSError) -> None:
        if not isinstance(error, (BlockingIOError, InterruptedError)):
            self._break(f"reading failed: {error}", getattr(error, "unsent", 0))

    def _read_on(self, replies: list[tuple[Waiter, Reply]]) -> None:
        """Long replies come one in a read. Adds a second one, if it is there, so that the calls which follow upon both
        leave together."""
        if self._pause:
            self._pause -= 1
            return
        more = self._read()
        if more is None:
            self._pause = _PAUSE
        else:
            replies += more

    def _look(self) -> None:
        """Reads everything that has arrived, or nearly so. It may run outside the hub, so calls are woken by a callback
        of the hub."""
        for _ in range(_MOST_READS):
            replies = self._read()
            if replies is None:
                break
            if replies:
                self._loop.run_callback(self._hand_out, replies)
        self._looked_at = self._clock()

    def _after_step(self) -> None:
        """Follows the wire machine's state, after each input to it."""
        protocol = self._protocol
        if self.closed:
            return
        if protocol.state is _CLOSED:
            self._break(protocol.failure)
            return
        if protocol.draining and not self._told_draining:
            self._told_draining = True
            self.flush_soon()  # while a flush is armed, the connection is not closed before our answer has left
            self.lose([(waiter, False) for waiter in protocol.take_back()], "the server is about to stop")
            self._owner.connection_draining(self)
        if self._closes_when_idle and not protocol.pending and not self._outbox and not self._flush_armed:
            self.close()

    # -- writing

    def flush_soon(self) -> None:
        if not self._flush_armed and not self.closed:
            self._flush_armed = True
            self._loop.run_callback(self._flush)

    # -- time

    def _on_timer(self) -> None:
        expired = self._protocol.handle_timer(self._clock())
        self.flush_soon()
        following = self._protocol.next_timer()
        if following is not None:
            self._alarm.set(following)
        # First, so that a woken call finds the connection closed if it can no longer be used.
        self._after_step()
        failures = [
            (waiter, DeadlineExceeded("no reply in time", executed=executed_if(flushed), endpoint=self.endpoint))
            for waiter, flushed in expired
        ]
        fail_waiters(self._hub, failures)

    def tick(self, now: float) -> None:
        """In the hub, about ten times a second: checks whether the server still gives signs of life."""
        if self._pulse is not None and not self.closed:
            self._pulse.look(now, self._outbox)

    # -- the end

    def close_when_idle(self) -> None:
        """Closes the connection as soon as no call is in flight. No new calls may be given to it."""
        self._closes_when_idle = True
        self._after_step()

    def close(self, reason: str = "the client closed it") -> None:
        """Frees everything at once; calls in flight raise ConnectionLost. Never blocks; may be called twice."""
        if not self.closed:
            self._end(self._protocol.close(len(self._outbox)), reason)

    def _break(self, reason: str | None, unsent: float = 0) -> None:
        """The peer, or invalid bytes from it, ended the connection."""
        if not self.closed:
            orphans = self._protocol.receive_eof(self._clock(), unsent or len(self._outbox))
            self._end(orphans, reason or self._protocol.failure or "the peer closed it")

    def _end(self, orphans: Iterable[tuple[Waiter, bool]], reason: str) -> None:
        self.closed = True
        self._outbox.close()
        self._alarm.clear()
        self._readable.stop()
        self._readable.close()
        self._sock.close()
        self._owner.connection_closed(self)
        if self._heard is not None:
            self._heard.set()
        self.lose(orphans, reason)

    def lose(self, calls: Iterable[tuple[Waiter, bool]], reason: str) -> None:
        """Ends the waits for calls with ConnectionLost; each comes with whether it was sent."""
        fail_soon(self._hub, [(waiter, self._lost(reason, executed_if(left))) for waiter, left in calls])

    def _lost(self, reason: str, executed: Executed) -> ConnectionLost:
        return ConnectionLost(f"connection lost: {reason}", executed=executed, endpoint=self.endpoint)
