"""One accepted connection: moves bytes between a socket, the wire machine and the dispatcher.

It decides nothing about the protocol. What it owns is the *leader*: the one greenlet that reads, and that runs what it
read in place. If a handler blocks, the hub runs ``_take_over``, which makes another greenlet the leader; the blocked
one finishes its call, hands its reply over and ends. Replies of one hub turn leave in one send.

A request that finds no free place is left to the admission's queue, as a ticket; when its turn comes it gets a greenlet
of its own. A handler for whose answer nobody waits any more, because the caller said so or its deadline has passed, is
ended by killing its greenlet, unless it is marked as not to be interrupted.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import gevent
from gevent import get_hub, getcurrent

from zkrpc.config import ServerConfig
from zkrpc.errors import Executed, LocalProtocolError
from zkrpc.outbox import Outbox
from zkrpc.server.admission import Admission
from zkrpc.server.dispatch import Answer, Dispatcher, expires_at, refuse
from zkrpc.server.upkeep import Step, Upkeep
from zkrpc.wire.message import Request
from zkrpc.wire.server import ServerProtocol

_READ, _WRITE = 1, 2
_READ_SIZE = 64 * 1024
_FAIR_SHARE = 0.005
"""Seconds a leader may go on without a hub turn while its peer keeps the socket full."""
_GRACE = 0.05
"""Seconds after its deadline until a handler is ended, for callers that do not say themselves that they have left."""


class ConnectionHost(Protocol):
    """What a connection needs of the server it belongs to."""

    config: ServerConfig
    dispatcher: Dispatcher
    admission: Admission
    is_draining: bool
    """True once connected peers were asked to send their calls elsewhere."""
    attended: set[ServerConnection]
    """Where those join on which a handler blocks, to have their ``end_overdue`` called until there is none."""

    def rng(self) -> float:
        """A float in [0, 1)."""

    def clock(self) -> float:
        """Monotonic seconds."""

    def forget(self, connection: ServerConnection) -> None:
        """The connection is closed."""


class ServerConnection:
    """A peer being served.

    ``sock`` is connected and becomes this object's; ``peer`` is its ``host:port``. ``watch`` gives a watcher for events
    of the socket, by default the loop's own; a socket that has no file descriptor brings one of its own.
    """

    def __init__(
        self, sock: Any, peer: str, host: ConnectionHost, *, watch: Callable[[int], Any] | None = None
    ) -> None:
        self.peer = peer
        self.protocol = ServerProtocol(host.config.wire, host.clock())
        self.closed = False
        self._host = host
        self._sock = sock
        self._sock.setblocking(False)
        self._loop = get_hub().loop
        watch = watch or functools.partial(self._loop.io, sock.fileno())
        self._readable = watch(_READ)
        self._outbox = Outbox(
            sock, watch(_WRITE), clock=host.clock, on_empty=self._flush, on_broken=lambda error: self.close()
        )
        self._serving: dict[Any, Request] = {}
        self._queued: dict[Request, _Ticket] = {}
        self._used_at = host.clock()
        self._upkeep = Upkeep(host.config, host.rng, self._used_at)
        self._dispatching = False
        self._takeover_armed = False
        self._flush_armed = False
        self._turn_at = host.clock()
        self._waiting = False
        self._leader = gevent.spawn(self._lead)

    def __repr__(self) -> str:
        """Peer and load."""
        return f"<ServerConnection {self.peer} serving={len(self._serving)} unsent={len(self._outbox)}>"

    @property
    def is_quiet(self) -> bool:
        """True if closing now would cost nobody an answer."""
        return not self.protocol.in_flight and not self._outbox

    def announce_draining(self) -> None:
        """Tells a zkrpc peer to send its calls elsewhere; plain peers have no word for it."""
        if self.protocol.peer_is_zkrpc:
            self.finish()

    def finish(self) -> None:
        """Serves what is in flight and closes: a zkrpc peer once it said that nothing more comes, a plain one when
        nothing is in flight."""
        self.protocol.send_draining()
        self._flush()

    def answer_stragglers(self) -> None:
        """Answers every call that still runs as possibly executed, and ends its greenlet."""
        for ticket in list(self._queued.values()):
            self._host.admission.forget(ticket)
            ticket.answer(refuse(ticket.request, "the server stopped", "Draining"))
        for greenlet, request in list(self._serving.items()):
            self._end(greenlet)
            self._answer(request, refuse(request, "the server stopped", "Draining", executed=Executed.MAYBE))
        self._flush()

    def end_overdue(self, now: float) -> bool:
        """Ends handlers whose deadline has passed; False if no other is left to look after."""
        if self.closed:
            return False
        for greenlet, request in list(self._serving.items()):
            if now > expires_at(request) + _GRACE:
                self._interrupt(greenlet, request)
        return bool(self._serving)

    def look(self, now: float) -> None:
        """Time passed: cuts off a peer that sends too slowly, does not read, or is gone; ends what is too old."""
        if self.closed:
            return
        protocol = self.protocol
        if self._outbox.has_stalled(now, self._host.config.max_write_stall):
            self.close()
            return
        due = protocol.next_timer()
        if due is not None and due <= now:
            protocol.handle_timer(now)
            self._flush()
        step = self._upkeep.look(now, protocol, self._used_at)
        if step is Step.PING:
            protocol.send_ping()
            self._flush()
        elif step is Step.END:
            self.finish()
        elif step is Step.CLOSE:
            self.close()

    def close(self) -> None:
        """Frees the socket and the reader. Handlers that still run finish, and their answers are dropped."""
        if self.closed:
            return
        self.closed = True
        self._readable.stop()
        self._readable.close()
        self._outbox.close()
        self._sock.close()
        for ticket in self._queued.values():
            self._host.admission.forget(ticket)
        self._queued.clear()
        self._host.forget(self)
        if self._waiting and self._leader is not getcurrent():
            self._leader.kill(block=False)

    # -- the leader ------------------------------------------------------------------------------

    def _lead(self) -> None:
        me = getcurrent()
        protocol = self.protocol
        while not self.closed:
            request = protocol.next_request()
            if request is not None:
                self._serve(request, me)
            elif self._leader is not me:
                # Deposed while a handler blocked: what it answered may have released a held-back request, done above.
                self._flush_soon()
                return
            elif not self._refill():
                self.close()

    def _serve(self, request: Request, me: Any) -> None:
        """Runs a request, or has it wait or refused."""
        admission = self._host.admission
        if admission.admits():
            self._run(request, me)
            return
        ticket = _Ticket(self, request)
        if admission.enqueue(ticket):
            self._queued[request] = ticket
        else:
            self._answer(request, admission.refusal(request))

    def _run(self, request: Request, me: Any) -> None:
        """Runs an admitted request in this greenlet."""
        host = self._host
        self._serving[me] = request
        if self._leader is me:
            self._dispatching = True
            if not self._takeover_armed:
                self._takeover_armed = True
                self._loop.run_callback(self._take_over)
        else:
            host.attended.add(self)
        answer = None
        self._used_at = began = host.clock()
        try:
            answer = host.dispatcher.dispatch(request, self.peer, began)
        except BaseException as error:  # a gevent.Timeout of the handler's own, for one; or we were ended
            if me in self._serving:
                answer = host.dispatcher.failed(request, error)
        finally:
            if self._leader is me:
                self._dispatching = False
            if self._serving.pop(me, None) is None:
                self._die()
            host.admission.leave(began)
            self._answer(request, answer)

    def _die(self) -> None:
        """Ends this greenlet after ``_end``, whose kill may still be on its way and must not hit another call."""
        if self._leader is getcurrent():  # it was ended before the hub found that it blocks
            self._leader = gevent.spawn(self._lead)
        raise gevent.GreenletExit

    def _run_apart(self, run: Callable[[Request, Any], None], request: Request) -> None:
        """Runs a request in this greenlet, which is not the leader's."""
        try:
            run(request, getcurrent())
        finally:
            self._go_on()

    def _take_news(self) -> None:
        """The peer sent something about itself or its calls: what runs or waits for nobody is ended."""
        for request in self.protocol.take_cancelled():
            ticket = self._queued.pop(request, None)
            if ticket is not None:
                self._host.admission.forget(ticket)
                self.protocol.finish(request)
            else:
                for greenlet in [one for one, other in self._serving.items() if other is request]:
                    self._interrupt(greenlet, request)
        if self._host.is_draining:
            self.announce_draining()

    def _interrupt(self, greenlet: Any, request: Request) -> None:
        if self._host.dispatcher.may_interrupt(request):
            self._end(greenlet)
            self.protocol.finish(request)
            self._go_on()

    def _go_on(self) -> None:
        """A request ended outside the leader: its answer is sent, and one that it held back is run."""
        self._flush_soon()
        request = self.protocol.next_request()
        if request is not None:
            gevent.spawn(self._run_apart, self._serve, request)

    def _end(self, greenlet: Any) -> None:
        """Ends a handler that blocks; its place is free at once."""
        del self._serving[greenlet]
        greenlet.kill(block=False)
        self._host.admission.leave(None)

    def _answer(self, request: Request, answer: Answer | None) -> None:
        protocol = self.protocol
        if answer is None:
            protocol.finish(request)
            return
        try:
            protocol.send_reply(request, answer.body, kind=answer.kind, headers=answer.headers)
        except LocalProtocolError as error:
            refusal = refuse(request, str(error), "RemoteError", executed=Executed.YES)
            assert refusal is not None
            protocol.send_reply(request, refusal.body, kind=refusal.kind, headers=refusal.headers)

    def _take_over(self) -> None:
        # In the hub. If the leader is inside a handler now, then that handler gave up the hub: it blocks.
        self._takeover_armed = False
        if self._dispatching and not self.closed:
            self._dispatching = False
            self._leader = gevent.spawn(self._lead)
            self._host.attended.add(self)

    def _refill(self) -> bool:
        """Flushes, then reads once; False when the connection is to be closed."""
        self._flush()
        if self.closed or not self._await_room():
            return False
        now = self._host.clock()
        if now - self._turn_at > _FAIR_SHARE:
            # Not sleep(0): the hub runs up to fifty of these before it looks at other sockets (measured: 75 ms).
            self._wait_readable()
        while not self.closed and not self.protocol.wants_close:
            try:
                chunk = self._sock.recv(_READ_SIZE)
            except BlockingIOError:
                self._wait_readable()
                continue
            except OSError:
                chunk = b""
            now = self._host.clock()
            if not chunk:
                self.protocol.receive_eof(now)
                return False
            protocol = self.protocol
            protocol.receive_data(chunk, now)
            if protocol.has_news:
                protocol.has_news = False
                self._take_news()
            return True
        return False

    def _wait_readable(self) -> None:
        self._waiting = True
        try:
            get_hub().wait(self._readable)
        finally:
            self._waiting = False
            self._turn_at = self._host.clock()

    def _await_room(self) -> bool:
        """Waits while a peer that does not read its replies owes us room; False if it never makes any."""
        config = self._host.config
        most = 0 if self.protocol.wants_close else config.wire.max_unsent
        while len(self._outbox) > most:
            if not self._outbox.await_progress(config.max_write_stall):
                return False
        return not self.closed

    # -- writing ---------------------------------------------------------------------------------

    def _flush_soon(self) -> None:
        if not self._flush_armed and not self.closed:
            self._flush_armed = True
            self._loop.run_callback(self._flush)

    def _flush(self) -> None:
        """Sends what the machine has, as far as the socket takes it; never blocks."""
        self._flush_armed = False
        if self.closed:
            return
        self._outbox.push(self.protocol.data_to_send())
        if self.protocol.wants_close and not self._outbox:
            self.close()


class _Ticket:
    """A request of one connection in the admission's queue."""

    __slots__ = ("_connection", "request")

    def __init__(self, connection: ServerConnection, request: Request) -> None:
        self._connection = connection
        self.request = request

    def start(self) -> None:
        """There is a place for it."""
        connection = self._connection
        del connection._queued[self.request]
        gevent.spawn(connection._run_apart, connection._run, self.request)

    def answer(self, answer: Answer | None) -> None:
        """It will not be run."""
        connection = self._connection
        del connection._queued[self.request]
        connection._answer(self.request, answer)
        connection._go_on()
