"""What a candidate knows of itself and of epochs, from one conversation with ZooKeeper to the next.

It decides which node is ours and which epoch comes next; it asks nothing, and knows no time but ZooKeeper's.
"""

from __future__ import annotations

import dataclasses

from zkrpc.election.effects import Node
from zkrpc.election.fencing import Epoch
from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.endpoint import INCREDIBLE_EPOCH, NO_EPOCH, Endpoint
from zkrpc.errors import RemoteProtocolError
from zkrpc.registry.formats import PrimaryRecord

_CLOCKED_EPOCH = 10**12
"""An election that has come this far counts from the clock; one below it began when they counted from 1, and does so
still."""
_REMEDY = "nobody can be elected until somebody deletes that node or puts it right"


@dataclasses.dataclass(slots=True, kw_only=True)
class CandidateState:
    """What a candidate knows of itself, from one conversation to the next."""

    paths: ElectionPaths
    candidate_id: str
    """Unique to this process and group, so that a candidate whose create had no answer is found again."""
    instance: str
    endpoint: Endpoint
    session_id: int = 0
    candidate: str | None = None
    """The path of our candidate in this session, as far as we know."""
    pending: Epoch | None = None
    """The epoch last asked for and not given up since: the only one that a read may show to be ours."""
    enrolled_at: int = 0
    """Milliseconds since 1970, by ZooKeeper's clock, at which that candidate was made."""
    epoch_version: int | None = None
    """The epoch node's version as our successful claim left it, or as we found it since, with our epoch in it."""
    highest: Epoch = NO_EPOCH
    """No epoch at or below this is asked for: somebody has seen it, even if ZooKeeper has lost it."""
    patient: bool = True
    """Whether to let a named heir go first; False once it has had its time."""
    polite: bool = True
    """Whether to let those before us in the queue go first; False once they have had their time."""
    slow: bool = False
    """Whether the last answer took longer than a heartbeat may: who cannot keep a lease must not claim."""

    def is_ours(self, node: Node | None) -> bool:
        """True if the node lives with our session."""
        return node is not None and node.owner == self.session_id != 0

    def primary_record(self, epoch: Epoch) -> PrimaryRecord:
        """What we write into the primary's node."""
        return PrimaryRecord(epoch=epoch, instance=self.instance, endpoint=self.endpoint)

    def note(self, epoch: Epoch) -> None:
        """Remembers an epoch that somebody has seen, if it can be one."""
        if epoch < INCREDIBLE_EPOCH:
            self.highest = max(self.highest, epoch)

    def next_epoch(self) -> Epoch:
        """What to ask for: more than anybody is known to have seen, and than the time at which our candidate was made.

        The time is for those that nobody alive, no store and no node can tell of any more. Every way to lose an epoch,
        from a deleted node to a ZooKeeper that came back empty, loses the candidates too, so ours is younger than it.
        """
        counts_from_clock = self.highest == NO_EPOCH or self.highest >= _CLOCKED_EPOCH
        floor = self.enrolled_at if counts_from_clock and self.enrolled_at < INCREDIBLE_EPOCH else NO_EPOCH
        return max(self.highest, floor) + 1

    def read_or_refuse(self, node: Node) -> EpochRecord:
        """What the epoch's node says; it is remembered. Raises RemoteProtocolError, for people to read, if that is
        nothing from which an election could go on."""
        try:
            record = EpochRecord.parse_credible(node.value)
        except RemoteProtocolError as error:
            raise RemoteProtocolError(f"{self.paths.epoch}: {error}; {_REMEDY}") from error
        self.note(record.epoch)
        return record

    def read(self, node: Node | None) -> EpochRecord | None:
        """What the epoch's node says, remembered; None if it is not there, or not fit to be read."""
        try:
            return None if node is None else self.read_or_refuse(node)
        except RemoteProtocolError:
            return None
