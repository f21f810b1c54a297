"""Spreads the primaries of a service's groups over its replicas, one hand-over at a time.

The machine knows each group's primary and the replicas, and asks elections for a hand-over to a named heir; how they do
that it does not know. Every replica decides by itself, from its own view, whether it is the one to hand over. Views
that differ for a moment cost a needless hand-over at worst, never two primaries.

An heir that does not become primary, or does not stay it, cannot lead now, and every hand-over to it makes callers wait
in vain. So it is passed over for a while, longer each time, until it has held a group. A replica that says of itself
that it is not ready is handed nothing either, until it says that it is; one that leads when it turns so gives its
groups away, in shares to those that are ready (:func:`heirs_of`), and so does one that came to lead nevertheless.

The rule: only the replica that leads most groups hands one over, only to the one that leads fewest, and only if their
numbers differ by at least two. So the difference shrinks with every move, nothing moves once all are within one of each
other, and no two replicas hand over to the same heir at once.
"""

from __future__ import annotations

import dataclasses
import zlib
from collections import Counter
from collections.abc import Collection, Mapping, Set

from zkrpc.policies.backoff import Backoff

_BACKOFF = Backoff(first=15.0, longest=600.0)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class HandOver:
    """Step down in ``group``, naming ``heir``. The machine issues it again if nothing came of it."""

    group: str
    heir: str


def next_move(
    holders: Mapping[str, str | None],
    replicas: Collection[str],
    me: str,
    unfit: Collection[str] = (),
    unready: Collection[str] = (),
) -> HandOver | None:
    """The hand-over that ``me`` should do now, if any.

    ``holders`` has the worker id of each group's primary, None while it has none; ``replicas`` has those that could
    lead, of which the ``unfit`` and the ``unready`` are handed nothing. While a group has no primary nothing is moved,
    as its election may be part of a move.
    """
    if me not in replicas or None in holders.values():
        return None
    counts = Counter({replica: 0 for replica in replicas})
    counts.update(holder for holder in holders.values() if holder is not None and holder in counts)
    passed_over = {*unfit, *unready}
    heir = min(counts, key=lambda replica: (replica in passed_over, counts[replica], replica))
    mover = max(counts, key=lambda replica: (counts[replica], replica))
    own = [group for group, holder in holders.items() if holder == me]
    if not own or heir in passed_over:
        return None
    if me not in unready and (mover != me or counts[mover] - counts[heir] < 2):
        return None
    return HandOver(group=min(own, key=lambda group: (_affinity(group, heir), group)), heir=heir)


def heirs_of(
    holders: Mapping[str, str | None], replicas: Collection[str], me: str, unfit: Collection[str] = ()
) -> dict[str, str]:
    """To whom ``me`` should hand each of the groups that it leads if it is to lead none: to those that lead fewest.
    Empty if nobody else is fit."""
    counts = Counter({replica: 0 for replica in replicas if replica != me and replica not in unfit})
    if not counts:
        return {}
    counts.update(holder for holder in holders.values() if holder is not None and holder in counts)
    heirs = {}
    for group in sorted(group for group, holder in holders.items() if holder == me):
        heirs[group] = min(counts, key=lambda replica: (counts[replica], replica))
        counts[heirs[group]] += 1
    return heirs


def _affinity(group: str, replica: str) -> int:
    """A sort key that orders the groups differently for each replica, so that it is not always the same groups that
    move."""
    return zlib.crc32(f"{replica}\0{group}".encode())


class PlacementMachine:
    """Waits until nothing has changed for ``settle`` seconds, then makes one move, and waits again.

    ``settle`` must be longer than an election and a membership change take to become visible everywhere.
    """

    def __init__(self, me: str, *, settle: float, probation: float = 60.0) -> None:
        """``probation`` is how many seconds an heir must hold a group to count as fit; longer than it may take to
        become ready."""
        self._me = me
        self._settle = settle
        self._probation = probation
        self._handed: dict[str, tuple[str, float]] = {}
        self._failures: Counter[str] = Counter()
        self._unfit: dict[str, float] = {}
        self._holders: dict[str, str | None] = {}
        self._replicas: frozenset[str] = frozenset()
        self._unready: frozenset[str] = frozenset()
        self._due: float | None = None
        self._effects: list[HandOver] = []

    def __repr__(self) -> str:
        """How many groups each replica leads, and which replicas are passed over for now."""
        led = Counter(holder for holder in self._holders.values() if holder is not None)
        unfit = f" unfit={sorted(self._unfit)}" if self._unfit else ""
        unready = f" unready={sorted(self._unready)}" if self._unready else ""
        return (
            f"<PlacementMachine {self._me} groups={len(self._holders)} led={dict(sorted(led.items()))}{unfit}{unready}>"
        )

    @property
    def unfit(self) -> Set[str]:
        """The replicas that failed as heirs, and are handed nothing for now."""
        return self._unfit.keys()

    def effects(self) -> list[HandOver]:
        """The effects to carry out, each returned once."""
        effects, self._effects = self._effects, []
        return effects

    def receive_holder(self, group: str, holder: str | None, now: float) -> None:
        """Takes in the group's primary, None if it has none; to be called once for each group at the start."""
        before = self._holders.get(group)
        if group not in self._holders or before != holder:
            self._judge(group, before, holder, now)
            self._holders[group] = holder
            self._due = now + self._settle

    def receive_replicas(self, replicas: Collection[str], now: float) -> None:
        """Takes in the replicas that could lead now."""
        if frozenset(replicas) != self._replicas:
            self._replicas = frozenset(replicas)
            self._due = now + self._settle

    def receive_unready(self, unready: Collection[str], now: float) -> None:
        """Takes in the replicas that say of themselves that they are not ready.

        That is why they could not keep what they were handed, so none of them has to prove itself once it is ready.
        """
        if frozenset(unready) != self._unready:
            self._unready = frozenset(unready)
            for replica in self._unready:
                self._unfit.pop(replica, None)
                self._failures.pop(replica, None)
            self._due = now + self._settle

    def heirs(self) -> dict[str, str]:
        """To whom to hand each of the groups that we lead if we are to lead none; empty if nobody else is fit."""
        return heirs_of(self._holders, self._replicas, self._me, self._unready | self._unfit.keys())

    def next_timer(self) -> float | None:
        """When to call ``handle_timer``."""
        return self._due

    def handle_timer(self, now: float) -> None:
        """Decides on a move, if nothing has changed for long enough."""
        if self._due is None or now < self._due:
            return
        self._due = None
        self._unfit = {heir: until for heir, until in self._unfit.items() if now < until}
        move = next_move(self._holders, self._replicas, self._me, self._unfit.keys(), self._unready)
        if move is not None:
            self._handed[move.group] = (move.heir, now)
            self._effects.append(move)
            self._due = now + self._settle
        elif self._unfit:
            self._due = min(self._unfit.values())

    def _judge(self, group: str, before: str | None, holder: str | None, now: float) -> None:
        """Judges the heir that we named for the group by whether it took the group, and for how long it held it."""
        heir, at = self._handed.get(group, ("", 0.0))
        if not heir or holder == heir or (holder is None and before != heir):
            return
        del self._handed[group]
        if heir in self._unready:
            return
        if before == heir and now - at >= self._probation:
            del self._failures[heir]
            return
        self._unfit[heir] = now + _BACKOFF.bound(self._failures[heir])
        self._failures[heir] += 1
