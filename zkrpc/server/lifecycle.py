"""The lifecycle of a server as a state machine: which step of starting and stopping comes when.

It touches neither sockets nor ZooKeeper: it names steps, and the server that executes them reports back.

==========  =============================================  ==========================================================
state       leaves it when                                 steps on the way out, in this order
==========  =============================================  ==========================================================
STARTING    ``started``                                    none: the shell registers after its readiness check
SERVING     ``drain``                                      HAND_OVER, MARK_NOT_READY, WITHDRAW
DRAINING    (leaving) ``withdrawn``                        ANNOUNCE_DRAINING, then the linger time runs
DRAINING    (lingering) linger time over                   STOP_ACCEPTING, CLOSE_IDLE, then the drain time runs
DRAINING    (finishing) ``idle``, or drain time over       [ANSWER_STRAGGLERS,] CLOSE_CLIENTS, CLOSE_SESSION
any         ``kill``                                       STOP_ACCEPTING, CLOSE_CLIENTS, CLOSE_SESSION
STOPPED     never
==========  =============================================  ==========================================================

Why this order: leaving the registry first stops new clients; the announcement stops zkrpc clients that are connected;
lingering serves those whose watch has not fired; only then may a connection close without losing a call. The ZooKeeper
session goes last, because it holds the leases of everything before it.

A stop waits for work, not for peers: a handler counts whether or not its answer is still wanted; a peer that is itself
blocked, and so does not say that it will send no more, is waited for during ``PEER_PATIENCE`` and no longer.
"""

from __future__ import annotations

import enum
from collections import Counter
from collections.abc import Iterable

from zkrpc.errors import LocalProtocolError

PEER_PATIENCE = 0.5
"""Seconds that a peer has to confirm that it will send no more, after it was asked to. One that is not blocked needs a
round trip; what it sent before has been read by then."""
_MOST_NAMED = 5


class LifecycleState(enum.Enum):
    """Where a server is in its life."""

    STARTING = "starting"
    SERVING = "serving"
    DRAINING = "draining"
    STOPPED = "stopped"


class Step(enum.Enum):
    """What the shell has to do now; each is executed once, in the order given."""

    HAND_OVER = "hand primaryship over"
    MARK_NOT_READY = "mark health not ready"
    WITHDRAW = "withdraw from the registry"
    ANNOUNCE_DRAINING = "tell connected peers"
    STOP_ACCEPTING = "stop accepting"
    CLOSE_IDLE = "close idle connections"
    ANSWER_STRAGGLERS = "answer calls that are still running"
    CLOSE_CLIENTS = "close outgoing clients"
    CLOSE_SESSION = "close the ZooKeeper session"


class Lifecycle:
    """The state machine. ``linger`` and ``drain_timeout`` are in seconds."""

    def __init__(self, *, linger: float, drain_timeout: float) -> None:
        self.state = LifecycleState.STARTING
        self.accepts_calls = False
        """False before serving, and once only stragglers are waited for: new calls are then answered Draining."""
        self.draining_since: float | None = None
        """When its stop began; None before that."""
        self.bound = linger + drain_timeout
        """Seconds that a stop may take, beside what is done at its steps."""
        self._linger = linger
        self._drain_timeout = drain_timeout
        self._steps: list[Step] = []
        self._finishing = False
        self._timer_at: float | None = None

    def __repr__(self) -> str:
        """The state, and the steps that are due."""
        return f"<Lifecycle {self.state.value} steps={len(self._steps)} timer={self._timer_at}>"

    def effects(self) -> list[Step]:
        """The steps that are due; each is given once."""
        steps, self._steps = self._steps, []
        return steps

    def next_timer(self) -> float | None:
        """When ``handle_timer`` is to be called; None while only events matter."""
        return self._timer_at

    def started(self, now: float) -> None:
        """The application is ready and listening. Raises LocalProtocolError if it had started before."""
        if self.state is not LifecycleState.STARTING:
            raise LocalProtocolError(f"a server starts once, this one is {self.state.value}")
        self._become_serving()

    def drain(self, now: float) -> None:
        """Begins a graceful stop; asking again changes nothing."""
        if self.state in (LifecycleState.STARTING, LifecycleState.SERVING):
            self.draining_since = now
            self._become_draining()

    def kill(self, now: float) -> None:
        """Stops without waiting for calls."""
        if self.state is not LifecycleState.STOPPED:
            self._steps = [] if self._finishing else [Step.STOP_ACCEPTING]
            self._become_stopped()

    def receive_withdrawn(self, now: float) -> None:
        """The registry no longer lists us, or could not be told in time."""
        if self.state is LifecycleState.DRAINING and self._timer_at is None:
            self._steps.append(Step.ANNOUNCE_DRAINING)
            self._timer_at = now + self._linger

    def gives_up(self, asked_at: float, now: float) -> bool:
        """Whether to close a connection on which nothing is in flight, though its peer has not said that nothing will
        come since it was asked at ``asked_at``."""
        return self._finishing and now >= asked_at + PEER_PATIENCE

    def receive_idle(self, now: float) -> None:
        """No handler runs, and no peer that could still send a call is connected."""
        if self._finishing and self.state is LifecycleState.DRAINING:
            self._become_stopped()

    def handle_timer(self, now: float) -> None:
        """Does what is due at ``now``; calling it early or twice is harmless."""
        if self._timer_at is None or now < self._timer_at:
            return
        if self._finishing:
            self._steps.append(Step.ANSWER_STRAGGLERS)
            self._become_stopped()
        else:
            self._finishing = True
            self.accepts_calls = False
            self._steps += [Step.STOP_ACCEPTING, Step.CLOSE_IDLE]
            self._timer_at = now + self._drain_timeout

    def _become_serving(self) -> None:
        self.state = LifecycleState.SERVING
        self.accepts_calls = True

    def _become_draining(self) -> None:
        self.state = LifecycleState.DRAINING
        self._steps += [Step.HAND_OVER, Step.MARK_NOT_READY, Step.WITHDRAW]

    def _become_stopped(self) -> None:
        self.state = LifecycleState.STOPPED
        self.accepts_calls = False
        self._timer_at = None
        self._steps += [Step.CLOSE_CLIENTS, Step.CLOSE_SESSION]


def describe_calls(methods: Iterable[bytes]) -> str:
    """A summary for the log of calls given by their methods: how many there are, and of which methods most."""
    counts = Counter(methods)
    total = sum(counts.values())
    if not total:
        return "no call in flight"
    # As Python writes bytes: a name may be a peer's, and must not reach a terminal as it is.
    named = [ascii(name)[2:-1] + (f" {count} times" if count > 1 else "") for name, count in counts.most_common()]
    others = [f"{len(named) - _MOST_NAMED} others"] if len(named) > _MOST_NAMED else []
    return f"{total} call{'s' if total > 1 else ''} in flight ({', '.join(named[:_MOST_NAMED] + others)})"
