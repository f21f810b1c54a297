"""The primary of each group of a service, as far as a client can tell. A state machine that is given the time; knows no
calls.

There are three sources, which may lag behind each other and are not equally trustworthy. The registry's record is the
result of the election. A reply shows that a member served the call, which a faulty or hostile one may do as well. A
hint is the redirect of a member that refused. So the epoch of a reply or a hint never outranks a record, however high
it is: a member that claims to be primary with the highest possible epoch gains nothing against the registry's record,
and without a record only for a limited time.

==========  ================================================  =====================================================
source      comes from                                        is used until
==========  ================================================  =====================================================
record      the primary's node in the registry                the node changes; passed over for :data:`HINT_LIFE`
                                                              after that primary refused or was lost
reply       an answer of a member that served as the primary  that member refuses or is lost, or a record is newer
hint        the redirect of a member that refused             the same, and at most for :data:`HINT_LIFE`
==========  ================================================  =====================================================

A call goes to the first of the three that is a member. If an endpoint that refused or was lost is named again, it is
tried at once the first time, since a broken connection does not end a term, and then only after growing pauses, until
it answers. The pauses are needed because a primary whose host has died stays primary for the other members until its
session ends: they redirect each call to it, and each redirect wakes all waiting calls (eight callers made nine thousand
calls a second in that way).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from zkrpc.endpoint import NO_EPOCH, Endpoint, Primary

HINT_LIFE = 5.0
"""Seconds for which a hint counts, and for which a record is passed over after its primary refused or was lost. Long
enough for an election and for a registry that lags behind; afterwards a call tries the recorded primary again, and is
redirected if need be.
"""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds for which an endpoint is not tried again after its second loss in a row, and the longest such pause."""
MOST_GROUPS = 1024
"""The number of groups whose primaries a client remembers; more group names than that are taken for a mistake."""
_MOST_LOST = 8
"""The number of endpoints of one group whose losses are counted."""


class _Group:
    """What the three sources say of one group."""

    __slots__ = ("doubted_until", "hint", "hint_until", "lost", "record", "recorded", "reply")

    def __init__(self) -> None:
        self.record: Primary | None = None
        self.recorded = NO_EPOCH
        """The epoch of the last record, kept after the registry has no primary any more."""
        self.doubted_until = -math.inf
        self.reply: Primary | None = None
        self.hint: Primary | None = None
        self.hint_until = -math.inf
        self.lost: dict[Endpoint, _Lost] = {}
        """The endpoints that refused or were lost while calls went to them, and have not answered since."""

    def keeps_out(self, hint: Primary, now: float) -> bool:
        """Whether the hint names an endpoint whose pause after a loss is not over."""
        lost = self.lost.get(hint.endpoint)
        return lost is not None and now < lost.until and hint.epoch <= lost.epoch

    def lose(self, primary: Primary, now: float) -> None:
        """Counts that a primary to which calls went refused or was lost."""
        before = self.lost.pop(primary.endpoint, None)
        times = before.times + 1 if before is not None and now < before.until + HINT_LIFE else 1
        pause = 0.0 if times == 1 else min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(times - 2, 30))
        if len(self.lost) >= _MOST_LOST:
            del self.lost[next(iter(self.lost))]
        self.lost[primary.endpoint] = _Lost(primary.epoch, times, now + pause)


class _Lost(NamedTuple):
    """The losses of one endpoint: its epoch, how often it was lost in a row, and until when hints that name it are
    ignored."""

    epoch: int
    times: int
    until: float


class Primaries:
    """The primaries of a service's groups.

    The ``receive_`` methods return True if waiting calls should look again for a primary. Group names may come from
    servers, so only ``most_groups`` are kept, and the oldest is dropped first.
    """

    def __init__(self, most_groups: int = MOST_GROUPS) -> None:
        self._most = most_groups
        self._groups: dict[str, _Group] = {}

    def believed(self, group: str, now: float) -> list[Primary]:
        """The endpoints that may be the primary now, the most trustworthy source first."""
        known = self._groups.get(group)
        if known is None:
            return []
        found = [known.record] if known.record is not None and now >= known.doubted_until else []
        if known.reply is not None:
            found.append(known.reply)
        if known.hint is not None and now < known.hint_until:
            found.append(known.hint)
        return found

    def hint(self, group: str, now: float) -> Primary | None:
        """The hint, if there is one that still counts."""
        known = self._groups.get(group)
        return None if known is None or now >= known.hint_until else known.hint

    def drop_hint(self, group: str) -> None:
        """Discards the hint."""
        self._group(group).hint = None

    def receive_record(self, group: str, primary: Primary | None) -> bool:
        """Takes in the registry's record; None if the group has no primary."""
        known = self._group(group)
        before, known.record = known.record, primary
        if primary is None:
            # The end of an earlier primary does not end a later one that the registry has not delivered yet.
            known.reply = _later(known.reply, known.recorded)
            return False
        was_doubted, known.doubted_until = known.doubted_until > -math.inf, -math.inf
        known.recorded = primary.epoch
        if primary == before:
            return was_doubted
        known.reply = _later(known.reply, primary.epoch - 1)
        known.hint = _later(known.hint, primary.epoch)
        return True

    def receive_redirect(self, group: str, endpoint: Endpoint | None, epoch: int | None, now: float) -> bool:
        """Takes in the redirect of an instance that refused: the primary's endpoint and epoch, as far as it knows
        them."""
        if endpoint is None:
            return False
        known, before = self._group(group), self.believed(group, now)
        hint = Primary(endpoint=endpoint, epoch=NO_EPOCH if epoch is None else epoch)
        standing = self.hint(group, now)
        if standing is not None and standing.epoch > hint.epoch:
            return False
        if NO_EPOCH < hint.epoch < known.recorded or known.keeps_out(hint, now):
            return False
        known.hint, known.hint_until = hint, now + HINT_LIFE
        return self.believed(group, now) != before

    def receive_reply(self, group: str, endpoint: Endpoint, epoch: int | None, now: float) -> bool:
        """A primary served a call at ``endpoint``, the address at which this client reaches it, and reported its
        epoch."""
        known = self._group(group)
        if known.lost:
            known.lost.pop(endpoint, None)
        if known.record is not None and known.record.endpoint == endpoint:
            known.doubted_until, known.reply = -math.inf, None
            return False
        if known.reply is not None and known.reply.endpoint == endpoint and known.reply.epoch == epoch:
            return False
        before = self.believed(group, now)
        if epoch is None:
            epoch = known.hint.epoch if known.hint is not None and known.hint.endpoint == endpoint else NO_EPOCH
        reply = Primary(endpoint=endpoint, epoch=epoch)
        if epoch and epoch < known.recorded:  # a late answer from an earlier epoch
            return False
        if known.reply is None or known.reply.epoch <= epoch:
            known.reply, known.hint = reply, _later(known.hint, epoch)
        return self.believed(group, now) != before

    def forget(self, group: str, primary: Primary, now: float) -> None:
        """Discards ``primary``, which refused a call that was sent to it as primary, or was lost. A newer epoch of the
        same endpoint is kept."""
        known = self._groups.get(group)
        if known is None:
            return
        if any(_is_about(one, primary) for one in self.believed(group, now)):
            # Counted once: other calls that fail at the same primary later find it discarded already.
            known.lose(primary, now)
        if _is_about(known.record, primary):
            known.doubted_until = now + HINT_LIFE
        if _is_about(known.reply, primary):
            known.reply = None
        if _is_about(known.hint, primary):
            known.hint = None

    def _group(self, name: str) -> _Group:
        known = self._groups.get(name)
        if known is None:
            if len(self._groups) >= self._most:
                del self._groups[next(iter(self._groups))]
            known = self._groups[name] = _Group()
        return known

    def __repr__(self) -> str:
        """The groups, and what each source says of them."""
        told = ", ".join(
            f"{name}={' '.join(f'{how}:{one}' for how in ('record', 'reply', 'hint') if (one := getattr(known, how)))}"
            for name, known in self._groups.items()
        )
        return f"<Primaries {told or 'nobody'}>"


def _later(primary: Primary | None, epoch: int) -> Primary | None:
    return primary if primary is not None and primary.epoch > epoch else None


def _is_about(believed: Primary | None, primary: Primary) -> bool:
    return believed is not None and believed.endpoint == primary.endpoint and believed.epoch <= primary.epoch
