"""Listings side by side."""

from __future__ import annotations

import dataclasses

import pytest

from zkrpc.registry.listing import Listing, Marks, hidden_changes, precedes

NAMES = ("member_a", "member_b", "member_c")


def listing(*names: str, changes: int, parent: int = 1, marks: tuple[str, ...] | None = None) -> Listing:
    """The parent, its children, and the marks if they were asked for."""
    told = None if marks is None else frozenset("member_" + mark for mark in marks)
    return Listing(names=frozenset(names), created_zxid=parent, changes=changes, marks=told)


FIRST = listing(*NAMES, changes=5, marks=("a~1", "b~1", "c~1"))


def knowing() -> Marks:
    """Marks as they were with the first listing, all of whose records had to be read."""
    marks = Marks()
    assert marks.find_replaced(None, FIRST) is None
    return marks


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


def test_marks_find_what_was_replaced_and_what_has_no_mark() -> None:
    """Members that others registered are suspected with them."""
    marks = knowing()
    assert repr(marks) == "<Marks 3>" and repr(Marks()) == "<Marks unknown>"
    assert marks.find_replaced(FIRST, listing(*NAMES, changes=5)) == frozenset()
    second = listing(*NAMES, "member_d", changes=8, marks=("a~1", "b~2", "c~1"))
    assert marks.find_replaced(FIRST, second) == {"member_b", "member_d"}


@pytest.mark.parametrize(
    "later",
    [
        listing(*NAMES, changes=7),
        listing(*NAMES, changes=7, parent=2, marks=("a~1", "b~2", "c~1")),
        listing(*NAMES, changes=9, marks=("a~1", "b~2", "c~1")),
    ],
)
def test_marks_that_are_not_there_or_explain_too_little_suspect_everybody(later: Listing) -> None:
    """Not asked for; of another parent; one replacement told of two."""
    assert knowing().find_replaced(FIRST, later) is None


def test_marks_may_be_seen_before_the_change_they_belong_to() -> None:
    """They are listed a little later than the members; the next listing is no reason for alarm then."""
    marks = knowing()
    second = listing(*NAMES, changes=7, marks=("a~1", "b~2", "b~3", "c~1"))
    assert marks.find_replaced(FIRST, second) == {"member_b"}
    third = dataclasses.replace(second, changes=9)
    assert marks.find_replaced(second, third) == frozenset()
    assert marks.find_replaced(third, dataclasses.replace(third, changes=11)) is None
