"""Epochs as fencing tokens: numbers that only grow, checked where something is written.

An epoch is a plain ``int``, so that it fits a header, a column and a comparison: for a group's first primary the time
at which it enrolled, greater for every later one, 0 before there was any. This module knows no store and no ZooKeeper;
a store keeps a :class:`Fence` (or a column that does the same) beside what it protects and checks every write of a
primary in the same transaction.
"""

from __future__ import annotations

from typing import TypeAlias

from zkrpc.endpoint import NO_EPOCH
from zkrpc.errors import StaleEpoch

Epoch: TypeAlias = int


class Fence:
    """The highest epoch seen at one place. It only rises: that is all there is to fencing."""

    __slots__ = ("epoch",)

    def __init__(self, epoch: Epoch = NO_EPOCH) -> None:
        """``epoch`` is what was kept from an earlier life, if there was one."""
        self.epoch = epoch

    def __repr__(self) -> str:
        """The height."""
        return f"<Fence {self.epoch}>"

    def allows(self, epoch: Epoch) -> bool:
        """True if nothing of a later epoch has been seen here."""
        return epoch >= self.epoch

    def check(self, epoch: Epoch) -> None:
        """Raises StaleEpoch for an epoch lower than one seen before; rises to a higher one."""
        if epoch < self.epoch:
            raise StaleEpoch(f"epoch {epoch} is over, {self.epoch} has begun", seen=self.epoch, current=epoch)
        self.epoch = epoch
