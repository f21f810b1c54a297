"""What a primary holds in its hand: the epoch, the question whether it still counts, and writes that only it can do.

It asks whoever gave it, and ZooKeeper; it decides nothing.
"""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from zkrpc.election.fencing import Epoch
from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.errors import NodeMissing, NotPrimary, StaleEpoch, VersionConflict
from zkrpc.registry.operations import Check, Create, Delete, Operation, SetData, Stat
from zkrpc.registry.session import Session


class TermHolder(Protocol):
    """What a leadership needs of the campaign that won it."""

    paths: ElectionPaths
    session: Session

    def holds(self, epoch: Epoch) -> bool:
        """Whether that epoch is ours, under a valid lease, and not given up."""

    def refusal(self) -> NotPrimary:
        """What to raise where we do not lead."""

    def receive_epoch(self, epoch: Epoch) -> None:
        """That epoch has been seen where it can be trusted."""


class Leadership:
    """One term as the primary of one group. Given to ``on_elected``; it may be kept, and then says when it is over."""

    def __init__(self, term: TermHolder, epoch: Epoch) -> None:
        self.epoch = epoch
        """The fencing token: greater than that of every primary before. A store that remembers the highest one it has
        seen can refuse a primary whose time is over; see ``zkrpc.SqlFence``."""
        self._term = term
        self._version: int | None = None

    def __repr__(self) -> str:
        """Group, epoch, and whether it counts."""
        return f"<Leadership {self.group} epoch={self.epoch} valid={self.is_valid}>"

    @property
    def group(self) -> str:
        """The group that is led."""
        return self._term.paths.group

    @property
    def is_valid(self) -> bool:
        """True while the lease holds and nothing has ended the term. Ask right before acting."""
        return self._term.holds(self.epoch)

    def check(self) -> None:
        """Raises NotPrimary if this is over."""
        if not self.is_valid:
            raise self._term.refusal()

    def transaction(self) -> GuardedTransaction:
        """Writes to ZooKeeper that happen only if no other primary has begun. Raises NotPrimary if this is over."""
        self.check()
        return GuardedTransaction(self)

    def _guard(self) -> Check:
        """The first step of a transaction: whoever claims the epoch after us, or gives ours up, changes this node."""
        if self._version is None:
            found = self._term.session.get(self._term.paths.epoch)
            record = EpochRecord.parse(found[0]) if found is not None else EpochRecord()
            self._require_current(record)
            self._version = found[1].version if found is not None else None
        return Check(path=self._term.paths.epoch, version=-1 if self._version is None else self._version)

    def _explain(self) -> None:
        """Raises StaleEpoch or NotPrimary if it was the guard that refused a transaction."""
        found = self._term.session.get(self._term.paths.epoch)
        self._require_current(EpochRecord.parse(found[0]) if found is not None else EpochRecord())

    def _require_current(self, record: EpochRecord) -> None:
        if record.epoch > self.epoch:
            self._term.receive_epoch(record.epoch)
            raise StaleEpoch(
                f"epoch {self.epoch} of {self.group} is over, {record.epoch} has begun",
                seen=record.epoch,
                current=self.epoch,
            )
        if record.epoch < self.epoch or record.handed_over:
            raise self._term.refusal()


class GuardedTransaction:
    """Collects writes and does all of them, or none if the epoch is over. Paths are relative to the chroot.

    As a context manager it commits at the end, and does nothing if an exception left the block.
    """

    def __init__(self, leadership: Leadership) -> None:
        self.operations: list[Operation] = []
        """What will be done, in this order."""
        self._leadership = leadership

    def __repr__(self) -> str:
        """How much of what."""
        return f"<GuardedTransaction {self._leadership!r} operations={len(self.operations)}>"

    def create(self, path: str, value: bytes = b"", *, ephemeral: bool = False, sequence: bool = False) -> None:
        """Create a node."""
        self.operations.append(Create(path=path, value=value, ephemeral=ephemeral, sequence=sequence))

    def set(self, path: str, value: bytes, version: int = -1) -> None:
        """Change a node's value, if it is at ``version`` (-1: at any)."""
        self.operations.append(SetData(path=path, value=value, version=version))

    def delete(self, path: str, version: int = -1) -> None:
        """Delete a node, if it is at ``version`` (-1: at any)."""
        self.operations.append(Delete(path=path, version=version))

    def check(self, path: str, version: int = -1) -> None:
        """Go on only if the node is there and at ``version`` (-1: at any)."""
        self.operations.append(Check(path=path, version=version))

    def commit(self, *, timeout: float | None = None) -> list[str | Stat | None]:
        """Does it all and returns each operation's result: a path, a Stat, or None.

        Raises StaleEpoch if a later primary has begun, NotPrimary if this one has ended, what the first refused
        operation raises alone (NodeExists, NodeMissing, VersionConflict), and OutcomeUnknown if no answer came: read
        then before you repeat it.
        """
        self._leadership.check()
        guard = self._leadership._guard()
        try:
            return self._leadership._term.session.multi([guard, *self.operations], timeout=timeout)[1:]
        except (VersionConflict, NodeMissing):
            self._leadership._explain()
            raise

    def __enter__(self) -> GuardedTransaction:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commits, unless an exception is on its way."""
        if kind is None:
            self.commit()
