"""Who leads each group of a service, as far as one client can tell. A machine without time; it knows no calls.

What it hears comes from three sides, none of them in step with the others: the registry's record, the redirects of
instances that refused, and the replies of primaries. One number puts them in order, the epoch: what is told of a lower
one than has been seen is old news and ignored. Within one epoch there is only one primary, so there the better source
counts: a reply proves what a record claims, and a record is better than somebody's hint.

=========  ==========================================================================================
a group    means
=========  ==========================================================================================
unknown    nobody was told yet, or whoever was has refused or was lost: ask anybody
known      the endpoint of the highest epoch seen, from the best source
=========  ==========================================================================================

A primary that refused or was lost is forgotten, until something newer is told, or the same once more: after a broken
connection the record still stands, and may be right. How fast to ask one again that refused is the caller's business.
"""

from __future__ import annotations

import enum

from zkrpc.endpoint import NO_EPOCH, Endpoint, Primary

_MOST_GROUPS = 1024


class _Source(enum.IntEnum):
    """Who told, the more believable the higher."""

    HINT = 0
    RECORD = 1
    REPLY = 2


class _Group:
    """What is known of one group."""

    __slots__ = ("epoch", "primary", "recorded", "source")

    def __init__(self) -> None:
        self.epoch = NO_EPOCH
        self.primary: Primary | None = None
        self.source = _Source.HINT
        self.recorded = NO_EPOCH
        """The highest epoch among the registry's records, which may lag behind what others told."""


class Primaries:
    """The primaries of a service's groups.

    What hears of news returns True if it gave a waiting call somewhere to go. Group names may come from servers, so
    only ``most_groups`` are kept; the one that came first goes first.
    """

    def __init__(self, most_groups: int = _MOST_GROUPS) -> None:
        self._most = most_groups
        self._groups: dict[str, _Group] = {}

    def known(self, group: str) -> Primary | None:
        """The primary, if there is one that has not refused since."""
        known = self._groups.get(group)
        return None if known is None else known.primary

    def epoch(self, group: str) -> int:
        """The highest epoch seen; it never falls."""
        known = self._groups.get(group)
        return NO_EPOCH if known is None else known.epoch

    def receive_record(self, group: str, primary: Primary | None) -> bool:
        """The registry says who leads; None if nobody does."""
        known = self._group(group)
        if primary is not None:
            known.recorded = max(known.recorded, primary.epoch)
            return self._adopt(known, primary, _Source.RECORD)
        # One that the registry has not told of yet is not ended by the end of an earlier one.
        if known.epoch <= known.recorded:
            known.primary = None
        return False

    def receive_redirect(self, group: str, endpoint: Endpoint | None, epoch: int | None) -> bool:
        """An instance that refused says who leads, since which epoch, or one of both."""
        known = self._group(group)
        if epoch is None:
            # Without an epoch it says nothing against what is known.
            if endpoint is None or known.primary is not None:
                return False
            epoch = known.epoch
        elif epoch > known.epoch:
            known.epoch, known.primary = epoch, None
        return endpoint is not None and self._adopt(known, Primary(endpoint=endpoint, epoch=epoch), _Source.HINT)

    def receive_reply(self, group: str, endpoint: Endpoint, epoch: int) -> bool:
        """A primary of ``epoch`` served a call at ``endpoint``, which is the name it is reached by from here."""
        known = self._group(group)
        primary = known.primary
        if primary is not None and primary.epoch == epoch and primary.endpoint == endpoint:
            known.source = _Source.REPLY
            return False
        return self._adopt(known, Primary(endpoint=endpoint, epoch=epoch), _Source.REPLY)

    def forget(self, group: str, primary: Primary) -> None:
        """``primary`` refused a call that was sent to it as such, or was lost. Nothing happens if another is known."""
        known = self._groups.get(group)
        if known is not None and known.primary == primary:
            known.primary = None

    def _group(self, name: str) -> _Group:
        known = self._groups.get(name)
        if known is None:
            if len(self._groups) >= self._most:
                del self._groups[next(iter(self._groups))]
            known = self._groups[name] = _Group()
        return known

    def _adopt(self, known: _Group, primary: Primary, source: _Source) -> bool:
        if primary.epoch < known.epoch:
            return False
        outranked = known.primary is not None and source < known.source
        if primary == known.primary or (primary.epoch == known.epoch and outranked):
            known.source = max(known.source, source)
            return False
        known.epoch, known.primary, known.source = primary.epoch, primary, source
        return True

    def __repr__(self) -> str:
        """The test surface: the groups with their primaries."""
        told = ", ".join(
            f"{name}={known.primary or f'? (epoch {known.epoch})'}" for name, known in self._groups.items()
        )
        return f"<Primaries {told or 'nobody'}>"
