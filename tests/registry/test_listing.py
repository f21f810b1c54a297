"""Listings side by side."""

from __future__ import annotations

import dataclasses

import pytest

from zkrpc.registry.listing import Listing, advance, find_replaced, hidden_changes, precedes
from zkrpc.zookeeper.subtrees import Change, ChangeKind

NAMES = ("member_a", "member_b", "member_c")


@dataclasses.dataclass(frozen=True)
class Known:
    """A record as it was read."""

    digest: str
    created_zxid: int = 1


def listing(*names: str, changes: int, parent: int = 1, marks: str | None = None, zxid: int = 10) -> Listing:
    """The parent, its children, and the marks if they were asked for: ``a~1`` is of member a and record 1."""
    told = None if marks is None else frozenset(f"member_{mark}-t" for mark in marks.split())
    return Listing(names=frozenset(names), created_zxid=parent, changes=changes, changed_zxid=zxid, marks=told)


FIRST = listing(*NAMES, changes=5)
HELD = {name: Known("1") for name in NAMES}


def test_listing_is_advanced_by_what_a_watch_tells() -> None:
    """Each creation and deletion counts, also of one name; another value does not, and the counter wraps."""
    came, went = Change(ChangeKind.CREATED, "member_d"), Change(ChangeKind.DELETED, "member_a")
    replaced = [Change(ChangeKind.DELETED, "member_b"), Change(ChangeKind.CREATED, "member_b")]
    changed = Change(ChangeKind.CHANGED, "member_c")
    assert advance(FIRST, [came, went, *replaced, changed]) == listing(*NAMES[1:], "member_d", changes=9)
    assert advance(listing(changes=2**32 - 1), [came]) == listing("member_d", changes=0)


@pytest.mark.parametrize(
    ("later", "hidden"),
    [
        (listing(*NAMES, changes=5), 0),
        (listing(*NAMES[:2], changes=6), 0),
        (listing(*NAMES, changes=7), 2),
        (listing(*NAMES, "member_d", changes=8), 2),
        (listing("member_d", changes=6), None),
        (listing(*NAMES, changes=5, parent=2), None),
    ],
)
def test_hidden_changes_are_those_that_the_names_do_not_tell(later: Listing, hidden: int | None) -> None:
    """A counter that moved too little, or another parent, tells nothing."""
    assert hidden_changes(FIRST, later) == hidden


def test_listing_precedes_by_its_parent_and_then_by_its_counter() -> None:
    """The counter may wrap."""
    assert precedes(listing(changes=4), FIRST) and not precedes(listing(changes=5), FIRST)
    assert not precedes(listing(changes=6), FIRST)
    assert precedes(listing(changes=9, parent=0), FIRST) and not precedes(listing(changes=1, parent=2), FIRST)
    assert precedes(listing(changes=2**32 - 1), listing(changes=3))


@pytest.mark.parametrize(
    ("marks", "replaced"),
    [
        ("a~1 b~2 c~1", {"member_b"}),
        ("a~1 b~1 b~2 c~1", {"member_b"}),
        ("a~1 c~1", {"member_b"}),
        ("a~2 b~2 c~1 d~1", {"member_a", "member_b"}),
    ],
)
def test_replaced_is_whoever_has_not_the_one_mark_of_its_record(marks: str, replaced: set[str]) -> None:
    """It has another one, two, or none; of those who are no members nobody speaks."""
    assert find_replaced(FIRST, listing(*NAMES, changes=7, marks=marks), HELD) == replaced


def test_replaced_is_nobody_where_nothing_is_hidden() -> None:
    """Whatever the marks would say; names that came are read anyway."""
    assert find_replaced(FIRST, listing(*NAMES, "member_d", changes=6, marks=""), HELD) == frozenset()


@pytest.mark.parametrize(
    ("known", "later"),
    [
        (None, listing(*NAMES, changes=7, marks="a~1 b~2 c~1")),
        (FIRST, listing(*NAMES, changes=7)),
        (FIRST, listing(*NAMES, changes=7, parent=2, marks="a~1 b~2 c~1")),
        (FIRST, listing(*NAMES, changes=9, marks="a~1 b~2 c~1")),
        (FIRST, listing(*NAMES, "member_d", changes=8, marks="a~1 b~1 c~1 d~1")),
    ],
)
def test_replaced_may_be_anybody_if_marks_explain_too_little(known: Listing | None, later: Listing) -> None:
    """The first listing; not asked for; of another parent; one replacement told of two; only somebody new is told."""
    assert find_replaced(known, later, HELD) is None


def test_replaced_is_not_who_was_read_after_its_change() -> None:
    """A node replaced after a listing and before its record was read explains what the next counter hides."""
    later = listing(*NAMES, changes=7, marks="a~1 b~2 c~1")
    assert find_replaced(FIRST, later, {**HELD, "member_b": Known("2", created_zxid=11)}) == frozenset()
    assert find_replaced(FIRST, later, {**HELD, "member_b": Known("2", created_zxid=10)}) is None
