"""The application's side of being primary: the Leadership with the epoch, a check of whether it still holds, and writes
that only the primary can do.

A Leadership decides nothing: it asks the campaign that made it, and ZooKeeper.
"""

from __future__ import annotations

import dataclasses
from types import TracebackType
from typing import Protocol

from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.endpoint import Epoch
from zkrpc.errors import (
    CoordinationError,
    NodeMissing,
    NotPrimary,
    RemoteProtocolError,
    StaleEpoch,
    VersionConflict,
)
from zkrpc.zookeeper.operations import Check, Create, Delete, Operation, SetData, Stat
from zkrpc.zookeeper.session import Session

_TRIES = 3


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Guard:
    """What proves in ZooKeeper that a term lasts."""

    candidate: str
    """The path of our candidate. It is deleted with our session, and its name is unique to this process."""
    instance: str
    """Our worker id, as it is in the epoch's node."""
    version: int | None
    """The epoch node's version with our epoch; None if it is not known yet."""


class TermHolder(Protocol):
    """The part of a campaign that its leadership uses."""

    paths: ElectionPaths
    session: Session

    def holds(self, epoch: Epoch) -> bool:
        """Whether this instance holds that epoch under a valid lease and has not given it up."""

    def refusal(self) -> NotPrimary:
        """The exception to raise where this instance is not the primary."""

    def receive_epoch(self, epoch: Epoch) -> None:
        """Takes in an epoch from a trusted source."""

    def guard(self, epoch: Epoch) -> Guard | None:
        """The proof in ZooKeeper that this instance holds the epoch; None if it does not."""

    def look_again(self) -> None:
        """Has ZooKeeper read again, because something there is not as expected."""


class Leadership:
    """One term as the primary of one group. Passed to ``on_elected``; it may be kept, and asked later whether the term
    still lasts."""

    def __init__(self, term: TermHolder, epoch: Epoch) -> None:
        self.epoch = epoch
        """The fencing token, greater than that of every earlier primary. A store that remembers the highest one it has
        seen can refuse earlier primaries; see ``zkrpc.SqlFence``."""
        self._term = term

    def __repr__(self) -> str:
        """Group, epoch, and whether the term lasts."""
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
        """Raises NotPrimary if the term is over."""
        if not self.is_valid:
            raise self._term.refusal()

    def transaction(self) -> GuardedTransaction:
        """A transaction of writes to ZooKeeper that fails if another primary has begun. Raises NotPrimary if the term
        is over."""
        self.check()
        return GuardedTransaction(self)

    def _commit(self, operations: list[Operation], timeout: float | None) -> list[str | Stat | None]:
        """Commits the operations together with two checks: that our candidate exists, and that the epoch's node has not
        changed, as it would by another claim or by giving up our epoch. ``check`` runs again right before the
        transaction is sent.

        If an operator has written our own record into that node again, the transaction fails without effect, and the
        next try has the new version.
        """
        term, version = self._term, None
        for left in reversed(range(_TRIES)):
            guard = term.guard(self.epoch)
            if guard is None:
                raise term.refusal()
            version = guard.version if version is None else version
            version = self._find_version(guard) if version is None else version
            checks = [Check(path=guard.candidate), Check(path=term.paths.epoch, version=version)]
            try:
                answers = term.session.znodes.multi([*checks, *operations], timeout=timeout, before=self.check)
                return answers[len(checks) :]
            except (VersionConflict, NodeMissing):
                found = self._find_version(guard)
                if found == version or not left:
                    raise
                version = found
                term.look_again()
        raise AssertionError("unreachable")

    def _find_version(self, guard: Guard) -> int:
        """The version of the epoch's node with our epoch. Raises StaleEpoch or NotPrimary if it has another epoch or
        our candidate is gone, and CoordinationError if it cannot be parsed."""
        term = self._term
        found = term.session.znodes.get(term.paths.epoch)
        try:
            record = EpochRecord.parse_credible(found[0]) if found is not None else EpochRecord()
        except RemoteProtocolError as error:
            term.look_again()
            raise CoordinationError(f"nothing was written, since {term.paths.epoch} cannot be read: {error}") from error
        self._require_current(record, guard)
        if found is None or term.session.znodes.exists(guard.candidate) is None:
            term.look_again()
            raise term.refusal()
        return found[1].version

    def _require_current(self, record: EpochRecord, guard: Guard) -> None:
        if record.epoch > self.epoch:
            self._term.receive_epoch(record.epoch)
            raise StaleEpoch(
                f"epoch {self.epoch} of {self.group} is over, {record.epoch} has begun",
                seen=record.epoch,
                current=self.epoch,
            )
        if record != EpochRecord(epoch=self.epoch, instance=guard.instance):
            self._term.look_again()
            raise self._term.refusal()


class GuardedTransaction:
    """Collects writes, and commits all of them, or none if the epoch is over. Paths are relative to the chroot.

    As a context manager it commits at the end, and does nothing if an exception left the block.
    """

    def __init__(self, leadership: Leadership) -> None:
        self.operations: list[Operation] = []
        """The operations to commit, in this order."""
        self._leadership = leadership

    def __repr__(self) -> str:
        """The leadership, and the number of operations."""
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
        """Require that the node exists, at ``version`` (-1: at any); otherwise the transaction fails."""
        self.operations.append(Check(path=path, version=version))

    def commit(self, *, timeout: float | None = None) -> list[str | Stat | None]:
        """Commits all operations and returns each one's result: a path, a Stat, or None.

        Raises StaleEpoch if a later primary has begun, NotPrimary if this one has ended, what the first refused
        operation raises alone (NodeExists, NodeMissing, VersionConflict), OutcomeUnknown if no answer came (read before
        you repeat it), and CoordinationError if nothing was done for another reason.
        """
        self._leadership.check()
        return self._leadership._commit(self.operations, timeout)

    def __enter__(self) -> GuardedTransaction:
        """The transaction itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commits, unless an exception left the block."""
        if kind is None:
            self.commit()
