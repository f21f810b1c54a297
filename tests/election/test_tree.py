"""Names, paths and records in ZooKeeper."""

from __future__ import annotations

import pytest

from zkrpc.election.tree import (
    ElectionPaths,
    EpochRecord,
    StepDownRequest,
    candidate_id,
    candidate_id_of,
    heartbeat_path,
    instance_of,
    queue,
    sequence_of,
)
from zkrpc.endpoint import INCREDIBLE_EPOCH, MAX_EPOCH
from zkrpc.errors import ConfigError, RemoteProtocolError


def test_paths_are_where_the_documentation_says() -> None:
    """One subtree per group."""
    paths = ElectionPaths("ledger", "shard-3")
    root = "/services/ledger/election/shard-3"
    assert [paths.root, paths.candidates, paths.primary, paths.epoch, paths.history, paths.troubles] == [
        root,
        f"{root}/candidates",
        f"{root}/primary",
        f"{root}/epoch",
        f"{root}/history",
        f"{root}/troubles",
    ]
    assert paths.candidate_prefix("w1.u") == f"{root}/candidates/w1.u-"
    assert paths.candidate("w1.u-0000000001") == f"{root}/candidates/w1.u-0000000001"
    assert paths.trouble("w1") == f"{root}/troubles/w1"
    assert heartbeat_path("w1") == "/heartbeats/w1"


@pytest.mark.parametrize("group", ["", "a/b", ".."])
def test_group_must_be_a_name(group: str) -> None:
    """It becomes a node's name."""
    with pytest.raises(ConfigError):
        ElectionPaths("ledger", group)


def test_candidates_queue_by_sequence_and_foreign_names_are_left_out() -> None:
    """The prefix, which is random, has no say."""
    names = ["z.u1-0000000001", "a.u2-0000000002", "lock", "x-1", "a.u3-00000000x1"]
    assert queue(reversed(names)) == names[:2]
    assert sequence_of("a.u2-0000000002") == 2


def test_candidate_id_says_whose_it_is() -> None:
    """Also for worker ids with dots and dashes."""
    name = f"{candidate_id('host.a-1', 'u9')}-0000000007"
    assert candidate_id_of(name) == "host.a-1.u9" and instance_of(name) == "host.a-1"
    for unique in ("", "a.b"):
        with pytest.raises(ConfigError):
            candidate_id("w1", unique)


def test_epoch_comes_back_as_it_was() -> None:
    """An empty node too: it is what the first election finds."""
    epoch = EpochRecord(epoch=3, instance="w1", handed_over=True, heir="w2")
    assert EpochRecord.parse(epoch.dump()) == epoch
    assert EpochRecord.parse(b"") == EpochRecord()


@pytest.mark.parametrize(
    "value",
    [b"{", b"[]", b"\xff", b"[" * 9000, b" " * 20_000, b'{"epoch":true}', b'{"epoch":-1}', b'{"epoch":1e3}', b"{}"]
    + [b'{"epoch":%d}' % 2**63, b'{"epoch":1,"instance":3}'],
)
def test_epoch_that_cannot_be_read_is_an_error(value: bytes) -> None:
    """To guess would break the one thing it is for."""
    with pytest.raises(RemoteProtocolError):
        EpochRecord.parse(value)


def test_epoch_that_elections_can_have_reached_is_believed() -> None:
    """The last credible one too, and the empty node of a first election."""
    record = EpochRecord(epoch=INCREDIBLE_EPOCH - 1, instance="w1")
    assert EpochRecord.parse_credible(record.dump()) == record
    assert EpochRecord.parse_credible(b"") == EpochRecord()


@pytest.mark.parametrize("epoch", [INCREDIBLE_EPOCH, MAX_EPOCH])
def test_epoch_that_no_election_can_have_reached_is_read_but_not_believed(epoch: int) -> None:
    """Whoever shows it can show it; whoever would follow it must not."""
    value = EpochRecord(epoch=epoch).dump()
    assert EpochRecord.parse(value).epoch == epoch
    with pytest.raises(RemoteProtocolError, match=f"epoch {epoch} is higher"):
        EpochRecord.parse_credible(value)


def test_epoch_that_cannot_be_read_is_not_believed() -> None:
    """To be credible, it must be an epoch."""
    with pytest.raises(RemoteProtocolError, match="not JSON"):
        EpochRecord.parse_credible(b"{")


def test_step_down_request_is_read_as_it_was_written() -> None:
    """With an heir and without, beside what it is about."""
    for step_down in (StepDownRequest(epoch=3), StepDownRequest(epoch=2**62, heir="w2")):
        assert StepDownRequest.parse(step_down.dump()) == step_down
    assert StepDownRequest.parse(b'{"epoch": 4, "later": "words"}') == StepDownRequest(epoch=4)
    assert ElectionPaths("s", "g").step_down == "/services/s/election/g/step-down"


@pytest.mark.parametrize(
    "value",
    [b"", b"5", b"[]", b"{}", b'{"epoch": "5"}', b'{"epoch": true}', b'{"epoch": 5, "heir": 1}', b"\xff", b"[" * 4000],
)
def test_what_is_no_step_down_request_is_none(value: bytes) -> None:
    """Anybody may write there, and anything."""
    assert StepDownRequest.parse(value) is None
    assert StepDownRequest.parse(b'{"epoch": 5, "heir": "' + b"x" * 5000 + b'"}') is None
