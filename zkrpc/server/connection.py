"""One accepted connection: moves bytes between a socket, the wire machine and the dispatcher.

It decides nothing about the protocol. What it owns is the *leader*: the one greenlet that reads, and that runs what it
read in place. If a handler blocks, the hub runs ``_take_over``, which makes another greenlet the leader; the blocked
one finishes its call, hands its reply over and ends. Replies of one hub turn leave in one send.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, Protocol

import gevent
from gevent import get_hub, getcurrent
from gevent.event import Event

from zkrpc.config import ServerConfig
from zkrpc.errors import Executed, LocalProtocolError
from zkrpc.server.admission import Admission
from zkrpc.server.dispatch import Answer, Dispatcher, refuse
from zkrpc.wire.message import Request
from zkrpc.wire.server import ServerProtocol

_READ, _WRITE = 1, 2
_READ_SIZE = 64 * 1024
_FAIR_SHARE = 0.005
"""Seconds a leader may go on without a hub turn while its peer keeps the socket full."""


class ConnectionHost(Protocol):
    """What a connection needs of the server it belongs to."""

    config: ServerConfig
    dispatcher: Dispatcher
    admission: Admission

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
        self._writable = watch(_WRITE)
        self._unsent = bytearray()
        self._stalled_at = 0.0
        self._serving: dict[Any, Request] = {}
        self._dispatching = False
        self._takeover_armed = False
        self._flush_armed = False
        self._turn_at = host.clock()
        self._waiting = False
        self._room: Event | None = None
        self._leader = gevent.spawn(self._lead)

    def __repr__(self) -> str:
        """Peer and load."""
        return f"<ServerConnection {self.peer} serving={len(self._serving)} unsent={len(self._unsent)}>"

    @property
    def is_quiet(self) -> bool:
        """True if closing now would cost nobody an answer."""
        return not self.protocol.in_flight and not self._unsent

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
        for greenlet, request in list(self._serving.items()):
            del self._serving[greenlet]
            self._host.admission.leave()
            self._answer(request, refuse(request, "the server stopped", "Draining", executed=Executed.MAYBE))
            greenlet.kill(block=False)
        self._flush()

    def tick(self, now: float) -> None:
        """Time passed: lets the machine cut off a slow sender, and cuts off a peer that does not read."""
        if self._unsent and now - self._stalled_at > self._host.config.max_write_stall:
            self.close()
            return
        due = self.protocol.next_timer()
        if due is not None and due <= now:
            self.protocol.handle_timer(now)
            self._flush()

    def close(self) -> None:
        """Frees the socket and the reader. Handlers that still run finish, and their answers are dropped."""
        if self.closed:
            return
        self.closed = True
        for watcher in (self._readable, self._writable):
            watcher.stop()
            watcher.close()
        self._sock.close()
        self._host.forget(self)
        self._tell_room()
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
        host = self._host
        if not host.admission.admits():
            self._answer(request, host.admission.refusal(request))
            return
        self._serving[me] = request
        if self._leader is me:
            self._dispatching = True
            if not self._takeover_armed:
                self._takeover_armed = True
                self._loop.run_callback(self._take_over)
        answer = None
        try:
            answer = host.dispatcher.dispatch(request, self.peer, host.clock())
        except BaseException as error:  # a gevent.Timeout of the handler's own, for one; or we were killed as straggler
            if me in self._serving:
                answer = host.dispatcher.failed(request, error)
        finally:
            if self._leader is me:
                self._dispatching = False
            # Gone if answer_stragglers answered in our place.
            if self._serving.pop(me, None) is not None:
                host.admission.leave()
                self._answer(request, answer)

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
            self.protocol.receive_data(chunk, now)
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
        while len(self._unsent) > config.wire.max_unsent or (self._unsent and self.protocol.wants_close):
            self._room = Event()
            if not self._room.wait(config.max_write_stall) or self.closed:
                return False
        return True

    def _tell_room(self) -> None:
        if self._room is not None:
            self._room.set()

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
        chunk = self.protocol.data_to_send()
        if self._unsent:
            self._unsent += chunk
            return
        if chunk:
            sent = self._send(chunk)
            if sent < len(chunk) and not self.closed:
                self._unsent += memoryview(chunk)[sent:]
                self._stalled_at = self._host.clock()
                self._writable.start(self._continue)
        if self.protocol.wants_close and not self._unsent:
            self.close()

    def _continue(self) -> None:
        sent = self._send(self._unsent)
        if self.closed or not sent:
            return
        del self._unsent[:sent]
        self._stalled_at = self._host.clock()
        self._tell_room()
        if not self._unsent:
            self._writable.stop()
            self._flush()

    def _send(self, chunk: bytes | bytearray) -> int:
        try:
            sent: int = self._sock.send(chunk)
            return sent
        except BlockingIOError:
            return 0
        except OSError:
            self.close()
            return 0
