"""Finds out which members' nodes were replaced between two listings.

Pure values. ZooKeeper counts the creations and deletions of the children of the members' parent (``cversion``). If that
counter moved by more than the names that were added or removed, a node was replaced by one of the same name, or was
created and deleted between the listings. The counter does not tell which.

The *marks* do: with each member's node, zkrpc's registrars create another node, elsewhere, whose name contains the
digest of the record. Marks are listed only when the counter shows changes that the names do not, so they cost nothing
otherwise. A member is suspected to be replaced unless it has exactly one mark, with the digest of the record that was
read: it may have the mark of another record, two marks as an old session has not ended yet, or none because another
library registered it. The marks are listed after the members, so a member that is replaced between the two is suspected
either now or at the next listing; one whose new record was read in the meantime is not suspected.

Where a watch names what has changed, each change is counted into the last listing, with the names. Then the next
listing shows no change that is not known, and a hidden one means that the watch has missed something.

If the suspected members explain fewer changes than the counter shows, a node was replaced without a new mark. Then the
marks are not relied on, and all records are to be read.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Protocol

from zkrpc.registry.schema import read_mark
from zkrpc.zookeeper.subtrees import Change, ChangeKind


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The children of the members' parent, and the parent's counters at the same moment."""

    names: frozenset[str]
    created_zxid: int
    """The transaction that created the parent; it changes if the parent is deleted and created again."""
    changes: int
    """Creations and deletions of children so far, modulo 2**32."""
    changed_zxid: int = 0
    """The transaction of the last creation or deletion."""
    marks: frozenset[str] | None = None
    """The marks' names, listed after the members; None if they were not listed."""


class Held(Protocol):
    """A record that was read."""

    @property
    def created_zxid(self) -> int:
        """The transaction that created the record's node."""

    @property
    def digest(self) -> str:
        """The record's digest, as in the name of its mark."""


def precedes(listing: Listing, known: Listing) -> bool:
    """True if ``listing`` is from before ``known``: an earlier parent, or a counter that went back."""
    if listing.created_zxid != known.created_zxid:
        return listing.created_zxid < known.created_zxid
    return 0 < (known.changes - listing.changes) % 2**32 < 2**31


def advance(listing: Listing, changes: Iterable[Change]) -> Listing:
    """What a listing would show after these changes of children, except for the last transaction."""
    names, count = set(listing.names), listing.changes
    for change in changes:
        if change.kind is ChangeKind.CREATED:
            names.add(change.name)
        elif change.kind is ChangeKind.DELETED:
            names.discard(change.name)
        count += change.kind is not ChangeKind.CHANGED
    return dataclasses.replace(listing, names=frozenset(names), changes=count % 2**32)


def hidden_changes(known: Listing, listing: Listing) -> int | None:
    """The number of creations and deletions between two listings that their names do not show; None if it cannot be
    known."""
    hidden = (listing.changes - known.changes) % 2**32 - len(listing.names ^ known.names)
    return hidden if hidden >= 0 and listing.created_zxid == known.created_zxid else None


def find_replaced(known: Listing | None, listing: Listing, held: Mapping[str, Held]) -> frozenset[str] | None:
    """The names whose nodes may have been replaced since their records in ``held`` were read; None if that may be
    any."""
    hidden = None if known is None else hidden_changes(known, listing)
    if hidden == 0:
        return frozenset()
    if known is None or hidden is None or listing.marks is None:
        return None
    suspected = _find_suspects(listing.names, listing.marks, held)
    seen = frozenset(name for name, record in held.items() if record.created_zxid > known.changed_zxid)
    explained = (suspected | seen) & known.names & listing.names
    return suspected if 2 * len(explained) >= hidden else None


def _find_suspects(names: frozenset[str], marks: Iterable[str], held: Mapping[str, Held]) -> frozenset[str]:
    told: dict[str, set[str]] = collections.defaultdict(set)
    for mark in marks:
        name, digest = read_mark(mark)
        told[name].add(digest)
    good = (name for name, record in held.items() if told.get(name) == {record.digest})
    return names.difference(good)
