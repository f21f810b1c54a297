"""What the application is told of being primary, and what it holds meanwhile: the epoch, the question whether it still
counts, and writes that only a primary can do.

It asks whoever gave it, and ZooKeeper; it decides nothing.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable
from types import TracebackType
from typing import Protocol

from zkrpc.callables import attribute_of
from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.endpoint import Epoch
from zkrpc.errors import (
    ConfigError,
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
    """What says in ZooKeeper that a term lasts."""

    candidate: str
    """Our candidate's path: it goes with our session, and nobody else's has ever had it while we lived."""
    instance: str
    """Our name in the epoch's node."""
    version: int | None
    """The version at which that node has our epoch; None if it is not known yet."""


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

    def guard(self, epoch: Epoch) -> Guard | None:
        """What in ZooKeeper says that this epoch is ours; None if it is not."""

    def look_again(self) -> None:
        """Something in ZooKeeper is not as it should be."""


class Leadership:
    """One term as the primary of one group. Given to ``on_elected``; it may be kept, and then says when it is over."""

    def __init__(self, term: TermHolder, epoch: Epoch) -> None:
        self.epoch = epoch
        """The fencing token: greater than that of every primary before. A store that remembers the highest one it has
        seen can refuse a primary whose time is over; see ``zkrpc.SqlFence``."""
        self._term = term

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

    def _commit(self, operations: list[Operation], timeout: float | None) -> list[str | Stat | None]:
        """Behind two checks: that our candidate lives, and that nobody has claimed since or given our epoch up, which
        would have changed the epoch's node. Whether we lead is asked again at the moment of sending.

        Somebody may have written our own record into that node again, by hand; nothing was done then, and the next try
        knows the version.
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
        """The version at which the epoch's node has our epoch. Raises StaleEpoch or NotPrimary if it has not, or our
        candidate is gone, and CoordinationError if it says nothing that can be read."""
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
        operation raises alone (NodeExists, NodeMissing, VersionConflict), OutcomeUnknown if no answer came: read then
        before you repeat it, and CoordinationError if it could not be done and nothing was.
        """
        self._leadership.check()
        return self._leadership._commit(self.operations, timeout)

    def __enter__(self) -> GuardedTransaction:
        """Itself."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Commits, unless an exception is on its way."""
        if kind is None:
            self.commit()


class Application(Protocol):
    """What is told of being primary. Both may wait; what they raise is logged."""

    def on_elected(self, leadership: Leadership) -> None:
        """Make ready to serve; raising, or taking too long, gives the term up."""

    def on_deposed(self, leadership: Leadership) -> None:
        """Stop; must return soon, because the process is ended if it does not."""


class HandlerHooks:
    """Calls a handler's ``on_elected`` and ``on_deposed``, where it has them, with as many arguments as they take."""

    def __init__(self, handler: object) -> None:
        self._elected = _hook(handler, "on_elected")
        self._deposed = _hook(handler, "on_deposed")

    def on_elected(self, leadership: Leadership) -> None:
        """The handler's, with the leadership."""
        self._elected(leadership)

    def on_deposed(self, leadership: Leadership) -> None:
        """The handler's, with the leadership if it takes one: with several groups it wants to know which."""
        self._deposed(leadership)


def _hook(handler: object, name: str) -> Callable[[Leadership], None]:
    hook = attribute_of(handler, name)
    if hook is None:
        return lambda leadership: None
    for arguments in ((None,), ()):
        try:
            inspect.signature(hook).bind(*arguments)
        except TypeError:
            continue
        return (lambda leadership: hook(leadership)) if arguments else (lambda leadership: hook())
    raise ConfigError(f"{type(handler).__name__}.{name} must take the leadership, or nothing")
