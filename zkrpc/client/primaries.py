"""Who leads each group of a service, as far as one client can tell. A machine that is given the time; knows no calls.

What it hears comes from three sides, none of them in step with the others, and they are not equally credible. The
registry's record is what was decided. A reply shows that somebody served the call, which a hostile or confused member
may do as well. What a member that refused says of others is a hint and nothing more. So epochs of replies and hints
never outrank a record, whatever they are: a member that names itself with the highest epoch there is gains nothing
against the registry, and what it gains without one ends.

==========  ================================================  =====================================================
believed    because                                           until
==========  ================================================  =====================================================
record      the registry says so                              it says something else; *doubted* for a while, and then
                                                              asked again, if that primary refused or was lost
reply       it served a call as primary                       it refuses or is lost, or a record is newer
hint        somebody said so that is not primary              the same, and :data:`HINT_LIFE`
==========  ================================================  =====================================================

The first of them that is a member is asked. One that is named again after it refused or was lost is believed at once,
since a broken connection is no end of a term; the next times only after a pause that grows, until it answers. A primary
whose machine is gone leads, for all others, until its session ends: they name it to each who asks, and each who is told
so gives all that wait somewhere to go (eight callers made nine thousand calls a second of it).
"""

from __future__ import annotations

import math
from typing import NamedTuple

from zkrpc.endpoint import NO_EPOCH, Endpoint, Primary

HINT_LIFE = 5.0
"""Seconds for which a hint counts, and for which a record is doubted whose primary refused or was lost. Long enough for
an election and for a registry that lags behind; after it one call asks again, and is led back by a redirect if need be.
"""

_FIRST_PAUSE, _LONGEST_PAUSE = 0.05, 1.0
"""Seconds for which the second loss in a row, and the later ones at most, keep a primary from being believed again."""
MOST_GROUPS = 1024
"""Groups whose primaries a client remembers; more names than that are taken for a mistake."""
_MOST_LOST = 8
"""Primaries of one group whose losses are counted."""


class _Group:
    """What is known of one group."""

    __slots__ = ("doubted_until", "hint", "hint_until", "lost", "record", "recorded", "reply")

    def __init__(self) -> None:
        self.record: Primary | None = None
        self.recorded = NO_EPOCH
        """The epoch of the last record, also after the registry said that nobody leads."""
        self.doubted_until = -math.inf
        self.reply: Primary | None = None
        self.hint: Primary | None = None
        self.hint_until = -math.inf
        self.lost: dict[Endpoint, _Lost] = {}
        """Those who refused or were lost while they were believed, and have not answered since."""

    def keeps_out(self, hint: Primary, now: float) -> bool:
        """Whether it is too early to believe in that one again."""
        lost = self.lost.get(hint.endpoint)
        return lost is not None and now < lost.until and hint.epoch <= lost.epoch

    def lose(self, primary: Primary, now: float) -> None:
        """It was believed, and refused or was lost."""
        before = self.lost.pop(primary.endpoint, None)
        times = before.times + 1 if before is not None and now < before.until + HINT_LIFE else 1
        pause = 0.0 if times == 1 else min(_LONGEST_PAUSE, _FIRST_PAUSE * 2.0 ** min(times - 2, 30))
        if len(self.lost) >= _MOST_LOST:
            del self.lost[next(iter(self.lost))]
        self.lost[primary.endpoint] = _Lost(primary.epoch, times, now + pause)


class _Lost(NamedTuple):
    """A primary that was lost: in which epoch, how often in a row, and until when nobody's word makes it one again."""

    epoch: int
    times: int
    until: float


class Primaries:
    """The primaries of a service's groups.

    What hears of news returns True if it gave a waiting call somewhere to go. Group names may come from servers, so
    only ``most_groups`` are kept; the one that came first goes first.
    """

    def __init__(self, most_groups: int = MOST_GROUPS) -> None:
        self._most = most_groups
        self._groups: dict[str, _Group] = {}

    def believed(self, group: str, now: float) -> list[Primary]:
        """Who may lead now, the most credible first."""
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
        """The hint that counts now."""
        known = self._groups.get(group)
        return None if known is None or now >= known.hint_until else known.hint

    def drop_hint(self, group: str) -> None:
        """The hint counts no longer."""
        self._group(group).hint = None

    def receive_record(self, group: str, primary: Primary | None) -> bool:
        """The registry says who leads; None if nobody does."""
        known = self._group(group)
        before, known.record = known.record, primary
        if primary is None:
            # One that the registry has not told of yet is not ended by the end of an earlier one.
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
        """An instance that refused says who leads, maybe since which epoch."""
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
        """A primary served a call at ``endpoint``, which is the name it is reached by from here, and said its epoch."""
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
        if epoch and epoch < known.recorded:  # an answer that was long on its way
            return False
        if known.reply is None or known.reply.epoch <= epoch:
            known.reply, known.hint = reply, _later(known.hint, epoch)
        return self.believed(group, now) != before

    def forget(self, group: str, primary: Primary, now: float) -> None:
        """``primary`` refused a call that was sent to it as such, or was lost. What is newer than that stands."""
        known = self._groups.get(group)
        if known is None:
            return
        if any(_is_about(one, primary) for one in self.believed(group, now)):
            # Those who were on their way to it as well find that it is not believed any more.
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
        """The test surface: the groups, and what was said of each, by whom."""
        told = ", ".join(
            f"{name}={' '.join(f'{how}:{one}' for how in ('record', 'reply', 'hint') if (one := getattr(known, how)))}"
            for name, known in self._groups.items()
        )
        return f"<Primaries {told or 'nobody'}>"


def _later(primary: Primary | None, epoch: int) -> Primary | None:
    return primary if primary is not None and primary.epoch > epoch else None


def _is_about(believed: Primary | None, primary: Primary) -> bool:
    return believed is not None and believed.endpoint == primary.endpoint and believed.epoch <= primary.epoch
