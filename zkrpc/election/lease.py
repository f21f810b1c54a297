"""The lease: how long a primary may serve after ZooKeeper's last commit, why that is safe, and the heartbeat that
renews it.

Let T be the *negotiated* session timeout and s the send time of the newest heartbeat write that was committed, both on
the monotonic clock. The lease ends at the earlier of ``s + 0.7 T`` and ``p + 0.97 T``, where p is the send time of an
earlier message, called its *support* below.

Why a write, and never a ping or a read: a ZooKeeper server answers those by itself. A server that was cut off from its
leader went on acknowledging pings 4.3 s after the session had expired (measured). A write is answered only when a
quorum has committed it, and a session that has expired is refused, so at some moment after s the session was alive.

For how long is it alive? The leader restarts a session's expiry timer when it is told that the client sent something,
and forwarding a write to it does not do that. The server to which the client is connected collects the sessions that
were active, and reports them to the leader with its answer to the leader's ping, every half tick. The connection
between the two is ordered. So when the write sent at s was committed, the leader had received reports of everything
that this server had received until half a tick before s. ZooKeeper grants no T below two ticks (unless
``minSessionTimeout`` was lowered, which this reasoning forbids), so half a tick is at most T/4. A message whose answer
had reached us by ``s - T/4`` had certainly been received by then. The newest such message is the support: the leader
restarted the session's expiry timer at p or later, and the session cannot expire before ``p + T``. Expiry is rounded up
to a tick, which only adds to the margin. A connect request reaches the leader before it is answered; it is support at
once, and covers everything that was sent over earlier connections. When ZooKeeper elects another leader, the expiry
timers of all sessions start again.

With a heartbeat every 2/15 T the support is the last heartbeat but one, 4/15 T before s, if that was answered within
T/60; then ``p + 0.97 T`` is just beyond ``s + 0.7 T``. The first bound is the rule; the second applies when heartbeats
were late (a blocked hub), when answers are slow, or when there was no heartbeat before (a new primary, whose client has
sent pings only every T/3), and heartbeats are then twice as frequent. An interval of T/6 with no second bound is not
safe: for T of three ticks, heartbeats that fall just after the leader's pings leave only ``s + T - 2 T/6``, less than
0.7 T.

The margin: 0.03 T for clocks that run at different speeds (3 % between ours and the leader's, far beyond what a clock
that is kept by NTP does) and for the leader's pings being late. The lease does not protect against an operator who
closes the session while its owner is alive, or deletes the primary's node; then only the epoch does.

The heartbeat is a state machine: one small periodic write for all groups that a process leads, over its one session.
The machine knows send times and answers, and of the groups only their names.

======== ======================================= =====================================================
state    means                                   left by
======== ======================================= =====================================================
QUIET    no group needs a lease                  ``lead``: BEATING, if a session is connected
BEATING  a write every 2/15 T, or more often     ``rest`` of the last group; losing the connection
CUT      a lease is needed, but no connection    a connection: BEATING, with a write at once
======== ======================================= =====================================================

While QUIET, too, the machine records the send times of messages that the server has acknowledged, because the first
lease of a new primary can only be supported by those.
"""

from __future__ import annotations

import dataclasses
import enum
from typing import TypeAlias

from zkrpc.election.effects import RequestFailure

_FRACTION = 0.7
_SUPPORTED_FRACTION = 0.97
_WEAK_FRACTION = 0.65
_SUPPORT_AGE = 0.25
_INTERVAL = 2 / 15
_WEAK_INTERVAL = 1 / 15
_DROP = 0.25
_CLAIM = 0.5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """The right to lead until a point in time, from a committed heartbeat of one session."""

    session_id: int
    """The session whose write was committed. Nodes of other sessions are not covered by this lease."""
    until: float
    """Monotonic seconds."""

    def is_valid(self, now: float) -> bool:
        """True while no other instance can lead. Ask right before acting."""
        return now < self.until

    def left(self, now: float) -> float:
        """Seconds until the lease ends; 0 afterwards."""
        return max(0.0, self.until - now)


def lease_end(sent_at: float, support_at: float, timeout: float) -> float:
    """The end of the lease from a write sent at ``sent_at``, whose support (see :func:`support_limit`) was sent at
    ``support_at``."""
    return min(sent_at + _FRACTION * timeout, support_at + _SUPPORTED_FRACTION * timeout)


def support_limit(sent_at: float, timeout: float) -> float:
    """The time by which a message must have been answered to support a write sent at ``sent_at``."""
    return sent_at - _SUPPORT_AGE * timeout


def is_weak(lease_ends_at: float, sent_at: float, timeout: float) -> bool:
    """True for a lease that is clearly shorter than ``s + 0.7 T``, because its support is old."""
    return lease_ends_at < sent_at + _WEAK_FRACTION * timeout


def heartbeat_interval(timeout: float, *, weak: bool) -> float:
    """Seconds from one heartbeat's send time to the next's; shorter as long as the lease is weak."""
    return (_WEAK_INTERVAL if weak else _INTERVAL) * timeout


def drop_after(timeout: float) -> float:
    """Seconds for which a heartbeat may stay unanswered before its connection is given up.

    T/4 leaves enough time to reach another server, and to have a heartbeat committed there, within the lease.
    """
    return _DROP * timeout


def deposed_patience(session_timeout: float) -> float:
    """Seconds that ``on_deposed`` may take by default: with the lease's 0.7 a tenth of the granted session timeout is
    left for everything else."""
    return 0.2 * session_timeout


def claim_patience(timeout: float) -> float:
    """Seconds after a claim within which there must be a lease. That is enough to change to another server once, not
    twice."""
    return _CLAIM * timeout


class HeartbeatState(enum.Enum):
    """See the module's table."""

    QUIET = "quiet"
    BEATING = "beating"
    CUT = "cut"


@dataclasses.dataclass(frozen=True, slots=True)
class WriteHeartbeat:
    """Set the node to the empty value at any version, in this session and no other; a request."""

    path: str
    session_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class CreateHeartbeat:
    """Create the node, ephemeral, with its parent if that is missing, in this session; a request. A create earns a
    lease as a write does."""

    path: str
    session_id: int


@dataclasses.dataclass(frozen=True, slots=True)
class DropSocket:
    """Shut the client's socket down, so that it connects to another server: this one cannot commit, or cannot be
    reached. The session, and with it the lease, goes on."""


@dataclasses.dataclass(frozen=True, slots=True)
class RenewLease:
    """Pass the lease to the ElectionMachine of every group, before any later event."""

    lease: Lease


HeartbeatEffect: TypeAlias = WriteHeartbeat | CreateHeartbeat | DropSocket | RenewLease


@dataclasses.dataclass(frozen=True, slots=True)
class _Heard:
    """A message of this session that the server has acknowledged: when it was sent, and by when it was answered."""

    sent_at: float
    answered_at: float


class HeartbeatMachine:
    """The heartbeat of one process; see the module's docstring.

    ``WriteHeartbeat`` and ``CreateHeartbeat`` are answered by exactly one ``receive_written`` or ``receive_failure``;
    at most one is outstanding. A write counts from the moment at which its effect was issued, which is never later than
    its send time.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self.state = HeartbeatState.QUIET
        self.lease: Lease | None = None
        """The newest lease."""
        self._leading: set[str] = set()
        self._session_id = 0
        self._timeout: float | None = None
        self._connected = False
        self._connected_at = 0.0
        self._heard: list[_Heard] = []
        self._weak = True
        self._out: WriteHeartbeat | CreateHeartbeat | None = None
        self._out_at = 0.0
        self._dropped = False
        self._missing = True
        self._due: float | None = None
        self._effects: list[HeartbeatEffect] = []

    def __repr__(self) -> str:
        """State, number of groups, and the end of the lease."""
        until = f" until={self.lease.until:.3f}" if self.lease else ""
        return f"<HeartbeatMachine {self.state.value} groups={len(self._leading)}{until}>"

    def effects(self) -> list[HeartbeatEffect]:
        """The effects to carry out, each returned once."""
        effects, self._effects = self._effects, []
        return effects

    def lead(self, group: str, now: float) -> None:
        """The group needs the lease from now on."""
        self._leading.add(group)
        if self.state is HeartbeatState.QUIET:
            self._resume(now)

    def rest(self, group: str, now: float) -> None:
        """The group no longer needs the lease."""
        self._leading.discard(group)
        if not self._leading:
            self._become_quiet(now)

    def receive_connected(self, session_id: int, timeout: float, connected_at: float, now: float) -> None:
        """There is a connection, with this session and this negotiated timeout, and its connect request was sent at
        ``connected_at`` or later. To be called for every reconnect, also one that continues the session."""
        if session_id != self._session_id:
            self._session_id = session_id
            self._heard = []
            self._weak = True
            # The node is ephemeral, so a new session has none; to find that out by a write would cost a round trip just
            # when callers wait for the new primary.
            self._missing = True
        self._timeout = timeout
        self._connected = True
        self._connected_at = connected_at
        self._resume(now)

    def receive_disconnected(self, now: float) -> None:
        """There is no connection, so no request can be sent. The lease goes on."""
        self._connected = False
        self._resume(now)

    def receive_acknowledged(self, sent_at: float, now: float) -> None:
        """The newest message of this session that the server has answered was sent at ``sent_at``. To be called each
        time before the timer is handled."""
        if sent_at >= self._connected_at and all(sent_at > heard.sent_at for heard in self._heard):
            self._remember(_Heard(sent_at, now))

    def receive_written(self, now: float) -> None:
        """The heartbeat's request was committed."""
        request, self._out = self._out, None
        if request is not None and request.session_id == self._session_id and self._timeout is not None:
            self._missing = False
            until = lease_end(self._out_at, self._support(self._timeout), self._timeout)
            self._weak = is_weak(until, self._out_at, self._timeout)
            self._remember(_Heard(self._out_at, now))
            if self.lease is None or self.lease.session_id != self._session_id or until > self.lease.until:
                self.lease = Lease(session_id=self._session_id, until=until)
                self._effects.append(RenewLease(self.lease))
        self._schedule(now)

    def receive_failure(self, failure: RequestFailure, now: float) -> None:
        """The request was refused, not sent, or has no answer."""
        self._out = None
        # Create and write may fail in turn, if an earlier session's node exists and is then deleted; the next heartbeat
        # tries the other one.
        again = failure is (RequestFailure.EXISTS if self._missing else RequestFailure.MISSING)
        if again:
            self._missing = not self._missing
            self._beat(now)
        self._schedule(now)

    def next_timer(self) -> float | None:
        """When to call ``handle_timer``."""
        beating = self.state is not HeartbeatState.QUIET
        if self._out is not None and beating and not self._dropped and self._timeout is not None:
            return self._out_at + drop_after(self._timeout)
        return self._due if self._out is None else None

    def handle_timer(self, now: float) -> None:
        """Writes the heartbeat that is due, and gives up a connection that has not answered one."""
        due = self.next_timer()
        if due is None or now < due:
            return
        if self._out is not None:
            self._dropped = True
            self._effects.append(DropSocket())
        elif self.state is HeartbeatState.BEATING:
            self._beat(now)
        else:
            self._schedule(now)

    def _support(self, timeout: float) -> float:
        """The send time of the newest message of which the leader must have known when the answered write was
        committed."""
        limit = support_limit(self._out_at, timeout)
        heard = [message.sent_at for message in self._heard if message.answered_at <= limit]
        connected_at = [self._connected_at] if self._connected_at <= self._out_at else []
        return max(heard + connected_at, default=limit - timeout)

    def _remember(self, message: _Heard) -> None:
        self._heard.append(message)
        if self._timeout is not None:
            limit = support_limit(message.answered_at, self._timeout)
            while len(self._heard) > 1 and self._heard[1].answered_at <= limit:
                del self._heard[0]

    def _resume(self, now: float) -> None:
        if not self._leading:
            self._become_quiet(now)
        elif self._connected:
            self._become_beating(now)
        else:
            self._become_cut()

    def _become_quiet(self, now: float) -> None:
        self.state = HeartbeatState.QUIET
        self._schedule(now)

    def _become_beating(self, now: float) -> None:
        self.state = HeartbeatState.BEATING
        self._beat(now)

    def _become_cut(self) -> None:
        self.state = HeartbeatState.CUT
        self._due = None

    def _schedule(self, now: float) -> None:
        """Schedules the next heartbeat, an interval after the last one and not after its answer."""
        if self.state is HeartbeatState.CUT or not self._connected or self._timeout is None:
            self._due = None
            return
        quiet = self.state is HeartbeatState.QUIET
        interval = heartbeat_interval(self._timeout, weak=quiet or self._weak)
        self._due = max(now, (now if quiet else self._out_at) + interval)

    def _beat(self, now: float) -> None:
        if self._out is not None or self.state is not HeartbeatState.BEATING:
            return
        self._out = (CreateHeartbeat if self._missing else WriteHeartbeat)(self.path, self._session_id)
        self._out_at = now
        self._dropped = False
        self._effects.append(self._out)
