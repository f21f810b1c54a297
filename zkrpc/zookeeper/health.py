"""The health of a session: logs what is wrong, but rarely, and decides when the session is given up.

**When a session is given up.** A server that lost its data, was restored from an older backup, or is another ensemble
under the old address, has fewer transactions than its clients have seen. It closes each of their connections for that
reason, for ever, and never reports that their sessions have ended. But a server without a quorum or with too many
connections closes connections, too; sessions still exist there, and must not be given up.

Three facts together are needed. *It lasts*: no server has accepted our session for a session timeout, so a server that
only lags behind has caught up, and if none has, our session has expired meanwhile. *New sessions are granted*: a client
that has seen no transaction gets a session, so the server serves, and has room. *Ours is not accepted*: after that the
same server closes our connection once more.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

from zkrpc.credentials import NO_SECURITY, ZooKeeperSecurity
from zkrpc.dialling import cooperative, open_socket
from zkrpc.endpoint import Endpoint
from zkrpc.errors import RemoteProtocolError
from zkrpc.zookeeper.diagnosis import Complain, Diagnosis, DiagnosisState
from zkrpc.zookeeper.encryption import Encryption
from zkrpc.zookeeper.handshake import Exchange
from zkrpc.zookeeper.operations import ConnectString, SessionState

# The same logger as the session's, so that one setting silences or shows both.
_log = logging.getLogger("zkrpc.zookeeper.session")

_FIRST_REPAIR_PAUSE = 0.5
_LONGEST_REPAIR_PAUSE = 30.0
_PROBE_TIMEOUT = 1.0
_PROBE_AGAIN_AFTER = 1.0
_PROBE_SESSION_MS = 1_000
"""The session timeout that a probe asks for: short, as its session may be left open if it cannot be closed."""


class Divergence:
    """Decides whether the servers have another transaction history than the session has seen. A state machine.

    While servers close our connections, the ``suspects`` are to be probed for a new session at the time of
    ``next_timer``.
    """

    def __init__(self) -> None:
        self.diverged: Endpoint | None = None
        """The server that grants new sessions and does not accept ours; None while that is not certain."""
        self._refusing: set[Endpoint] = set()
        self._granting: set[Endpoint] = set()
        self._probe_at = 0.0

    def __repr__(self) -> str:
        """How many servers close our connections, and how many grant new sessions."""
        return f"<Divergence refusing={len(self._refusing)} granting={len(self._granting)}>"

    def receive_hang_up(self, server: Endpoint, session_timeout: float, now: float) -> None:
        """The server closed the connection during a handshake that names a last seen transaction; ``session_timeout``
        is the granted one."""
        if not self._refusing:
            self._probe_at = now + session_timeout
        self._refusing.add(server)
        if server in self._granting:
            self.diverged = server

    def receive_answer(self) -> None:
        """A server has accepted our session, or answered that it has ended."""
        self.diverged = None
        self._refusing.clear()
        self._granting.clear()

    def next_timer(self) -> float | None:
        """When to probe; None while there is no reason to, or once a new session was granted."""
        return self._probe_at if self._refusing and not self._granting else None

    def suspects(self) -> tuple[Endpoint, ...]:
        """The servers to probe."""
        return tuple(sorted(self._refusing))

    def receive_probed(self, server: Endpoint, granted: bool, now: float) -> None:
        """Takes in whether the server granted a new session."""
        if granted:
            self._granting.add(server)
        else:
            self._probe_at = now + _PROBE_AGAIN_AFTER


def grants_new_sessions(
    server: Endpoint,
    timeout: float,
    clock: Callable[[], float],
    security: ZooKeeperSecurity = NO_SECURITY,
    encryption: Encryption | None = None,
) -> bool:
    """Whether the server grants a session to a client that has seen no transaction; the session is closed at once.

    False also if it cannot be asked within ``timeout`` seconds.
    """
    give_up_at = clock() + timeout
    try:
        with contextlib.closing(_dial(server, timeout, encryption)) as sock:
            exchange = Exchange(sock, give_up_at, clock)
            granted = exchange.open_session(timeout_ms=_PROBE_SESSION_MS)
            if granted:
                with contextlib.suppress(OSError, RemoteProtocolError):
                    exchange.introduce(security)
                    exchange.close_session()
            return granted
    except (OSError, RemoteProtocolError):
        return False


def _dial(server: Endpoint, timeout: float, encryption: Encryption | None) -> Any:
    sock = cooperative(open_socket(server, timeout))
    if encryption is None:
        return sock
    sock.settimeout(timeout)
    return encryption.wrap(sock, server.host)


class SessionHealth:
    """Runs the session's diagnosis and divergence machines, and logs what they find.

    The session calls these methods from its control greenlet, except for those documented to be called inside kazoo.
    """

    def __init__(
        self,
        target: ConnectString,
        asked: float,
        clock: Callable[[], float],
        wake: Callable[[], object],
        *,
        security: ZooKeeperSecurity = NO_SECURITY,
        encryption: Encryption | None = None,
    ) -> None:
        """``asked`` is the timeout to ask for, in seconds; ``wake`` makes the control greenlet look at its timers;
        ``security`` and ``encryption`` are those of the session, for the servers that are probed."""
        self.diagnosis = Diagnosis(target.servers)
        self.granted: float | None = None
        """The session timeout in seconds that ZooKeeper granted last."""
        self._target = target
        self._asked = asked
        self._clock = clock
        self._wake = wake
        self._divergence = Divergence()
        self._security, self._encryption = security, encryption
        self._deaths = 0
        self._connected_at: float | None = None
        self._told = SessionState.CONNECTING

    def explain(self, state: SessionState) -> str:
        """The session's state in words and, while there is no connection, for how long and why: for an error's text."""
        trouble = self.diagnosis.describe(self._clock())
        return f"the session has been {state.value} {trouble}" if trouble else f"the session is {state.value}"

    def next_timer(self, connected: bool) -> float | None:
        """When the control greenlet has to act again."""
        dues = (self.diagnosis.next_timer(), None if connected else self._divergence.next_timer())
        return min((due for due in dues if due is not None), default=None)

    def receive_lost(self, expired: bool) -> None:
        """The connection is lost; ``expired`` if ZooKeeper answered that the session has ended. Called inside kazoo."""
        self.diagnosis.receive_lost(self._clock())
        if expired:
            self._divergence.receive_answer()

    def receive_hang_up(self, server: Endpoint) -> None:
        """The server closed the connection during a handshake that names a last seen transaction. Called inside
        kazoo."""
        self._divergence.receive_hang_up(server, self.granted or self._asked, self._clock())
        self._wake()

    def receive_connected(self, granted: float | None) -> None:
        """There is a session, with the timeout ``granted``. If that is not the timeout that was asked for, this is
        logged once."""
        self._connected_at = self._clock()
        self._told = SessionState.CONNECTED
        self._divergence.receive_answer()
        self.diagnosis.receive_connected(self._clock())
        if granted is not None and granted != self.granted and abs(granted - self._asked) > 0.001:
            _log.warning(
                "ZooKeeper grants a session timeout of %g s instead of the %g s asked for: its minSessionTimeout and "
                "maxSessionTimeout are 2 and 20 ticks unless set otherwise",
                granted,
                self._asked,
            )
        self.granted = granted

    def tell(self, state: SessionState) -> None:
        """Logs changes of the state and of the diagnosis."""
        self.diagnosis.handle_timer(self._clock())
        for effect in self.diagnosis.effects():
            _log.log(logging.ERROR if isinstance(effect, Complain) else logging.WARNING, "%s", effect.text)
        is_known = state is SessionState.SUSPENDED and self.diagnosis.state is DiagnosisState.COMPLAINING
        if state is not self._told and state in (SessionState.SUSPENDED, SessionState.LOST) and not is_known:
            _log.warning("ZooKeeper session %s (%s)", state.value, self._target)
        self._told = state

    def receive_death(self, cause: str) -> float:
        """The client died; returns the seconds to wait before another is built, more with each death in a row."""
        if self._connected_at is not None and self._clock() - self._connected_at > _LONGEST_REPAIR_PAUSE:
            # One that is refused is connected for a moment each time, which is no success.
            self._deaths = 0
        self._connected_at = None
        pause = min(_LONGEST_REPAIR_PAUSE, _FIRST_REPAIR_PAUSE * 2.0 ** min(self._deaths, 10))
        self._deaths += 1
        _log.error("the ZooKeeper client died of %s; building another in %g s (%s)", cause, pause, self._target)
        return pause

    def has_diverged(self) -> bool:
        """Whether the session is to be given up, because ZooKeeper grants new sessions and does not accept ours. Logs
        that, and forgets its findings. Probes servers if that is due, which may take a second for each."""
        divergence = self._divergence
        if divergence.diverged is not None:
            _log.error(
                "%s takes new sessions and hangs up on ours: it does not know a transaction that we have seen, so it "
                "lost its data, was restored from an older backup, or is another ensemble; beginning a new session",
                divergence.diverged,
            )
            divergence.receive_answer()
            return True
        due = divergence.next_timer()
        if due is not None and self._clock() >= due:
            for server in divergence.suspects():
                granted = grants_new_sessions(server, _PROBE_TIMEOUT, self._clock, self._security, self._encryption)
                divergence.receive_probed(server, granted, self._clock())
        return False
