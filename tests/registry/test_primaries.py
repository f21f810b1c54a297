"""What a primary's node says, and who is told, as far as that needs no ZooKeeper; see tests/live for the rest."""

from __future__ import annotations

import pytest

from zkrpc.endpoint import Endpoint, Primary
from zkrpc.errors import ConfigError, RemoteProtocolError
from zkrpc.registry.primaries import PrimaryReader, PrimaryWatches
from zkrpc.zookeeper.session import Session


def record(epoch: int) -> bytes:
    """What an election writes."""
    return f'{{"epoch": {epoch}, "endpoint": "h:1"}}'.encode()


def test_reader_takes_epochs_that_do_not_fall(caplog: pytest.LogCaptureFixture) -> None:
    """A lower one is an old answer; nobody, and what cannot be read, change nothing of that."""
    reader = PrimaryReader("/p", max_record=100)
    assert reader.read(None) is None
    assert reader.read(record(5)) == Primary(endpoint=Endpoint("h", 1), epoch=5)
    assert reader.read(b"?") is None and "/p cannot be read" in caplog.text
    assert reader.read(b" " * 101) is None and reader.read(None) is None
    with pytest.raises(RemoteProtocolError, match=r"it says h:1 \(epoch 4\) after an epoch of 5"):
        reader.read(record(4))
    assert reader.read(record(5)) is not None


def test_reader_is_not_deaf_for_good_after_an_epoch_that_none_could_follow(caplog: pytest.LogCaptureFixture) -> None:
    """Somebody wrote 2^63-1 by mistake: it is no epoch, so what is put in its place counts."""
    reader = PrimaryReader("/p", max_record=100)
    assert reader.read(record(2**63 - 1)) is None and "/p cannot be read" in caplog.text
    assert reader.read(record(5)) == Primary(endpoint=Endpoint("h", 1), epoch=5)


def test_reader_begins_again_with_another_zookeeper() -> None:
    """One that lost its data elects from the start, if nobody remembers."""
    histories = [0]
    reader = PrimaryReader("/p", max_record=100, histories=lambda: histories[0])
    reader.read(record(5))
    histories[0] = 1
    assert reader.read(record(1)) == Primary(endpoint=Endpoint("h", 1), epoch=1)


def test_watches_begin_with_the_first_and_end_with_the_last() -> None:
    """One for each group, and none after the close; a session that was never started tells nobody anything."""
    told: list[Primary | None] = []
    watches = PrimaryWatches(Session("127.0.0.1:1"), "users", rng=lambda: 0.5)
    ends = [watches.follow(group, told.append) for group in ("a", "a", "b")]
    assert repr(watches) == "<PrimaryWatches users a=nobody, b=nobody>"
    for end in ends[:2] * 2:
        end()
    assert repr(watches) == "<PrimaryWatches users b=nobody>"
    watches.follow("a", told.append)
    ends[0]()
    assert repr(watches) == "<PrimaryWatches users b=nobody, a=nobody>"
    with pytest.raises(ConfigError, match="group name"):
        watches.follow("no/name", told.append)
    watches.close()
    watches.follow("a", told.append)()
    assert repr(watches) == "<PrimaryWatches users >" and not told
