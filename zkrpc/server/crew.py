"""One connection's requests, run one after another in a worker greenlet.

``CrewCore`` has the loop in C where it is compiled (:mod:`zkrpc.server.compiled`): a request that is counted already,
finds a free place at once, and does not block is taken from the wire machine, dispatched and answered there. For
anything else the loop calls the methods here; they are one step each, and the loop in Python calls the same.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import gevent

from zkrpc.errors import LocalProtocolError
from zkrpc.outbox import Outbox
from zkrpc.server.accounts import Account, Meter, Tally
from zkrpc.server.admission import Admission
from zkrpc.server.call_queue import CallQueue
from zkrpc.server.compiled import IS_COMPILED, CrewCore, acquaint, learn
from zkrpc.server.dispatch import Answer, refuse
from zkrpc.server.greenlet_pool import GreenletPool, Worker
from zkrpc.server.host import ConnectionHost
from zkrpc.server.intake import Intake
from zkrpc.server.shares import Share
from zkrpc.server.turns import LONG, NOTABLE, SLICE, Turns
from zkrpc.wire import status
from zkrpc.wire.envelope import MessageKind
from zkrpc.wire.inflation import Inflation
from zkrpc.wire.inflow import Inflow
from zkrpc.wire.message import ProtocolState, Request
from zkrpc.wire.server import ServerProtocol

_ONEWAY, _REPLY = MessageKind.ONEWAY, MessageKind.REPLY
_OPEN = ProtocolState.OPEN
_FLUSH_AFTER = 100e-6
"""Seconds of running requests after which the replies so far are sent: some fifteen quick ones, which is enough for
the price of a send, and leaves the peer's core something to do while this one goes on."""

learn(Meter, Account, Tally, Admission, Answer, _REPLY, _FLUSH_AFTER, SLICE, NOTABLE, LONG, _OPEN)
acquaint(ServerProtocol, Inflow, Inflation, Outbox, Turns)


class Crew(CrewCore):
    """Runs the requests of the connection that derives from it and sets all of these; pairs of names that are the same
    thing are there for the loop."""

    __slots__ = ()

    if TYPE_CHECKING:
        protocol: ServerProtocol
        meter: Meter
        share: Share
        peer: str
        closed: bool
        used_at: float
        _serving: dict[Worker, Request]
        _dispatch: Any
        _host: ConnectionHost
        _admission: Admission
        _queue: CallQueue
        _admitted: Any
        _flushed_at: float
        _turn_ends: float
        _turn_is_over: bool
        _is_sent: bool
        _outbox: Outbox
        _intake: Intake
        _greenlets: GreenletPool
        _turns: Turns
        _received: int
        _holds: bool
        clock: Any

        def _send(self) -> None: ...
        def _work_soon(self) -> None: ...
        def _receive_apart(self, chunk: bytes, now: float) -> None: ...
        def _take_news(self) -> None: ...
        def _end_turn(self, used: float) -> None: ...
        def _count_held(self) -> None: ...

    def served_by(self, worker: Worker) -> Request | None:
        """The request that a worker runs."""
        return self._serving.get(worker)

    def _receive_in_python(self, chunk: bytes, now: float, wait: bool) -> None:
        """In the hub. Takes bytes from the socket, and has the requests run: now, or at the connection's next turn."""
        if wait or not chunk:
            self._receive_apart(chunk, now)
            return
        self.gather(chunk, now)
        self._work(now)

    def gather(self, chunk: bytes, now: float) -> None:
        """In the hub. Takes bytes from the socket, and runs nothing yet."""
        protocol = self.protocol
        protocol.receive_data(chunk, now)
        self._received += len(chunk)
        if protocol.has_news:
            self._take_news()
        self._flushed_at = now

    def run_gathered(self, now: float) -> None:
        """In the hub. Has the requests run that came since then."""
        self._work(now)

    def _work_in_python(self, began: float) -> None:
        """In the hub. Has the waiting requests run until the slice of time is used up, which began then, and sends the
        answers."""
        self._turn_ends = began + SLICE
        self._turn_is_over = self._is_sent = False
        protocol, outbox, admitted = self.protocol, self._outbox, self._admitted
        while (admitted or protocol.ready) and not self._turn_is_over:
            self._is_sent = False
            if not self._greenlets.begin(self._run_requests):
                self._part()
        used = self.clock() - began
        if (
            used > LONG
            or not self._is_sent
            or self.closed
            or protocol.state is not _OPEN
            or outbox.is_full
            or not self._intake.is_reading
        ):
            self._end_turn(used)
            return
        if used > NOTABLE:
            self._turns.charge(used)
        if self._holds or outbox.unsent or not protocol._is_whole or protocol._active:
            self._count_held()
        else:
            self._received = 0

    def _part(self) -> None:
        """The handler of a worker has blocked."""
        self._host.admission.hold(self.share)
        self._host.attended.add(self)

    def _run_requests_in_python(self, worker: Worker) -> None:
        """In a worker: runs the waiting requests, until the slice of time is used up."""
        next_request, admits, admitted = self.protocol.next_request, self._admission.admits, self._admitted
        share, meter, clock = self.share, self.meter, self.clock
        while True:
            now = clock()
            if now > self._turn_ends:
                self._turn_is_over = True
                break
            if admitted:
                self._run_admitted(worker, now)
                continue
            request = next_request()
            if request is None:
                break
            # All that counting costs a call; see zkrpc.server.accounts.
            tally = meter.account.known.get(request.name)
            if tally is None:
                if self._take_in(request, now):
                    self._run(request, worker, now)
                continue
            tally.calls += 1
            tally.called_at = now
            if admits(share):
                self._run(request, worker, now)
            else:
                self._queue.turn_away(request)
        self._leave_off(worker)

    if not IS_COMPILED:
        receive, _work, _run_requests = _receive_in_python, _work_in_python, _run_requests_in_python

    def _take_in(self, request: Request, now: float) -> bool:
        """Counts a request whose method the account does not know; whether it may run now."""
        return self.meter.meet(request, self.protocol, now, self._queue.refuse) and self._admit(request)

    def _admit(self, request: Request) -> bool:
        """Whether a request that was counted may run now; if not, it waits, or is refused."""
        if self._admission.admits(self.share):
            return True
        self._queue.turn_away(request)
        return False

    def _run_admitted(self, worker: Worker, now: float) -> None:
        """Runs the next request that has waited for its place."""
        self._run(self._queue.take(), worker, now)

    def _leave_off(self, worker: Worker) -> None:
        """Nothing is left to run, or the slice is used up. What is ready is sent here and not in the hub: a switch
        before the last send would keep the peer waiting for it."""
        if worker.in_front:
            self._send()
            self._is_sent = True
        else:
            self._work_soon()

    def _run(self, request: Request, worker: Worker, began: float) -> None:
        """Runs an admitted request."""
        host = self._host
        self._serving[worker] = request
        if not worker.in_front:
            host.admission.hold(self.share)
            host.attended.add(self)
        answer = failure = None
        self.used_at = began
        if began - self._flushed_at > _FLUSH_AFTER:
            self._flushed_at = began
            self._send()
            if self._outbox.is_full:
                self._turn_ends = 0.0
        try:
            answer = self._dispatch(request, self.peer, began, self.meter.account.caller)
        except BaseException as error:
            failure = error
        try:
            self._finish(request, worker, began, answer, failure)
        finally:
            del failure  # which leads to this frame

    def _finish(
        self, request: Request, worker: Worker, began: float, answer: Answer | None, failure: BaseException | None
    ) -> None:
        """A request was dispatched to this answer or failure: a gevent.Timeout of the handler's own, for one; or we
        were ended."""
        host = self._host
        try:
            if failure is not None:
                if host.greenlets.disbanded:  # the handler forked, and this is its child
                    raise failure
                if worker in self._serving:
                    answer = host.dispatcher.failed(request, self.peer, failure)
        finally:
            del failure
            if self._serving.pop(worker, None) is None:
                # After _end, whose kill may still be on its way and must not hit another call.
                raise gevent.GreenletExit
            if not worker.in_front:
                host.admission.release(self.share)
            host.admission.leave(began)
            self._answer(request, answer)

    def _answer(self, request: Request, answer: Answer | None) -> None:
        protocol = self.protocol
        if answer is None or self.closed:
            protocol.finish(request)
            return
        if answer.kind is not _REPLY:
            self.meter.count_error(request)
            if answer.kind is _ONEWAY:
                protocol.finish(request)
                return
        try:
            protocol.send_reply(request, answer.body, kind=answer.kind, headers=answer.headers)
        except LocalProtocolError as error:
            refusal = refuse(request, str(error), status.FAILED)
            assert refusal is not None
            protocol.send_reply(request, refusal.body, kind=refusal.kind, headers=refusal.headers)
