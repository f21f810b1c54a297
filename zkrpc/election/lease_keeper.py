"""Writes the heartbeats of a process over its session, as the heartbeat's machine decides.

A shell: :class:`~zkrpc.election.lease.HeartbeatMachine` decides when to write, which lease follows from a committed
write, and when to give a connection up; this module passes on requests, answers and time. It does not know what the
groups do with a lease.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import assert_never

import gevent

from zkrpc.driver import Driver
from zkrpc.election.effects import RequestFailure
from zkrpc.election.lease import (
    CreateHeartbeat,
    DropSocket,
    HeartbeatEffect,
    HeartbeatMachine,
    Lease,
    RenewLease,
    WriteHeartbeat,
)
from zkrpc.election.request_executor import attempt
from zkrpc.election.tree import heartbeat_path
from zkrpc.errors import NodeMissing
from zkrpc.zookeeper.operations import SessionState
from zkrpc.zookeeper.session import Session

log = logging.getLogger(__name__)

LeaseListener = Callable[[Lease], None]


class LeaseKeeper:
    """Writes heartbeats while any group needs the lease. There is one per session; ``worker_id`` names the node that it
    writes to."""

    def __init__(self, session: Session, worker_id: str, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._session = session
        self._clock = clock
        self._machine = HeartbeatMachine(heartbeat_path(worker_id))
        self._listeners: dict[str, LeaseListener] = {}
        self._connection: tuple[int | None, float | None] | None = None
        self._driver: Driver[HeartbeatEffect] = Driver(self._machine, self._obey, clock=clock, observe=self._observe)
        self._writer: gevent.Greenlet[..., None] | None = None

    def __repr__(self) -> str:
        """The machine's state."""
        return f"<LeaseKeeper {self._machine!r}>"

    @property
    def lease(self) -> Lease | None:
        """The newest lease."""
        return self._machine.lease

    def start(self) -> None:
        """Follows the session from now on. Does nothing the second time."""
        if not self._driver.closing:
            self._session.watch_state(self._driver.nudged)
            self._driver.start()

    def close(self) -> None:
        """Ends at once; the lease runs out by itself."""
        self._session.unwatch_state(self._driver.nudged)
        self._driver.kill()
        if self._writer is not None:
            self._writer.kill(block=False)

    def lead(self, group: str, on_lease: LeaseListener) -> None:
        """The group needs the lease from now on: every new one is passed to ``on_lease``, which must not wait.

        ``group`` is unique among the users of this LeaseKeeper.
        """
        self._listeners[group] = on_lease
        self._machine.lead(group, self._clock())
        self._driver.carry_out()

    def rest(self, group: str) -> None:
        """The group no longer needs the lease."""
        self._listeners.pop(group, None)
        self._machine.rest(group, self._clock())
        self._driver.carry_out()

    def _observe(self, changed: bool) -> None:
        self._note_session()
        if self._session.last_ack_at is not None:
            self._machine.receive_acknowledged(self._session.last_ack_at, self._clock())

    def _note_session(self) -> None:
        """Passes each connection to the machine once, even if the loss before it went unseen."""
        session = self._session
        connected = session.state is SessionState.CONNECTED
        connection = (session.session_id, session.connected_at) if connected else None
        if connection == self._connection:
            return
        self._connection = connection
        if connection is None:
            self._machine.receive_disconnected(self._clock())
            return
        assert session.session_id is not None and session.timeout is not None and session.connected_at is not None
        self._machine.receive_connected(session.session_id, session.timeout, session.connected_at, self._clock())

    def _obey(self, effect: HeartbeatEffect) -> None:
        """Carries out one effect. Nothing here waits, so a lease is passed on before any other input."""
        match effect:
            case RenewLease(lease=lease):
                for listener in list(self._listeners.values()):
                    listener(lease)
            case DropSocket():
                log.warning("ZooKeeper has committed no heartbeat for a quarter of the session timeout; reconnecting")
                self._session.drop()
            case WriteHeartbeat() | CreateHeartbeat():
                self._writer = gevent.spawn(self._write, effect)
            case _:
                assert_never(effect)

    def _write(self, request: WriteHeartbeat | CreateHeartbeat) -> None:
        failure = attempt(self._session, request.session_id, lambda: self._send(request))
        if isinstance(failure, RequestFailure):
            self._machine.receive_failure(failure, self._clock())
        else:
            self._machine.receive_written(self._clock())
        self._driver.carry_out()

    def _send(self, request: WriteHeartbeat | CreateHeartbeat) -> None:
        # An answer after a session timeout would be of no use; the machine drops the connection long before that.
        bound = self._session.timeout
        if isinstance(request, WriteHeartbeat):
            self._session.znodes.set(request.path, b"", timeout=bound)
            return
        try:
            self._session.znodes.create(request.path, ephemeral=True, timeout=bound)
        except NodeMissing:
            self._session.znodes.ensure_path(request.path.rpartition("/")[0], timeout=bound)
            self._session.znodes.create(request.path, ephemeral=True, timeout=bound)
