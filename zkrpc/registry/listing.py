"""What two listings of the same members say when they are laid side by side, with the marks to help.

Pure values. The parent of the members counts the creations and deletions of its children. Where that counter moved by
more than the names that came and went, something happened under names that stayed: a node was replaced, or came and
went. Which, the counter does not say.

The *marks* do: with each node our registrars make another one, elsewhere, whose name tells the digest of the record.
They are listed only when something is hidden, so they cost nothing while members come and go in the open. Whoever has
not exactly the mark of the record that we hold is suspected: it has another one, or two since an old session has not
ended yet, or none because others registered it. The marks are listed after the members, so what was replaced in
between is suspected already, or the next time; and what was read in the meantime is not suspected for it.

If all that is explained is less than the counter says, somebody replaced a node and left its mark as it was. Then
nothing is believed, and all records are to be read.
"""

from __future__ import annotations

import collections
import dataclasses
from collections.abc import Iterable, Mapping
from typing import Protocol

from zkrpc.registry.schema import read_mark


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The children of the members' parent, and how the parent stood at that very moment."""

    names: frozenset[str]
    created_zxid: int
    """Which parent it is: another after it was deleted and made again."""
    changes: int
    """Creations and deletions of children so far, modulo 2**32."""
    changed_zxid: int = 0
    """The transaction that made the last of them."""
    marks: frozenset[str] | None = None
    """The marks' names, listed after the members; None if nobody asked."""


class Held(Protocol):
    """A record that was read."""

    @property
    def created_zxid(self) -> int:
        """The transaction that made its node."""

    @property
    def digest(self) -> str:
        """As its mark would tell it."""


def precedes(listing: Listing, known: Listing) -> bool:
    """True if ``listing`` is from before ``known``: an earlier parent, or a counter that went back."""
    if listing.created_zxid != known.created_zxid:
        return listing.created_zxid < known.created_zxid
    return 0 < (known.changes - listing.changes) % 2**32 < 2**31


def hidden_changes(known: Listing, listing: Listing) -> int | None:
    """How much happened between the two that their names do not tell; None if that cannot be known."""
    hidden = (listing.changes - known.changes) % 2**32 - len(listing.names ^ known.names)
    return hidden if hidden >= 0 and listing.created_zxid == known.created_zxid else None


def find_replaced(known: Listing | None, listing: Listing, held: Mapping[str, Held]) -> frozenset[str] | None:
    """The names whose nodes may be others than those that are held; None if that can be any."""
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
