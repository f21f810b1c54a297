"""Wraps one kazoo client, from its start until it fails for good or is stopped.

Everything here guards against something that was measured on kazoo 2.11 under gevent:

- Its wake-up socket holds about 278 bytes, one per request. Two greenlets that must wait for it block the client for
  good while its state is CONNECTED; only a limit in front of it (128 unanswered requests, none while not connected)
  prevents that.
- A request counts as a heartbeat when it is *sent*, so with traffic whose packets are dropped it stays CONNECTED for
  ever. The link records when the server last acknowledged something, and shuts the socket down itself.
- It does not tell the negotiated timeout, waits up to an hour between connects by default, and gives one server that
  does not answer a whole session timeout.
- Its timeouts are BaseExceptions. None is ever raised here, because the link waits for results before it gets them.

A link does not outlive its kazoo client: :mod:`zkrpc.zookeeper.session` builds a new link when one has died.
"""

from __future__ import annotations

import contextlib
import logging
import random
import secrets
import socket
import time
from collections.abc import Callable
from typing import Any

import gevent
from gevent.lock import BoundedSemaphore
from kazoo.client import KazooClient
from kazoo.exceptions import AuthFailedError, ConnectionDropped, KazooException
from kazoo.protocol.serialization import Create, Exists, GetData, Watch
from kazoo.protocol.states import KazooState, KeeperState
from kazoo.retry import KazooRetry

from zkrpc.belonging import close_descriptor, release
from zkrpc.config import RegistryConfig
from zkrpc.credentials import NO_SECURITY, ZooKeeperSecurity
from zkrpc.endpoint import Endpoint
from zkrpc.errors import OutcomeUnknown, RemoteProtocolError, SessionSuspended
from zkrpc.zookeeper.authentication import Unauthorized, introduce
from zkrpc.zookeeper.diagnosis import Diagnosis
from zkrpc.zookeeper.encryption import Encryption
from zkrpc.zookeeper.ensemble import ServerList
from zkrpc.zookeeper.handler import Handler, say_goodbye
from zkrpc.zookeeper.handshake import close_request, framed, read_length
from zkrpc.zookeeper.operations import ConnectString
from zkrpc.zookeeper.refusals import is_unauthorized, translated

# kazoo warns at every attempt to connect, twice a second while a server is down. The session logs what matters of that;
# lower this logger's level to see the rest.
_kazoo_log = logging.getLogger("zkrpc.zookeeper.kazoo")
if _kazoo_log.level == logging.NOTSET:
    _kazoo_log.setLevel(logging.ERROR)

_log = logging.getLogger("zkrpc.zookeeper.session")
_LEAST_CONNECT_TIMEOUT = 0.5
_KILL_TIMEOUT = 0.3
_CUT_TIMEOUT = 0.3
# After the hub was blocked, an answer may be waiting in the socket; one turn of the loop lets it be read.
_WATCHDOG_GRACE = 0.02


def exists_anywhere(kazoo: Any, path: str, watcher: Callable[[Any], None] | None = None) -> Any:
    """Asks, through a kazoo client, whether there is a node at ``path``, which starts at the root and not at the
    chroot.

    kazoo's own methods cannot address the parents of the chroot, and so cannot create more than one level of it.
    """
    result = kazoo.handler.async_result()
    kazoo._call(Exists(path, watcher), result)
    return result


def get_anywhere(kazoo: Any, path: str, watcher: Callable[[Any], None] | None) -> Any:
    """Asks for the node at ``path``, which starts at the root; see :func:`exists_anywhere`."""
    result = kazoo.handler.async_result()
    kazoo._call(GetData(path, watcher), result)
    return result


def create_anywhere(kazoo: Any, path: str, acl: Any) -> Any:
    """Asks for an empty node at ``path``, which starts at the root; see :func:`exists_anywhere`."""
    result = kazoo.handler.async_result()
    kazoo._call(Create(path, b"", acl, 0), result)
    return result


def tap_events(connection: Any, hear: Callable[[int, str], None]) -> None:
    """Has a connection of kazoo's that has not been started tell ``hear`` of each watch event, before kazoo looks for a
    watch of its own: ZooKeeper's type of event, and the path from the root."""
    read_watch_event = connection._read_watch_event

    def on_watch_event(buffer: bytes, offset: int) -> None:
        event, _ = Watch.deserialize(buffer, offset)
        hear(event.type, event.path)
        read_watch_event(buffer, offset)

    connection._read_watch_event = on_watch_event


class Acknowledgements:
    """Records when the server last acknowledged a message, and the timeout that it granted.

    kazoo tells neither, so three methods of its connection are wrapped on the instance.
    """

    def __init__(
        self,
        connection: Any,
        handler: Handler,
        on_hang_up: Callable[[Endpoint], None],
        security: ZooKeeperSecurity = NO_SECURITY,
    ) -> None:
        """Wraps a connection of kazoo's that has not been started.

        The session handshake has as much time as ``handler`` has for connecting; kazoo would give a server that accepts
        and does not answer, as one does for a moment when it starts, a whole session timeout divided by the servers.
        ``on_hang_up`` is called, from inside kazoo, when a server closes the connection during a handshake that names a
        last seen transaction. ``security`` says who we are: it is shown within the handshake, so that there is no
        connection before the server knows us; kazoo would announce one first.
        """
        self.refusal = ""
        """Why the server does not serve us; from then on nothing is tried again."""
        self._security = security
        self._connection = connection
        self._handler = handler
        self._client = connection.client
        self._on_hang_up = on_hang_up
        self.timeout: float | None = None
        """Seconds, as negotiated with the current or last connection."""
        self.last_at: float | None = None
        """When the newest acknowledged message was *sent*."""
        self.connected_at: float | None = None
        """When the connect request of the current or last connection was sent, or a moment before."""
        self._sent: dict[int | None, float] = {}
        self._submit = connection._submit
        self._read_header = connection._read_header
        self._invoke = connection._invoke
        connection._submit = self._on_submit
        connection._read_header = self._on_read_header
        connection._invoke = self._on_invoke

    def _on_submit(self, request: Any, timeout: float, xid: int | None = None) -> Any:
        # All pings have the same xid: an answer belongs to the oldest one that is unanswered.
        self._sent.setdefault(xid, time.monotonic())
        return self._submit(request, timeout, xid)

    def _on_read_header(self, timeout: float) -> Any:
        header, buffer, offset = self._read_header(timeout)
        sent_at = self._sent.pop(header.xid, None)
        if sent_at is not None:
            self.last_at = sent_at if self.last_at is None else max(sent_at, self.last_at)
        return header, buffer, offset

    def _on_invoke(self, timeout: float, request: Any, xid: int | None = None) -> Any:
        if xid is None:
            self._sent.clear()
            timeout = min(timeout, self._handler.connect_timeout)
        started_at = time.monotonic()
        try:
            if self.refusal:
                raise AuthFailedError(self.refusal)
            reply = self._invoke(timeout, request, xid)
            if xid is None and reply[0].time_out > 0:
                self._introduce(timeout)
        except (Exception, self._handler.timeout_exception) as error:
            seen_anything = xid is None and bool(self._client.last_zxid)
            self._handler.receive_greeting_failed(error, seen_anything=seen_anything)
            if seen_anything and isinstance(error, ConnectionDropped) and self._handler.server is not None:
                self._on_hang_up(self._handler.server)
            raise
        if xid is None and reply[0].time_out > 0:
            self.timeout = reply[0].time_out / 1000
            self.last_at = self.connected_at = started_at
        return reply

    def _introduce(self, timeout: float) -> None:
        introduction = introduce(self._security, lambda: secrets.token_hex(16))
        try:
            body = next(introduction, None)
            while body is not None:
                self._connection._write(framed(body), timeout)
                size = read_length(self._connection._read(4, timeout))
                body = introduction.send(self._connection._read(size, timeout))
        except StopIteration:
            return
        except Unauthorized as error:
            self.refusal = str(error)
            raise AuthFailedError(self.refusal) from error
        except RemoteProtocolError as error:
            raise ConnectionDropped(f"invalid answer to our credentials: {error}") from error


class Link:
    """A kazoo client behind a limit of concurrent requests. Made and used in one process and one hub."""

    def __init__(
        self,
        target: ConnectString,
        config: RegistryConfig,
        *,
        servers: ServerList,
        identity: tuple[int, bytes] | None,
        diagnosis: Diagnosis,
        on_change: Callable[[], None],
        on_hang_up: Callable[[Endpoint], None] = lambda _: None,
        on_event: Callable[[int, str], None] = lambda kind, path: None,
        granted: float | None = None,
        security: ZooKeeperSecurity = NO_SECURITY,
        encryption: Encryption | None = None,
    ) -> None:
        """Prepares a client that continues the session ``identity``, or makes a new one. ``servers`` are asked for
        anew in each round of attempts.

        ``on_change`` is called at every change of the connection, ``on_hang_up`` when a server closes the connection
        during a handshake that names a last seen transaction, ``on_event`` with each watch event (see
        :func:`tap_events`). All are called from inside kazoo: they must neither wait nor send requests. ``granted`` is
        the session's timeout in seconds, if it is known already. ``security`` says who we are; ``encryption`` is of
        gevent's kind.
        """
        self._on_change = on_change
        self._slots = BoundedSemaphore(config.max_in_flight)
        self._most = config.max_in_flight
        self._admitting = False
        self._servers = servers
        self._timeout = granted or config.session_timeout
        self._handler = Handler(self._time_for_one(), diagnosis, encryption)
        self._client = _build_client(target, config, identity, self._handler)
        self._client._connection._expand_client_hosts = self._shuffle_servers
        self._client.add_listener(self._hear)
        self.acknowledgements = Acknowledgements(self._client._connection, self._handler, on_hang_up, security)
        tap_events(self._client._connection, on_event)

    def start(self) -> None:
        """Starts connecting, and goes on until :meth:`stop` or death."""
        self._client.start_async()
        # A client that never connected ends without calling its listeners.
        self._client._connection._connection_routine.link(lambda _: self._on_change())

    def _shuffle_servers(self) -> list[tuple[str, str, int]]:
        """The servers to try in a round, in random order and by name: each is looked up when its turn comes."""
        self._handler.connect_timeout = self._time_for_one()
        turns = (server for group in self._servers.groups() for server in random.sample(group, len(group)))
        return [(server.host, server.host, server.port) for server in turns]

    def _time_for_one(self) -> float:
        """Seconds for one server: a third of the session timeout for a round of all servers, so that two more rounds
        fit before the session expires."""
        return max(_LEAST_CONNECT_TIMEOUT, self._timeout / (3 * len(self._servers.servers)))

    @property
    def server(self) -> Endpoint | None:
        """The server that was dialled last."""
        return self._handler.server

    @property
    def names(self) -> tuple[Endpoint, ...]:
        """What the server that was reached last is called: as it was dialled, and its address."""
        return tuple(name for name in (self._handler.server, self._handler.address) if name is not None)

    @property
    def connected(self) -> bool:
        """True while there is a connection with a live session."""
        return bool(self._client.connected)

    @property
    def expired(self) -> bool:
        """True from ZooKeeper's answer that the session has ended until the next connection."""
        return bool(self._client.client_state == KeeperState.EXPIRED_SESSION)

    @property
    def dead(self) -> bool:
        """True once the client has given up for good; only a new link helps."""
        routine = self._client._connection._connection_routine
        return routine is not None and bool(routine.dead)

    @property
    def cause_of_death(self) -> str:
        """What ended a dead link, as far as it is known."""
        error = getattr(self._client._connection._connection_routine, "exception", None)
        if error is None:
            return f"authentication failed: {self.refusal}" if self.refusal else "authentication failed"
        return f"{type(error).__name__}: {error}"

    @property
    def refusal(self) -> str:
        """Why ZooKeeper does not serve us, as it does not know us; empty if it does, or has not said so."""
        return self.acknowledgements.refusal

    @property
    def identity(self) -> tuple[int, bytes] | None:
        """Session id and password while connected."""
        identity = self._client.client_id
        return (int(identity[0]), bytes(identity[1])) if identity else None

    def admit(self) -> None:
        """Lets requests through from now on, until the connection is lost."""
        self._admitting = self.connected

    def _hear(self, state: str) -> None:
        if state != KazooState.CONNECTED:
            self._admitting = False
        elif self.acknowledgements.timeout is not None:
            self._timeout = self.acknowledgements.timeout
        self._on_change()

    def call(self, action: str, submit: Callable[[Any], Any], timeout: float) -> Any:
        """Sends one request and waits for its answer. ``submit`` gets the kazoo client, returns its AsyncResult.

        Raises SessionSuspended if nothing was sent, OutcomeUnknown if no answer came, and for a refusal the exception
        that :func:`translated` returns.
        """
        give_up_at = time.monotonic() + timeout
        self._require_open(action)
        if not self._slots.acquire(timeout=max(0.0, timeout)):
            raise SessionSuspended(
                f"ZooKeeper {action}: not sent, {self._most} requests have been waiting for {timeout:.3g} s"
            )
        try:
            self._require_open(action)
            result = submit(self._client)
        except BaseException:
            self._slots.release()
            raise
        # The slot belongs to the request, not to the caller: kazoo still holds the request when its caller has given
        # up.
        result.rawlink(lambda _: self._slots.release())
        result.wait(max(0.0, give_up_at - time.monotonic()))
        if not result.ready():
            raise OutcomeUnknown(f"ZooKeeper {action}: sent, no answer within {timeout:.3g} s")
        try:
            return result.get(block=False)
        except KazooException as error:
            if is_unauthorized(error):
                # The server hangs up now, and would after each connection; the session decides when to try again.
                self.acknowledgements.refusal = "it serves only those whom it knows"
                self._handler.receive_greeting_failed(error, seen_anything=False)
            raise translated(error, action) from error

    def _require_open(self, action: str) -> None:
        if not self.connected or not self._admitting:
            raise SessionSuspended(f"ZooKeeper {action}: not sent, not connected")

    def overdue_in(self) -> float | None:
        """Seconds until the connection counts as dead unless something is acknowledged; None without a connection.

        The limit is 2/3 of the timeout, which leaves a third to reach another server before the session expires.
        """
        heard = self.acknowledgements
        if not self.connected or heard.timeout is None or heard.last_at is None:
            return None
        return heard.last_at + heard.timeout * 2 / 3 - time.monotonic()

    def watch_over(self) -> None:
        """Cuts the connection if it is still overdue after a moment."""
        gevent.sleep(_WATCHDOG_GRACE)
        due_in = self.overdue_in()
        if due_in is not None and due_in <= 0:
            _log.warning("ZooKeeper acknowledged nothing for 2/3 of the session timeout; reconnecting")
            self.drop()

    def drop(self) -> None:
        """Cuts the connection, so that kazoo looks for another server."""
        current = self._client._connection._socket
        if current is not None:
            with contextlib.suppress(OSError):
                current.shutdown(socket.SHUT_RDWR)

    def stop(self, timeout: float) -> None:
        """Closes the session, if the server answers in time, and frees everything. Bounded by a little over timeout."""
        self._admitting = False
        self._client.remove_listener(self._hear)
        stopper = gevent.spawn(self._stop_client)
        stopper.join(timeout)
        routine = self._client._connection._connection_routine
        if routine is not None and not routine.dead:
            # kazoo's clean-up answers every request that is still waiting, which frees callers and slots.
            routine.kill(timeout=_KILL_TIMEOUT)
        stopper.join(_KILL_TIMEOUT)
        stopper.kill(timeout=_KILL_TIMEOUT)
        with contextlib.suppress(Exception):
            self._client.close()
        release(self)

    def forked(self) -> None:
        """In a forked child: closes the descriptors. The session belongs to the parent, and goes on."""
        connection = self._client._connection
        for sock in (connection._socket, connection._read_sock, connection._write_sock):
            if sock is not None:
                close_descriptor(sock)

    def cut(self) -> None:
        """At the end of the interpreter: asks ZooKeeper to close the session, without the hub, and closes the
        descriptors.

        So the session's nodes are deleted at once, and not when it times out. That fails if kazoo was in the middle of
        sending a message.
        """
        current = self._client._connection._socket
        if current is not None and self.connected:
            with contextlib.suppress(OSError):
                say_goodbye(current, close_request(), _CUT_TIMEOUT)
        self.forked()

    def _stop_client(self) -> None:
        # kazoo's stop raises various errors on a client that has not quite started or stopped; it is stopped after all
        # of them.
        with contextlib.suppress(Exception):
            self._client.stop()


def _build_client(
    target: ConnectString,
    config: RegistryConfig,
    identity: tuple[int, bytes] | None,
    handler: Handler,
) -> Any:
    return KazooClient(
        hosts=str(target),
        timeout=config.session_timeout,
        client_id=identity,
        handler=handler,
        # The default waits up to an hour between attempts, which loses sessions that a server still keeps.
        connection_retry=KazooRetry(
            max_tries=-1, delay=0.05, backoff=1.5, max_delay=0.5, sleep_func=handler.sleep_func
        ),
        logger=_kazoo_log,
    )
