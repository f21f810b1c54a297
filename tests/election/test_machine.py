"""The election machine: transcripts of what it orders, and when. ZooKeeper's part is told in a few words."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from zkrpc.election.candidate_state import Participant
from zkrpc.election.effects import (
    ClaimEpoch,
    CreateCandidate,
    DeleteCandidate,
    Depose,
    Effect,
    Elect,
    ElectionAnswer,
    ExitProcess,
    InspectCandidate,
    ListCandidates,
    Node,
    ReadEpoch,
    ReadPrimary,
    Reason,
    RecordHistory,
    RecordTrouble,
    ReleaseEpoch,
    ReportCandidacyEnded,
    ReportPrimary,
    RequestFailure,
    Serve,
    StartHeartbeats,
    StopHeartbeats,
    Together,
    WatchPredecessor,
)
from zkrpc.election.lease import Lease
from zkrpc.election.machine import ElectionMachine, ElectionState
from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.endpoint import Endpoint
from zkrpc.errors import LocalProtocolError
from zkrpc.registry.formats import PrimaryRecord

PATHS = ElectionPaths("ledger")
OURS, OTHER = "w1.u-0000000005", "w0.u-0000000003"
RECORD = PrimaryRecord(epoch=3, instance="w1", endpoint=Endpoint("h", 1))
THEIRS = PrimaryRecord(epoch=2, instance="w0", endpoint=Endpoint("h", 2))


class Table:
    """A machine, and a ZooKeeper that says what it is told to say."""

    def __init__(self) -> None:
        self.machine = ElectionMachine(
            Participant(paths=PATHS, instance="w1", endpoint=Endpoint("h", 1), unique="u"),
            elected_timeout=20.0,
            deposed_timeout=2.0,
            audit_interval=30.0,
            rng=lambda: 0.5,
        )
        self.now = 0.0
        self.session = 7
        self.names: tuple[str, ...] = (OURS,)
        self.owner = 7
        self.primary: Node | None = None
        self.epoch = 2
        self.newest = "w0"
        self.counter: Node | None = None
        self.troubles: list[bytes | None] = []
        self.history: list[tuple[int, str]] = []
        self.asked: list[Effect] = []

    def orders(self, *, answering: bool = True) -> list[Effect]:
        """Answers requests until there are none; the orders in between."""
        found: list[Effect] = []
        while effects := self.machine.effects():
            for effect in effects:
                if isinstance(effect, REQUESTS):
                    self.asked.append(effect)
                    if answering:
                        self.machine.receive_answer(self.answer(effect), self.now)
                else:
                    found.append(effect)
        return found

    def answer(self, request: Effect) -> ElectionAnswer | RequestFailure:
        """What ZooKeeper says."""
        match request:
            case Together(reads=reads):
                return tuple(self.answer(read) for read in reads)
            case ListCandidates():
                return self.names
            case InspectCandidate() | WatchPredecessor():
                return Node(owner=self.owner)
            case ReadPrimary():
                return self.primary
            case ReadEpoch():
                return self.counter or Node(owner=0, value=EpochRecord(epoch=self.epoch, instance=self.newest).dump())
            case ClaimEpoch(primary_value=value, epoch_value=counter):
                self.primary = Node(owner=self.session, value=value)
                self.epoch, self.newest, self.counter = EpochRecord.parse(counter).epoch, "w1", None
            case ReleaseEpoch():
                self.primary = None
                self.names = ()
            case DeleteCandidate(path=path):
                self.names = tuple(name for name in self.names if not path.endswith(name))
            case RecordTrouble(value=value):
                self.troubles.append(value)
            case CreateCandidate():
                self.names = (OURS,)
            case RecordHistory(record=record, reason=reason):
                self.history.append((record.epoch, reason.value if reason else "began"))
        return None

    def commit_claim(self) -> None:
        """The claim of epoch 3, whose answer is lost, was committed."""
        self.primary, self.epoch, self.newest = Node(owner=7, value=RECORD.dump()), 3, "w1"

    def connect(self, session: int = 7) -> None:
        """Connected, in this session."""
        self.session = self.owner = session
        self.machine.receive_connected(session, self.now)

    def renew(self, until: float = 100.0) -> None:
        """A heartbeat was committed."""
        self.machine.receive_lease(Lease(session_id=self.session, until=until), self.now)


REQUESTS = (
    Together,
    ListCandidates,
    InspectCandidate,
    WatchPredecessor,
    ReadPrimary,
    ReadEpoch,
    ClaimEpoch,
    ReleaseEpoch,
    CreateCandidate,
    DeleteCandidate,
    RecordHistory,
    RecordTrouble,
)


def confirming() -> Table:
    """Won, without a lease yet."""
    table = Table()
    table.machine.campaign(0.0)
    table.connect()
    assert table.orders() == [StartHeartbeats()]
    assert table.machine.state is ElectionState.CONFIRMING
    return table


def synchronising() -> Table:
    """With a lease, ``on_elected`` running."""
    table = confirming()
    table.renew()
    assert table.orders() == [Elect(3)]
    return table


def leading() -> Table:
    """A primary of epoch 3, with a lease until 100."""
    table = synchronising()
    table.machine.receive_synchronised(3, 0.0)
    assert table.orders() == [Serve(3), ReportPrimary(RECORD)]
    table.asked.clear()
    return table


def waiting() -> Table:
    """In the queue behind another, who leads."""
    table = Table()
    table.names = (OTHER, OURS)
    table.primary = Node(owner=3, value=THEIRS.dump())
    table.machine.campaign(0.0)
    table.connect()
    assert table.orders() == [ReportPrimary(THEIRS)]
    assert table.machine.state is ElectionState.WAITING
    table.asked.clear()
    return table


def test_election_serves_only_after_lease_and_synchronisation() -> None:
    """Claim, lease, on_elected, serve: in this order, and the gate is shut before the last."""
    table = confirming()
    assert table.machine.held_epoch(0.0) is None
    table.renew()
    assert table.machine.held_epoch(0.0) == 3 and table.machine.serving_epoch(0.0) is None
    assert table.orders() == [Elect(3)]
    table.machine.receive_synchronised(2, 0.0)
    assert table.machine.state is ElectionState.SYNCHRONISING
    table.machine.receive_synchronised(3, 0.0)
    assert table.orders() == [Serve(3), ReportPrimary(RECORD)]
    assert table.machine.serving_epoch(99.9) == 3 and table.machine.serving_epoch(100.0) is None
    assert table.history == [(3, "began")]
    assert "primary epoch=3" in repr(table.machine)


def test_claim_that_vanished_ends_the_term_that_it_began() -> None:
    """The transaction's answer is believed; the look that follows, and sets the watches, finds the node gone."""
    table = waiting()
    table.names, table.primary = (OURS,), None
    table.machine.receive_change(1.0)
    answer_until_claim(table)
    table.asked.clear()
    table.machine.receive_answer(None, 1.0)
    table.renew()
    assert table.orders() == [ReportPrimary(None), Elect(3), Depose(3, Reason.NODE_REMOVED)]
    assert [type(effect) for effect in table.asked] == [Together]
    assert table.machine.serving_epoch(1.0) is None


def test_election_needs_no_wait_when_the_process_has_a_lease_already() -> None:
    """Another group earned it: the first lease of this one is there."""
    table = Table()
    table.machine.campaign(0.0)
    table.connect()
    table.renew()
    assert table.orders() == [StartHeartbeats(), Elect(3)]


def test_election_without_a_wish_asks_nothing() -> None:
    """A connection alone is no elections; wishing twice is one wish."""
    table = Table()
    table.connect()
    table.machine.step_down(0.0)
    table.machine.receive_change(0.0)
    assert table.orders() == [] and table.asked == [] and table.machine.next_timer() is None
    table.machine.campaign(0.0)
    table.machine.campaign(0.0)
    assert Elect(3) not in table.orders() and table.machine.state is ElectionState.CONFIRMING


def test_candidate_looks_again_when_a_watch_fires_and_once_in_a_while() -> None:
    """The primary goes: our turn."""
    table = waiting()
    assert table.machine.next_timer() == 30.0
    table.machine.handle_timer(29.0)
    assert table.orders() == [] and table.asked == []
    table.now = 30.0
    table.machine.handle_timer(30.0)
    assert table.orders() == [] and [type(effect) for effect in table.asked] == [Together, WatchPredecessor]
    table.names, table.primary = (OURS,), None
    table.machine.receive_change(31.0)
    assert table.orders() == [StartHeartbeats(), ReportPrimary(None)]
    assert table.machine.state is ElectionState.CONFIRMING


def test_candidate_that_found_things_changing_looks_again_at_once() -> None:
    """The one before it went between two looks: no watch is left that would tell."""
    table = waiting()
    table.machine.receive_change(1.0)
    (glance,) = table.machine.effects()
    table.machine.receive_answer(table.answer(glance), 1.0)
    assert table.machine.effects() == [WatchPredecessor(PATHS.candidate(OTHER))]
    table.names, table.primary = (OURS,), None
    table.machine.receive_answer(None, 1.0)
    assert StartHeartbeats() in table.orders() and table.machine.state is ElectionState.CONFIRMING


def test_candidate_that_lost_a_claim_stops_its_heartbeats() -> None:
    """Somebody was faster."""
    table = waiting()
    table.names, table.primary = (OURS,), None
    table.machine.receive_change(1.0)
    answer_until_claim(table)
    assert table.machine.state is ElectionState.CLAIMING
    table.primary = Node(owner=3, value=THEIRS.dump())
    table.machine.receive_answer(RequestFailure.EXISTS, 1.0)
    assert table.orders() == [StopHeartbeats()] and table.machine.state is ElectionState.WAITING


def answer_until_claim(table: Table) -> None:
    """Answers requests until the claim is out."""
    for _ in range(20):
        for effect in table.machine.effects():
            if isinstance(effect, ClaimEpoch):
                return
            if isinstance(effect, REQUESTS):
                table.machine.receive_answer(table.answer(effect), table.now)
    raise AssertionError("no claim")


def test_claim_without_an_answer_is_adopted_after_the_reconnect() -> None:
    """Same session, the node is ours, the epoch is the pending one: one epoch was taken, not two."""
    table = Table()
    table.machine.campaign(0.0)
    table.connect()
    answer_until_claim(table)
    table.machine.receive_disconnected(1.0)
    table.machine.receive_answer(RequestFailure.UNKNOWN, 1.0)
    table.commit_claim()
    table.connect()
    table.renew()
    assert table.orders() == [Elect(3)]


def test_claim_is_adopted_also_if_its_session_was_taken_for_lost() -> None:
    """The node lives with our session, whatever we thought of it in the meantime."""
    table = Table()
    table.machine.campaign(0.0)
    table.connect()
    answer_until_claim(table)
    table.machine.receive_disconnected(1.0, lost=True)
    assert table.machine.state is ElectionState.ENROLLING
    table.machine.receive_answer(RequestFailure.UNKNOWN, 1.0)
    table.commit_claim()
    table.connect()
    table.renew()
    assert Elect(3) in table.orders()


def test_claim_that_appears_late_starts_the_heartbeats_again() -> None:
    """The candidate had gone back to waiting; adopting the epoch needs a lease like any other election."""
    table = waiting()
    table.names, table.primary = (OURS,), None
    table.machine.receive_change(1.0)
    answer_until_claim(table)
    table.primary = Node(owner=3, value=THEIRS.dump())
    table.machine.receive_answer(RequestFailure.CONFLICT, 1.0)
    assert StopHeartbeats() in table.orders() and table.machine.state is ElectionState.WAITING
    table.commit_claim()
    table.machine.receive_change(2.0)
    assert StartHeartbeats() in table.orders() and table.machine.state is ElectionState.CONFIRMING


def test_lease_that_ends_deposes_and_then_resigns() -> None:
    """The gate is shut by the clock, on_deposed runs, and only then the nodes go."""
    table = leading()
    assert table.machine.next_timer() == pytest.approx(30.0)
    table.machine.handle_timer(99.9)
    table.orders()
    assert table.machine.next_timer() == 100.0
    table.now = 100.0
    table.asked.clear()
    table.machine.handle_timer(100.0)
    assert table.orders() == [Depose(3, Reason.LEASE_ENDED), ReportPrimary(None)]
    assert not any(isinstance(effect, ReleaseEpoch) for effect in table.asked)
    table.machine.receive_deposed(2, 100.1)
    assert table.machine.state is ElectionState.DEPOSING
    table.machine.receive_deposed(3, 100.1)
    table.names = (OTHER, OURS)
    assert table.orders()[0] == StopHeartbeats()
    assert any(isinstance(effect, ReleaseEpoch) for effect in table.asked)
    assert table.history == [(3, "began"), (3, "lease ended")]


@pytest.mark.parametrize(("granted", "patience"), [(10.0, 2.0), (4.0, 0.8), (40.0, 8.0)])
def test_on_deposed_has_a_share_of_the_timeout_that_was_granted(granted: float, patience: float) -> None:
    """Whatever was asked for: with the lease it must be over before ZooKeeper can let another lead."""
    table = leading()
    table.machine._deposed_timeout = None
    table.machine.receive_connected(7, 50.0, timeout=granted)
    table.now = 100.0
    table.machine.handle_timer(100.0)
    table.orders()
    assert table.machine.state is ElectionState.DEPOSING
    table.machine.handle_timer(100.0 + patience - 0.1)
    assert table.machine.state is ElectionState.DEPOSING
    table.machine.handle_timer(100.0 + patience)
    assert any(isinstance(effect, ExitProcess) for effect in table.orders())


def test_lease_that_is_renewed_late_goes_on() -> None:
    """The timer and the answer were both late; the write proves that the session lived, so nobody else led."""
    table = leading()
    table.renew(130.0)
    table.machine.handle_timer(101.0)
    assert table.machine.serving_epoch(101.0) == 3


def test_suspension_alone_changes_nothing() -> None:
    """Requests wait, the lease runs on; afterwards both nodes are looked at because the watches are gone."""
    table = leading()
    table.machine.receive_disconnected(10.0)
    table.machine.receive_change(10.0)
    assert table.orders() == [] and table.asked == [] and table.machine.serving_epoch(10.0) == 3
    table.connect()
    assert table.orders() == []
    assert [type(effect) for effect in table.asked] == [Together]


@pytest.mark.parametrize("lost", [True, False])
def test_another_session_deposes_at_once_and_enrols_afresh(lost: bool) -> None:
    """Whether ZooKeeper said so or the next connect showed it."""
    table = leading()
    table.machine.receive_disconnected(10.0, lost=lost)
    table.primary, table.names = None, ()
    if not lost:
        table.connect(8)
    assert table.orders() == [Depose(3, Reason.SESSION_ENDED), ReportPrimary(None)]
    assert table.machine.serving_epoch(10.0) is None
    table.machine.receive_deposed(3, 10.1)
    assert StopHeartbeats() in table.machine.effects() and table.machine.state is ElectionState.ENROLLING
    if lost:
        table.connect(8)
    table.orders()
    assert not any(isinstance(effect, ReleaseEpoch) for effect in table.asked)


def test_another_session_while_waiting_or_resigning_begins_again() -> None:
    """What the old one owned is not ours to delete."""
    table = waiting()
    table.machine.receive_disconnected(1.0, lost=True)
    assert table.machine.state is ElectionState.ENROLLING
    table.connect(8)
    table.orders()
    table.machine.withdraw(2.0)
    assert table.machine.state is ElectionState.RESIGNING
    table.machine.receive_disconnected(3.0, lost=True)
    assert table.orders(answering=False)[-1] == ReportCandidacyEnded() and table.machine.state is ElectionState.IDLE


def test_node_removed_by_somebody_deposes() -> None:
    """The watch fires, the look finds another owner or nothing."""
    table = leading()
    table.primary = None
    table.machine.receive_change(5.0)
    assert table.orders() == [Depose(3, Reason.NODE_REMOVED), ReportPrimary(None)]


def test_higher_epoch_deposes_and_is_never_asked_for_again() -> None:
    """A store has seen 9: ours is over, and the next is above it."""
    table = leading()
    table.machine.receive_epoch(3, 5.0)
    assert table.orders() == []
    table.machine.receive_epoch(9, 5.0)
    assert table.orders() == [Depose(3, Reason.SUPERSEDED), ReportPrimary(None)]
    table.machine.receive_deposed(3, 5.1)
    table.orders()
    claims = [effect for effect in table.asked if isinstance(effect, ClaimEpoch)]
    assert EpochRecord.parse(claims[0].epoch_value).epoch == 10


def test_hand_over_leaves_a_tombstone_and_enrols_again() -> None:
    """With the heir's name in it."""
    table = leading()
    table.machine.step_down(5.0, heir="w2")
    assert table.orders() == [Depose(3, Reason.HANDED_OVER), ReportPrimary(None)]
    table.machine.receive_deposed(3, 5.1)
    table.orders()
    (release,) = [effect for effect in table.asked if isinstance(effect, ReleaseEpoch)]
    expected = EpochRecord(epoch=3, instance="w1", handed_over=True, heir="w2")
    assert EpochRecord.parse(release.epoch_value) == expected
    assert not any(isinstance(effect, CreateCandidate) for effect in table.asked), "the successor goes first"
    table.machine.handle_timer(5.3)
    table.orders()
    assert any(isinstance(effect, CreateCandidate) for effect in table.asked)
    assert table.history[1] == (3, "handed over")


def test_withdrawal_of_a_primary_leaves_nothing() -> None:
    """Tombstone, no new candidate, a report at the end; a second wish changes nothing."""
    table = leading()
    table.machine.withdraw(5.0)
    table.machine.withdraw(5.0)
    assert table.orders() == [Depose(3, Reason.WITHDRAWN), ReportPrimary(None)]
    table.machine.receive_deposed(3, 5.1)
    assert table.orders() == [StopHeartbeats(), ReportCandidacyEnded()]
    assert table.machine.state is ElectionState.IDLE and not any(
        isinstance(effect, CreateCandidate) for effect in table.asked
    )
    assert table.history[-1] == (3, "withdrawn")


def test_withdrawal_of_a_primary_may_name_an_heir() -> None:
    """In the tombstone, as a hand-over does."""
    table = leading()
    table.machine.withdraw(5.0, heir="w2")
    table.orders()
    table.machine.receive_deposed(3, 5.1)
    table.orders()
    (release,) = [effect for effect in table.asked if isinstance(effect, ReleaseEpoch)]
    expected = EpochRecord(epoch=3, instance="w1", handed_over=True, heir="w2")
    assert EpochRecord.parse(release.epoch_value) == expected
    assert table.machine.state is ElectionState.IDLE


def test_withdrawal_of_who_owns_nothing_is_reported_at_once() -> None:
    """Never campaigned, or never connected."""
    table = Table()
    table.machine.withdraw(0.0)
    assert table.orders() == [ReportCandidacyEnded()]
    table.machine.campaign(0.0)
    table.machine.withdraw(0.0)
    assert table.orders() == [ReportCandidacyEnded()] and table.asked == []


def test_withdrawal_before_the_lease_has_nobody_to_depose() -> None:
    """on_elected never ran, so on_deposed does not either."""
    table = confirming()
    table.machine.withdraw(1.0)
    assert table.orders() == [StopHeartbeats(), ReportCandidacyEnded()]
    assert table.history == []


def test_withdrawal_waits_for_the_answer_that_is_out() -> None:
    """A claim on its way is answered first; then everything of ours is looked for."""
    table = Table()
    table.machine.campaign(0.0)
    table.connect()
    answer_until_claim(table)
    table.machine.withdraw(0.0)
    assert table.orders() == []
    table.primary = Node(owner=7, value=RECORD.dump())
    table.machine.receive_answer(None, 0.1)
    assert table.orders() == [StopHeartbeats(), ReportCandidacyEnded()] and table.primary is None


def test_withdrawal_that_was_reconsidered_campaigns_again() -> None:
    """The wish at the end counts."""
    table = leading()
    table.machine.withdraw(5.0)
    table.machine.campaign(5.0)
    table.orders()
    table.machine.receive_deposed(3, 5.1)
    assert table.orders() == [StopHeartbeats(), StartHeartbeats(), Elect(4)]


def test_synchronisation_that_fails_is_deposed_without_a_history() -> None:
    """It never led; it waits a second before it stands again, so that others go first."""
    table = synchronising()
    table.machine.receive_synchronised(3, 1.0, succeeded=False)
    assert table.orders() == [Depose(3, Reason.SYNCHRONISATION_FAILED)]
    table.now = 1.1
    table.asked.clear()
    table.machine.receive_deposed(3, 1.1)
    assert table.orders() == [StopHeartbeats()]
    assert [type(effect) for effect in table.asked] == [ReleaseEpoch, RecordTrouble]
    due = table.machine.next_timer()
    assert due == pytest.approx(1.85) and table.history == []
    table.now = 2.0
    table.machine.handle_timer(2.0)
    table.orders()
    assert len(table.asked) > 1


@pytest.mark.parametrize("make", [confirming, synchronising])
def test_synchronisation_that_takes_too_long_is_given_up(make: object) -> None:
    """Also when no heartbeat is ever committed."""
    table = make()
    assert table.machine.next_timer() == 20.0
    table.now = 20.0
    table.machine.handle_timer(20.0)
    effects = table.orders()
    assert (Depose(3, Reason.SYNCHRONISATION_FAILED) in effects) is (make is synchronising)


def test_stop_hook_that_hangs_ends_the_process() -> None:
    """After its limit; nothing is deleted, because it may still be acting."""
    table = leading()
    table.machine.step_down(5.0)
    table.orders()
    assert table.machine.next_timer() == 7.0
    table.asked.clear()
    table.machine.handle_timer(7.0)
    assert table.orders() == [StopHeartbeats(), ExitProcess(3)]
    table.machine.receive_deposed(3, 7.1)
    table.machine.receive_change(8.0)
    table.connect()
    assert table.orders() == [] and table.asked == [] and table.machine.state is ElectionState.EXITING
    assert table.machine.next_timer() is None


def test_failures_pause_and_are_told() -> None:
    """Refused for good: tried again, ever more slowly."""
    table = Table()
    table.machine.campaign(0.0)
    table.connect()
    table.machine.effects()
    table.machine.receive_answer(RequestFailure.OTHER, 0.0)
    assert table.machine.effects() == [] and table.machine.conversation.failure == "refused"
    due = table.machine.next_timer()
    assert due == pytest.approx(0.075)
    table.machine.handle_timer(due)
    assert table.machine.effects() == [ListCandidates(PATHS.candidates)]


@pytest.mark.parametrize("make", [waiting, leading])
def test_look_that_failed_is_repeated(make: Callable[[], Table]) -> None:
    """It has seen nothing, and no watch need be left that would tell: it is begun again after a pause, as long as it
    fails; and nobody is woken for a pause that is over."""
    table = make()
    table.machine.receive_change(1.0)
    assert table.orders(answering=False) == [] and len(table.asked) == 1
    for times in range(1, 5):
        table.machine.receive_answer(RequestFailure.OTHER, table.now)
        assert table.orders(answering=False) == []
        due = table.machine.next_timer()
        assert due is not None and table.now < due <= table.now + 5.0
        table.now = due
        table.machine.handle_timer(due)
        assert table.orders(answering=False) == [] and len(table.asked) == 1 + times
        again = table.machine.next_timer()
        assert again is None or again > due
    assert table.machine.conversation.failure == "refused"


@pytest.mark.parametrize("value", [b"\xff", EpochRecord(epoch=2**63 - 1).dump()])
def test_epoch_that_cannot_be_read_is_waited_for_with_words(value: bytes) -> None:
    """Nobody leads, and it is our turn: the node is named, the look repeated, and what is put right is seen."""
    table = waiting()
    table.names, table.primary, table.counter = (OURS,), None, Node(owner=0, value=value)
    table.machine.receive_change(1.0)
    assert table.orders() == [] and PATHS.epoch in (table.machine.conversation.failure or "")
    for _ in range(20):
        due = table.machine.next_timer()
        assert due is not None and due > table.now
        table.now = due
        table.machine.handle_timer(due)
        assert table.orders() == []
    table.counter = None
    due = table.machine.next_timer()
    assert due is not None and due - table.now <= 5.0
    table.machine.handle_timer(due)
    assert table.orders() == [StartHeartbeats(), ReportPrimary(None)]
    assert table.machine.conversation.failure is None


def test_claim_that_earns_no_lease_in_time_is_given_up() -> None:
    """Every answer takes longer than a heartbeat may: half a timeout after the claim it lets go, without heartbeats,
    which would only cut the connection, says why, and stands again later."""
    table = Table()
    table.machine.campaign(0.0)
    table.machine.receive_connected(7, 0.0, timeout=4.0)
    answer_until_claim(table)
    assert table.machine.next_timer() == 2.0
    table.machine.receive_disconnected(1.0)
    table.machine.receive_answer(RequestFailure.UNKNOWN, 1.0)
    table.commit_claim()
    table.machine.receive_connected(7, 1.5, timeout=4.0)
    table.now = 2.0
    table.machine.handle_timer(2.0)
    assert table.machine.state is ElectionState.RESIGNING and StopHeartbeats() in table.orders(answering=False)
    table.asked.clear()
    table.machine.receive_answer(RequestFailure.UNKNOWN, 2.1)
    table.machine.handle_timer(2.3)
    assert table.orders() == [] and table.primary is None
    assert table.machine.state is ElectionState.ENROLLING and b"slow" in (table.troubles[-1] or b"")
    assert not any(isinstance(effect, CreateCandidate) for effect in table.asked)
    due = table.machine.next_timer()
    assert due is not None and 0.4 < due - table.now < 1.0


def test_confirmation_without_a_lease_is_given_up_in_time() -> None:
    """The claim was answered, and no heartbeat ever is."""
    table = Table()
    table.machine.campaign(0.0)
    table.machine.receive_connected(7, 0.0, timeout=4.0)
    table.orders()
    assert table.machine.state is ElectionState.CONFIRMING and table.machine.next_timer() == 2.0
    table.now = 2.0
    table.machine.handle_timer(2.0)
    assert StopHeartbeats() in table.orders() and table.primary is None


def test_candidate_whose_answers_are_slow_goes_to_the_queues_end() -> None:
    """It sees so when its turn comes: no claim, its candidate deleted, and another one made later."""
    table = waiting()
    table.machine.receive_connected(7, 0.0, timeout=4.0)
    table.orders()
    table.names, table.primary = (OURS,), None
    table.asked.clear()
    table.machine.receive_change(1.0)
    (glance,) = table.machine.effects()
    table.now = 2.1
    table.machine.receive_answer(table.answer(glance), 2.1)
    assert table.orders() == [ReportPrimary(None)] or table.machine.state is ElectionState.ENROLLING
    kinds = [type(effect) for effect in table.asked]
    assert DeleteCandidate in kinds and ClaimEpoch not in kinds and CreateCandidate not in kinds
    table.now = 3.2
    table.machine.handle_timer(3.2)
    table.orders()
    assert CreateCandidate in [type(effect) for effect in table.asked]


def test_synchronisation_that_fails_again_and_again_waits_ever_longer_and_says_why() -> None:
    """Until it succeeds: then the word is taken back, and the next failure is a first one."""
    table = synchronising()
    pauses = []
    for epoch in range(3, 7):
        table.machine.receive_synchronised(epoch, table.now, succeeded=False, why="ValueError: no such table")
        table.orders()
        table.machine.receive_deposed(epoch, table.now)
        table.orders()
        due = table.machine.next_timer()
        assert due is not None
        pauses.append(due - table.now)
        table.now = due
        table.machine.handle_timer(due)
        table.renew(table.now + 100.0)
        assert Elect(epoch + 1) in table.orders()
    assert pauses == [0.75, 1.5, 3.0, 4.5]
    assert b'on_elected failed: ValueError: no such table","times":4' in (table.troubles[-1] or b"")
    table.machine.receive_synchronised(7, table.now)
    table.orders()
    assert table.troubles[-1] is None
    assert table.machine.backoff.times(Reason.SYNCHRONISATION_FAILED) == 0


def test_synchronisation_that_hangs_says_so() -> None:
    """``zkrpc primary`` is to tell why nobody leads."""
    table = synchronising()
    table.now = 20.0
    table.machine.handle_timer(20.0)
    table.machine.receive_deposed(3, 20.0)
    table.orders()
    assert b"on_elected took longer than 20 s" in (table.troubles[-1] or b"")


def test_primary_learns_the_version_of_an_epoch_that_somebody_touched() -> None:
    """The same record: the term goes on, and what it gives up later is given up in one transaction."""
    table = leading()
    table.counter = Node(owner=0, version=9, value=EpochRecord(epoch=3, instance="w1").dump())
    table.machine.receive_change(5.0)
    assert table.orders() == [] and table.machine.candidacy.epoch_version == 9


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"\xff", Reason.EPOCH_LOST),
        (b"", Reason.EPOCH_LOST),
        (EpochRecord(epoch=2, instance="w1").dump(), Reason.EPOCH_LOST),
        (EpochRecord(epoch=3, instance="w0").dump(), Reason.EPOCH_LOST),
        (EpochRecord(epoch=4, instance="w0").dump(), Reason.SUPERSEDED),
    ],
)
def test_primary_whose_epoch_is_not_there_any_more_stops(value: bytes, reason: Reason) -> None:
    """In order: gate, application, nodes; and it puts right what it knows."""
    table = leading()
    table.counter = Node(owner=0, version=9, value=value)
    table.machine.receive_change(5.0)
    assert table.orders() == [Depose(3, reason), ReportPrimary(None)]


def test_store_whose_epoch_none_could_follow_is_not_believed() -> None:
    """A wrong number there must not keep everybody from leading for ever."""
    table = leading()
    table.machine.receive_epoch(2**63 - 1, 5.0)
    assert table.orders() == [] and table.machine.candidacy.highest == 3


def test_candidate_claims_out_of_turn_when_those_before_it_do_not() -> None:
    """The first in the queue neither claims nor goes: safety does not rest on the queue, so nobody waits for ever."""
    table = waiting()
    table.machine.receive_connected(7, 0.0, timeout=4.0)
    table.orders()
    table.primary = None
    table.machine.receive_change(1.0)
    assert table.orders() == [ReportPrimary(None)] and table.machine.next_timer() == 2.5
    table.now = 2.5
    table.machine.handle_timer(2.5)
    assert table.orders() == [StartHeartbeats()] and table.machine.state is ElectionState.CONFIRMING


def test_heir_is_waited_for_a_second() -> None:
    """Then the first in the queue claims."""
    table = Table()
    table.names = (OURS, "w2.u-0000000009")
    table.counter = Node(owner=0, value=EpochRecord(epoch=2, handed_over=True, heir="w2").dump())
    table.machine.campaign(0.0)
    table.connect()
    assert table.orders() == [] and table.machine.state is ElectionState.WAITING
    assert table.machine.next_timer() == 1.0
    table.now = 1.0
    table.machine.handle_timer(1.0)
    assert table.orders() == [StartHeartbeats()]


def test_answer_to_no_request_is_refused_and_changes_nothing() -> None:
    """Whoever carries requests answers each of them once."""
    table = leading()
    before = repr(table.machine)
    with pytest.raises(LocalProtocolError, match="no request is out"):
        table.machine.receive_answer(None, 5.0)
    assert repr(table.machine) == before and table.machine.effects() == []
