"""Campaigns on a real server: replicas in one process, each with a session of its own."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import gevent
import pytest
from gevent.event import Event

from tests.live.conftest import SessionOpener
from tests.support.standing import PATHS, SWIFT, TIMEOUT, Replica, settle
from tests.support.waiting import eventually
from zkrpc.config import ElectionConfig
from zkrpc.election.campaign import EXIT_DEPOSED
from zkrpc.election.history import TroubleRecord, read_history
from zkrpc.election.leadership import Leadership
from zkrpc.election.machine import ElectionState
from zkrpc.election.tree import StepDownRequest
from zkrpc.errors import CoordinationError, Executed, NodeExists, NodeMissing, NotPrimary, StaleEpoch
from zkrpc.testing.proxy import Proxy, ProxyMode
from zkrpc.zookeeper.closing import close_session
from zkrpc.zookeeper.session import Session

pytestmark = pytest.mark.zookeeper

Stand = Callable[..., Replica]


@pytest.fixture
def stand(zookeeper: str) -> Iterator[Stand]:
    """Has replicas stand for election, and ends them; they are in the queue then, unless nobody is to wait for that."""
    made: list[Replica] = []

    def make(name: str, hosts: str = zookeeper, *, wait: bool = True, **options: object) -> Replica:
        made.append(Replica(name, hosts, **options))  # type: ignore[arg-type]
        return made[-1].start(wait=wait)

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
    """One serves, in an epoch that begins at ZooKeeper's clock; the others say who, and its history has begun."""
    first, second, third = stand("w1"), stand("w2"), stand("w3")
    assert first.await_primary() == 1
    eventually(lambda: second.campaign.primary and third.campaign.primary)
    assert the_primary([first, second, third]) is first and first.told == ["elected 1"]
    assert abs(time.time() - first.epoch / 1000) < 60
    refusal = second.campaign.refusal()
    assert (str(refusal.primary), refusal.epoch, refusal.group) == ("10.0.0.1:1049", first.epoch, "main")
    assert refusal.executed is Executed.NO and "it is w1 at" in str(refusal)
    eventually(lambda: [term.instance for term in history(observer)] == ["w1"])
    assert first.campaign.leadership is first.leadership and second.campaign.leadership is None
    assert f"primary epoch={first.epoch}" in repr(first.campaign) and "beating groups=1" in repr(first.lease_keeper)


def history(observer: Session) -> list:  # type: ignore[type-arg]
    """The terms recorded so far."""
    found = observer.znodes.get(PATHS.history)
    return read_history(found[0] if found else b"")


def test_death_of_the_primary_makes_the_next_one_serve(stand: Stand, observer: Session) -> None:
    """The session is closed, as a supervisor does: the next in the queue serves within milliseconds."""
    first, second, third = stand("w1"), stand("w2"), stand("w3")
    first.await_primary()
    gaps = []
    for number, (old, new) in enumerate([(first, second), (second, third)], 2):
        died_at = time.monotonic()
        old.die()
        assert new.await_primary() == number
        gaps.append(new.served_since[number] - died_at)
        assert the_primary([first, second, third]) is new and not old.is_primary
        eventually(lambda: [(term.epoch, term.reason) for term in history(observer)][-1:] == [(new.epoch, "")])
    print(f"takeover {' and '.join(f'{1000 * gap:.1f}' for gap in gaps)} ms")
    assert min(gaps) < 1.0  # one of them may have met a machine with no time for us
    assert [term.reason for term in history(observer)] == ["ended without a word"] * 2 + [""]


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
    assert sorted(gaps)[len(gaps) // 2] < 0.5  # tens of milliseconds, and other tests run beside this one
    assert first.told[:3] == ["elected 1", "deposed 1", "elected 3"]
    eventually(lambda: [term.reason for term in history(observer)] == ["handed over"] * 10 + [""])
    assert [term.epoch for term in history(observer)] == first.terms.epochs and len(first.terms.epochs) == 11


def test_short_suspension_does_not_end_the_term(stand: Stand, network: Proxy, behind_network: str) -> None:
    """The connection is cut, and comes back: the lease rides it out, and it serves all the time."""
    first, second = stand("w1", behind_network), stand("w2")
    first.await_primary()
    for _ in range(3):
        network.cut()
        until = time.monotonic() + 0.4
        while time.monotonic() < until:
            assert first.is_primary and not second.is_primary
            gevent.sleep(0.01)
    assert first.told == ["elected 1"] and second.told == []


def test_black_hole_ends_the_old_term_before_the_new_one_begins(
    stand: Stand, network: Proxy, behind_network: str
) -> None:
    """Nothing passes and nobody is told: the lease ends, then the session, then another serves; never two at once."""
    first, second = stand("w1", behind_network), stand("w2")
    first.await_primary()
    first_leadership = first.leadership
    network.mode = ProxyMode.HOLE
    cut_at, ends_at = time.monotonic(), 0.0
    while not second.is_primary:
        assert time.monotonic() - cut_at < TIMEOUT + 30.0
        if first.is_primary and first.lease_keeper.lease is not None:
            ends_at = first.lease_keeper.lease.until
        assert not (first.is_primary and second.is_primary)
        gevent.sleep(0.005)
    assert 0 < ends_at - cut_at < TIMEOUT and ends_at < second.served_since[2] and not first.is_primary
    print(f"the lease ended after {ends_at - cut_at:.2f} s, another served after {time.monotonic() - cut_at:.2f} s")
    assert first.told == ["elected 1", "deposed 1"]
    assert first_leadership is not None and not first_leadership.is_valid
    with pytest.raises(NotPrimary):
        first_leadership.check()
    network.mode = ProxyMode.FORWARD
    eventually(lambda: first.campaign.state is ElectionState.WAITING)
    assert second.is_primary and second.told == ["elected 2"]


def test_unanswered_heartbeat_moves_the_session_to_another_connection(
    stand: Stand, network: Proxy, behind_network: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A server that takes requests and answers nothing is left after a quarter of the timeout, in the same term."""
    first = stand("w1", behind_network)
    first.await_primary()
    session_id = first.session.session_id
    network.mode = ProxyMode.DROP_REPLIES
    eventually(lambda: first.session.state.value == "suspended")
    assert "no heartbeat for a quarter" in caplog.text
    network.mode = ProxyMode.FORWARD
    eventually(lambda: first.session.state.value == "connected")
    assert first.is_primary and first.session.session_id == session_id and first.told == ["elected 1"]


def test_deleted_primary_node_ends_the_term(stand: Stand, observer: Session) -> None:
    """Somebody deletes our node by hand: we stop, and whoever comes next has a higher epoch."""
    first, second = stand("w1"), stand("w2")
    first.await_primary()
    observer.znodes.delete(PATHS.primary)
    eventually(lambda: "deposed 1" in first.told)
    eventually(lambda: first.is_primary or second.is_primary)
    eventually(lambda: (history(observer) or [None])[0].reason == "its node was removed")
    assert max(epoch for replica in (first, second) for epoch in replica.served_since) >= 2


def test_ended_session_ends_the_term_and_a_new_one_stands_again(
    stand: Stand, observer: Session, zookeeper: str
) -> None:
    """ZooKeeper ends the session while we are connected: another leads, and we are in the queue again by ourselves."""
    first, second = stand("w1"), stand("w2")
    first.await_primary()
    assert first.session.session_id and first.session.password
    assert close_session(zookeeper, first.session.session_id, first.session.password, 60)
    assert second.await_primary() == 2
    eventually(lambda: first.campaign.state is ElectionState.WAITING)
    assert first.told == ["elected 1", "deposed 1"] and not first.is_primary
    second.campaign.step_down()
    assert first.await_primary() == 3


def test_slow_on_elected_keeps_calls_waiting(stand: Stand) -> None:
    """A call that comes while state is loaded waits for it; the gate opens for it, or its time runs out first."""
    loaded = Event()
    first = stand("w1", on_elected=lambda leadership: loaded.wait(60), config=ElectionConfig(elected_timeout=60.0))
    eventually(lambda: first.campaign.state is ElectionState.SYNCHRONISING)
    gate = first.campaign.gate
    assert first.leadership is not None and first.leadership.is_valid
    assert gate.enter(time.monotonic() + 0.1) is None
    waiting = gevent.spawn(gate.enter, time.monotonic() + 60)
    gevent.sleep(0.1)
    assert not waiting.ready()
    loaded.set()
    epoch = waiting.get(timeout=60)
    assert epoch == first.epoch and "elected 1" in first.told and gate.leave(epoch)


@pytest.mark.parametrize("how", ["raises", "times out", "never returns"])
def test_failed_on_elected_leaves_it_to_another(how: str, stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    """Raising, a timeout of its own, or taking too long: the term is given up and the next in the queue serves."""

    def fail(leadership: object) -> None:
        if how == "raises":
            raise ValueError("no such table")
        if how == "times out":
            raise gevent.Timeout(1)
        gevent.sleep(60)

    quick = SWIFT.__class__(elected_timeout=0.5, deposed_timeout=0.8)
    first = stand("w1", on_elected=fail, config=quick)
    second = stand("w2")
    assert second.await_primary() >= 2
    assert first.told[:2] == ["elected 1", "deposed 1"] and first.served_since == {}
    assert (how == "never returns") != ("on_elected failed" in caplog.text)


def test_store_that_knows_a_later_epoch_is_believed(stand: Stand) -> None:
    """ZooKeeper's counter began anew, the store's did not: the next election goes above what the store has seen."""

    def claim(leadership: Leadership) -> None:
        store.append(leadership.epoch + 10**7)
        if leadership.epoch <= store[0]:
            raise StaleEpoch("the store", seen=store[0], current=leadership.epoch)

    store: list[int] = []
    first = stand("w1", on_elected=claim)
    assert first.await_primary() == 2 and first.told == ["elected 1", "deposed 1", "elected 2"]
    assert first.epoch == store[0] + 1


def test_slow_on_deposed_holds_the_successor_back(stand: Stand) -> None:
    """The primary's node is given up only when the application has stopped."""
    stopped: list[float] = []

    def stop(leadership: object) -> None:
        gevent.sleep(0.4)
        stopped.append(time.monotonic())

    patient = ElectionConfig(deposed_timeout=60.0)
    first, second = stand("w1", on_deposed=stop, config=patient), stand("w2")
    first.await_primary()
    first.campaign.step_down()
    second.await_primary()
    assert stopped and second.served_since[2] > stopped[0]


def test_on_deposed_that_does_not_return_ends_the_process(stand: Stand, caplog: pytest.LogCaptureFixture) -> None:
    """After its limit; our node is not given up meanwhile, so nobody leads before the end of the process is seen."""
    first, second = stand("w1", on_deposed=lambda leadership: gevent.sleep(60)), stand("w2")
    first.await_primary()
    first.campaign.step_down()
    eventually(lambda: first.exits, 30)
    assert first.exits == [EXIT_DEPOSED] and "did not return in time" in caplog.text
    settle(0.3)
    assert not second.is_primary
    first.die()
    assert second.await_primary() == 2


def test_running_calls_are_finished_before_a_hand_over(stand: Stand) -> None:
    """A call that runs is waited for and its outcome counts; further ones are refused with nowhere to go yet."""
    first, second = stand("w1", config=ElectionConfig(finish_timeout=60.0)), stand("w2")
    first.await_primary()
    epoch = first.campaign.gate.enter(0)
    assert epoch == first.epoch
    stepping = gevent.spawn(first.campaign.step_down)
    settle(0.1)
    assert first.campaign.gate.enter(time.monotonic() + 1) is None and first.campaign.refusal().primary is None
    assert not second.is_primary and first.campaign.gate.leave(epoch)
    stepping.join(60)
    assert second.await_primary() == 2


def test_call_that_outlives_a_hand_over_does_not_count(stand: Stand) -> None:
    """A hand-over waits for it for a while only; what it says afterwards is not certain any more."""
    first, second = stand("w1"), stand("w2")
    first.await_primary()
    epoch = first.campaign.gate.enter(0)
    assert epoch is not None
    first.campaign.step_down()
    assert second.await_primary() == 2
    assert not first.campaign.gate.leave(epoch)


def test_higher_epoch_seen_by_a_store_ends_the_term(stand: Stand) -> None:
    """Whoever is told that its time is over stops; no epoch up to the one seen is ever used again."""
    first = stand("w1")
    first.await_primary()
    epoch = first.epoch
    first.campaign.receive_epoch(epoch + 10**7)
    assert not first.is_primary and not first.campaign.holds(epoch)
    assert first.await_primary() == 2 and first.epoch == epoch + 10**7 + 1


def test_look_without_a_reason_changes_nothing(stand: Stand) -> None:
    """An untrusted hint costs a look and nothing else."""
    first = stand("w1")
    first.await_primary()
    for _ in range(20):
        first.campaign.look_again()
        gevent.sleep(0.005)
    settle()
    assert first.is_primary and first.told == ["elected 1"]


def test_withdrawal_leaves_nothing_behind(stand: Stand, observer: Session) -> None:
    """Of the primary as of the candidates; the next one leads at once, and the last one leaves an empty place."""
    first, second, third = stand("w1"), stand("w2"), stand("w3")
    first.await_primary()
    third.campaign.begin_withdrawal()
    assert third.campaign.wait_withdrawn(60)
    first.campaign.begin_withdrawal()
    assert first.campaign.wait_withdrawn(60) and second.await_primary() == 2
    second.campaign.begin_withdrawal()
    assert second.campaign.wait_withdrawn(60)
    assert observer.znodes.children(PATHS.candidates) == [] and observer.znodes.exists(PATHS.primary) is None
    assert first.told == ["elected 1", "deposed 1"] and third.told == []


# -- what people do to an election, and links that are too slow


def test_candidate_behind_a_slow_link_lets_another_lead(stand: Stand, network: Proxy, behind_network: str) -> None:
    """Its round trip is above a quarter of the timeout: it cannot keep a lease, so it goes to the queue's end."""
    first, slow, third = stand("w1"), stand("w2", behind_network), stand("w3")
    first.await_primary()
    settle()
    network.delay = 0.15 * TIMEOUT
    first.die()
    died_at = time.monotonic()
    third.await_primary()
    print(f"another served after {time.monotonic() - died_at:.2f} s")
    assert time.monotonic() - died_at < 20 * TIMEOUT and slow.served_since == {}
    settle(TIMEOUT)
    assert third.is_primary and slow.served_since == {}
    network.delay = 0.0
    eventually(lambda: slow.campaign.state is ElectionState.WAITING, 60)

    def is_handed_over() -> bool:
        """Asked for again where the machine was so busy that the third took it back: then its link was slow, too."""
        if third.is_primary:
            third.campaign.step_down()
        return slow.is_primary

    eventually(is_handed_over)


def test_claim_over_a_link_that_becomes_slow_is_given_up(stand: Stand, network: Proxy, behind_network: str) -> None:
    """It was committed, and no heartbeat is: within a timeout or two another one leads."""
    first, slow, third = stand("w1"), stand("w2", behind_network), stand("w3")
    first.await_primary()
    settle()
    first.die()
    give_up_at = time.monotonic() + 60
    while slow.campaign.state is ElectionState.WAITING and time.monotonic() < give_up_at:
        gevent.sleep(0)
    network.delay = 0.13 * TIMEOUT
    began = time.monotonic()
    third.await_primary(60)
    print(f"another served after {time.monotonic() - began:.2f} s")
    assert time.monotonic() - began < 20 * TIMEOUT


def test_touched_epoch_changes_nothing(stand: Stand, observer: Session) -> None:
    """Somebody writes its own value into the node: the term goes on, and so do the transactions that it guards."""
    first, second = stand("w1"), stand("w2")
    first.await_primary()
    assert first.leadership is not None
    for number in range(5):
        found = observer.znodes.get(PATHS.epoch)
        assert found is not None
        observer.znodes.set(PATHS.epoch, found[0])
        with first.leadership.transaction() as transaction:
            transaction.create(f"/{number}")
    settle()
    assert first.is_primary and second.told == [] and first.told == ["elected 1"]


@pytest.mark.parametrize("value", [b"", b"\xff", b'{"epoch": 9223372036854775807}', None])
def test_epoch_that_somebody_spoils_under_a_primary_is_put_right(
    value: bytes | None, stand: Stand, observer: Session
) -> None:
    """The term ends in order, since what guards its transactions is gone, and the next one is above it."""
    first, second = stand("w1"), stand("w2")
    first.await_primary()
    if value is None:
        observer.znodes.delete(PATHS.epoch)
    else:
        observer.znodes.set(PATHS.epoch, value)
    assert second.await_primary(60) == 2
    assert first.told[:2] == ["elected 1", "deposed 1"]
    eventually(lambda: history(observer)[0].reason == "the epoch's node was changed")
    with second.leadership.transaction() as transaction:  # type: ignore[union-attr]
        transaction.create("/written")


@pytest.mark.parametrize("value", [b"\xff", b'{"epoch": 9223372036854775807}'])
@pytest.mark.parametrize("remedy", ["put right", "deleted"])
def test_epoch_that_is_spoilt_while_nobody_leads_is_waited_for_and_not_feared_for_ever(
    value: bytes, remedy: str, stand: Stand, observer: Session, caplog: pytest.LogCaptureFixture
) -> None:
    """Said once, with the node's name; as soon as it is put right somebody leads."""
    first = stand("w1")
    first.await_primary()
    right = (observer.znodes.get(PATHS.epoch) or (b"",))[0]
    first.campaign.begin_withdrawal()
    assert first.campaign.wait_withdrawn(60)
    observer.znodes.set(PATHS.epoch, value)
    second = stand("w2", wait=False)
    eventually(lambda: "the election of ledger/main has to wait" in caplog.text, 60)
    settle(1.0)
    said = [record.getMessage() for record in caplog.records if "has to wait" in record.getMessage()]
    assert len(said) == 1 and PATHS.epoch in said[0] and not second.is_primary
    if remedy == "deleted":
        observer.znodes.delete(PATHS.epoch)
    else:
        observer.znodes.set(PATHS.epoch, right)
    assert second.await_primary(60) == 2


def delete_tree(session: Session, path: str) -> None:
    """All of it, whatever comes in between."""
    for name in session.znodes.children(path) or ():
        delete_tree(session, f"{path}/{name}")
    with contextlib.suppress(NodeMissing):
        session.znodes.delete(path)


@pytest.mark.parametrize("path", [PATHS.root, "/services/ledger", "/services"])
def test_deleted_election_goes_on_above_what_was(path: str, stand: Stand, observer: Session) -> None:
    """All its nodes, those of the living included: they make it anew, and remember."""
    first, second = stand("w1"), stand("w2")
    first.await_primary()
    late = first.leadership
    assert late is not None
    for number in range(2, 4):
        with contextlib.suppress(CoordinationError):
            delete_tree(observer, path)
        eventually(lambda: len(first.terms.epochs) >= number, 60)
        eventually(lambda: the_primary([first, second]), 60)
    with pytest.raises((NotPrimary, StaleEpoch)):
        late.transaction().commit()


def test_deleted_election_without_anybody_who_remembers_goes_on_above_what_was(stand: Stand, observer: Session) -> None:
    """Whoever comes after it enrols later, by ZooKeeper's clock, than any epoch was given out."""
    first = stand("w1")
    first.await_primary()
    for _ in range(3):
        first.campaign.step_down()
        eventually(lambda: first.is_primary)
    first.die()
    delete_tree(observer, PATHS.root)
    assert stand("w1").await_primary() == len(first.terms.epochs) > 4 - 1


def test_candidate_that_knows_of_a_higher_epoch_ends_a_lower_term(stand: Stand, observer: Session) -> None:
    """ZooKeeper came back with an older counter, and somebody was elected who cannot know: one who can says so."""
    first, second = stand("w1"), stand("w2")
    first.await_primary()
    second.campaign.receive_epoch(first.epoch + 10**7)
    second.campaign.look_again()
    eventually(lambda: "deposed 1" in first.told, 60)
    eventually(lambda: the_primary([first, second]), 60)
    assert first.terms.epochs[-1] > first.terms.epochs[0] + 10**7


def test_sick_instance_backs_off_and_says_why(stand: Stand, observer: Session) -> None:
    """Not about three times a second; and the reason is in ZooKeeper, for people, until it is well."""
    sick = [True]

    def fail(leadership: object) -> None:
        if sick:
            raise ValueError("no such table")

    first = stand("w1", on_elected=fail)
    eventually(lambda: len(first.told) >= 2)
    settle(2.5)
    assert len([one for one in first.told if one.startswith("elected")]) <= 4
    found = observer.znodes.get(PATHS.trouble("w1"))
    trouble = TroubleRecord.parse(found[0]) if found is not None else None
    assert trouble is not None and trouble.why == "on_elected failed: ValueError: no such table"
    sick.clear()
    first.await_primary(60)
    eventually(lambda: observer.znodes.exists(PATHS.trouble("w1")) is None)


# -- step-down requests


def test_step_down_request_makes_the_primary_hand_over_to_the_one_it_names(stand: Stand, observer: Session) -> None:
    """An operator's node is obeyed at once, and the heir goes before those who came earlier."""
    first, second, third = stand("w1"), stand("w2"), stand("w3")
    first.await_primary()
    settle()
    observer.znodes.create(PATHS.step_down, StepDownRequest(epoch=first.epoch, heir="w3").dump(), ephemeral=True)
    assert third.await_primary() == 2 and second.told == []


def test_step_down_request_against_another_epoch_or_without_sense_is_left_alone(
    stand: Stand, observer: Session
) -> None:
    """A late one cannot end a later term, and what is no request is no reason to stop."""
    first, second = stand("w1"), stand("w2")
    first.await_primary()
    observer.znodes.create(PATHS.step_down, StepDownRequest(epoch=7).dump(), ephemeral=True)
    for value in (b"", b"[]", b'{"epoch": "1"}', b'{"epoch": 1, "heir": 5}', b"x" * 5000):
        observer.znodes.set(PATHS.step_down, value)
        settle(0.03)
    assert first.is_primary and second.told == []
    observer.znodes.set(PATHS.step_down, StepDownRequest(epoch=first.epoch).dump())
    assert second.await_primary() == 2


def test_step_down_request_is_seen_after_a_reconnect(
    stand: Stand, observer: Session, network: Proxy, behind_network: str
) -> None:
    """The watch died with the connection; another one is set on the next."""
    first, second = stand("w1", behind_network), stand("w2")
    first.await_primary()
    settle()
    network.cut()
    eventually(lambda: first.session.state.value != "connected")
    observer.znodes.create(PATHS.step_down, StepDownRequest(epoch=first.epoch).dump(), ephemeral=True)
    assert second.await_primary() == 2


# -- leadership


def test_leadership_writes_only_while_its_epoch_is_the_newest(stand: Stand, observer: Session) -> None:
    """Writes and reads their results; once another has begun, nothing is written and it learns why."""
    first, second = stand("w1"), stand("w2")
    first.await_primary()
    leadership = first.leadership
    assert (
        leadership is not None and leadership.group == "main" and f"epoch={first.epoch} valid=True" in repr(leadership)
    )
    with leadership.transaction() as transaction:
        transaction.create("/state", b"1")
        transaction.create("/log")
    assert "operations=2" in repr(transaction)
    writes = leadership.transaction()
    assert writes.operations == []
    writes.check("/state", 0)
    writes.set("/state", b"2")
    writes.delete("/log")
    checked, stat, deleted = writes.commit()
    assert observer.znodes.get("/state") == (b"2", stat) and deleted is None
    with pytest.raises(NodeExists), leadership.transaction() as twice:
        twice.create("/state")
    with pytest.raises(KeyError), leadership.transaction() as broken:
        broken.set("/state", b"3")
        raise KeyError
    late = leadership.transaction()
    late.set("/state", b"late")
    first.campaign.step_down()
    second.await_primary()
    with pytest.raises(NotPrimary):
        late.commit()
    with pytest.raises(NotPrimary):
        leadership.transaction()
    assert (observer.znodes.get("/state") or (b"",))[0] == b"2"


def test_leadership_without_its_lease_check_is_stopped_by_the_epoch(
    stand: Stand, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a primary that was frozen after it looked at its lease would do: the transaction itself refuses."""
    first, second = stand("w1"), stand("w2")
    first.await_primary()
    leadership = first.leadership
    assert leadership is not None
    leadership.transaction().commit()
    guard = first.campaign.guard(leadership.epoch)
    monkeypatch.setattr(first.campaign, "holds", lambda epoch: True)
    monkeypatch.setattr(first.campaign, "guard", lambda epoch: guard)
    late = leadership.transaction()
    late.create("/state")
    first.campaign.step_down()
    eventually(lambda: first.campaign.state is ElectionState.WAITING)
    with pytest.raises((StaleEpoch, NotPrimary)):
        late.commit()
    second.await_primary()
    with pytest.raises(StaleEpoch) as refused:
        late.commit()
    assert (refused.value.seen, refused.value.current) == (second.epoch, first.epoch)
    assert second.session.znodes.exists("/state") is None
