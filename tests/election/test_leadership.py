"""A term in the primary's hand, on a ZooKeeper of one node; on a real one it is shown with the campaigns."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from zkrpc.election.leadership import Guard, GuardedTransaction, Leadership
from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.errors import (
    CoordinationError,
    NodeExists,
    NodeMissing,
    NotPrimary,
    OutcomeUnknown,
    StaleEpoch,
    VersionConflict,
)
from zkrpc.zookeeper.operations import Check, Create, Delete, Operation, SetData, Stat

PATHS = ElectionPaths("ledger", "g1")
CANDIDATE = PATHS.candidate("w1.u-0000000005")


class TwoNodes:
    """The epoch's node and our candidate, and transactions that they let pass or not."""

    def __init__(self) -> None:
        self.record: EpochRecord | bytes | None = EpochRecord(epoch=3, instance="w1")
        self.version = 7
        self.candidate = True
        self.reads = 0
        self.written: list[Operation] = []
        self.error: Exception | None = None
        self.before: list[Callable[[], object]] = []

    def get(self, path: str) -> tuple[bytes, Stat] | None:
        """The epoch."""
        assert path == PATHS.epoch
        self.reads += 1
        if self.record is None:
            return None
        value = self.record if isinstance(self.record, bytes) else self.record.dump()
        return value, Stat(version=self.version, owner=0, created_zxid=1, modified_zxid=1, size=0)

    def exists(self, path: str) -> object | None:
        """The candidate."""
        assert path == CANDIDATE
        return self.candidate or None

    def multi(
        self, operations: Sequence[Operation], *, timeout: float | None = None, before: Callable[[], object]
    ) -> list[Any]:
        """All or nothing, as far as the two nodes go."""
        for wait in self.before:
            wait()
        before()
        ours, guard = operations[:2]
        assert ours == Check(path=CANDIDATE) and isinstance(guard, Check) and guard.path == PATHS.epoch
        if self.record is None or not self.candidate:
            raise NodeMissing("gone")
        if guard.version != self.version:
            raise VersionConflict("moved")
        if self.error is not None:
            raise self.error
        self.written += operations[2:]
        return [None] * len(operations)


class Holder:
    """Stands where the campaign does."""

    def __init__(self) -> None:
        self.paths = PATHS
        self.znodes = TwoNodes()
        self.session: Any = SimpleNamespace(znodes=self.znodes)
        self.held = True
        self.version: int | None = 7
        self.seen: list[int] = []
        self.looks = 0

    def holds(self, epoch: int) -> bool:
        """What the test says."""
        return self.held and epoch == 3

    def guard(self, epoch: int) -> Guard | None:
        """Ours, while it is held."""
        return Guard(candidate=CANDIDATE, instance="w1", version=self.version) if self.holds(epoch) else None

    def look_again(self) -> None:
        """Counted."""
        self.looks += 1

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
    assert holder.znodes.written == [] and not leadership.is_valid


@pytest.mark.parametrize("version", [7, None])
def test_transaction_is_guarded_by_our_candidate_and_the_epochs_version(version: int | None, holder: Holder) -> None:
    """Known from the claim, or read if that was not answered; everything asked for follows the guards, in its order."""
    holder.version = version
    leadership = Leadership(holder, 3)
    with leadership.transaction() as one:
        one.create("/a", b"1", ephemeral=True)
        one.set("/b", b"2", 5)
        one.delete("/c")
        one.check("/d", 1)
    assert leadership.transaction().commit() == []
    assert holder.znodes.written == [
        Create(path="/a", value=b"1", ephemeral=True),
        SetData(path="/b", value=b"2", version=5),
        Delete(path="/c"),
        Check(path="/d", version=1),
    ]
    assert holder.znodes.reads == (0 if version else 2) and "operations=4" in repr(one)


def test_transaction_asks_whether_we_lead_when_it_is_sent(holder: Holder) -> None:
    """It may have waited for its turn for as long as an election takes, and a deleted tree made anew looks the same."""
    holder.znodes.before.append(lambda: setattr(holder, "held", False))
    with pytest.raises(NotPrimary, match="not now"):
        transaction(holder).commit()
    assert holder.znodes.written == []


def test_transaction_learns_the_version_when_somebody_has_touched_the_epochs_node(holder: Holder) -> None:
    """Our own record at another version: nothing was done, nobody has claimed, and the next try holds."""
    holder.znodes.version = 9
    transaction(holder).commit()
    assert len(holder.znodes.written) == 1 and holder.looks == 1 and holder.seen == []


def test_transaction_gives_up_when_the_epochs_node_is_touched_again_and_again(holder: Holder) -> None:
    """Refused as ZooKeeper refused it, and nothing was done."""
    holder.znodes.before.append(lambda: setattr(holder.znodes, "version", holder.znodes.version + 1))
    with pytest.raises(VersionConflict):
        transaction(holder).commit()
    assert holder.znodes.written == []


@pytest.mark.parametrize("value", [b"?", b"\xff", EpochRecord(epoch=2**63 - 1).dump()])
@pytest.mark.parametrize("version", [7, None])
def test_transaction_says_so_when_the_epochs_node_cannot_be_read(
    version: int | None, value: bytes, holder: Holder
) -> None:
    """As an error of coordination that names the node; whatever may be in there, it is no epoch that was seen."""
    holder.version = version
    holder.znodes.record, holder.znodes.version = value, 9
    with pytest.raises(CoordinationError, match=f"nothing was written, since {PATHS.epoch} cannot be read"):
        transaction(holder).commit()
    assert holder.looks == 1 and holder.seen == [] and holder.znodes.written == []


def test_transaction_without_our_candidate_is_refused(holder: Holder) -> None:
    """The node of the epoch was deleted and made anew, and is at the same version: our candidate went with the tree."""
    holder.znodes.candidate = False
    with pytest.raises(NotPrimary, match="not now"):
        transaction(holder).commit()
    assert holder.looks == 1 and holder.znodes.written == []


def test_transaction_of_a_block_that_fails_is_dropped(holder: Holder) -> None:
    """Nothing was asked of ZooKeeper."""
    with pytest.raises(KeyError), transaction(holder):
        raise KeyError
    assert holder.znodes.written == [] and holder.znodes.reads == 0


@pytest.mark.parametrize("version", [7, None])
def test_transaction_after_a_later_claim_is_stale(version: int | None, holder: Holder) -> None:
    """Whether the version was known by then or not; the campaign is told, because ZooKeeper can be trusted."""
    holder.version = version
    holder.znodes.record, holder.znodes.version = EpochRecord(epoch=5, instance="w2"), 9
    with pytest.raises(StaleEpoch) as stale:
        transaction(holder).commit()
    assert (stale.value.seen, stale.value.current) == (5, 3) and holder.seen == [5]


@pytest.mark.parametrize(
    "record",
    [
        EpochRecord(epoch=3, instance="w1", handed_over=True),
        EpochRecord(epoch=3, instance="w2"),
        EpochRecord(epoch=2, instance="w1"),
        None,
    ],
    ids=["given up", "another's", "lower", "gone"],
)
@pytest.mark.parametrize("version", [7, None])
def test_transaction_after_our_own_end_is_refused(
    version: int | None, record: EpochRecord | None, holder: Holder
) -> None:
    """We gave the epoch up, or somebody took the counter away: there is no later one to speak of."""
    holder.version = version
    holder.znodes.record, holder.znodes.version = record, 8
    with pytest.raises(NotPrimary):
        transaction(holder).commit()
    assert holder.seen == [] and holder.looks == 1


@pytest.mark.parametrize("error", [NodeExists("a"), NodeMissing("a"), VersionConflict("a"), OutcomeUnknown("a")])
def test_refusals_of_the_writes_themselves_are_passed_on(error: Exception, holder: Holder) -> None:
    """The guard held: it is the application's own conflict."""
    holder.znodes.error = error
    with pytest.raises(type(error)):
        transaction(holder).commit()
