"""How a session fares: what is wrong is said in the log, once and rarely; and whether the session is worth keeping.

**When a session is given up.** A server that lost its data, was restored from an older backup, or is another ensemble
under the old address, knows less than its clients have seen. It hangs up on them for that, for ever, and never says
that their sessions have ended. But the same is what a server does that has no quorum or too many connections; sessions
live on there, and must not be given up.

Three facts together tell it. *It lasts*: for a session timeout no server took us, so a server that only lags behind has
caught up, and where it has not, nobody has kept our session alive for so long. *It grants new sessions*: a client that
has seen nothing gets one, so the server serves, and has room. *It does not take ours*: after that the same server hangs
up on us once more.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable

from zkrpc.dialling import cooperative, open_socket
from zkrpc.endpoint import Endpoint
from zkrpc.errors import RemoteProtocolError
from zkrpc.zookeeper.diagnosis import Complain, Diagnosis, DiagnosisState
from zkrpc.zookeeper.handshake import Exchange
from zkrpc.zookeeper.operations import ConnectString, SessionState

# As the session's: people silence or show both together.
_log = logging.getLogger("zkrpc.zookeeper.session")

_FIRST_REPAIR_PAUSE = 0.5
_LONGEST_REPAIR_PAUSE = 30.0
_PROBE_TIMEOUT = 1.0
_PROBE_AGAIN_AFTER = 1.0
_PROBE_SESSION_MS = 1_000
"""What a probe leaves behind if its session cannot be closed ends as soon as the server lets it."""


class Divergence:
    """Whether the servers' history is another one than what a session has seen. A machine.

    While servers hang up, it wants them to be probed for a new session at the time that ``next_timer`` tells.
    """

    def __init__(self) -> None:
        self.diverged: Endpoint | None = None
        """The server that grants new sessions and does not take ours; None while that is not certain."""
        self._refusing: set[Endpoint] = set()
        self._granting: set[Endpoint] = set()
        self._probe_at = 0.0

    def __repr__(self) -> str:
        """How many hang up on us, and how many grant new sessions."""
        return f"<Divergence refusing={len(self._refusing)} granting={len(self._granting)}>"

    def receive_hang_up(self, server: Endpoint, session_timeout: float, now: float) -> None:
        """It hung up on a greeting that tells what we have seen; the session was granted so many seconds."""
        if not self._refusing:
            self._probe_at = now + session_timeout
        self._refusing.add(server)
        if server in self._granting:
            self.diverged = server

    def receive_answer(self) -> None:
        """A server took us as we are, or said that the session has ended."""
        self.diverged = None
        self._refusing.clear()
        self._granting.clear()

    def next_timer(self) -> float | None:
        """When to probe; None while nothing speaks for it, or a new session was granted."""
        return self._probe_at if self._refusing and not self._granting else None

    def suspects(self) -> tuple[Endpoint, ...]:
        """The servers to probe."""
        return tuple(sorted(self._refusing))

    def receive_probed(self, server: Endpoint, granted: bool, now: float) -> None:
        """Whether it granted a new session."""
        if granted:
            self._granting.add(server)
        else:
            self._probe_at = now + _PROBE_AGAIN_AFTER


def grants_new_sessions(server: Endpoint, timeout: float, clock: Callable[[], float]) -> bool:
    """Whether the server grants a session to a client that has seen nothing of it; the session is closed at once.

    False also if it cannot be asked within ``timeout`` seconds.
    """
    give_up_at = clock() + timeout
    try:
        with contextlib.closing(cooperative(open_socket(server, timeout))) as sock:
            exchange = Exchange(sock, give_up_at, clock)
            granted = exchange.open_session(timeout_ms=_PROBE_SESSION_MS)
            if granted:
                with contextlib.suppress(OSError, RemoteProtocolError):
                    exchange.close_session()
            return granted
    except (OSError, RemoteProtocolError):
        return False


class SessionHealth:
    """What the session's machines know, and what has been said of it in the log.

    The session calls it from its control greenlet, except where it is said to be called inside kazoo.
    """

    def __init__(
        self, target: ConnectString, asked: float, clock: Callable[[], float], wake: Callable[[], object]
    ) -> None:
        """``asked`` is the timeout to ask for, in seconds; ``wake`` has the control greenlet look at its timers."""
        self.diagnosis = Diagnosis(target.servers)
        self.granted: float | None = None
        """Seconds of silence after which ZooKeeper ends the session, as it said last."""
        self._target = target
        self._asked = asked
        self._clock = clock
        self._wake = wake
        self._divergence = Divergence()
        self._deaths = 0
        self._told = SessionState.CONNECTING

    def explain(self, state: SessionState) -> str:
        """How it stands and, while there is no connection, for how long and why: for an error's text."""
        trouble = self.diagnosis.describe(self._clock())
        return f"the session has been {state.value} {trouble}" if trouble else f"the session is {state.value}"

    def next_timer(self, connected: bool) -> float | None:
        """When the control greenlet has to look again."""
        dues = (self.diagnosis.next_timer(), None if connected else self._divergence.next_timer())
        return min((due for due in dues if due is not None), default=None)

    def receive_lost(self, expired: bool) -> None:
        """There is no connection; ``expired`` if ZooKeeper said that the session has ended. Called inside kazoo."""
        self.diagnosis.receive_lost(self._clock())
        if expired:
            self._divergence.receive_answer()

    def receive_hang_up(self, server: Endpoint) -> None:
        """It hung up on a greeting that tells what we have seen. Called inside kazoo."""
        self._divergence.receive_hang_up(server, self.granted or self._asked, self._clock())
        self._wake()

    def receive_connected(self, granted: float | None) -> None:
        """There is a session, of that timeout: what was granted is what counts, and if it is another one than was asked
        for, that is said once."""
        self._deaths = 0
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
        """Logs what is new."""
        self.diagnosis.handle_timer(self._clock())
        for effect in self.diagnosis.effects():
            _log.log(logging.ERROR if isinstance(effect, Complain) else logging.WARNING, "%s", effect.text)
        is_known = state is SessionState.SUSPENDED and self.diagnosis.state is DiagnosisState.COMPLAINING
        if state is not self._told and state in (SessionState.SUSPENDED, SessionState.LOST) and not is_known:
            _log.warning("ZooKeeper session %s (%s)", state.value, self._target)
        self._told = state

    def receive_death(self, cause: str) -> float:
        """The client died; returns the seconds to wait before another is built, more with each death in a row."""
        pause = min(_LONGEST_REPAIR_PAUSE, _FIRST_REPAIR_PAUSE * 2.0 ** min(self._deaths, 10))
        self._deaths += 1
        _log.error("the ZooKeeper client died of %s; building another in %g s (%s)", cause, pause, self._target)
        return pause

    def has_diverged(self) -> bool:
        """Whether the session is to be given up: ZooKeeper grants new ones, and does not take ours for what it has
        seen. Says so, and begins anew. May take a second for each server that hangs up."""
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
                granted = grants_new_sessions(server, _PROBE_TIMEOUT, self._clock)
                divergence.receive_probed(server, granted, self._clock())
        return False
