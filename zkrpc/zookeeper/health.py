"""How a session fares: what is wrong is said in the log, once and rarely; and whether ZooKeeper has become another one.

The session's own: it calls these from its control greenlet, except for those that say they are called inside kazoo.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

from zkrpc.endpoint import Endpoint
from zkrpc.zookeeper.diagnosis import Complain, Diagnosis, DiagnosisState
from zkrpc.zookeeper.estrangement import Estrangement
from zkrpc.zookeeper.newcomer import takes_newcomers
from zkrpc.zookeeper.operations import ConnectString, SessionState

# As the session's: people silence or show both together.
_log = logging.getLogger("zkrpc.zookeeper.session")

_FIRST_REPAIR_PAUSE = 0.5
_LONGEST_REPAIR_PAUSE = 30.0
_NEWCOMER_TIMEOUT = 1.0


class SessionHealth:
    """What the session's machines know, and what has been told of it."""

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
        self._estrangement = Estrangement()
        self._deaths = 0
        self._told = SessionState.CONNECTING

    def explain(self, state: SessionState) -> str:
        """How it stands and, while there is no connection, for how long and why: for an error's text."""
        trouble = self.diagnosis.describe(self._clock())
        return f"the session is {state.value}{f' {trouble}' if trouble else ''}"

    def next_timer(self, connected: bool) -> float | None:
        """When the control greenlet has to look again."""
        dues = (self.diagnosis.next_timer(), None if connected else self._estrangement.next_timer())
        return min((due for due in dues if due is not None), default=None)

    def receive_lost(self, expired: bool) -> None:
        """There is no connection; ``expired`` if ZooKeeper said that the session has ended. Called inside kazoo."""
        self.diagnosis.receive_lost(self._clock())
        if expired:
            self._estrangement.receive_answer()

    def receive_hang_up(self, server: Endpoint) -> None:
        """It hung up on a greeting that tells what we have seen. Called inside kazoo."""
        self._estrangement.receive_hang_up(server, self.granted or self._asked, self._clock())
        self._wake()

    def receive_connected(self, granted: float | None) -> None:
        """There is a session, of that timeout: what was granted is what counts, and if it is another one than was asked
        for, that is said once."""
        self._deaths = 0
        self._told = SessionState.CONNECTED
        self._estrangement.receive_answer()
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

    def is_estranged(self) -> bool:
        """Whether the session is to be given up: ZooKeeper takes others, and not us for what we have seen. Says so, and
        begins anew. May take a second for each server that hangs up."""
        estrangement = self._estrangement
        if estrangement.estranged is not None:
            _log.error(
                "%s takes new sessions and hangs up on ours: it does not know a transaction that we have seen, so it "
                "lost its data, was restored from an older backup, or is another ensemble; beginning a new session",
                estrangement.estranged,
            )
            estrangement.receive_answer()
            return True
        due = estrangement.next_timer()
        if due is not None and self._clock() >= due:
            for server in estrangement.suspects():
                estrangement.receive_newcomer(server, takes_newcomers(server, _NEWCOMER_TIMEOUT), self._clock())
        return False
