"""One outgoing connection: moves bytes between a socket and the wire machine, and wakes who waits for a reply.

There is no reader greenlet: the hub itself reads when the socket is readable and switches straight into each greenlet
whose reply came. Calls of one turn of the loop leave in one send. What a call means, whom to ask instead, and when to
dial again is not known here.

A waiter is forgotten, under all circumstances, before its greenlet goes on: whoever leaves by a reply, an expired
deadline, a kill or a ``gevent.Timeout`` of its own cannot be woken a second time by a reply that comes later.

A peer that falls silent while calls wait is asked for a sign of life. Without one the connection is *silent*: calls
that may be sent twice leave it with ConnectionLost, to be made elsewhere; the others wait, for they may still be
answered. It may come back; only after a long silence it is closed.

A process that was stopped, or that kept the hub from its work, has not heard what the server said meanwhile: that it is
about to stop, or the end. A call sent after that would be lost, and nobody could say whether it ran. So whoever is
about to send looks first whether something has come, unless the socket was looked at a moment ago: what is found then
keeps the calls here, as not executed. The rule costs a system call per millisecond at most, and none under load, where
reads follow each other more closely than that.
"""

from __future__ import annotations

import functools
import math
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from gevent import get_hub, getcurrent
from gevent.event import Event

from zkrpc.client.pulse import ConnectionOwner, make_pulse
from zkrpc.client.waiting import Alarm, Waiter, executed_if, fail_soon, fail_waiters
from zkrpc.config import WireLimits
from zkrpc.dialling import open_socket
from zkrpc.endpoint import Endpoint
from zkrpc.errors import ConnectionLost, DeadlineExceeded, Executed, LocalProtocolError
from zkrpc.outbox import Outbox
from zkrpc.wire.client import ClientProtocol
from zkrpc.wire.hello import NotIntroduced
from zkrpc.wire.message import Dialect, ProtocolState, Reply

_READ_SIZE = 64 * 1024
_CLOSED = ProtocolState.CLOSED
_READ, _WRITE = 1, 2
_FRESH = 0.001
"""Seconds after which one look at the socket says nothing more of it. A read that comes later than that after the last
look is none: the end may wait right behind the bytes. What happens in less can happen while bytes travel, too."""
_MOST_READS = 16
"""Reads in one look; a server that still has not come to an end then is very much alive."""


class Connection:
    """A connected peer. ``sock`` is non-blocking and becomes this object's; it belongs to this thread's hub.

    ``watch`` gives a watcher for events of the socket, by default the loop's own; a socket that has no file descriptor
    brings one of its own.
    """

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
        "_owner",
        "_protocol",
        "_pulse",
        "_readable",
        "_recv",
        "_sends_at_once",
        "_sock",
        "_told_draining",
        "closed",
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
        *,
        watch: Callable[[int], Any] | None = None,
    ) -> None:
        self.endpoint = endpoint
        self.payload = protocol.dialect.payload
        """How this peer wants its structs encoded."""
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
        watch = watch or functools.partial(self._loop.io, sock.fileno())
        self._readable = watch(_READ)
        self._outbox = Outbox(
            sock,
            watch(_WRITE),
            clock=clock,
            on_empty=self._flush,
            on_broken=lambda error: self._break(f"writing failed: {error}", len(self._outbox) or math.inf),
        )
        self._alarm = Alarm(self._loop, clock, self._on_timer)
        self._flush_armed = False
        self._sends_at_once = False
        self._told_draining = False
        self._closes_when_idle = False
        self._looked_at = now = clock()
        self._pulse = make_pulse(self, protocol, owner, now)
        self._heard: Event | None = None
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
    ) -> Connection:
        """Connects. Raises OSError, TimeoutError after ``connect_timeout`` seconds among them."""
        sock = open_socket(endpoint, connect_timeout)
        return cls(sock, endpoint, ClientProtocol(dialect, limits, clock(), zkrpc=zkrpc), owner, clock)

    def __repr__(self) -> str:
        """The test surface: place, state, load."""
        state = "closed" if self.closed else "draining" if self.draining else "silent" if self.silent else "open"
        return f"<Connection {self.endpoint} {self._protocol.dialect.name} {state} pending={self.pending}>"

    @property
    def draining(self) -> bool:
        """True once the server asked for no more calls."""
        return self._protocol.draining

    @property
    def pending(self) -> int:
        """Calls that wait for a reply."""
        return self._protocol.pending

    def is_stale(self) -> bool:
        """True if the peer has closed an idle connection and the loop has not got round to telling us."""
        if not self.closed and not self.pending:
            self._look()
        return self.closed

    # -- calls

    def call(
        self,
        name: bytes,
        body: bytes,
        deadline_at: float,
        headers: Mapping[str, str] | None = None,
        oneway: bool = False,
        movable: bool = False,
    ) -> Reply | None:
        """Sends a call and waits for its reply; None for a oneway call, which ends when its bytes left this process.

        A ``movable`` one, which may be sent twice, is lost to a server that gives no sign of life.

        Raises ConnectionLost and DeadlineExceeded, both with ``executed`` NO if no byte of the call was sent, and
        TooLarge if the call is over a limit. A large one waits for what the server says of itself, once.
        """
        waiter, protocol = Waiter(getcurrent(), movable), self._protocol
        if oneway and self._clock() - self._looked_at > _FRESH and not self.closed:
            self._look()  # nobody would ever tell that it came too late
        try:
            call_id = protocol.send_call(
                name, body, waiter, deadline_at=deadline_at, now=self._clock(), headers=headers, oneway=oneway
            )
        except LocalProtocolError as error:
            if self.closed or protocol.draining or protocol.state is _CLOSED:
                raise self._lost(str(error), Executed.NO) from error
            if not isinstance(error, NotIntroduced):
                raise
            if not self.prove(deadline_at - self._clock()) and not self.closed:
                raise DeadlineExceeded(str(error), executed=Executed.NO, endpoint=self.endpoint) from None
            return self.call(name, body, deadline_at, headers, oneway, movable)
        if oneway:
            self._push(call_id, deadline_at)
            return None
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

    def _forget(self, call_id: int) -> None:
        """The caller left on its own account. A plain peer's answer could be taken for the next one: close it."""
        self._protocol.cancel_call(call_id)
        if self._closes_when_idle:
            self._flush()
        else:
            self.flush_soon()
        self._after_step()

    def prove(self, timeout: float) -> bool:
        """Asks a zkrpc server for a sign of life, and waits for it; False if there was none in ``timeout`` seconds.

        To be connected proves little: the kernel of a machine accepts for a process that is frozen.
        """
        heard = self._heard = self._heard or Event()
        self._protocol.send_ping(self._clock())
        self.flush_soon()
        return bool(heard.wait(max(0.0, timeout))) and not self.closed

    def _push(self, call_id: int, deadline_at: float) -> None:
        """Sends what is buffered, and waits while the socket does not take it: a oneway call has no other brake."""
        self._flush()
        while self._outbox and not self.closed:
            if not self._outbox.await_progress(max(0.0, deadline_at - self._clock())) and not self.closed:
                raise DeadlineExceeded(
                    "a oneway call did not leave in time; is the peer stuck?", endpoint=self.endpoint
                )
        if self.closed:
            raise self._lost("it broke while a oneway call was sent", executed_if(self._protocol.has_left(call_id)))

    # -- reading

    def _on_readable(self) -> None:
        replies = self._read()
        if replies is not None:
            self._hand_out(replies)

    def _read(self) -> list[tuple[Waiter, Reply]] | None:
        """Reads once. The replies that came; None if nothing did, or the end."""
        try:
            chunk = self._recv(_READ_SIZE)
        except (BlockingIOError, InterruptedError):
            return None
        except OSError as error:
            self._break(f"reading failed: {error}")
            return None
        if not chunk:
            self._break(None)
            return None
        protocol, now = self._protocol, self._clock()
        if now - self._looked_at < _FRESH:
            self._looked_at = now
        replies = protocol.receive_data(chunk, now)
        if self._heard is not None:
            self._heard.set()
            self._heard = None
        if not protocol.accepts:
            self._after_step()
        return replies

    def _hand_out(self, replies: list[tuple[Waiter, Reply]]) -> None:
        """In the hub: wakes who waits for these."""
        # Whoever is woken may call again: those calls leave with the flush below, which counts as armed meanwhile.
        self._flush_armed = True
        left = len(replies)
        for waiter, reply in replies:
            left -= 1
            # Nobody else will call after the last one: it need not wait for us to come back.
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
        self._after_step()

    def _look(self) -> None:
        """Reads what has come, to the end or nearly so. Not only in the hub, which alone may wake whoever waits."""
        for _ in range(_MOST_READS):
            replies = self._read()
            if replies is None:
                break
            if replies:
                self._loop.run_callback(self._hand_out, replies)
        self._looked_at = self._clock()

    def _after_step(self) -> None:
        """Looks at what the machine has come to, after anything that may have moved it."""
        protocol = self._protocol
        if self.closed:
            return
        if protocol.state is _CLOSED:
            self._break(protocol.failure)
            return
        if protocol.draining and not self._told_draining:
            self._told_draining = True
            self.flush_soon()  # what is armed is not closed before our answer has left
            self.lose([(waiter, False) for waiter in protocol.take_back()], "the server is about to stop")
            self._owner.connection_draining(self)
        if self._closes_when_idle and not protocol.pending and not self._outbox and not self._flush_armed:
            self.close()

    # -- writing

    def flush_soon(self) -> None:
        if not self._flush_armed and not self.closed:
            self._flush_armed = True
            self._loop.run_callback(self._flush)

    def _flush(self) -> None:
        """Sends what there is, unless something waits already: a call that stays with the machine can be taken back."""
        self._flush_armed = False
        if self.closed or self._outbox:
            return
        if self._clock() - self._looked_at > _FRESH:
            self._look()
        chunk = self._protocol.data_to_send()
        if chunk and not self._outbox.push(chunk) and not self.closed:
            self._protocol.keep_backlog(chunk)
        if self._closes_when_idle:
            self._after_step()

    # -- time

    def _on_timer(self) -> None:
        expired = self._protocol.handle_timer(self._clock())
        self.flush_soon()
        following = self._protocol.next_timer()
        if following is not None:
            self._alarm.set(following)
        # First, so that whoever is woken finds a connection that is of no more use closed.
        self._after_step()
        failures = [
            (waiter, DeadlineExceeded("no reply in time", executed=executed_if(flushed), endpoint=self.endpoint))
            for waiter, flushed in expired
        ]
        fail_waiters(self._hub, failures)

    def tick(self, now: float) -> None:
        """In the hub, about ten times a second: looks whether the server is still there."""
        if self._pulse is not None and not self.closed:
            self._pulse.look(now, self._outbox)

    # -- the end

    def close_when_idle(self) -> None:
        """Closes as soon as no call is in flight. Give it no new ones."""
        self._closes_when_idle = True
        self._after_step()

    def close(self, reason: str = "the client closed it") -> None:
        """Frees everything at once; calls in flight raise ConnectionLost. Never blocks; may be called twice."""
        if not self.closed:
            self._end(self._protocol.close(len(self._outbox)), reason)

    def _break(self, reason: str | None, unsent: float = 0) -> None:
        """The other side, or what it sent, ended the connection."""
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
        """Ends the waits for calls, of which each says whether it had left, with ConnectionLost."""
        fail_soon(self._hub, [(waiter, self._lost(reason, executed_if(left))) for waiter, left in calls])

    def _lost(self, reason: str, executed: Executed) -> ConnectionLost:
        return ConnectionLost(f"connection lost: {reason}", executed=executed, endpoint=self.endpoint)
