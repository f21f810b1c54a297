"""The registration machine: transcripts of each rule, and a model of a znode with every fault at once."""

from __future__ import annotations

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.endpoint import Endpoint, Instance
from zkrpc.registry.formats import LAUNCH, PID, SESSION_TIMEOUT, dump_plain_curator, dump_serverset
from zkrpc.registry.registration import (
    CreateNode,
    DeleteNode,
    Effect,
    LookUp,
    Observed,
    RegistrationMachine,
    RegistrationState,
    ReplaceNode,
    ReportConflict,
    ReportRegistered,
    ReportWithdrawn,
    Settle,
)

PATH = "/services/users/members/member_w1"


def record(port: int = 9090, launch: str = "L1") -> bytes:
    """A record as a worker of that launch writes it."""
    metadata = {LAUNCH: launch, PID: "17"}
    return dump_serverset(Instance(id="w1", endpoint=Endpoint("10.0.0.3", port), metadata=metadata))


OURS = record()
TWIN = record(9191)
STRANGER = record(7070, "L2")


def machine(session: int | None = 1, *, wanted: bool = True) -> RegistrationMachine:
    """A machine that wants its node, in a session, with the effects so far forgotten."""
    made = RegistrationMachine(PATH, OURS, "L1", audit_interval=30.0, rng=lambda: 0.5)
    if wanted:
        made.want(True, 0.0)
    made.receive_session(session, 0.0)
    made.effects()
    return made


def seen(owner: int = 1, payload: bytes = OURS, *, version: int = 0, zxid: int = 10) -> Observed:
    """What a look may find."""
    return Observed(owner=owner, version=version, created_zxid=zxid, record=payload)


def registered() -> RegistrationMachine:
    """A machine at rest, its node there."""
    made = machine()
    made.receive_observed(seen(), 0.0)
    made.effects()
    return made


def step(subject: RegistrationMachine, node: Observed | None) -> list[Effect]:
    """Answers a look and returns what follows."""
    subject.receive_observed(node, 1.0)
    return subject.effects()


def test_registration_looks_creates_and_looks_again() -> None:
    """A create is believed only when a look has seen the node."""
    subject = RegistrationMachine(PATH, OURS, "L1", audit_interval=30.0, rng=lambda: 0.5)
    subject.want(True, 0.0)
    assert subject.effects() == [] and subject.state is RegistrationState.OFFLINE
    subject.receive_session(1, 0.0)
    assert subject.effects() == [LookUp()]
    assert step(subject, None) == [CreateNode()] and not subject.registered
    subject.receive_written(1.0)
    assert subject.effects() == [LookUp()] and not subject.registered
    assert step(subject, seen()) == [ReportRegistered()]
    assert subject.registered and subject.state is RegistrationState.SETTLED
    assert "registered=True" in repr(subject)


def test_registration_audits_itself() -> None:
    """With nothing happening the node is looked at once an interval, and found in order without a report."""
    subject = registered()
    due = subject.next_timer()
    assert due is not None and 24.0 <= due <= 36.0
    subject.handle_timer(due - 0.1)
    assert subject.effects() == []
    subject.handle_timer(due)
    assert subject.effects() == [LookUp()] and subject.next_timer() is None
    assert step(subject, seen()) == []


def test_registration_deleted_by_someone_comes_back_at_once() -> None:
    """The watch leads to a look, the look to a create, without a pause."""
    subject = registered()
    subject.receive_change(5.0)
    assert subject.effects() == [LookUp()]
    assert step(subject, None) == [CreateNode()]


def test_registration_overwritten_by_someone_is_replaced() -> None:
    """Readers read a record once, so a changed one is replaced, not set back."""
    subject = machine()
    assert step(subject, seen(payload=b"{}", version=4)) == [ReplaceNode(4)]


def test_registration_that_is_revised_is_replaced() -> None:
    """By the newest record, also if it is revised while the one before is written; nothing happens for the same one."""
    subject = registered()
    subject.revise(OURS, 1.0)
    assert subject.effects() == []
    subject.revise(TWIN, 1.0)
    assert subject.effects() == [LookUp()] and subject.registered
    assert step(subject, seen(version=4)) == [ReplaceNode(4)]
    subject.revise(STRANGER, 1.0)
    subject.receive_written(1.0)
    assert subject.effects() == [LookUp()]
    assert step(subject, seen(payload=TWIN)) == [ReplaceNode(0)]
    subject.receive_written(1.0)
    subject.effects()
    assert step(subject, seen(payload=STRANGER)) == [ReportRegistered()] and subject.registered


def test_registration_with_a_lost_create_reply_finds_its_node() -> None:
    """Not knowing is followed by a pause and a look, never by a second create."""
    subject = machine()
    step(subject, None)
    subject.receive_failure("no answer", 1.0, uncertain=True)
    assert subject.effects() == [] and subject.failure == "no answer"
    due = subject.next_timer()
    assert due is not None and due <= 1.1
    subject.handle_timer(due)
    assert subject.effects() == [LookUp()]
    assert step(subject, seen()) == [ReportRegistered()] and subject.failure is None


def test_registration_in_a_new_session_is_made_again() -> None:
    """A new session id means that the node is gone or a ghost; the ghost is replaced in one transaction."""
    subject = registered()
    subject.receive_session(None, 2.0)
    assert subject.state is RegistrationState.OFFLINE and subject.next_timer() is None
    subject.receive_session(2, 3.0)
    assert not subject.registered and subject.effects() == [LookUp()]
    assert step(subject, seen(owner=1)) == [ReplaceNode(0)]
    subject.receive_written(3.0)
    assert subject.effects() == [LookUp()]
    assert step(subject, seen(owner=2, zxid=20)) == [ReportRegistered()]


def test_registration_in_the_same_session_is_looked_at_after_a_reconnect() -> None:
    """Watches died with the connection, so the node is looked at, and nothing is reported if all is well."""
    subject = registered()
    subject.receive_session(None, 2.0)
    subject.receive_session(1, 2.5)
    assert subject.registered and subject.effects() == [LookUp()]
    assert step(subject, seen()) == []


def test_registration_whose_session_changes_during_a_look_decides_for_the_new_one() -> None:
    """An answer is judged by the session that is there when it arrives."""
    subject = machine()
    subject.receive_session(2, 0.5)
    assert step(subject, seen(owner=1)) == [ReplaceNode(0)]


def test_registration_replaces_what_an_earlier_process_of_the_launch_left() -> None:
    """A restarted worker takes over its ghost at once instead of waiting for the session to expire."""
    assert step(machine(), seen(owner=99, payload=TWIN, version=3)) == [ReplaceNode(3)]


def test_registration_never_fights_a_live_twin() -> None:
    """A node of our launch made after ours is no leftover; the later one wins and both sides are named."""
    subject = registered()
    subject.receive_change(2.0)
    subject.effects()
    (effect,) = step(subject, seen(owner=99, payload=TWIN, zxid=11))
    assert isinstance(effect, ReportConflict) and "9191" in effect.text and "9090" in effect.text
    assert not subject.registered


@pytest.mark.parametrize("foreign", [seen(99, STRANGER), seen(0, OURS), seen(99, b"\xff")])
def test_registration_leaves_a_strangers_node_alone(foreign: Observed) -> None:
    """It is reported once, watched, and taken over when it goes away."""
    subject = machine()
    (effect,) = step(subject, foreign)
    assert isinstance(effect, ReportConflict) and subject.conflict == effect.text
    assert PATH in effect.text and "10.0.0.3:9090 (pid 17, launch L1)" in effect.text
    assert not subject.registered and subject.state is RegistrationState.SETTLED
    subject.receive_change(2.0)
    assert subject.effects() == [LookUp()]
    assert step(subject, foreign) == []
    subject.receive_change(3.0)
    subject.effects()
    assert step(subject, None) == [CreateNode()] and subject.conflict is None


@pytest.mark.parametrize(
    ("said", "granted", "patience"),
    [
        (6.0, 4.0, 10.0),  # theirs lasts longer
        (1.0, 4.0, 7.0),  # they asked for less than anybody gets
        (None, 4.0, 61.0),  # written by somebody who does not say
        (-5.0, 4.0, 61.0),
        (float("nan"), 4.0, 61.0),
    ],
)
def test_registration_waits_for_as_long_as_a_dead_ones_session_can_last(
    said: float | None, granted: float, patience: float
) -> None:
    """After that, and one more look, whoever holds the node is alive; before, nobody knows."""
    metadata = {LAUNCH: "L2"} if said is None else {LAUNCH: "L2", SESSION_TIMEOUT: f"{said:g}"}
    theirs = dump_serverset(Instance(id="w1", endpoint=Endpoint("10.0.0.3", 7070), metadata=metadata))
    subject = machine()
    subject.receive_session(1, 0.0, timeout=granted)
    subject.receive_observed(seen(99, theirs), 100.0)
    (report,) = subject.effects()
    assert isinstance(report, ReportConflict) and f"{patience:.3g} s at most" in report.text
    asked_at = []
    while not subject.twin_lives:
        due = subject.next_timer()
        assert due is not None
        subject.handle_timer(due)
        assert subject.effects() == [LookUp()]
        subject.receive_observed(seen(99, theirs), due)
        asked_at.append(due)
    assert asked_at[-1] == 100.0 + patience and subject.effects() == []
    subject.receive_change(asked_at[-1] + 1)
    subject.receive_observed(None, asked_at[-1] + 1)
    assert not subject.twin_lives and subject.effects() == [LookUp(), CreateNode()]


def test_registration_counts_no_time_without_zookeeper() -> None:
    """Sessions end only where there is somebody to end them, and another holder is another one to wait for."""
    subject = machine()
    subject.receive_session(1, 0.0, timeout=4.0)
    theirs = dump_serverset(Instance(id="w1", endpoint=Endpoint("h", 1), metadata={LAUNCH: "L2", SESSION_TIMEOUT: "4"}))
    for at, node in ((0.0, seen(99, theirs)), (6.0, seen(98, theirs)), (12.0, seen(98, theirs, zxid=11))):
        if at:
            subject.receive_change(at)
        subject.receive_observed(node, at)
        assert not subject.twin_lives and subject.next_timer() == at + 7.0
    subject.receive_session(None, 13.0)
    subject.receive_session(1, 60.0, timeout=4.0)
    subject.receive_observed(seen(98, theirs, zxid=11), 60.0)
    assert not subject.twin_lives and subject.next_timer() == 67.0


def test_registration_knows_its_records_without_a_launch_by_their_bytes() -> None:
    """As Curator's without a payload: what an earlier session of ours left is replaced, before and after a change."""
    plain, disabled, other = (
        dump_plain_curator(Instance(id="w1", endpoint=Endpoint("10.0.0.3", port), unready=why), "users")
        for port, why in ((9090, ""), (9090, "busy"), (9091, ""))
    )
    subject = RegistrationMachine(PATH, plain, "L1", audit_interval=30.0, rng=lambda: 0.5)
    subject.want(True, 0.0)
    subject.receive_session(1, 0.0)
    subject.effects()
    assert step(subject, seen(99, plain, version=3)) == [ReplaceNode(3)]
    subject.receive_written(1.0)
    subject.revise(disabled, 1.0)
    assert step(subject, seen(99, plain, version=4)) == [LookUp(), ReplaceNode(4)]
    subject.receive_written(1.0)
    assert step(subject, seen(99, disabled, version=5)) == [LookUp(), ReplaceNode(5)]
    subject.receive_written(1.0)
    look, report = step(subject, seen(99, other))
    assert look == LookUp() and isinstance(report, ReportConflict)


def test_registration_reports_another_stranger_anew() -> None:
    """The report changes when the holder does."""
    subject = machine()
    step(subject, seen(99, STRANGER))
    subject.receive_change(2.0)
    subject.effects()
    (effect,) = step(subject, seen(98, STRANGER))
    assert isinstance(effect, ReportConflict) and "0x62" in effect.text


def test_registration_without_a_launch_id_takes_nothing_over() -> None:
    """No identity, no claim to anybody's node."""
    subject = RegistrationMachine(PATH, OURS, "", audit_interval=30.0, rng=lambda: 0.5)
    subject.want(True, 0.0)
    subject.receive_session(1, 0.0)
    subject.effects()
    (effect,) = step(subject, seen(99, record(launch="")))
    assert isinstance(effect, ReportConflict)


def test_registration_refused_looks_at_once_and_then_with_pauses() -> None:
    """Losing one race costs nothing; losing again backs off, up to a bound."""
    subject = machine()
    step(subject, None)
    subject.receive_refused("exists", 1.0)
    assert subject.effects() == [LookUp()]
    pauses = []
    for _ in range(12):
        step(subject, None)
        subject.receive_refused("exists", 0.0)
        due = subject.next_timer()
        assert subject.effects() == [] and due is not None
        pauses.append(due)
        subject.handle_timer(due)
        subject.effects()
    assert pauses == sorted(pauses) and pauses[0] < 0.3 and pauses[-1] <= 5.0
    step(subject, seen())
    assert subject.registered and subject.failure is None


def test_withdrawal_deletes_looks_and_reports() -> None:
    """It is over only when a look has seen nothing of ours."""
    subject = registered()
    subject.want(False, 1.0)
    assert subject.effects() == [LookUp()] and not subject.gone
    assert step(subject, seen(version=2)) == [DeleteNode(2)]
    subject.receive_written(1.0)
    assert subject.effects() == [LookUp()]
    assert step(subject, None) == [ReportWithdrawn()] and subject.gone
    subject.want(False, 2.0)
    assert subject.effects() == []


def test_withdrawal_does_not_touch_another_sessions_node() -> None:
    """A stranger's node, or our successor's, is no business of ours."""
    for foreign in (seen(99, STRANGER, zxid=11), seen(99, TWIN, zxid=11)):
        subject = registered()
        subject.receive_change(1.0)
        step(subject, foreign)
        subject.want(False, 1.0)
        assert subject.conflict is None and subject.effects() == [LookUp()]
        assert step(subject, foreign) == [ReportWithdrawn()]


def test_withdrawal_after_an_unknown_create_settles_before_it_believes_absence() -> None:
    """A create that may still arrive is flushed out by a write that is ordered after it, then looked for."""
    subject = machine()
    step(subject, None)
    subject.receive_failure("no answer", 1.0, uncertain=True)
    subject.want(False, 1.0)
    assert subject.effects() == [LookUp()]
    assert step(subject, None) == [Settle()] and not subject.gone
    subject.receive_settled(1.0)
    assert subject.effects() == [LookUp()]
    assert step(subject, seen()) == [DeleteNode(0)]
    subject.receive_written(1.0)
    subject.effects()
    assert step(subject, None) == [ReportWithdrawn()]


def test_withdrawal_holds_against_a_node_that_appears_late() -> None:
    """What arrives after the withdrawal is deleted when the watch tells."""
    subject = machine()
    subject.want(False, 1.0)
    step(subject, None)
    assert subject.gone
    subject.receive_change(2.0)
    subject.effects()
    assert step(subject, seen()) == [DeleteNode(0)] and not subject.gone


def test_withdrawal_during_a_create_waits_for_its_answer() -> None:
    """One request at a time: the next look decides by the new desire."""
    subject = machine()
    step(subject, None)
    subject.want(False, 1.0)
    assert subject.effects() == []
    subject.receive_written(1.0)
    assert subject.effects() == [LookUp()]
    assert step(subject, seen()) == [DeleteNode(0)]


def test_change_during_a_look_leads_to_another() -> None:
    """A look that was overtaken is repeated."""
    subject = machine()
    subject.receive_change(0.5)
    assert step(subject, seen()) == [ReportRegistered(), LookUp()]


def test_stray_answers_are_ignored() -> None:
    """Offline, nothing is decided on an answer that comes late, except that it may still come true."""
    subject = machine()
    step(subject, None)
    subject.receive_session(None, 1.0)
    subject.receive_observed(None, 1.0)
    subject.receive_written(1.0)
    subject.receive_settled(1.0)
    subject.receive_refused("exists", 1.0)
    subject.receive_failure("no answer", 1.0, uncertain=True)
    subject.handle_timer(99.0)
    assert subject.effects() == [] and subject.state is RegistrationState.OFFLINE


@dataclasses.dataclass
class Znode:
    """What the model's ZooKeeper holds at our path."""

    owner: int
    payload: bytes
    zxid: int
    version: int = 0


class World:
    """One znode, one client session, a delayed request, and the machine under test, driven by a list of actions."""

    def __init__(self) -> None:
        self.subject = RegistrationMachine(PATH, OURS, "L1", audit_interval=30.0, rng=lambda: 0.5)
        self.node: Znode | None = None
        self.session = 1
        self.connected = False
        self.watched = False
        self.delayed: list[tuple[int, Effect]] = []
        self.lose_next = ""
        self.now = 0.0
        self.zxid = 0

    def change(self, node: Znode | None) -> None:
        """A transaction at the server; fires the watch."""
        self.zxid += 1
        self.node = node
        if self.watched and self.connected:
            self.watched = False
            self.subject.receive_change(self.now)

    def make(self, owner: int, payload: bytes) -> None:
        """Somebody's create."""
        self.change(Znode(owner, payload, self.zxid + 1))

    def apply(self, session: int, effect: Effect) -> bool:
        """A write of ours at the server; False if it is refused."""
        node = self.node
        if isinstance(effect, CreateNode):
            if node is not None or session != self.session:
                return False
            self.make(session, OURS)
        elif isinstance(effect, (ReplaceNode, DeleteNode)):
            if node is None or node.version != effect.version or session != self.session:
                return False
            ours = node.owner == session or (node.owner != 0 and node.payload in (OURS, TWIN, b"{}"))
            assert ours, "a stranger's node was deleted"
            assert isinstance(effect, ReplaceNode) or node.owner == session
            self.change(None)
            if isinstance(effect, ReplaceNode):
                self.make(session, OURS)
        return True

    def flush(self) -> None:
        """Requests whose replies were lost take effect, in order, before anything sent later."""
        delayed, self.delayed = self.delayed, []
        for session, effect in delayed:
            self.apply(session, effect)

    def execute(self, effect: Effect) -> None:
        """Answers one effect the way ZooKeeper, the network or the fault would."""
        if isinstance(effect, (ReportRegistered, ReportWithdrawn, ReportConflict)):
            return
        subject, fault, self.lose_next = self.subject, self.lose_next, ""
        if not self.connected:
            subject.receive_failure("not connected", self.now)
        elif isinstance(effect, LookUp):
            if fault:
                subject.receive_failure("no answer", self.now)
                return
            self.watched = True
            node = self.node
            found = None if node is None else seen(node.owner, node.payload, version=node.version, zxid=node.zxid)
            subject.receive_observed(found, self.now)
        elif fault == "delay" and not isinstance(effect, Settle):
            self.delayed.append((self.session, effect))
            subject.receive_failure("no answer", self.now, uncertain=True)
        else:
            self.flush()
            done = self.apply(self.session, effect)
            if fault:
                subject.receive_failure("no answer", self.now, uncertain=True)
            elif isinstance(effect, Settle):
                subject.receive_settled(self.now)
            elif done:
                subject.receive_written(self.now)
            else:
                subject.receive_refused("changed", self.now)

    def run(self, limit: int = 40) -> None:
        """Executes what the machine asks for, until it is quiet or the limit is reached."""
        for _ in range(limit):
            effects = self.subject.effects()
            if not effects:
                return
            for effect in effects:
                self.execute(effect)

    def act(self, action: str) -> None:
        """One step of the outside world."""
        if action == "register":
            self.subject.want(True, self.now)
        elif action == "withdraw":
            self.subject.want(False, self.now)
        elif action == "connect":
            self.connected = True
        elif action == "suspend":
            self.connected, self.watched = False, False
        elif action == "expire":
            self.act("suspend")
            self.session += 1
            if self.node is not None and self.node.owner == self.session - 1:
                self.change(None)
        elif action == "abandon":
            # The client gave the session up; ZooKeeper does not know yet, and the node lingers.
            self.act("suspend")
            self.session += 1
        elif action == "delete":
            self.change(None)
        elif action == "overwrite" and self.node is not None and self.node.owner == self.session:
            self.change(dataclasses.replace(self.node, payload=b"{}", version=self.node.version + 1))
        elif action == "stranger" and self.node is None:
            self.make(1000, STRANGER)
        elif action == "persistent" and self.node is None:
            self.make(0, OURS)
        elif action == "flush":
            self.flush()
        elif action in ("lose", "delay"):
            self.lose_next = action
        elif action == "wait":
            self.now = max(self.now, self.subject.next_timer() or 0.0)
        self.subject.receive_session(self.session if self.connected else None, self.now)
        self.subject.handle_timer(self.now)
        self.run()


ACTIONS = [
    *("register", "withdraw", "connect", "suspend", "expire", "abandon", "wait"),
    *("delete", "overwrite", "stranger", "persistent", "flush", "lose", "delay"),
]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(ACTIONS), max_size=40), st.booleans(), st.booleans())
def test_registration_converges_whatever_happened(actions: list[str], wanted: bool, hidden: bool) -> None:
    """After any history, a quiet while ends in the desired state; no stranger's node is ever deleted on the way."""
    world = World()
    for action in actions:
        world.act(action)
    world.act("register" if wanted else "withdraw")
    world.lose_next = ""
    for action in ("connect", "wait", "wait", "wait", "wait"):
        world.act(action)
    if not hidden:
        world.flush()
        world.run()
    node, subject = world.node, world.subject
    foreign = node is not None and node.owner != world.session
    assert subject.state is RegistrationState.SETTLED
    if not wanted:
        assert subject.gone and (node is None or foreign)
        world.flush()
        assert world.node is node, "something brought the node back"
    elif foreign:
        assert subject.conflict is not None and not subject.registered
    else:
        assert node is not None and node.payload == OURS and subject.registered and subject.conflict is None
