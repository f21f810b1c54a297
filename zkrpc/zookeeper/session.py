"""The one ZooKeeper session of a process: it is replaced when it is lost, and no request waits without a bound.

This module knows states, requests and their outcomes, and nothing of services, members or elections. The workarounds
for kazoo are in :mod:`zkrpc.zookeeper.link`. One control greenlet does whatever takes time (calling ``on_new_session``,
the watchdog, building a new client); kazoo's callbacks only set events.

=========== ============================================ ==========================
state       what is true                                 requests
=========== ============================================ ==========================
CONNECTING  no session yet                               SessionSuspended, not sent
CONNECTED   ``on_new_session`` has run                   sent
SUSPENDED   the session may or may not still exist       SessionSuspended, not sent
LOST        ZooKeeper said the session has ended         SessionSuspended, not sent
CLOSED      closed by us                                 SessionSuspended, not sent
=========== ============================================ ==========================

While there is no connection, :mod:`zkrpc.zookeeper.health` describes the reason, in the log and in the texts of errors.
A session that ZooKeeper neither continues nor ends, because this is another ensemble or one that lost its data, is
given up. ``histories`` counts that, so that followers accept data that is older than what they have seen.

Watches are one-shot events: set when the node changes, and when the connection is lost, because then the server no
longer has the watch. A set event means that the node is to be read again, nothing more. ``subtrees`` has watches that
stay and name the child that has changed, for as long as the connection lasts.
"""

from __future__ import annotations

import logging
import os
import random
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import gevent
from gevent.event import Event
from gevent.ssl import SSLContext

from zkrpc.belonging import Home, keep
from zkrpc.config import RegistryConfig
from zkrpc.credentials import read_security
from zkrpc.endpoint import Endpoint
from zkrpc.errors import CoordinationError, SessionSuspended
from zkrpc.telemetry.events import EnsembleChanged, RequestAnswered, SessionChanged
from zkrpc.telemetry.observer import Observer, Observers, gather
from zkrpc.telemetry.status import SessionStatus
from zkrpc.zookeeper.encryption import Encryption
from zkrpc.zookeeper.ensemble import ServerList
from zkrpc.zookeeper.health import SessionHealth
from zkrpc.zookeeper.link import Link
from zkrpc.zookeeper.operations import ConnectString, SessionState
from zkrpc.zookeeper.subtree_watching import SubtreeWatching
from zkrpc.zookeeper.subtrees import WatchOffers
from zkrpc.zookeeper.znodes import Sender, Znodes

_log = logging.getLogger(__name__)

_CLOSE_TIMEOUT = 1.2
_REPAIR_PAUSE = 0.5


class Session:
    """A ZooKeeper session that outlives connections and servers, and is replaced by a new one when it is lost.

    Its own properties are known locally and cost nothing. Data in ZooKeeper is read and written through ``znodes``,
    whose every call waits for a server.
    """

    def __init__(
        self,
        hosts: str,
        config: RegistryConfig = RegistryConfig(),
        *,
        on_new_session: Callable[[int, bytes], None] | None = None,
        observers: Iterable[Observer] = (),
    ) -> None:
        """``hosts`` is ``host:port,host:port/chroot``. ``on_new_session`` gets the id and the password of each session
        in the control greenlet, before the first request of that session. ``observers`` receive the events of the
        session and of its requests.

        Raises ConfigError for a connect string that is none, and for settings of the environment, or files that they
        name, which cannot be used."""
        self._config = config
        self.security = read_security(os.environ) if config.security is None else config.security
        """Who we are for ZooKeeper."""
        self._encryption = Encryption.of(self.security, SSLContext)
        self._target = ConnectString.parse(hosts)
        self._observers = gather(observers)
        send: Sender = self._send
        if self._observers.want(RequestAnswered):
            send = _telling(send, self._observers, str(self._target))
        self.znodes = Znodes(send, self._target, config.max_payload, self.security)
        """Reads, writes and transactions."""
        self._offers = WatchOffers(config.persistent_watches)
        self.subtrees = SubtreeWatching(send, self._target.chroot, self._offers)
        """Watches that stay, where the server knows them."""
        # Programs that use a registry's session call these on the session itself: the same methods under both names.
        self.exists, self.get, self.children = self.znodes.exists, self.znodes.get, self.znodes.children
        self.create, self.set, self.delete = self.znodes.create, self.znodes.set, self.znodes.delete
        self.listing, self.ensure_path, self.multi = self.znodes.listing, self.znodes.ensure_path, self.znodes.multi
        self._on_new_session = on_new_session
        self._state = SessionState.CONNECTING
        self._identity: tuple[int, bytes] | None = None
        self.histories = 0
        """How often a session was given up because this is another ensemble, or one that lost its data. Transaction ids
        and epochs from before cannot be compared with later ones."""
        self._watchers: set[Event] = set()
        self._settled = Event()
        self._wake = Event()
        self._refusal = ""
        self._health = SessionHealth(
            self._target,
            config.session_timeout,
            time.monotonic,
            self._wake.set,
            security=self.security,
            encryption=self._encryption,
        )
        told = _telling_servers(self._health, self._observers, str(self._target))
        self._servers = ServerList(self._target.servers, random.random, told)
        self._link: Link | None = None
        self.home = Home(
            "a ZooKeeper session, with what is registered and led through it,",
            in_child="leave it to the parent, or use a zkrpc.Registry of the child's own",
            in_thread="use a zkrpc.Registry of this thread's own, or have the thread that made this one do it",
        )
        """The process, thread and hub to which the session belongs."""
        self._control: gevent.Greenlet[..., None] | None = None

    @property
    def hosts(self) -> str:
        """The connect string."""
        return str(self._target)

    def __repr__(self) -> str:
        """The connect string, the state and the session id."""
        number = f" {self.session_id:#x}" if self.session_id is not None else ""
        return f"<Session {self._target} {self._state.value}{number}>"

    @property
    def state(self) -> SessionState:
        """The session's state. In a forked child it is CLOSED, as the session belongs to the parent."""
        return self._state if self.home.in_process else SessionState.CLOSED

    @property
    def session_id(self) -> int | None:
        """The current session's id, as in a node's ``owner``; None before the first, and once one is lost."""
        return self._identity[0] if self._identity else None

    @property
    def password(self) -> bytes | None:
        """The current session's password, which allows any client to take the session over or close it."""
        return self._identity[1] if self._identity else None

    @property
    def timeout(self) -> float | None:
        """Seconds of silence after which the server ends the session, as granted; None before the first connection."""
        return self._health.granted

    def status(self) -> SessionStatus:
        """The state of the session at this moment."""
        heard_at = self.last_ack_at
        return SessionStatus(
            hosts=str(self._target),
            state=self.state.value,
            session=_hex(self.session_id) or None,
            timeout_asked=self._config.session_timeout,
            timeout=self.timeout,
            heard=None if heard_at is None else max(0.0, time.monotonic() - heard_at),
            histories=self.histories,
            servers=tuple(map(str, self._servers.servers)),
            server=str(self._link.server) if self._link and self._link.connected else None,
            explanation=self.explain(),
        )

    def explain(self) -> str:
        """The state in words and, while there is no connection, for how long and why: for an error's text."""
        return self._health.explain(self._state)

    @property
    def refusal(self) -> str:
        """Why ZooKeeper does not serve us: it does not know us, or not as who we say we are. Empty if it does, or has
        not said so. It is asked again now and then, at most every half minute."""
        reason = (self._link.refusal if self._link else "") or self._refusal
        return reason and (
            f"ZooKeeper at {self._target} refuses us, who come as {self.security}: {reason}; look at "
            "ZKRPC_ZOOKEEPER_USERNAME and its like, or a certificate, and at ZooKeeper's own settings "
            "(docs/zookeeper-security.md)"
        )

    @property
    def last_ack_at(self) -> float | None:
        """Monotonic send time of the newest message that the server acknowledged."""
        return self._link.acknowledgements.last_at if self._link else None

    @property
    def connected_at(self) -> float | None:
        """Monotonic time of the current connection's connect request, or a moment before it. If it has changed, there
        is a new connection, and all earlier watches are gone. None before the first."""
        return self._link.acknowledgements.connected_at if self._link else None

    def start(self) -> None:
        """Starts connecting and returns at once; connecting goes on until :meth:`close`. Does nothing the second
        time."""
        self.home.require()
        if self._control is None and self._state is not SessionState.CLOSED:
            self._open_link()
            self._health.receive_lost(expired=False)
            self._control = gevent.spawn(self._run)

    def close(self) -> None:
        """Ends the session, so that its ephemeral nodes are deleted at once; returns within two seconds even if no
        server answers."""
        if self.state is SessionState.CLOSED:
            return
        self.home.require()
        self._become(SessionState.CLOSED)
        if self._control is not None and self._control is not gevent.getcurrent():
            self._control.kill()
        if self._link is not None:
            self._link.stop(_CLOSE_TIMEOUT)

    def drop(self) -> None:
        """Cuts the connection, so that another server is tried; the session goes on. Does nothing without one."""
        if self._link is not None:
            self._link.drop()

    def receive_configuration(self, servers: Sequence[Endpoint]) -> None:
        """ZooKeeper's own configuration lists these servers; see :mod:`zkrpc.zookeeper.ensemble`. From now on they are
        dialled, as far as that can be told to work. Not in TLS: it lists only the ports without."""
        if self._encryption is not None:
            return
        self._servers.receive_published(servers, self.timeout or self._config.session_timeout, time.monotonic())
        self._wake.set()

    def watch_state(self, event: Event) -> None:
        """Sets ``event`` at every change of the state, and so of the session."""
        self._watchers.add(event)

    def unwatch_state(self, event: Event) -> None:
        """Ends :meth:`watch_state`."""
        self._watchers.discard(event)

    def wait_connected(self, timeout: float) -> bool:
        """Waits until CONNECTED; False if that did not come in ``timeout`` seconds, ZooKeeper refuses us, or the
        session is closed."""
        self._settled.wait(timeout)
        return self._state is SessionState.CONNECTED

    def _send(self, action: str, submit: Callable[[Any], Any], timeout: float | None) -> Any:
        self.home.require()
        if self._link is None or self._state is not SessionState.CONNECTED:
            raise SessionSuspended(f"ZooKeeper {action}: not sent, the session is {self._state.value}")
        return self._link.call(action, submit, self._config.request_timeout if timeout is None else timeout)

    # State

    def _become(self, state: SessionState) -> None:
        if self._state is state or self._state is SessionState.CLOSED:
            return
        before, self._state = self._state, state
        if state is SessionState.LOST:
            self._identity = None
        if state in (SessionState.CONNECTED, SessionState.CLOSED):
            self._settled.set()
        else:
            self._settled.clear()
        for event in tuple(self._watchers):
            event.set()
        self._observers.tell(
            SessionChanged(
                hosts=str(self._target),
                before=before.value,
                after=state.value,
                session=_hex(self.session_id),
                timeout=self.timeout,
            )
        )

    def _hear(self) -> None:
        """Called inside kazoo at every change: stops requests at once, and leaves the rest to the control greenlet."""
        if self._link is not None and not self._link.connected:
            self._health.receive_lost(self._link.expired)
            self._offers.receive_lost()
            if self._state is not SessionState.CONNECTING:
                self._become(SessionState.LOST if self._link.expired else SessionState.SUSPENDED)
        self._wake.set()

    # The control greenlet

    def _open_link(self) -> None:
        # The session of a client that died still exists: continuing it keeps the ephemeral nodes.
        self._link = Link(
            self._target,
            self._config,
            servers=self._servers,
            identity=self._identity,
            diagnosis=self._health.diagnosis,
            on_change=self._hear,
            on_hang_up=self._health.receive_hang_up,
            on_event=self._offers.receive_event,
            granted=self._health.granted,
            security=self.security,
            encryption=self._encryption,
        )
        keep(self._link, self.home.hub)
        self._link.start()

    def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                pause = self._step()
            except CoordinationError as error:
                _log.warning("%s; trying again", error)
                pause = _REPAIR_PAUSE
            except Exception:
                _log.exception("the ZooKeeper session's control failed; trying again")
                pause = _REPAIR_PAUSE
            self._wake.wait(pause)

    def _step(self) -> float | None:
        """Does what is due; returns the seconds until the next step, None to wait for a change."""
        link = self._link
        assert link is not None
        self._health.tell(self._state)
        if link.dead:
            self._rebuild(link, self._health.receive_death(link.cause_of_death))
        elif not link.connected:
            if self._health.has_diverged() and not link.connected:
                # Another ensemble, or one that lost its data: this session's nodes are gone, and earlier transaction
                # ids mean nothing.
                self.histories += 1
                self._become(SessionState.LOST)
                self._identity = None
                self._rebuild(link)
        elif self._state is not SessionState.CONNECTED:
            self._prepare(link)
        elif (due_in := link.overdue_in()) is not None and due_in <= 0:
            link.watch_over()
        elif self._servers.handle_timer(time.monotonic()):
            _log.info("leaving the ZooKeeper server %s, which its ensemble no longer has", link.server)
            link.drop()
        dues = (self._health.next_timer(link.connected), self._servers.next_timer() if link.connected else None)
        pauses = [max(0.0, due - time.monotonic()) for due in dues if due is not None]
        overdue_in = link.overdue_in()
        return min(pauses if overdue_in is None else [*pauses, overdue_in], default=None)

    def _rebuild(self, link: Link, pause: float = 0.0) -> None:
        link.stop(0)
        self._refusal = link.refusal
        if self._refusal and self._state is not SessionState.CLOSED:
            self._settled.set()  # waiting for it is in vain
        gevent.sleep(pause)
        if self._state not in (SessionState.CONNECTED, SessionState.CLOSED):
            self._settled.clear()
        self._open_link()

    def _prepare(self, link: Link) -> None:
        """Opens a new connection to requests, after ``on_new_session`` if the session is new."""
        identity = link.identity
        if identity is None:
            return
        if identity != self._identity:
            if self._state is SessionState.SUSPENDED:
                self._become(SessionState.LOST)
            self._identity = identity
            if self._on_new_session is not None:
                try:
                    self._on_new_session(*identity)
                except Exception:
                    _log.exception("on_new_session failed")
        if link.identity == identity:
            self._refusal = ""
            link.admit()
            self._servers.receive_connected(*link.names)
            self._offers.receive_connected(link.names, time.monotonic())
            self._health.receive_connected(link.acknowledgements.timeout)
            _log.info("ZooKeeper session %#x connected, timeout %s s (%s)", identity[0], self.timeout, self._target)
            self._become(SessionState.CONNECTED)


def _telling(send: Sender, observers: Observers, hosts: str) -> Sender:
    """Wraps ``send`` so that each request's outcome is passed to the observers."""

    def send_and_tell(action: str, submit: Callable[[Any], Any], timeout: float | None) -> Any:
        began, error = time.monotonic(), ""
        try:
            return send(action, submit, timeout)
        except CoordinationError as failure:
            error = type(failure).__name__
            raise
        finally:
            seconds, operation = time.monotonic() - began, action.partition(" ")[0]
            observers.tell(RequestAnswered(hosts=hosts, operation=operation, seconds=seconds, error=error))

    return send_and_tell


def _telling_servers(health: SessionHealth, observers: Observers, hosts: str) -> Callable[[tuple[Endpoint, ...]], None]:
    """Makes the function that logs which servers are dialled from now on, and tells whoever has to know."""

    def tell(servers: tuple[Endpoint, ...]) -> None:
        health.diagnosis.follow(servers)
        names = ",".join(map(str, servers))
        _log.info("the ZooKeeper servers are now %s", names)
        observers.tell(EnsembleChanged(hosts=hosts, servers=names))

    return tell


def _hex(session_id: int | None) -> str:
    return "" if session_id is None else f"{session_id:#x}"
