"""What two listings of the same members say when they are laid side by side, with the marks to help.

Pure values. The parent of the members counts the creations and deletions of its children. Where that counter moved by
more than the names that came and went, something happened under names that stayed: a node was replaced, or came and
went. Which, the counter does not say.

The *marks* do: with each node our registrars make another one, elsewhere, of a name that never was before. They are
listed only when something is hidden, so they cost nothing while members come and go in the open. Whoever has other
marks than when they were listed last is suspected, and so is whoever has none, as those have that others registered.
The marks are listed after the members and before the records are read, so a record is never older than its mark; a
change that falls between is suspected once more the next time, which costs a read and loses nothing.

If those suspected are fewer than the counter asks for, somebody replaced a node and left its mark as it was. Then
nothing is believed, and all records are to be read.
"""

from __future__ import annotations

import dataclasses

from zkrpc.registry.schema import marked_member


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Listing:
    """The children of the members' parent, and how the parent stood at that very moment."""

    names: frozenset[str]
    created_zxid: int
    """Which parent it is: another after it was deleted and made again."""
    changes: int
    """Creations and deletions of children so far, modulo 2**32."""
    marks: frozenset[str] | None = None
    """The incarnations' names, listed after the members; None if nobody asked."""


def precedes(listing: Listing, known: Listing) -> bool:
    """True if ``listing`` is from before ``known``: an earlier parent, or a counter that went back."""
    if listing.created_zxid != known.created_zxid:
        return listing.created_zxid < known.created_zxid
    return 0 < (known.changes - listing.changes) % 2**32 < 2**31


def hidden_changes(known: Listing, listing: Listing) -> int | None:
    """How much happened between the two that their names do not tell; None if that cannot be known."""
    hidden = (listing.changes - known.changes) % 2**32 - len(listing.names ^ known.names)
    return hidden if hidden >= 0 and listing.created_zxid == known.created_zxid else None


class Marks:
    """The marks as they were listed last."""

    __slots__ = ("_last", "_remarked")

    def __init__(self) -> None:
        self._last: frozenset[str] | None = None
        self._remarked: frozenset[str] = frozenset()

    def __repr__(self) -> str:
        """Their number."""
        return f"<Marks {'unknown' if self._last is None else len(self._last)}>"

    def find_replaced(self, known: Listing | None, listing: Listing) -> frozenset[str] | None:
        """The names whose nodes may be others than they were when ``known`` was there; None if that can be any."""
        hidden = None if known is None else hidden_changes(known, listing)
        if hidden == 0:
            return frozenset()
        before, after = self._last, listing.marks
        if after is not None:
            self._last = after
        if known is None or hidden is None or before is None or after is None:
            return None
        remarked = frozenset(map(marked_member, before ^ after))
        # A mark may have been seen one listing earlier than the change it belongs to.
        explained, self._remarked = remarked | self._remarked, remarked
        if 2 * len(explained & known.names & listing.names) < hidden:
            return None
        return remarked | (listing.names - frozenset(map(marked_member, after)))
