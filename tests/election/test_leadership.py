"""A term in the primary's hand, on a ZooKeeper of one node; on a real one it is shown with the campaigns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from zkrpc.election.leadership import GuardedTransaction, Leadership
from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.errors import NodeExists, NodeMissing, NotPrimary, OutcomeUnknown, StaleEpoch, VersionConflict
from zkrpc.registry.operations import Check, Create, Delete, Operation, SetData, Stat

PATHS = ElectionPaths("ledger", "g1")


class OneNode:
    """The epoch's node, and transactions that it lets pass or not."""

    def __init__(self) -> None:
        self.record: EpochRecord | None = EpochRecord(epoch=3, instance="w1")
        self.version = 7
        self.reads = 0
        self.written: list[Operation] = []
        self.error: Exception | None = None

    def get(self, path: str) -> tuple[bytes, Stat] | None:
        """The epoch."""
        assert path == PATHS.epoch
        self.reads += 1
        if self.record is None:
            return None
        return self.record.dump(), Stat(version=self.version, owner=0, created_zxid=1, modified_zxid=1, size=0)

    def multi(self, operations: Sequence[Operation], *, timeout: float | None = None) -> list[Any]:
        """All or nothing, as far as the epoch's version goes."""
        guard = operations[0]
        assert isinstance(guard, Check) and guard.path == PATHS.epoch
        if self.record is None:
            raise NodeMissing("gone")
        if guard.version != self.version:
            raise VersionConflict("moved")
        if self.error is not None:
            raise self.error
        self.written += operations[1:]
        return [None] * len(operations)


class Holder:
    """Stands where the campaign does."""

    def __init__(self) -> None:
        self.paths = PATHS
        self.session: Any = OneNode()
        self.held = True
        self.seen: list[int] = []

    def holds(self, epoch: int) -> bool:
        """What the test says."""
        return self.held and epoch == 3

    def refusal(self) -> NotPrimary:
        """Recognisable."""
        return NotPrimary("not now")

    def receive_epoch(self, epoch: int) -> None:
        """Noted."""
        self.seen.append(epoch)


@pytest.fixture
def holder() -> Holder:
    """The primary of epoch 3."""
    return Holder()


def transaction(holder: Holder) -> GuardedTransaction:
    """One that writes something."""
    made = Leadership(holder, 3).transaction()
    made.set("/a", b"1", 4)
    return made


def test_leadership_says_whether_it_counts(holder: Holder) -> None:
    """And refuses everything once it does not."""
    leadership = Leadership(holder, 3)
    leadership.check()
    assert leadership.group == "g1" and repr(leadership) == "<Leadership g1 epoch=3 valid=True>"
    late = leadership.transaction()
    holder.held = False
    for refused in (leadership.check, leadership.transaction, late.commit):
        with pytest.raises(NotPrimary, match="not now"):
            refused()
    assert holder.session.written == [] and not leadership.is_valid


def test_transaction_is_guarded_by_the_epochs_version(holder: Holder) -> None:
    """Read once for the whole term; everything asked for follows the guard, in its order."""
    leadership = Leadership(holder, 3)
    with leadership.transaction() as one:
        one.create("/a", b"1", ephemeral=True)
        one.set("/b", b"2", 5)
        one.delete("/c")
        one.check("/d", 1)
    assert leadership.transaction().commit() == []
    assert holder.session.written == [
        Create(path="/a", value=b"1", ephemeral=True),
        SetData(path="/b", value=b"2", version=5),
        Delete(path="/c"),
        Check(path="/d", version=1),
    ]
    assert holder.session.reads == 1 and "operations=4" in repr(one)


def test_transaction_of_a_block_that_fails_is_dropped(holder: Holder) -> None:
    """Nothing was asked of ZooKeeper."""
    with pytest.raises(KeyError), transaction(holder):
        raise KeyError
    assert holder.session.written == [] and holder.session.reads == 0


@pytest.mark.parametrize("known_before", [True, False])
def test_transaction_after_a_later_claim_is_stale(known_before: bool, holder: Holder) -> None:
    """Whether the version was known by then or not; the campaign is told, because ZooKeeper can be trusted."""
    leadership = Leadership(holder, 3)
    if known_before:
        leadership.transaction().commit()
    holder.session.record, holder.session.version = EpochRecord(epoch=5, instance="w2"), 9
    with pytest.raises(StaleEpoch) as stale:
        leadership.transaction().commit()
    assert (stale.value.seen, stale.value.current) == (5, 3) and holder.seen == [5]


@pytest.mark.parametrize("record", [EpochRecord(epoch=3, handed_over=True), EpochRecord(epoch=2), None])
def test_transaction_after_our_own_end_is_refused(record: EpochRecord | None, holder: Holder) -> None:
    """We gave the epoch up, or somebody took the counter away: there is no later one to speak of."""
    leadership = Leadership(holder, 3)
    leadership.transaction().commit()
    holder.session.record, holder.session.version = record, 8
    with pytest.raises(NotPrimary):
        leadership.transaction().commit()
    with pytest.raises(NotPrimary):
        Leadership(holder, 3).transaction().commit()
    assert holder.seen == []


@pytest.mark.parametrize("error", [NodeExists("a"), NodeMissing("a"), VersionConflict("a"), OutcomeUnknown("a")])
def test_refusals_of_the_writes_themselves_are_passed_on(error: Exception, holder: Holder) -> None:
    """The guard held: it is the application's own conflict."""
    holder.session.error = error
    with pytest.raises(type(error)):
        transaction(holder).commit()
