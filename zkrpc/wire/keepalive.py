"""Whether a peer is still alive: a state machine that is told when bytes last came, and says when to ask and what to
conclude. And how many signs of life, and other control messages, a server may send that nobody asked for.

A frozen process or a cut link leaves a TCP connection open and silent for minutes. So a peer that has not been heard
for a while is asked for a sign of life; any byte counts as one, not only the answer.

=========  ===========================================================  =============================================
state      means                                                        left by
=========  ===========================================================  =============================================
HEARD      bytes came lately, or none were expected                     silence for ``time`` (``idle_time`` while
                                                                        nothing is in flight): PING, and ASKED
ASKED      it was asked                                                 any byte: HEARD; no byte for ``patience``:
                                                                        SUSPECT, and SILENT
SILENT     it is probably gone; others should do its work               any byte: TRUST, and HEARD; no byte for
                                                                        ``timeout`` since it was asked: CLOSE
=========  ===========================================================  =============================================

Only time during which *this* process was running counts. One that was itself frozen, or busy for seconds, would
otherwise take all its peers for dead before it has read what they sent. So each look adds no more than ``longest_step``
to the silence, however long ago the look before it was.
"""

from __future__ import annotations

import dataclasses
import enum
import math

from zkrpc.errors import ConfigError, RemoteProtocolError

_MOST_CONTROLS = 1000
_CONTROLS_PER_SECOND = 100
"""Control messages that a server may send, at once and in the long run."""


class Verdict(enum.Enum):
    """What to do after a look."""

    PING = "ask for a sign of life"
    SUSPECT = "take it for gone; said again after each further ``patience`` of silence"
    TRUST = "it is back"
    CLOSE = "give the connection up"


class KeepaliveState(enum.Enum):
    """See the module's table."""

    HEARD = "heard"
    ASKED = "asked"
    SILENT = "silent"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KeepalivePolicy:
    """Durations in seconds."""

    time: float
    """Silence after which a peer is asked while an answer of it is due."""
    idle_time: float = math.inf
    """Silence after which a peer is asked while no answer of it is due."""
    patience: float
    """Silence after the question at which the peer is suspected."""
    timeout: float
    """Silence after the question at which the connection is closed."""
    longest_step: float = 0.5
    """The most that one look may add to the silence."""

    def __post_init__(self) -> None:
        """Checks every field; raises ConfigError."""
        for field in dataclasses.fields(self):
            if not getattr(self, field.name) > 0:
                raise ConfigError(f"KeepalivePolicy.{field.name} must be a positive number of seconds")
        if self.patience > self.timeout:
            raise ConfigError("KeepalivePolicy.patience must not be longer than its timeout")


class Keepalive:
    """The keepalive of one connection. Call ``look`` about every ``longest_step`` seconds, or more often."""

    __slots__ = ("_heard_at", "_looked_at", "_policy", "_silence", "_suspect_at", "state")

    def __init__(self, policy: KeepalivePolicy, now: float) -> None:
        self.state = KeepaliveState.HEARD
        self._policy = policy
        self._heard_at = now
        self._looked_at = now
        self._silence = 0.0
        self._suspect_at = policy.patience

    def look(self, now: float, heard_at: float, owed: bool) -> Verdict | None:
        """What to do now; None if nothing.

        Args:
            now: monotonic seconds.
            heard_at: when bytes last came from the peer.
            owed: whether an answer of the peer is due.
        """
        step = min(now - self._looked_at, self._policy.longest_step)
        self._looked_at = now
        if heard_at > self._heard_at:
            self._heard_at = heard_at
            return self._become_heard()
        self._silence += step
        if self.state is KeepaliveState.HEARD:
            return self._become_asked() if self._silence >= self._allowed(owed) else None
        if self._silence >= self._policy.timeout:
            return Verdict.CLOSE
        if self._silence >= self._suspect_at:
            return self._become_silent()
        return None

    def _allowed(self, owed: bool) -> float:
        return self._policy.time if owed else self._policy.idle_time

    def _become_heard(self) -> Verdict | None:
        was_silent = self.state is KeepaliveState.SILENT
        self.state = KeepaliveState.HEARD
        self._silence = 0.0
        return Verdict.TRUST if was_silent else None

    def _become_asked(self) -> Verdict:
        self.state = KeepaliveState.ASKED
        self._silence = 0.0
        self._suspect_at = self._policy.patience
        return Verdict.PING

    def _become_silent(self) -> Verdict:
        self.state = KeepaliveState.SILENT
        self._suspect_at += self._policy.patience
        return Verdict.SUSPECT

    def __repr__(self) -> str:
        """State and silence."""
        return f"<Keepalive {self.state.value} silence={self._silence:.3f}>"


class ControlAllowance:
    """The control messages of one server: an honest one says little that nobody asked for."""

    __slots__ = ("_at", "_left")

    def __init__(self, now: float) -> None:
        self._left = _MOST_CONTROLS
        self._at = now

    def count(self, now: float) -> None:
        """One has come. Raises RemoteProtocolError if it is one too many."""
        self._left -= 1
        if self._left < 0:
            earned = int((now - self._at) * _CONTROLS_PER_SECOND)
            self._left, self._at = min(earned, _MOST_CONTROLS), now
            if not earned:
                raise RemoteProtocolError(f"more than {_MOST_CONTROLS} control messages that nobody asked for")

    def __repr__(self) -> str:
        """How many may come at once."""
        return f"<ControlAllowance {self._left}>"
