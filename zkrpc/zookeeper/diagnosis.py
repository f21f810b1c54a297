"""Describes what is wrong while there is no connection to ZooKeeper: in the log, and in the texts of errors.

A state machine: it takes in each attempt to connect and its outcome, and returns lines for the log and a phrase for
errors. It knows no client, socket or clock.

=========== ============================================== ===========================================================
state       means                                          left by
=========== ============================================== ===========================================================
WELL        there is a connection, or none was wanted yet  an attempt, or the loss of the connection: TROUBLED
TROUBLED    there is none, and nothing is logged yet       a connection: RELIEVED; 1.5 s: a line, and COMPLAINING
COMPLAINING it was logged; again after half a minute, and  a connection: RELIEVED
            then in intervals that double
RELIEVED    there is one again, for less than 2 s          its loss: the state before; 2 s: WELL, with a line if
                                                           the trouble was logged
=========== ============================================== ===========================================================

So nothing is logged while a server restarts or a leader is elected; a mistyped address is reported within two seconds,
even while the first attempt still waits for an answer; and a server that keeps accepting and dropping the session is
reported as one trouble and not as many. If the reason changes, the new one is logged after a few seconds.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Sequence

from zkrpc.endpoint import Endpoint
from zkrpc.legible import lasting

_FIRST_AFTER = 1.5
"""Seconds without a connection before that is logged: longer than an election of ZooKeeper's leader on a quiet
network."""
_AGAIN_AFTER = 30.0
_NEWS_AFTER = 5.0
"""Seconds until another reason is logged; twice as long each time, so that alternating reasons do not flood the log."""
_RARELY = 600.0
_RELIEF = 2.0
_LONG = 1.0
"""Seconds after which an attempt that still waits is reported for that."""
_MOST_SERVERS = 5
"""The number of servers that one line names."""

_HANGS_UP = (
    "takes connections and hangs up: it has more of them from this host than its maxClientCnxns allows (60 unless set "
    "otherwise), has no quorum, has just started, "
)


class Trouble(enum.Enum):
    """What can be wrong with one server; the value is the text for people."""

    UNKNOWN_NAME = "its name is not known"
    SLOW_NAME = "looking its name up takes long: the name server does not answer"
    REFUSED = "connection refused: nothing listens there"
    NO_ROUTE = "no route to it"
    SILENT = "no answer to the connection attempt: it is switched off, or packets are dropped on the way"
    MUTE = "takes connections and says nothing: it hangs, has just started, or is no ZooKeeper"
    HANGS_UP = f"{_HANGS_UP}or speaks another protocol, as TLS"
    HANGS_UP_ON_US = (
        f"{_HANGS_UP}or does not know a higher transaction id that we have seen: it lost its data, was restored from "
        "an older backup, or is another ensemble"
    )
    NO_TLS = (
        "does not come to terms with us in TLS: it is a port without TLS, has just started, or wants other versions"
    )
    UNTRUSTED = "its certificate is not one to trust, so nothing was said to it: look at ca, and at the name dialled"
    REFUSES_US = "refuses us in TLS: it wants a client certificate that it trusts; look at certificate and key"
    UNAUTHORIZED = (
        "authentication failed, or is demanded: set ZKRPC_ZOOKEEPER_USERNAME and its like "
        "(docs/zookeeper-security.md), and look at ZooKeeper's own settings"
    )
    OTHER = "it failed"


class DiagnosisState(enum.Enum):
    """See the module's table."""

    WELL = "well"
    TROUBLED = "troubled"
    COMPLAINING = "complaining"
    RELIEVED = "relieved"


@dataclasses.dataclass(frozen=True, slots=True)
class Complain:
    """A line for the log: what is wrong."""

    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Recovered:
    """A line for the log: there is a session again."""

    text: str


class Diagnosis:
    """The diagnosis of the servers that are dialled."""

    def __init__(self, servers: Sequence[Endpoint]) -> None:
        self.state = DiagnosisState.WELL
        self._servers = tuple(servers)
        self._found: dict[Endpoint, str] = {}
        self._under_way: tuple[Endpoint, Trouble, float] | None = None
        self._since = 0.0
        self._relieved_at = 0.0
        self._said: str | None = None
        """The last line that was logged while there was no connection; None if there was none."""
        self._said_at = 0.0
        self._again_after = _AGAIN_AFTER
        self._news_after = _NEWS_AFTER
        self._effects: list[Complain | Recovered] = []

    def __repr__(self) -> str:
        """State, and how many servers have failed."""
        return f"<Diagnosis {self.state.value} {len(self._found)} of {len(self._servers)} servers failed>"

    def follow(self, servers: Sequence[Endpoint]) -> None:
        """From now on these servers are dialled."""
        self._servers = tuple(servers)

    def receive_lost(self, now: float) -> None:
        """There is no connection from now on."""
        if self.state is DiagnosisState.RELIEVED and now < self._relieved_at + _RELIEF:
            self._become_troubled_again()
        elif self.state in (DiagnosisState.WELL, DiagnosisState.RELIEVED):
            self._become_troubled(now)

    def begin(self, server: Endpoint, trouble: Trouble, now: float) -> None:
        """A step of an attempt to connect begins; ``trouble`` is what is wrong if the step takes long."""
        self.receive_lost(now)
        self._under_way = server, trouble, now

    def receive_failure(self, server: Endpoint, trouble: Trouble, now: float, detail: str = "") -> None:
        """An attempt to connect has failed."""
        self.receive_lost(now)
        self._under_way = None
        self._found[server] = f"{trouble.value} ({detail})" if detail else trouble.value

    def receive_connected(self, now: float) -> None:
        """There is a connection with a session."""
        if self.state in (DiagnosisState.TROUBLED, DiagnosisState.COMPLAINING):
            self._become_relieved(now)

    def next_timer(self) -> float | None:
        """When to call ``handle_timer``."""
        match self.state:
            case DiagnosisState.TROUBLED:
                return self._since + _FIRST_AFTER
            case DiagnosisState.COMPLAINING:
                is_news = self._findings(self._said_at) != self._said
                return self._said_at + (min(self._news_after, self._again_after) if is_news else self._again_after)
            case DiagnosisState.RELIEVED:
                return self._relieved_at + _RELIEF
            case _:
                return None

    def handle_timer(self, now: float) -> None:
        """Logs what is wrong, or that there is a session again, if that is due."""
        due = self.next_timer()
        if due is None or now < due:
            return
        if self.state is DiagnosisState.RELIEVED:
            self._become_well()
            return
        if self.state is DiagnosisState.COMPLAINING and due < self._said_at + self._again_after:
            self._news_after = min(_RARELY, 2 * self._news_after)
        elif self.state is DiagnosisState.COMPLAINING:
            self._again_after = min(_RARELY, 2 * self._again_after)
        self._become_complaining(now)

    def effects(self) -> list[Complain | Recovered]:
        """What is to be logged, each once, in order."""
        effects, self._effects = self._effects, []
        return effects

    def describe(self, now: float) -> str:
        """One phrase for an error's text: for how long, and what is wrong; empty while there is a connection."""
        if self.state in (DiagnosisState.WELL, DiagnosisState.RELIEVED):
            return ""
        return f"for {lasting(now - self._since)}: {self._findings(now)}"

    def _findings(self, now: float) -> str:
        """What is wrong, server by server; equal findings are merged."""
        together: dict[str, list[Endpoint]] = {}
        for server in self._servers:
            if finding := self._finding(server, now):
                together.setdefault(finding, []).append(server)
        if not together:
            return f"{_listed(self._servers)}: nothing has answered yet"
        return "; ".join(f"{_listed(servers)}: {finding}" for finding, servers in together.items())

    def _finding(self, server: Endpoint, now: float) -> str:
        if self._under_way is not None and self._under_way[0] == server:
            _, trouble, began_at = self._under_way
            if now - began_at >= _LONG:
                return trouble.value
        return self._found.get(server, "")

    def _become_well(self) -> None:
        self.state = DiagnosisState.WELL
        if self._said is not None:
            lasted = lasting(self._relieved_at - self._since)
            self._effects.append(Recovered(f"there is a ZooKeeper session again, after {lasted}"))

    def _become_troubled(self, now: float) -> None:
        self.state = DiagnosisState.TROUBLED
        self._since = now
        self._said = None
        self._again_after, self._news_after = _AGAIN_AFTER, _NEWS_AFTER
        self._found.clear()
        self._under_way = None

    def _become_troubled_again(self) -> None:
        self.state = DiagnosisState.TROUBLED if self._said is None else DiagnosisState.COMPLAINING

    def _become_complaining(self, now: float) -> None:
        self.state = DiagnosisState.COMPLAINING
        self._said, self._said_at = self._findings(now), now
        self._effects.append(Complain(f"no ZooKeeper session {self.describe(now)}"))

    def _become_relieved(self, now: float) -> None:
        self.state = DiagnosisState.RELIEVED
        self._relieved_at = now


def _listed(servers: Sequence[Endpoint]) -> str:
    shown = ", ".join(str(server) for server in servers[:_MOST_SERVERS])
    return shown if len(servers) <= _MOST_SERVERS else f"{shown} and {len(servers) - _MOST_SERVERS} more"
