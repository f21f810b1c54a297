"""The lease_keeper on a real server: leases come, and what keeps them from coming is noticed in time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator

import gevent
import pytest

from tests.live.conftest import LASTS, SessionOpener
from tests.support.waiting import eventually
from zkrpc.election.lease import Lease
from zkrpc.election.lease_keeper import LeaseKeeper
from zkrpc.testing.proxy import Proxy, ProxyMode
from zkrpc.zookeeper.closing import close_session
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper
NODE = "/heartbeats/w1"
Beat = Callable[..., tuple[LeaseKeeper, list[Lease]]]


@pytest.fixture
def beat() -> Iterator[Beat]:
    """Makes hearts that lead something, with the leases they earned."""
    hearts: list[LeaseKeeper] = []

    def start(session: Session) -> tuple[LeaseKeeper, list[Lease]]:
        leases: list[Lease] = []
        hearts.append(LeaseKeeper(session, "w1"))
        hearts[-1].start()
        hearts[-1].start()
        hearts[-1].lead("g", leases.append)
        return hearts[-1], leases

    yield start
    for lease_keeper in hearts:
        lease_keeper.close()


def test_heart_earns_leases_while_somebody_leads(session_opener: SessionOpener, beat: Beat) -> None:
    """Each is longer than the last, none longer than the rule; it rests when nobody leads any more."""
    session = session_opener()
    lease_keeper, leases = beat(session)
    eventually(lambda: len(leases) >= 4)
    ends = [lease.until for lease in leases]
    assert ends == sorted(ends) and ends[-1] <= time.monotonic() + 0.7 * LASTS
    assert lease_keeper.lease == leases[-1] and leases[-1].session_id == session.session_id
    assert leases[-1].left(time.monotonic()) > 0.3 * LASTS
    stat = session.znodes.exists(NODE)
    assert stat is not None and stat.owner == session.session_id and stat.size == 0
    lease_keeper.rest("g")
    before = len(leases)
    version = (session.znodes.exists(NODE) or stat).version
    gevent.sleep(0.4 * LASTS)
    after = session.znodes.exists(NODE)
    assert (
        len(leases) == before and after is not None and after.version <= version + 1 and "quiet" in repr(lease_keeper)
    )


def test_heart_brings_its_node_back(session_opener: SessionOpener, beat: Beat) -> None:
    """Somebody deleted it, and its parent with it."""
    session = session_opener()
    _, leases = beat(session)
    eventually(lambda: leases)
    session.znodes.delete(NODE)
    session.znodes.delete("/heartbeats")
    until = leases[-1].until
    eventually(lambda: leases[-1].until > until and session.znodes.exists(NODE))


def test_heart_beats_in_the_next_session(session_opener: SessionOpener, beat: Beat, zookeeper: str) -> None:
    """What the last one earned belongs to the last one."""
    session = session_opener()
    _, leases = beat(session)
    eventually(lambda: leases)
    first, password = session.session_id, session.password
    assert first is not None and password is not None and close_session(zookeeper, first, password, 60)
    eventually(lambda: leases[-1].session_id != first)
    assert leases[-1].session_id == session.session_id


def test_heart_gives_up_a_connection_that_commits_nothing(
    session_opener: SessionOpener, beat: Beat, network: Proxy, behind_network: str, caplog: pytest.LogCaptureFixture
) -> None:
    """After a quarter of the timeout; on the next connection the same session goes on, and so do the leases."""
    session = session_opener(behind_network)
    _, leases = beat(session)
    eventually(lambda: len(leases) >= 2)
    network.mode = ProxyMode.HOLE
    silent_at, connected_at = time.monotonic(), session.connected_at
    eventually(lambda: "no heartbeat for a quarter" in caplog.text)
    assert time.monotonic() - silent_at < LASTS
    network.mode = ProxyMode.FORWARD
    before = len(leases)
    eventually(lambda: len(leases) > before)
    assert session.connected_at != connected_at and len({lease.session_id for lease in leases}) == 1
