"""What the registration machine orders, story by story."""

from __future__ import annotations

from tests.support.transcript import Transcript
from zkrpc.endpoint import Endpoint, Instance
from zkrpc.registry.formats import LAUNCH, PID, dump_serverset
from zkrpc.registry.registration import Observed, RegistrationMachine

PATH = "/services/users/members/member_w1"


def record(launch: str = "L1") -> bytes:
    """A record as a worker of that launch writes it."""
    return dump_serverset(Instance(id="w1", endpoint=Endpoint("10.0.0.3", 9090), metadata={LAUNCH: launch, PID: "17"}))


def seen(owner: int, launch: str = "L1", *, version: int = 0) -> Observed:
    """What a look may find: a node of that session."""
    return Observed(owner=owner, version=version, created_zxid=10, record=record(launch))


def story(intent: str) -> Transcript:
    """A machine that has not been told anything, and what it is told."""
    return Transcript(
        RegistrationMachine(PATH, record(), "L1", audit_interval=30.0, rng=lambda: 0.5), intent, show=_show
    )


def _show(value: object) -> str:
    if not isinstance(value, Observed):
        return repr(value)
    launch = "L1" if value.record == record() else "L2"
    return f"node of session {value.owner}, launch {launch}, version {value.version}"


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
