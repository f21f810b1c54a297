"""What the registration machine orders, story by story."""

from __future__ import annotations

import dataclasses

from tests.support.transcript import Transcript
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.registry.formats import LAUNCH, PID, SESSION_TIMEOUT, dump_serverset
from zkrpc.registry.registration import Observed, RegistrationMachine

PATH = "/services/users/members/member_w1"


def record(launch: str = "L1", *, timeout: str = "") -> bytes:
    """A record as a worker of that launch writes it, which may tell the session timeout that it asked for."""
    metadata = {LAUNCH: launch, PID: "17"} | ({SESSION_TIMEOUT: timeout} if timeout else {})
    return dump_serverset(Instance(id="w1", endpoint=Endpoint("10.0.0.3", 9090), metadata=metadata))


def seen(owner: int, launch: str = "L1", *, version: int = 0, created: int = 10) -> Observed:
    """What a look may find: a node of that session, created by that transaction."""
    return Observed(owner=owner, version=version, created_zxid=created, record=record(launch))


def story(intent: str) -> Transcript:
    """A machine that has not been told anything, and what it is told."""
    return Transcript(
        RegistrationMachine(PATH, record(), "L1", audit_interval=30.0, rng=lambda: 0.5), intent, show=_show
    )


def _show(value: object) -> str:
    if not isinstance(value, Observed):
        return repr(value)
    launch = "L1" if value.record == record() else "L2"
    owner = f"session {value.owner}" if value.owner else "nobody's session"
    created = "" if value.created_zxid == 10 else f", created by transaction {value.created_zxid}"
    return f"node of {owner}, launch {launch}, version {value.version}{created}"


def test_registration_and_a_new_session() -> None:
    """The node is made, goes with its session, and is made again."""
    told = story("An instance registers. Its session ends, and the next one makes the node again.")
    told.tell("want", True, 0.0)
    told.tell("receive_session", 1, 0.5)
    told.tell("receive_observed", None, 0.6)
    told.tell("receive_written", 0.7)
    told.tell("receive_observed", seen(1), 0.8)
    told.tell("receive_session", None, 5.0)
    told.tell("receive_session", 2, 6.0)
    told.tell("receive_observed", None, 6.1)
    told.tell("receive_written", 6.2)
    told.tell("receive_observed", seen(2), 6.3)
    told.tell("handle_timer", 40.0)
    told.check("registration/new_session")


def test_earlier_node_of_the_same_launch_is_replaced() -> None:
    """In one transaction, as its session may end at any moment."""
    told = story("The node of this launch's earlier session is still there, and is replaced.")
    told.tell("want", True, 0.0)
    told.tell("receive_session", 2, 0.0)
    told.tell("receive_observed", seen(1, version=3), 0.1)
    told.tell("receive_refused", "another version", 0.2)
    told.tell("receive_observed", seen(1, version=4), 0.3)
    told.tell("receive_written", 0.4)
    told.tell("receive_observed", seen(2), 0.5)
    told.check("registration/same_launch")


def test_node_of_somebody_else_is_reported_and_left_alone() -> None:
    """Until it is gone."""
    told = story("Another process holds the member's name. It is reported, and the node made once it is free.")
    told.tell("want", True, 0.0)
    told.tell("receive_session", 2, 0.0)
    told.tell("receive_observed", seen(1, "L2"), 0.1)
    told.tell("receive_change", 9.0)
    told.tell("receive_observed", None, 9.1)
    told.tell("receive_written", 9.2)
    told.tell("receive_observed", seen(2), 9.3)
    told.check("registration/taken_by_another")


def test_registration_whose_answer_is_lost_is_looked_at_again() -> None:
    """Nothing is assumed from a failure."""
    told = story("The answer to the write is lost. The node is read, and found to be ours.")
    told.tell("want", True, 0.0)
    told.tell("receive_session", 1, 0.0)
    told.tell("receive_observed", None, 0.1)
    told.tell("receive_failure", "connection loss", 1.1, uncertain=True)
    told.tell("handle_timer", 3.0)
    told.tell("receive_observed", seen(1), 3.1)
    told.tell("want", False, 10.0)
    told.tell("receive_observed", seen(1), 10.1)
    told.tell("receive_written", 10.2)
    told.tell("receive_observed", None, 10.3)
    told.check("registration/lost_answer")


def test_node_that_operators_delete_or_overwrite_is_put_right() -> None:
    """Told by the watch, or found at the next audit."""
    told = story("An operator deletes the node, and later overwrites another one, which only the audit finds.")
    told.tell("want", True, 0.0)
    told.tell("receive_session", 1, 0.0)
    told.tell("receive_observed", seen(1), 0.1)
    told.tell("receive_change", 5.0)
    told.tell("receive_observed", None, 5.1)
    told.tell("receive_written", 5.2)
    told.tell("receive_observed", seen(1, created=20), 5.3)
    told.tell("handle_timer", 35.3)
    told.tell("receive_observed", seen(1, "L2", version=1, created=20), 35.4)
    told.tell("receive_written", 35.5)
    told.tell("receive_observed", seen(1, created=30), 35.6)
    told.check("registration/operators")


def test_node_of_our_successor_is_left_alone() -> None:
    """A reload starts a worker of the same launch, whose node is younger than ours can be."""
    told = story("The successor that a reload has started takes the name over while this instance still runs.")
    told.tell("want", True, 0.0)
    told.tell("receive_session", 1, 0.0)
    told.tell("receive_observed", seen(1), 0.1)
    told.tell("receive_change", 5.0)
    told.tell("receive_observed", seen(2, created=20), 5.1)
    told.tell("want", False, 9.0)
    told.tell("receive_observed", seen(2, created=20), 9.1)
    told.check("registration/successor")


def test_twin_that_lives_is_told_from_a_dead_ones_node() -> None:
    """By time on one connection: a dead process's session would have ended. Time without ZooKeeper does not count."""
    twin = dataclasses.replace(seen(1, "L2"), record=record("L2", timeout="4.0"))
    told = story(
        "A twin holds the name. While there is no connection no time counts; once a dead one's session would have\n"
        "ended the twin is known to live, and there is no timer for that any more."
    )
    told.tell("want", True, 0.0)
    told.tell("receive_session", 2, 0.0, timeout=4.0)
    told.tell("receive_observed", twin, 0.1)
    told.tell("receive_session", None, 2.0)
    told.tell("receive_session", 2, 60.0, timeout=4.0)
    told.tell("receive_observed", twin, 60.1)
    told.tell("handle_timer", 67.1)
    told.tell("receive_observed", twin, 67.2)
    told.check("registration/living_twin")


def test_writes_that_are_refused_come_with_pauses() -> None:
    """The first refusal means that what was seen is old; more of them mean trouble, and are not hurried."""
    told = story("Every write is refused. The first time it looks again at once, then after pauses that grow.")
    told.tell("want", True, 0.0)
    told.tell("receive_session", 1, 0.0)
    for at in (0.0, 1.0, 2.0, 3.0):
        told.tell("receive_observed", None, at + 0.1)
        told.tell("receive_refused", "the node exists", at + 0.2)
        told.tell("handle_timer", at + 1.0)
    told.check("registration/refused")


def test_withdrawal_believes_absence_only_when_nothing_is_on_its_way() -> None:
    """A create whose reply was lost may arrive late: a write through the leader comes after it."""
    told = story("Withdrawn while a create has no answer. The late node is found after Settle, and deleted.")
    told.tell("want", True, 0.0)
    told.tell("receive_session", 1, 0.0)
    told.tell("receive_observed", None, 0.1)
    told.tell("receive_failure", "connection loss", 1.1, uncertain=True)
    told.tell("want", False, 1.12)
    told.tell("receive_observed", None, 1.2)
    told.tell("receive_settled", 1.3)
    told.tell("receive_observed", seen(1), 1.4)
    told.tell("receive_written", 1.5)
    told.tell("receive_observed", None, 1.6)
    told.check("registration/late_node")


def test_look_that_another_session_overtakes_is_judged_by_the_new_one() -> None:
    """The node of the old session is then an earlier one of ours, and is replaced."""
    told = story("The session is another one when the look is answered.")
    told.tell("want", True, 0.0)
    told.tell("receive_session", 1, 0.0)
    told.tell("receive_session", 2, 0.1)
    told.tell("receive_observed", seen(1), 0.2)
    told.tell("receive_written", 0.3)
    told.tell("receive_observed", seen(2, created=20), 0.4)
    told.check("registration/session_overtakes")
