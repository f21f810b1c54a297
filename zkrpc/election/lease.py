"""How long a primary may believe in itself: arithmetic on send times, and why it is safe.

Let T be the *negotiated* session timeout and s the send time of the newest heartbeat write that was committed, both on
the monotonic clock. The lease ends at the earlier of ``s + 0.7 T`` and ``p + 0.97 T``, where p is the send time of an
earlier message, called its *support* below.

Why a write, and never a ping or a read: a ZooKeeper server answers those alone. One that was cut off from its leader
went on acknowledging pings 4.3 s after the session had expired (measured). A write is answered only when a quorum has
committed it, and a session that has expired is refused, so at some moment after s the session was alive.

Alive for how long? The leader starts a session's clock again when it *hears* of it, and a write passing through does
not count as hearing. The server that the client talks to notes which sessions spoke, and tells the leader with its
answer to the leader's ping, every half tick. The link between the two keeps its order. So when the write sent at s was
committed, the leader had been told of everything that this server had heard until half a tick before s. ZooKeeper
grants no T below two ticks (unless ``minSessionTimeout`` was lowered, which this reasoning forbids), so half a tick is
at most T/4. A message whose answer had reached us by ``s - T/4`` had certainly been heard by then. The newest such
message is the support: the leader started the session's clock at p or later, and the session cannot expire before
``p + T``. Expiry is rounded up to a tick, which only helps. A connect is heard by the leader itself before it is
answered; it is support at once, and covers what was said over earlier connections. When ZooKeeper elects another
leader, every session's clock starts again.

With a heartbeat every 2/15 T the support is the heartbeat but one, 4/15 T before s, if that was answered within T/60;
then ``p + 0.97 T`` is just beyond ``s + 0.7 T``. The first bound is the rule; the second takes over when heartbeats
were late (a blocked hub), when answers are slow, or when there was no heartbeat before (a fresh primary, whose client
spoke only every T/3), and heartbeats are then twice as frequent. An interval of T/6 with no second bound is not safe:
for T of three ticks, heartbeats that fall just after the leader's pings leave only ``s + T - 2 T/6``, less than 0.7 T.

The margin: 0.03 T for clocks that run at different speeds (3 % between ours and the leader's, far beyond what a clock
that is kept by NTP does) and for the leader's pings being late. Nothing here protects against somebody who ends the
session by force while its owner lives, or deletes the primary's node; then only the epoch does.
"""

from __future__ import annotations

import dataclasses

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
    """The right to lead for a while, as one session's heartbeat earned it."""

    session_id: int
    """The session whose write was committed; what another session owns is not covered."""
    until: float
    """Monotonic seconds."""

    def is_valid(self, now: float) -> bool:
        """True while nobody else can lead. Ask right before acting."""
        return now < self.until

    def left(self, now: float) -> float:
        """Seconds until it ends; 0 afterwards."""
        return max(0.0, self.until - now)


def lease_end(sent_at: float, support_at: float, timeout: float) -> float:
    """When the lease ends that a write sent at ``sent_at`` earns; ``support_at`` as found by :func:`support_limit`."""
    return min(sent_at + _FRACTION * timeout, support_at + _SUPPORTED_FRACTION * timeout)


def support_limit(sent_at: float, timeout: float) -> float:
    """A message whose answer was here by this time supports a write sent at ``sent_at``."""
    return sent_at - _SUPPORT_AGE * timeout


def is_weak(lease_ends_at: float, sent_at: float, timeout: float) -> bool:
    """True for a lease that its support has made clearly shorter than the rule."""
    return lease_ends_at < sent_at + _WEAK_FRACTION * timeout


def heartbeat_interval(timeout: float, *, weak: bool) -> float:
    """Seconds from one heartbeat's send time to the next's; shorter as long as the lease is weak."""
    return (_WEAK_INTERVAL if weak else _INTERVAL) * timeout


def drop_after(timeout: float) -> float:
    """Seconds a heartbeat may stay unanswered before its connection is given up.

    T/4: then there is time to reach another server, and to have a heartbeat committed there, within the lease.
    """
    return _DROP * timeout


def deposed_patience(session_timeout: float) -> float:
    """Seconds that ``on_deposed`` may take unless somebody says otherwise: with the lease's 0.7 there is a tenth of the
    timeout that was granted left for everything else."""
    return 0.2 * session_timeout


def claim_patience(timeout: float) -> float:
    """Seconds from a claim within which there must be a lease: one connection may be given up on the way, not two."""
    return _CLAIM * timeout
