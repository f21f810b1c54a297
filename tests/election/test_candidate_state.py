"""What a candidate knows from one conversation to the next."""

from __future__ import annotations

import pytest

from zkrpc.election.candidate_state import CandidateState
from zkrpc.election.effects import Node
from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.endpoint import INCREDIBLE_EPOCH, Endpoint
from zkrpc.errors import RemoteProtocolError

PATHS = ElectionPaths("ledger")


def candidacy(**known: int) -> CandidateState:
    """Ours, in session 7."""
    return CandidateState(
        paths=PATHS, candidate_id="w1.u", instance="w1", endpoint=Endpoint("h", 1), session_id=7, **known
    )


def test_ballot_asks_for_more_than_anybody_has_seen() -> None:
    """Whatever ZooKeeper says now; an epoch that cannot be one is not taken for one."""
    ours = candidacy()
    for seen in (9, 4, INCREDIBLE_EPOCH, 2**63 - 1):
        ours.note(seen)
    assert ours.highest == 9 and ours.next_epoch() == 10


@pytest.mark.parametrize("enrolled_at", [0, 5, 1_700_000_000_000, INCREDIBLE_EPOCH, 2**63])
def test_ballot_asks_for_an_epoch_that_fits_whatever_zookeepers_clock_says(enrolled_at: int) -> None:
    """At least 1, and far from the end."""
    asked = candidacy(enrolled_at=enrolled_at).next_epoch()
    assert 1 <= asked <= INCREDIBLE_EPOCH
    assert asked == (enrolled_at + 1 if enrolled_at < INCREDIBLE_EPOCH else 1)


def test_ballot_reads_the_epochs_node_or_says_what_is_wrong_with_it() -> None:
    """What it reads it remembers; what is not there is no reason for words."""
    ours = candidacy()
    assert ours.read(None) is None and ours.read(Node(owner=0, value=b"?")) is None
    assert ours.read(Node(owner=0, value=EpochRecord(epoch=4).dump())) == EpochRecord(epoch=4) and ours.highest == 4
    with pytest.raises(RemoteProtocolError, match="election/main/epoch: an election record is not JSON"):
        ours.read_or_refuse(Node(owner=0, value=b"?"))
