"""Campaigns on a real server: replicas in one process, each with a session of its own."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import gevent
import pytest

from tests.zookeeper.conftest import SessionOpener
from tests.zookeeper.standing import PATHS, SWIFT, TIMEOUT, Replica, settle
from tests.zookeeper.waiting import eventually
from zkrpc.election.campaign import EXIT_DEPOSED
from zkrpc.election.history import read_history
from zkrpc.election.machine import ElectionState
from zkrpc.election.petition import Petition, petition_path
from zkrpc.errors import Executed, NodeExists, NotPrimary, StaleEpoch
from zkrpc.registry.closing import close_session
from zkrpc.registry.session import Session
from zkrpc.testing.proxy import Proxy, ProxyMode

pytestmark = pytest.mark.zookeeper

Stand = Callable[..., Replica]


@pytest.fixture
def stand(zookeeper: str) -> Iterator[Stand]:
    """Has replicas stand for election, and ends them."""
    made: list[Replica] = []

    def make(name: str, hosts: str = zookeeper, **options: object) -> Replica:
        made.append(Replica(name, hosts, **options))  # type: ignore[arg-type]
        return made[-1].start()

    yield make
    for replica in made:
        replica.die()


@pytest.fixture
def observer(session_opener: SessionOpener) -> Session:
    """A session of somebody else's, to look and to meddle with."""
    return session_opener()


def the_primary(replicas: list[Replica]) -> Replica | None:
    """The one that serves; an error if there are two."""
    serving = [replica for replica in replicas if replica.is_primary]
    assert len(serving) < 2
    return serving[0] if serving else None


def test_campaign_elects_the_first_and_the_others_know_it(stand: Stand, observer: Session) -> None:
    """One serves, with the epoch 1; the others say who, and its history has begun."""
    first, second, third = stand("w1"), stand("w2"), stand("w3")
    assert first.await_primary() == 1
    eventually(lambda: second.campaign.primary and third.campaign.primary)
    assert the_primary([first, second, third]) is first and first.told == ["elected 1"]
    refusal = second.campaign.refusal()
    assert (str(refusal.primary), refusal.epoch, refusal.group) == ("10.0.0.1:1049", 1, "main")
    assert refusal.executed is Executed.NO and "it is w1 at" in str(refusal)
    eventually(lambda: [term.instance for term in history(observer)] == ["w1"])
    assert first.campaign.leadership is first.leadership and second.campaign.leadership is None
    assert "primary epoch=1" in repr(first.campaign) and "beating groups=1" in repr(first.heart)


def history(observer: Session) -> list:  # type: ignore[type-arg]
    """The terms recorded so far."""
    found = observer.get(PATHS.history)
    return read_history(found[0] if found else b"")


def test_death_of_the_primary_makes_the_next_one_serve(stand: Stand, observer: Session) -> None:
    """The session is closed, as a supervisor does: the next in the queue serves within milliseconds."""
    first, second, third = stand("w1"), stand("w2"), stand("w3")
    first.await_primary()
    died_at = time.monotonic()
    first.die()
    assert second.await_primary() == 2
    print(f"takeover {1000 * (second.served_since[2] - died_at):.1f} ms")
    assert second.served_since[2] - died_at < 1.0
    assert the_primary([first, second, third]) is second and not first.is_primary
    eventually(lambda: [(term.epoch, term.reason) for term in history(observer)][-1:] == [(2, "")])
    assert history(observer)[0].reason == "ended without a word"


def test_hand_over_takes_no_timeout(stand: Stand, observer: Session) -> None:
    """The next one serves within milliseconds of the stop; the old one waits at the queue's end, and gets it back."""
    gaps = []
    first, second = stand("w1"), stand("w2")
    holders = [first, second]
    first.await_primary()
    for epoch in range(2, 12):
        old, new = holders
        stopped_at = time.monotonic()
        old.campaign.step_down()
        assert new.await_primary() == epoch
        gaps.append(new.served_since[epoch] - stopped_at)
        eventually(lambda: old.campaign.state is ElectionState.WAITING)
        holders = [new, old]
    print(f"hand-over {1000 * sorted(gaps)[len(gaps) // 2]:.1f} ms median, {1000 * max(gaps):.1f} ms worst")
    assert sorted(gaps)[len(gaps) // 2] < 0.1
    assert first.told[:3] == ["elected 1", "deposed 1", "elected 3"]
    gevent.sleep(2); print(*history(observer), sep="\n")
    eventually(lambda: [term.reason for term in history(observer)] == ["handed over"] * 10 + [""])
