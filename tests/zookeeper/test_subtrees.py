"""Subtrees and what their watches tell; whom to ask for watches is in the transcripts as well."""

from __future__ import annotations

import pytest

from zkrpc.endpoint import Endpoint
from zkrpc.zookeeper import subtrees
from zkrpc.zookeeper.subtrees import Change, ChangeKind, OfferState, Subtree, WatchOffers

A, B = Endpoint("zk1", 2181), Endpoint("zk2", 2181)
ADDRESS = Endpoint("10.0.0.1", 2181)


def watched(path: str = "/m") -> tuple[WatchOffers, Subtree, list[int]]:
    """A connection to A with a watch, and how often it woke its follower."""
    woken: list[int] = []
    offers, subtree = WatchOffers(), Subtree(path, lambda: woken.append(1))
    offers.receive_connected((A,), 0.0)
    subtree.begin()
    offers.add(subtree)
    offers.receive_granted()
    return offers, subtree, woken


def test_subtree_is_told_of_its_node_and_its_children() -> None:
    """Not of grandchildren, of its node's value, of others' nodes, or of what one-shot watches tell."""
    offers, subtree, woken = watched()
    for kind, path in [(1, "/m"), (3, "/m"), (1, "/m/a"), (3, "/m/a"), (2, "/m/a"), (4, "/m"), (2, "/m"), (-1, "/m")]:
        offers.receive_event(kind, path)
    for path in ("/m/a/b", "/mm", "/", "/other/m"):
        offers.receive_event(1, path)
    assert subtree.received == 5 and len(woken) == 5 and "5 changes" in repr(subtree)
    assert subtree.take() == [
        Change(ChangeKind.CREATED, ""),
        Change(ChangeKind.CREATED, "a"),
        Change(ChangeKind.CHANGED, "a"),
        Change(ChangeKind.DELETED, "a"),
        Change(ChangeKind.DELETED, ""),
    ]
    assert subtree.take() == []


def test_subtree_may_be_the_root() -> None:
    """Of everything."""
    offers, subtree, _ = watched("/")
    offers.receive_event(1, "/a")
    offers.receive_event(1, "/a/b")
    offers.receive_event(2, "/")
    assert subtree.take() == [Change(ChangeKind.CREATED, "a"), Change(ChangeKind.DELETED, "")]


def test_subtree_forgets_what_a_listing_contains() -> None:
    """Up to the number at the moment of the answer; what came later stays."""
    offers, subtree, _ = watched()
    for name in "abc":
        offers.receive_event(1, f"/m/{name}")
    at = subtree.received
    offers.receive_event(2, "/m/a")
    subtree.forget(at)
    assert subtree.take() == [Change(ChangeKind.DELETED, "a")]
    subtree.forget(at)
    assert subtree.take() == []


def test_subtree_keeps_other_values_beyond_a_listing() -> None:
    """A listing has names only: what it contains is dropped, what it cannot contain is told."""
    offers, subtree, _ = watched()
    for kind, name in [(1, "a"), (3, "a"), (2, "b"), (3, "c")]:
        offers.receive_event(kind, f"/m/{name}")
    subtree.forget(subtree.received)
    assert subtree.take() == [Change(ChangeKind.CHANGED, "a"), Change(ChangeKind.CHANGED, "c")]
    assert not subtree.take_missed()


def test_subtree_says_whether_other_values_were_missed() -> None:
    """Lost with the watch, or dropped when it was set again; names that came and went are in the listing then."""
    offers, subtree, _ = watched()
    offers.receive_event(1, "/m/a")
    subtree.begin()
    assert not subtree.take_missed()
    offers.receive_event(3, "/m/a")
    subtree.begin()
    assert subtree.take_missed() and not subtree.take_missed()
    subtree.lose()
    subtree.begin()
    assert subtree.take_missed() and subtree.take() == []


def test_subtree_is_lost_with_the_connection() -> None:
    """That is told once, and instead of everything else; a new watch begins without it."""
    offers, subtree, woken = watched()
    offers.receive_event(1, "/m/a")
    offers.receive_lost()
    assert len(woken) == 2 and "lost" in repr(subtree)
    offers.receive_event(1, "/m/b")
    assert subtree.take() is None and subtree.take() == []
    offers.receive_connected((B,), 1.0)
    offers.receive_lost()
    assert subtree.take() == []
    subtree.lose()
    subtree.receive(Change(ChangeKind.CREATED, "c"))
    subtree.begin()
    assert subtree.take() == []


def test_subtree_that_nobody_reads_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """It keeps a bounded number of changes."""
    monkeypatch.setattr(subtrees, "_MOST_CHANGES", 3)
    offers, subtree, _ = watched()
    for name in "abcd":
        offers.receive_event(1, f"/m/{name}")
    assert subtree.take() is None


def test_watch_is_removed_with_its_last_follower() -> None:
    """Two followers of one node share it."""
    offers, first, _ = watched()
    second = Subtree("/m", lambda: None)
    for _ in range(2):
        offers.add(second)
    offers.receive_event(1, "/m/a")
    assert second.take() == first.take() == [Change(ChangeKind.CREATED, "a")]
    assert not offers.remove(first) and "watched=1" in repr(offers)
    offers.receive_event(1, "/m/b")
    assert first.take() == [] and second.take() == [Change(ChangeKind.CREATED, "b")]
    assert offers.remove(second) and not offers.remove(second) and not offers.remove(first)


def test_nobody_is_asked_if_that_is_not_wanted() -> None:
    """At no connection."""
    offers = WatchOffers(wanted=False)
    assert not offers.may_ask
    offers.receive_connected((A,), 0.0)
    assert offers.state is OfferState.REFUSED and not offers.may_ask


def test_refusal_is_remembered_under_each_name() -> None:
    """A server is known by the name in the connect string and by its address."""
    offers = WatchOffers()
    offers.receive_connected((A, ADDRESS), 0.0)
    offers.receive_refused(1.0)
    offers.receive_connected((ADDRESS,), 2.0)
    assert not offers.may_ask
    offers.receive_connected((B,), 3.0)
    assert offers.may_ask


def test_answers_that_come_after_the_connection_was_lost_change_no_state() -> None:
    """The refusal is remembered all the same, as whoever refuses hangs up."""
    offers = WatchOffers()
    offers.receive_connected((A,), 0.0)
    offers.receive_lost()
    offers.receive_granted()
    offers.receive_refused(0.1)
    assert offers.state is OfferState.OFFLINE
    offers.receive_connected((A,), 1.0)
    assert offers.state is OfferState.REFUSED


def test_silence_counts_as_a_refusal_the_second_time() -> None:
    """In a row, and of one server."""
    offers = WatchOffers()
    offers.receive_connected((A,), 0.0)
    offers.receive_silence(0.1)
    offers.receive_connected((B,), 1.0)
    offers.receive_silence(1.1)
    assert offers.may_ask
    offers.receive_silence(1.2)
    assert offers.state is OfferState.REFUSED
    offers.receive_connected((A,), 2.0)
    assert offers.may_ask
