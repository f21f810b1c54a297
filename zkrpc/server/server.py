"""The server: accepts connections, owns them, and executes the steps of its lifecycle.

It does not know ZooKeeper: :mod:`zkrpc.app` hands in what to do at the steps that are not the server's own
(:class:`~zkrpc.server.lifecycle.Step`).
"""

from __future__ import annotations

import functools
import logging
import random
import socket
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any

import gevent
from gevent.event import Event

from zkrpc.belonging import Home, close_descriptor, keep, release
from zkrpc.call import Interceptor, ServerCall
from zkrpc.config import ServerConfig
from zkrpc.endpoint import Endpoint
from zkrpc.errors import LocalProtocolError
from zkrpc.idl import Interface
from zkrpc.idl.served import ServedInterface, parts_of
from zkrpc.legible import legible
from zkrpc.server.acceptor import Acceptor, listen, tune
from zkrpc.server.accounts import Accounts, Meter
from zkrpc.server.admission import make_admission
from zkrpc.server.bodies import Bodies
from zkrpc.server.buffers import Buffers
from zkrpc.server.built_in import BuiltIns
from zkrpc.server.call_queue import AnswerCall
from zkrpc.server.complaints import ComplaintKind, PeerLog
from zkrpc.server.connection import ServerConnection
from zkrpc.server.connection_age import pace_of
from zkrpc.server.failures import receive_failure
from zkrpc.server.greenlet_pool import GreenletPool
from zkrpc.server.handler_threads import HandlerThreads
from zkrpc.server.handshakes import make_welcome
from zkrpc.server.health import Health, HealthHandler
from zkrpc.server.introspection import IntrospectionHandler
from zkrpc.server.lifecycle import Lifecycle, LifecycleState, Step
from zkrpc.server.observing import TracedDispatcher, make_dispatcher
from zkrpc.server.permissions import Permissions
from zkrpc.server.resources import give_back
from zkrpc.server.shares import Shares, host_of
from zkrpc.server.stopping import StepAction, walk_down
from zkrpc.server.tap import Taps
from zkrpc.server.turns import Turns, in_slices
from zkrpc.telemetry.events import PeerConnected, PeerDisconnected, PeerRefused, ServerStarted
from zkrpc.telemetry.observer import Observer, gather
from zkrpc.telemetry.status import ServerStatus
from zkrpc.telemetry.tracer import find_tracer
from zkrpc.wire.server import ServerProtocol

log = logging.getLogger(__name__)

_TICK = 0.25
"""Seconds between checks of handlers that block, and the least between two checks of the same peer."""
_AT_ONCE = 250
"""Peers checked in a row, a slice of time after another: about a millisecond's work if none of them has to go."""


class Server:
    """Serves one interface with one handler object, or several interfaces as one
    (:class:`~zkrpc.idl.served.ServedInterface`) with several handlers (:class:`~zkrpc.server.handlers.Handlers`).

    ``name`` is the service's, for the log and for observers; the interface's if not given. ``steps`` maps lifecycle
    steps that the server does not own (HAND_OVER, MARK_NOT_READY, WITHDRAW, CLOSE_CLIENTS, CLOSE_SESSION) to actions,
    each of which must be bounded in time. ``clock`` gives monotonic seconds. ``observers`` are told of the server's
    life, of its peers and of their requests. ``bodies`` says what those who tap it may see of its calls; by default
    neither arguments nor results. ``permissions`` says who may call what; by default what the IDL and marks of the
    handler's methods say.

    Raises ConfigError if the handler does not fit the interface.
    """

    def __init__(
        self,
        interface: Interface,
        handler: object,
        *,
        name: str = "",
        config: ServerConfig | None = None,
        interceptors: Sequence[Interceptor[ServerCall]] = (),
        steps: Mapping[Step, StepAction] | None = None,
        clock: Callable[[], float] = time.monotonic,
        rng: Callable[[], float] = random.random,
        observers: Iterable[Observer] = (),
        bodies: Bodies | None = None,
        permissions: Permissions | None = None,
    ) -> None:
        self.name = name or interface.name
        self._served = served = ServedInterface(parts_of(interface), self.name)
        self.observers, self.config = gather(observers), config or ServerConfig()
        self.home = Home(
            "a server",
            in_child="leave it to the process that serves, and leave the child with os._exit or sys.exit",
            in_thread="have the thread that called zkrpc.serve do it",
        )
        """The process and thread in which it serves."""
        self.greenlets, self.threads = GreenletPool(), HandlerThreads(self.config, clock)
        self.complaints = noted = PeerLog(log)
        on_failure = functools.partial(receive_failure, self.greenlets, noted, clock, self.name, interface.name)
        self._make_dispatcher = functools.partial(
            make_dispatcher,
            tracer=find_tracer(),
            service=self.name,
            interface=served,
            handler=handler,
            interceptors=tuple(interceptors),
            on_failure=on_failure,
            max_elements=self.config.wire.max_elements,
            clock=clock,
            runners=self.threads.runners,
        )
        self.dispatcher, self.request_observer = self._make_dispatcher(self.observers)
        self.taps = Taps(self._attend_taps, clock, time.time, bodies or Bodies(served))
        """Those who look at requests right now."""
        self.clock, self.rng, self.is_draining = clock, rng, False
        """``is_draining`` is True once connected peers were asked to send their calls elsewhere."""
        self.endpoint: Endpoint | None = None
        """Where it listens, once bound."""
        self._lifecycle = Lifecycle(linger=self.config.linger, drain_timeout=self.config.drain_timeout)
        self.health = Health(self.name, self._lifecycle, clock)
        """Whether it is ready and live; whoever makes the server adds the conditions that it does not know."""
        self.describe: Callable[[], Any] = self.status
        """Gives the state of all that the process serves, for ``zkrpc.Introspection``; whoever makes the server knows
        more of it."""
        self.admission = make_admission(self.config, self._lifecycle, clock)
        self.turns = Turns((loop := self.home.hub.loop).timer(0.0), loop.now, clock)
        self._steps, self._stopped, self._interceptors = dict(steps or {}), Event(), tuple(interceptors)
        self.shares, self.buffers = Shares(), Buffers(self.config.max_buffered)
        self.accounts = Accounts(served, permissions or Permissions(served, handler), noted.denier(clock))
        own = _built_in_handlers(self, served.methods)
        self.built_ins = BuiltIns(own, self.accounts.permissions.judge, on_failure=on_failure, clock=clock)
        self._began_at: float | None = None
        self._connections: set[ServerConnection] = set()
        self._handshakes, self._welcome = make_welcome(self.config.tls, self, self.adopt)
        self._acceptor: Acceptor | None = None
        self.attended: set[ServerConnection] = set()
        """Connections on which a handler blocks, and perhaps some on which one has blocked."""
        self._tickers: list[gevent.Greenlet[..., None]] = []
        self._stopper: gevent.Greenlet[..., None] | None = None

    def __repr__(self) -> str:
        """The address, the state and the load."""
        return f"<Server {self.endpoint} {self.state.value} connections={len(self._connections)} {self.admission!r}>"

    @property
    def state(self) -> LifecycleState:
        """The state of its lifecycle."""
        return self._lifecycle.state

    def status(self) -> ServerStatus:
        """What it does and has at this moment."""
        admission, config, now, wall_now = self.admission, self.config, self.clock(), time.time()
        names = (name for connection in self.busy for name in connection.unfinished())
        return ServerStatus(
            service=self.name,
            interface=self._served.name,
            endpoint=None if self.endpoint is None else str(self.endpoint),
            state=self.state.value,
            accepts_calls=self._lifecycle.accepts_calls,
            announced_draining=self.is_draining,
            connections=len(self._connections),
            max_connections=config.max_connections,
            running=admission.running,
            limit=admission.limit,
            max_concurrent=config.max_concurrent,
            queued=admission.queued,
            max_queue=admission.max_queue,
            **self.threads.counts(),
            buffered=self.buffers.total,
            max_buffered=self.buffers.most,
            calls=dict(Counter(legible(name.decode("utf-8", "replace")) for name in names)),
            peers=self.shares.status(),
            started_at=None if self._began_at is None else wall_now - now + self._began_at,
            callers=self.accounts.status(now, wall_now),
            certificate_expires_at=self._handshakes.certificate_expires_at,
        )

    def _attend_taps(self, attends: bool, with_bodies: bool) -> None:
        """Has requests told to the taps, too, from now on, and calls come by them if one wants their bodies; or only to
        the server's own observers again."""
        observers = gather((*self.observers, self.taps)) if attends else self.observers
        # Outermost, so that nothing waits between its end and the event; see there.
        interceptors = (self.taps.intercept, *self._interceptors) if with_bodies else self._interceptors
        self.dispatcher, self.request_observer = self._make_dispatcher(observers, interceptors=interceptors)
        for connection in self._connections:
            connection.renew_dispatch()

    def accepts_calls(self) -> bool:
        """False before serving and while only stragglers are waited for."""
        return self._lifecycle.accepts_calls

    def bind(self, endpoint: Endpoint, bound: int | None = None) -> Endpoint:
        """Takes a port (0: any free one) without accepting yet; returns the endpoint with the real port.

        ``bound`` is the descriptor of a socket that is bound to it already, on which other processes may be listening,
        too. Raises ConfigError if the address is not available.
        """
        self.home.require()
        listener = listen(endpoint, self.config.backlog, bound)
        keep(self, self.home.hub)
        self._acceptor = Acceptor(listener, self._accepted, self.clock)
        self.endpoint = Endpoint(endpoint.host, listener.getsockname()[1])
        return self.endpoint

    def start(self) -> None:
        """Accepts connections from now on. Raises LocalProtocolError before ``bind`` or when called twice."""
        if self._acceptor is None:
            raise LocalProtocolError("bind() comes before start()")
        self.begin()
        self._acceptor.start()

    def begin(self) -> None:
        """Starts without listening, to serve only the connections that are given to ``adopt``."""
        self.home.require()
        self._began_at = self.clock()
        self._lifecycle.started(self._began_at)
        keep(self, self.home.hub)
        self.observers.tell(ServerStarted(service=self.name, endpoint=str(self.endpoint or "")))
        self._tickers = [gevent.spawn(self._tick), gevent.spawn(self._look_round)]

    def adopt(self, sock: Any, peer: str) -> ServerConnection:
        """Serves a connected non-blocking socket, for as long as the connection or the server lives."""
        self.home.require()
        connection = ServerConnection(sock, peer, self)
        self._connections.add(connection)
        self.admission.share_among(len(self.shares))
        self.observers.tell(PeerConnected(service=self.name, peer=peer))
        return connection

    def stop(self, timeout: float | None = None) -> bool:
        """Drains and waits for the end, which is bounded by linger, drain time and the steps' own bounds, or by
        ``timeout`` seconds.

        True once stopped. Calling it again, also from elsewhere, waits for the same stop.
        """
        self.begin_stop()
        return self.wait_stopped(timeout)

    def begin_stop(self) -> None:
        """Starts the drain and returns at once."""
        self.home.require()
        if self._stopper is None:
            self._lifecycle.drain(self.clock())
            self._stopper = gevent.spawn(self._walk_down)

    def kill(self) -> None:
        """Stops without waiting for calls; returns when everything is freed."""
        self.home.require()
        self._lifecycle.kill(self.clock())
        if self._stopper is None:
            self._stopper = gevent.spawn(self._walk_down)
        self.wait_stopped()

    def wait_stopped(self, timeout: float | None = None) -> bool:
        """Waits up to ``timeout`` seconds for the end of a stop; None waits for as long as it serves."""
        self.home.require()
        return bool(self._stopped.wait(timeout))

    def refuser(self, answer: AnswerCall, peer: str, meter: Meter, protocol: ServerProtocol) -> AnswerCall:
        """What answers the requests of ``peer`` that are not run: ``answer``, and whoever observes or traces is
        told."""
        observer, dispatcher = self.request_observer, self.dispatcher
        if observer is not None:
            answer = observer.observe_refusals(answer, peer, meter)
        return dispatcher.trace_refusals(answer, peer, protocol) if isinstance(dispatcher, TracedDispatcher) else answer

    def forget(self, connection: ServerConnection) -> None:
        """Removes a connection that is closed."""
        self._connections.discard(connection)
        self.built_ins.forget(connection)
        self.shares.leave(connection.share, connection)
        self.admission.share_among(len(self.shares))
        if connection.protocol.failure:
            address, failure = connection.share.address, connection.protocol.failure
            self.complaints.complain(
                ComplaintKind.CLOSED, address, self.clock(), "closed %s: %s", connection.peer, failure
            )
        self.observers.tell(
            PeerDisconnected(
                service=self.name,
                peer=connection.peer,
                seconds=self.clock() - connection.opened_at,
                reason=connection.protocol.failure or "",
            )
        )

    # -- accepting -------------------------------------------------------------------------------

    def _accepted(self, sock: socket.socket, address: tuple[str, int]) -> None:
        count = len(self._connections) + len(self._handshakes)
        # Those who are not served yet give way first.
        if count >= self.config.max_connections and not (self._handshakes.give_way() or self._make_room(address[0])):
            sock.close()
            text, most = "refused %s:%s: max_connections=%d are open", self.config.max_connections
            self.complaints.complain(ComplaintKind.REFUSED, address[0], self.clock(), text, *address[:2], most)
            self.observers.tell(PeerRefused(service=self.name, peer=str(Endpoint(address[0], address[1]))))
            return
        if tune(sock):
            self._welcome(sock, str(Endpoint(address[0], address[1])))

    def _make_room(self, address: str) -> bool:
        """Makes room for a connection from ``address`` by closing another, if there is one that has to give way; True
        if it did."""
        spare = self.shares.occupant_to_close(address, self.config.max_connections)
        if spare is None:
            return False
        text, most = "closed %s for %s: max_connections=%d are open", self.config.max_connections
        self.complaints.complain(
            ComplaintKind.CLOSED, host_of(spare.peer), self.clock(), text, spare.peer, address, most
        )
        spare.close()
        return True

    def _tick(self) -> None:
        while True:
            gevent.sleep(_TICK)
            self.threads.look(now := self.clock())
            for connection in list(self.attended):
                if not connection.end_overdue(now):
                    self.attended.discard(connection)

    def _look_round(self) -> None:
        """Checks every peer in turn, a few at a time, so that ten thousand idle ones delay no call."""
        pace = max(_TICK, pace_of(self.config))
        while True:
            self.complaints.settle(self.clock())
            self._handshakes.look()
            if self.buffers.take_relief():
                give_back()
            connections = list(self._connections)
            starts = range(0, len(connections) or 1, _AT_ONCE)
            for start in starts:
                gevent.sleep(pace / len(starts))
                for connection, now in in_slices(connections[start : start + _AT_ONCE], self.clock, gevent.sleep):
                    connection.look(now)

    # -- stopping --------------------------------------------------------------------------------

    @property
    def connections(self) -> set[ServerConnection]:
        """The open connections."""
        return self._connections

    @property
    def busy(self) -> set[ServerConnection]:
        """Connections on which handlers may be running, including connections that are closed already."""
        return self._connections | self.attended

    def stop_accepting(self) -> None:
        """Closes the listening socket."""
        if self._acceptor is not None:
            self._acceptor.close()

    def _walk_down(self) -> None:
        walk_down(self, self._lifecycle, self._steps)
        self._free()
        self._stopped.set()

    def _free(self) -> None:
        for ticker in self._tickers:
            ticker.kill(block=False)
        self._handshakes.close()
        for connection in list(self._connections):
            connection.close()
        self.threads.stop()
        self.turns.close()
        self.greenlets.dismiss()
        release(self)

    # -- forks, threads, and the end of the program ----------------------------------------------

    def forked(self) -> None:
        """In a forked child: closes what is shared with the parent. The handler that forked goes on without the
        server."""
        self.greenlets.disband()
        self.threads.forked()
        self.cut()

    def cut(self) -> None:
        """At the end of the interpreter: closes the descriptors."""
        if self._acceptor is not None:
            close_descriptor(self._acceptor.socket)
        self._handshakes.cut()
        for connection in self._connections:
            # Not its close(), which has others told.
            connection.closed = True
            connection._sock.close()


def _built_in_handlers(server: Server, methods: Collection[str]) -> dict[str, object]:
    """The handlers of the built-in services, each by the name of its interface."""
    handlers: dict[str, object] = {"Health": HealthHandler(server.health, gevent.sleep, server.clock)}
    if server.config.introspection:
        permissions = server.accounts.permissions
        handlers["Introspection"] = IntrospectionHandler(
            server.status, lambda: server.describe(), methods, server.taps, gevent.sleep, server.clock, permissions
        )
    return handlers
