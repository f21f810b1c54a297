"""One accepted connection: moves bytes between a socket, the wire machine and the dispatcher.

The wire machine decides everything about the protocol. The hub itself reads when the socket is readable, and has the
server's greenlets run what came: in place, one request after another, and beside each other where handlers block.
Replies leave together when everything that was read has been run; if that takes longer, they leave a few at a time, so
that the peer can work on the first while the last are made.

A connection that has used the hub for a slice of time waits for its turn (:mod:`zkrpc.server.turns`): until then
nothing is read from it or run for it.

A request that is not admitted at once waits in the admission's queue, as a ticket; when it gets a place the hub has it
run. A handler whose answer is no longer wanted, because the caller cancelled or its deadline has passed, is ended by
killing its greenlet, unless it is marked ``uninterruptible``.
"""

from __future__ import annotations

import functools
from typing import Any

import gevent

from zkrpc.identity import Identity
from zkrpc.outbox import Outbox
from zkrpc.server.accounts import Meter
from zkrpc.server.buffers import Holding
from zkrpc.server.call_queue import CallQueue
from zkrpc.server.connection_age import ConnectionAge, carry_out
from zkrpc.server.crew import Crew
from zkrpc.server.dispatch import Answer, expires_at, refuse, turn_down
from zkrpc.server.greenlet_pool import Worker
from zkrpc.server.host import ConnectionHost
from zkrpc.server.intake import Intake
from zkrpc.server.shares import host_of
from zkrpc.server.turns import LONG, NOTABLE, SLICE
from zkrpc.wire import status
from zkrpc.wire.message import ProtocolState, Request
from zkrpc.wire.server import ServerProtocol

_READ, _WRITE = 1, 2
_OPEN, _CLOSED = ProtocolState.OPEN, ProtocolState.CLOSED
_GRACE = 0.05
"""Seconds after its deadline at which a handler is ended, for callers that do not send a cancellation."""


class ServerConnection(Crew):
    """The connection of one peer that is served.

    ``sock`` is connected and becomes this object's; ``peer`` is its ``host:port``. One that is no plain socket brings
    watchers of its own: ``sock.watcher(events)``.
    """

    __slots__ = (
        "_age",
        "_holding",
        "_host",
        "_loop",
        "_sock",
        "_work_armed",
        "asked_to_end_at",
        "opened_at",
    )

    def __init__(self, sock: Any, peer: str, host: ConnectionHost) -> None:
        self.peer = peer
        self.protocol = ServerProtocol(host.config.wire, host.clock())
        self.meter = Meter(host.accounts, host_of(peer))
        self.closed = False
        self.asked_to_end_at: float | None = None
        """When the peer was asked to send no more calls."""
        self.share = host.shares.join(host_of(peer), self)
        self._holding = Holding(host.buffers, self.share.address, self.close)
        self._host = host
        self._sock = sock
        self._sock.setblocking(False)
        self._loop = gevent.get_hub().loop
        watch = getattr(sock, "watcher", None) or functools.partial(self._loop.io, sock.fileno())
        self._turn_ends, self._turn_is_over = 0.0, False
        self._outbox = Outbox(
            sock,
            watch(_WRITE),
            clock=host.clock,
            on_empty=self._on_written,
            on_broken=self._on_broken,
            capacity=host.config.wire.max_unsent,
            pace=max(1, host.config.min_read_rate * host.config.max_write_stall),
        )
        self._serving: dict[Worker, Request] = {}
        refuse_call = host.refuser(self._answer, peer, self.meter, self.protocol)
        self._queue = CallQueue(host.admission, self.share, refuse_call, self._work_soon)
        self.used_at = self._flushed_at = self.opened_at = host.clock()
        """``used_at`` is when a call of its was last run; monotonic seconds."""
        self._dispatch: Any = host.dispatcher.dispatch
        self._admission, self._admitted = host.admission, self._queue.admitted
        self._age = ConnectionAge(host.config, host.rng, self.used_at)
        self._work_armed = self._is_sent = False
        self.clock = host.clock
        self._greenlets, self._turns = host.greenlets, host.turns
        self._received, self._holds = 0, False
        """Bytes received since what is held was last counted, and whether anything was held then."""
        self._intake = Intake(sock, watch(_READ), host.turns, self.share.address, self)

    def __repr__(self) -> str:
        """Peer and load."""
        return f"<ServerConnection {self.peer} serving={len(self._serving)} unsent={len(self._outbox)}>"

    def identify(self, identity: Identity | None) -> None:
        """Takes in who the peer is by its certificate, before its first request comes: it has the share of its identity
        from now on, whichever address it came from."""
        shares, self.meter.identity = self._host.shares, identity
        if identity is not None and identity.name:
            self.share = self._queue.share = shares.move(self.share, self, identity.name)
            self._host.admission.share_among(len(shares))
            self._holding.move(self.share.address)
            self._intake.address = self.share.address

    @property
    def is_quiet(self) -> bool:
        """True if closing now would cost nobody an answer."""
        return not self.protocol.in_flight and not self._outbox

    def unfinished(self) -> list[bytes]:
        """The method of each call that runs or waits for its turn; also of those whose caller is gone."""
        return [request.name for request in (*self._serving.values(), *self._queue)]

    def announce_draining(self) -> None:
        """Tells a zkrpc peer to send its calls elsewhere; plain Thrift has no message for that."""
        if self.protocol.peer_is_zkrpc:
            self.finish()

    def finish(self) -> None:
        """Serves the calls in flight and closes: with a zkrpc peer once it has said that no more will come, with a
        plain one when none is in flight."""
        if self.asked_to_end_at is None:
            self.asked_to_end_at = self._host.clock()
        self.protocol.send_draining()
        self.flush()

    def close_if_quiet(self) -> None:
        """Closes, if no answer is lost by it; an answer that is ready is sent first."""
        self.flush()
        if self.is_quiet:
            self.close()

    def answer_stragglers(self) -> None:
        """Answers every call that still runs as possibly executed, and ends its greenlet."""
        self._queue.answer_waiting(lambda request: turn_down(request, "the server stopped", status.DRAINING))
        for worker, request in list(self._serving.items()):
            self._end(worker)
            self._answer(request, refuse(request, "the server stopped", status.STOPPED))
        self.flush()

    def end_overdue(self, now: float) -> bool:
        """Ends handlers whose deadline has passed, also those of a peer that is gone. False if no blocked handler is
        left."""
        for worker, request in list(self._serving.items()):
            if now > expires_at(request) + _GRACE:
                self._interrupt(worker, request)
        return bool(self._serving)

    def look(self, now: float) -> None:
        """Checks the time limits: closes the connection of a peer that sends too slowly, does not read, or is gone, and
        ends one that is too old."""
        if self.closed:
            return
        protocol = self.protocol
        if self._outbox.has_stalled(now, self._host.config.max_write_stall):
            self.close()
            return
        self._host.built_ins.take_in(self)
        due = protocol.next_timer()
        if due is not None and due <= now:
            protocol.handle_timer(now)
            self.flush()
        carry_out(self._age.look(now, protocol, self.used_at), self)

    def close(self, failure: str | None = None) -> None:
        """Frees the socket and all that was received, and ends the handlers, whose answers are no longer wanted, if
        they may be ended. ``failure`` is for the log."""
        if self.closed:
            return
        self.closed = True
        # From here on nothing leads from its parts back to it, so that nothing waits for a collection to be freed.
        self._intake.close()
        self._outbox.close()
        self._sock.close()
        self.protocol.abandon(failure)
        self._holding.release()
        self._queue.close()
        self.meter.close()
        for worker, request in list(self._serving.items()):
            # Of the one that is in front there is no waiting to be ended: its handler has not blocked.
            if not worker.in_front and self._host.dispatcher.may_interrupt(request):
                self._end(worker)
        self._host.forget(self)

    # -- reading ---------------------------------------------------------------------------------

    def _receive_apart(self, chunk: bytes, now: float) -> None:
        """Takes in bytes whose requests wait for the next turn; none mean the end of the stream."""
        if not chunk:
            self.protocol.receive_eof(now)
            self.close()
            return
        self.gather(chunk, now)
        self._intake.wait_for_turn()
        self._count_held()

    def take_turn(self, now: float) -> bool:
        """In the hub. Goes on after others were served; False if nothing is left to be run."""
        if self._outbox.is_full and not self.closed:
            return True
        if not self._queue.admitted and not self.protocol.ready:
            return self.closed
        self._flushed_at = now
        self._work(now)
        return True

    def _work_off(self) -> None:
        """In the hub. Goes on after a handler that had blocked, which may be between turns."""
        self._work_armed = False
        if self._outbox.is_full:
            self._queue.turn_out(
                lambda request: turn_down(request, "replies wait for you to be read", status.OVERLOADED)
            )
        if self._intake.is_waiting or self._outbox.is_full:
            self.flush()
            self._count_held()
        else:
            self._work(self._host.clock())

    def _end_turn(self, used: float) -> None:
        """In the hub. Follows after so many seconds of work, if they are many or something is not as usual."""
        protocol = self.protocol
        if used > NOTABLE:
            self._turns.charge(used)
        if used > LONG and not self.closed:
            self._intake.wait_for_turn(for_long=used > SLICE)
        if not self._is_sent or protocol.state is not _OPEN:
            self.flush()
        if self.closed:
            return
        if protocol.state is _CLOSED or self._outbox.is_full:
            # Nothing more is wanted, or there is no room for more answers: on_written goes on, or nobody does.
            self._intake.stop()
        elif not self._intake.is_reading:
            self._intake.go_on()
        self._count_held()

    def _count_held(self) -> None:
        protocol, unsent = self.protocol, len(self._outbox)
        self._holding.received += self._received
        self._received = 0
        self._holds = bool(unsent or protocol.partial_since is not None or protocol.in_flight)
        self._holding.update(protocol, unsent)

    def _on_broken(self, error: OSError) -> None:
        self.close()

    def _on_written(self) -> None:
        self.flush()
        if not self.closed and not self._intake.is_reading:
            self._intake.wait_for_turn()
        self._count_held()

    # -- running requests ------------------------------------------------------------------------

    def _work_soon(self) -> None:
        """Has the hub run and send soon what is ready."""
        if not self._work_armed:
            self._work_armed = True
            self._loop.run_callback(self._work_off)

    def _take_news(self) -> None:
        """The peer has introduced itself, asked a built-in service, or cancelled calls, which are ended if they run or
        wait."""
        self.protocol.has_news = False
        self._host.built_ins.take_in(self)
        self.renew_dispatch()
        cancelled = self.protocol.take_cancelled()
        workers = {request: worker for worker, request in self._serving.items()} if cancelled else {}
        for request in cancelled:
            if self._queue.forget(request):
                self.protocol.finish(request)
            elif request in workers:
                self._interrupt(workers[request], request)
            else:
                self._host.built_ins.cancel(request, self)
        if self._host.is_draining:
            self.announce_draining()

    def renew_dispatch(self) -> None:
        """Runs requests by the server's present dispatcher, as it fits the peer."""
        self._dispatch = self._host.dispatcher.dispatch_for(self.protocol.peer_headers)

    def _interrupt(self, worker: Worker, request: Request) -> None:
        if self._host.dispatcher.may_interrupt(request):
            self._end(worker)
            self.protocol.finish(request)
            self._work_soon()

    def _end(self, worker: Worker) -> None:
        """Ends a handler that blocks; its place is free at once."""
        del self._serving[worker]
        worker.kill(block=False)
        self._host.admission.release(self.share)
        self._host.admission.leave(None)

    def answer_aside(self, request: Request, answer: Answer | None) -> None:
        """Sends the answer of a built-in service, if there is one, soon; the request is over."""
        self._answer(request, answer)
        self._work_soon()

    # -- writing ---------------------------------------------------------------------------------

    def flush(self, *, nothing_came: bool = False) -> None:
        """Sends what the wire machine has written, as far as the socket takes it, and closes if nothing remains to be
        done.

        Unless ``nothing_came`` says that the socket was just found empty, it may hold more calls; closing it then would
        reset the connection, and the peer would lose answers that it has not read yet.
        """
        self._send()
        protocol = self.protocol
        if not self.closed and protocol.wants_close and not self._outbox and not protocol.ready:
            if nothing_came or protocol.state is _CLOSED:
                self.close()
            else:
                self._intake.wait_for_turn()

    def _send(self) -> None:
        """Sends in the middle of running what was read, when it is too early to close."""
        if not self.closed:
            self._outbox.push(self.protocol.data_to_send())
