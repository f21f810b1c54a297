"""Whether calls can get to one endpoint: a state machine that takes in the outcomes of dials and connections.

Its states are gRPC's connectivity states, and DRAINING besides:

=================  ==============================================================  ====================================
state              means                                                           a call that finds no connection
=================  ==============================================================  ====================================
IDLE               there is no connection, and no reason to expect none            dials
CONNECTING         a dial is under way                                             waits for it
READY              there is a connection                                           dials a further one
TRANSIENT_FAILURE  the last dial failed, or the server fell silent                 fails at once
DRAINING           the server announced that it drains: it is about to stop, or    dials, if it comes here anyway
                   has its connections renewed
SHUTDOWN           the endpoint is no longer in the list of members                fails at once
=================  ==============================================================  ====================================

The load balancer uses the *standing*. It does not follow from the state alone: an endpoint that was suspect or down
stays so while a dial is under way.

In TRANSIENT_FAILURE the machine orders a dial after each pause of the backoff. A zkrpc server must then prove that it
is back by answering a ping, because the kernel accepts connections even for a frozen process. Other servers answer no
pings. When a connection to such a server ends without a byte, a new connection would prove nothing; other members are
preferred for a while, longer each time, and then it gets another call.

A call to a plain server may dial for itself and report the outcome; the machine does not pass through CONNECTING then.
"""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Mapping

from zkrpc.policies.backoff import Backoff

_LONGEST_DOUBT = 60.0
"""The longest time in seconds for which a server that does not send a byte is avoided."""


class ConnectivityState(enum.Enum):
    """See the module's table."""

    IDLE = "idle"
    CONNECTING = "connecting"
    READY = "ready"
    TRANSIENT_FAILURE = "transient failure"
    DRAINING = "draining"
    SHUTDOWN = "shutdown"


class Standing(enum.Enum):
    """How the load balancer treats an endpoint."""

    WELL = "nothing speaks against it"
    SUSPECT = "it gives no sign of life, which may be its fault or ours"
    DOWN = "it takes no calls, as far as is known: a fact"


class ConnectivityEvent(enum.Enum):
    """The inputs of the machine."""

    CALL = "a call finds no connection"
    REDIAL = "it is time to dial without being asked"
    CONNECTED = "a dial succeeded"
    REFUSED = "a dial failed"
    SILENT = "a connection gives no sign of life"
    HEARD = "a silent connection does again"
    DRAINED = "the server asked for no more calls"
    CLOSED = "the last connection ended"
    MUTE = "a connection ended without a sign of life, and the server could be asked for one"
    RESTED = "others were preferred for long enough"
    RETIRED = "the endpoint left the list of members"


_State, _Event = ConnectivityState, ConnectivityEvent

TRANSITIONS: Mapping[ConnectivityState, Mapping[ConnectivityEvent, ConnectivityState]] = {
    _State.IDLE: {
        _Event.CALL: _State.CONNECTING,
        _Event.REDIAL: _State.CONNECTING,
        _Event.CONNECTED: _State.READY,
        _Event.REFUSED: _State.TRANSIENT_FAILURE,
        _Event.DRAINED: _State.DRAINING,
        _Event.MUTE: _State.TRANSIENT_FAILURE,
        _Event.RETIRED: _State.SHUTDOWN,
    },
    _State.CONNECTING: {
        _Event.CONNECTED: _State.READY,
        _Event.REFUSED: _State.TRANSIENT_FAILURE,
        _Event.MUTE: _State.TRANSIENT_FAILURE,
        _Event.RETIRED: _State.SHUTDOWN,
    },
    _State.READY: {
        _Event.CLOSED: _State.IDLE,
        _Event.REFUSED: _State.TRANSIENT_FAILURE,
        _Event.DRAINED: _State.DRAINING,
        _Event.MUTE: _State.TRANSIENT_FAILURE,
        _Event.RETIRED: _State.SHUTDOWN,
    },
    _State.TRANSIENT_FAILURE: {
        _Event.REDIAL: _State.TRANSIENT_FAILURE,
        _Event.CONNECTED: _State.READY,
        _Event.RETIRED: _State.SHUTDOWN,
    },
    _State.DRAINING: {
        _Event.CALL: _State.CONNECTING,
        _Event.CONNECTED: _State.READY,
        _Event.REFUSED: _State.TRANSIENT_FAILURE,
        _Event.MUTE: _State.TRANSIENT_FAILURE,
        _Event.RESTED: _State.IDLE,
        _Event.RETIRED: _State.SHUTDOWN,
    },
    _State.SHUTDOWN: {},
}
"""The state after an event. An event that is not listed leaves the state as it is, and has no effects."""

STANDINGS: Mapping[Standing, Mapping[ConnectivityEvent, Standing]] = {
    Standing.WELL: {
        _Event.SILENT: Standing.SUSPECT,
        _Event.REFUSED: Standing.DOWN,
        _Event.DRAINED: Standing.DOWN,
        _Event.MUTE: Standing.DOWN,
    },
    Standing.SUSPECT: {
        _Event.HEARD: Standing.WELL,
        _Event.CONNECTED: Standing.WELL,
        _Event.RESTED: Standing.WELL,
        _Event.REFUSED: Standing.DOWN,
        _Event.DRAINED: Standing.DOWN,
        _Event.MUTE: Standing.DOWN,
    },
    Standing.DOWN: {
        _Event.CONNECTED: Standing.WELL,
        _Event.RESTED: Standing.WELL,
    },
}
"""The standing after an event, whatever the state; none changes in SHUTDOWN."""


@dataclasses.dataclass(frozen=True, slots=True)
class Dial:
    """Open a connection; answer with ``receive_connected`` or ``receive_refused``, once."""

    prove: bool
    """Whether a ping must be answered before the connection counts as open."""


@dataclasses.dataclass(frozen=True, slots=True)
class CancelDial:
    """End the dial that is under way, if there is one; no answer is wanted."""


@dataclasses.dataclass(frozen=True, slots=True)
class Close:
    """Take the open connections out of use for new calls, and close each when no call is in flight on it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Report:
    """Tell the channel of the new state and standing. This is the last effect of a step, because the channel may call
    the subchannel back."""

    state: ConnectivityState
    standing: Standing
    was: Standing
    """The standing before."""


Effect = Dial | CancelDial | Close | Report


class ConnectivityMachine:
    """The way to one endpoint.

    Args:
        backoff: the pauses between dials, and how long others are preferred to a server that drains.
        asks: whether the server answers pings.
        rng: floats in [0, 1).
    """

    def __init__(self, backoff: Backoff, *, asks: bool, rng: Callable[[], float]) -> None:
        self.state = ConnectivityState.IDLE
        self.standing = Standing.WELL
        self.failure: str | None = None
        """Why no connection can be expected; None if nothing speaks against one."""
        self.unheard = 0
        """The number of connections in a row that ended before a byte came, to a server that answers no pings."""
        self._backoff = backoff
        self._asks = asks
        self._rng = rng
        self._failures = 0
        self._timer: tuple[float, ConnectivityEvent] | None = None
        self._effects: list[Effect] = []

    def __repr__(self) -> str:
        """State, standing and the reason."""
        return f"<ConnectivityMachine {self.state.name} {self.standing.name} failure={self.failure!r}>"

    # -- calls and the list of members

    def connect(self, now: float) -> None:
        """A call finds no connection. Orders a dial, unless one is under way or would be of no use."""
        self._step(_Event.CALL, Dial(prove=False))

    def verify(self, now: float) -> None:
        """Has the endpoint dialled without a call, to find out whether it takes calls, unless a connection or a dial
        shows that anyway."""
        if self.state is _State.IDLE and self._timer is None:
            self._timer = now + self._backoff.pause(0, self._rng), _Event.REDIAL

    def retire(self, now: float) -> None:
        """The endpoint left the list of members."""
        self._timer = None
        self._step(_Event.RETIRED, CancelDial(), Close())

    # -- outcomes of dials

    def receive_connected(self, now: float) -> None:
        """A dial succeeded, of this machine's or of a call's own."""
        self._timer = self.failure = None
        self._step(_Event.CONNECTED)

    def receive_refused(self, reason: str, now: float) -> None:
        """A dial failed, of this machine's or of a call's own."""
        if self.state is not _State.SHUTDOWN:
            self._fail(reason, _Event.REFUSED, now)

    # -- events of connections

    def receive_silent(self, now: float) -> None:
        """A connection gives no sign of life."""
        self._step(_Event.SILENT)

    def receive_heard(self, now: float) -> None:
        """A silent connection has given a sign of life again."""
        self.unheard = 0
        self._step(_Event.HEARD)

    def receive_draining(self, now: float) -> None:
        """The server announced that it drains. It gets calls again if it is still a member after a rest."""
        if self._step(_Event.DRAINED):
            self._timer = now + self._backoff.longest, _Event.RESTED

    def receive_closed(self, now: float, *, silent: bool, connected: bool) -> None:
        """A connection ended.

        Args:
            now: monotonic seconds.
            silent: whether it gave no sign of life.
            connected: whether there is another that calls can take.
        """
        if silent and self._asks:
            if _Event.MUTE in TRANSITIONS[self.state]:
                # The success of a dial that is under way would not prove that the server is back.
                self._fail("it gave no sign of life", _Event.MUTE, now, CancelDial(), Close())
            return
        if silent:
            self.unheard += 1
            if self.standing is Standing.SUSPECT and self.state is not _State.SHUTDOWN:
                doubt = min(_LONGEST_DOUBT, self._backoff.longest * 2.0**self.unheard)
                self._timer = now + doubt, _Event.RESTED
        if not connected:
            self._step(_Event.CLOSED)

    # -- timers and effects

    def next_timer(self) -> float | None:
        """When to call ``handle_timer``."""
        return None if self._timer is None else self._timer[0]

    def handle_timer(self, now: float) -> None:
        """Dials, or ends a rest, if the time for that has come."""
        if self._timer is None or now < self._timer[0]:
            return
        event, self._timer = self._timer[1], None
        self._step(event, *([Dial(prove=self._asks)] if event is _Event.REDIAL else []))

    def effects(self) -> list[Effect]:
        """The effects to carry out, each returned once."""
        effects, self._effects = self._effects, []
        return effects

    def _fail(self, reason: str, event: ConnectivityEvent, now: float, *orders: Effect) -> None:
        """Makes calls fail at once from now on, and schedules a dial after a pause that grows with each failed dial of
        the machine."""
        self.failure = reason
        if self.state is not _State.TRANSIENT_FAILURE:
            self._failures = 0
            self._step(event, *orders)
        elif self._timer is not None:
            return  # a call's own dial has failed as well
        else:
            self._failures += 1
        self._timer = now + self._backoff.pause(self._failures, self._rng), _Event.REDIAL

    def _step(self, event: ConnectivityEvent, *orders: Effect) -> bool:
        """Follows the tables, and issues the orders if the state has an entry for the event; False if it has none."""
        was, moves = (self.state, self.standing), event in TRANSITIONS[self.state]
        if self.state is not _State.SHUTDOWN:
            self.state = TRANSITIONS[self.state].get(event, self.state)
            self.standing = STANDINGS[self.standing].get(event, self.standing)
        self._effects += orders if moves else ()
        if was != (self.state, self.standing):
            self._effects.append(Report(self.state, self.standing, was[1]))
        return moves
