"""What the election machine orders, story by story."""

from __future__ import annotations

import dataclasses
import json

from tests.support.transcript import Transcript
from zkrpc.election.candidate_state import Participant
from zkrpc.election.effects import ElectionAnswer, Node, RequestFailure
from zkrpc.election.lease import Lease
from zkrpc.election.machine import ElectionMachine
from zkrpc.election.tree import ElectionPaths, EpochRecord
from zkrpc.endpoint import Endpoint
from zkrpc.registry.formats import PrimaryRecord

PATHS = ElectionPaths("ledger")
OURS, OTHER = "w1.u-0000000005", "w0.u-0000000003"
"""Our candidate, made in session 7 at 2000 by ZooKeeper's clock, and another's, made before it in session 5."""
OUR_RECORD = PrimaryRecord(epoch=2001, instance="w1", endpoint=Endpoint("h", 1))
THEIR_RECORD = PrimaryRecord(epoch=2000, instance="w0", endpoint=Endpoint("h", 2))


def candidate(owner: int = 7) -> Node:
    """Our candidate, as a look finds it."""
    return Node(owner=owner, made_at=2000)


def primary(record: PrimaryRecord, owner: int) -> Node:
    """The primary's node."""
    return Node(owner=owner, value=record.dump())


def epoch(number: int, instance: str = "", *, version: int) -> Node:
    """The epoch's node."""
    return Node(owner=0, version=version, value=EpochRecord(epoch=number, instance=instance).dump())


class Story(Transcript):
    """A machine of the instance w1, whose session is 7 and times out after 6 s, and what it is told."""

    def __init__(self, intent: str, *, leading: bool = False) -> None:
        """``leading``: it has led in epoch 2001 since 0.5, with nobody else in the queue."""
        machine = ElectionMachine(
            Participant(paths=PATHS, instance="w1", endpoint=Endpoint("h", 1), unique="u"),
            elected_timeout=20.0,
            deposed_timeout=2.0,
            audit_interval=30.0,
            rng=lambda: 0.5,
        )
        if leading:
            _lead(machine)
        super().__init__(machine, intent, show=_show)

    def answer(self, answer: ElectionAnswer | RequestFailure, now: float) -> None:
        """ZooKeeper answers the request that is out."""
        self.tell("receive_answer", answer, now)

    def enrol(self) -> None:
        """Up to the candidate that has been made, and is alone."""
        self.tell("campaign", 0.0)
        self.tell("receive_connected", 7, 0.1, timeout=6.0)
        self.answer((), 0.11)
        self.answer(None, 0.12)
        self.answer((OURS,), 0.13)
        self.answer(candidate(), 0.14)

    def claim(self) -> None:
        """Up to the claim, which is not answered yet."""
        self.enrol()
        self.answer(None, 0.15)
        self.answer(epoch(2000, "w0", version=4), 0.16)


def _lead(machine: ElectionMachine) -> None:
    machine.campaign(0.0)
    machine.receive_connected(7, 0.1, timeout=6.0)
    enrolled: tuple[ElectionAnswer, ...] = ((), None, (OURS,), candidate(), None, epoch(2000, "w0", version=4), None)
    for answer in enrolled:
        machine.receive_answer(answer, 0.2)
    machine.receive_lease(Lease(session_id=7, until=4.4), 0.3)
    machine.receive_answer((candidate(), epoch(2001, "w1", version=5), primary(OUR_RECORD, 7)), 0.4)
    machine.receive_synchronised(2001, 0.5)
    machine.receive_answer(None, 0.6)
    machine.receive_lease(Lease(session_id=7, until=14.2), 10.0)
    machine.effects()


def _show(value: object) -> str:
    if isinstance(value, tuple):
        return "(" + ", ".join(map(_show, value)) + ")"
    if isinstance(value, Node):
        owner = f"session {value.owner}" if value.owner else f"version {value.version}"
        made = [f"made at {value.made_at}"] if value.made_at else []
        said = [f"{key} {part}" for key, part in json.loads(value.value or b"{}").items() if part]
        return f"<node {', '.join([owner, *made, *said])}>"
    if isinstance(value, RequestFailure):
        return f"<{value.value}>"
    text = repr(value).replace(PATHS.root + "/", "").replace(repr(PATHS.root), "the root")
    for record in (OUR_RECORD, THEIR_RECORD):
        text = text.replace(repr(record), f"{record.instance} in epoch {record.epoch}")
    return text


def test_first_election_of_a_group() -> None:
    """Nothing is there yet; the lease comes last, and then the application is told."""
    told = Story("The first election of a group, by its only instance. The lease comes after the answer to the claim.")
    told.tell("campaign", 0.0)
    told.tell("receive_connected", 7, 0.1, timeout=6.0)
    told.answer(None, 0.11)
    told.answer(None, 0.12)
    told.answer(None, 0.13)
    told.answer((OURS,), 0.14)
    told.answer(candidate(), 0.15)
    told.answer(None, 0.16)
    told.answer(None, 0.17)
    told.answer(None, 0.18)
    told.answer(epoch(0, version=0), 0.19)
    told.answer(None, 0.2)
    told.tell("receive_lease", Lease(session_id=7, until=4.3), 0.21)
    told.answer((candidate(), epoch(2001, "w1", version=1), primary(OUR_RECORD, 7)), 0.22)
    told.tell("receive_synchronised", 2001, 0.5)
    told.answer(None, 0.51)
    told.check("election/first_election")


def test_second_candidate_takes_over() -> None:
    """It waits for the one before it, and claims as soon as nobody leads."""
    told = Story(
        "A second candidate waits behind the primary w0, which dies, and takes over. The lease has been earned by the\n"
        "time at which the claim is answered, so the win is told to the application in the same step."
    )
    told.tell("campaign", 0.0)
    told.tell("receive_connected", 7, 0.1, timeout=6.0)
    told.answer((OTHER,), 0.11)
    told.answer(None, 0.12)
    told.answer((OTHER, OURS), 0.13)
    told.answer(candidate(), 0.14)
    told.answer(Node(owner=5, made_at=1999), 0.15)
    told.answer(primary(THEIR_RECORD, 5), 0.16)
    told.answer(epoch(2000, "w0", version=4), 0.17)
    told.tell("receive_change", 9.0)
    told.answer(((OURS,), candidate(), None, epoch(2000, "w0", version=4)), 9.01)
    told.tell("receive_lease", Lease(session_id=7, until=13.2), 9.02)
    told.answer(None, 9.03)
    told.answer((candidate(), epoch(2001, "w1", version=5), primary(OUR_RECORD, 7)), 9.04)
    told.tell("receive_synchronised", 2001, 9.3)
    told.answer(None, 9.31)
    told.check("election/take_over")


def test_hand_over_that_an_operator_asked_for() -> None:
    """on_deposed returns first; then the nodes go in one transaction that names the heir."""
    told = Story(
        "An operator has the primary hand over to w0. It stops, lets go, and stands again a little later.", leading=True
    )
    told.tell("step_down", 11.0, "w0")
    told.tell("receive_deposed", 2001, 11.2)
    told.answer(None, 11.21)
    told.answer(None, 11.22)
    told.tell("handle_timer", 11.4)
    told.answer((OTHER,), 11.41)
    told.answer(None, 11.42)
    told.check("election/hand_over")


def test_claim_whose_answer_is_lost() -> None:
    """Nothing is assumed: a read shows that the claim was carried out."""
    told = Story(
        "The connection is lost before the claim is answered. Afterwards the primary's node is found to be ours."
    )
    told.claim()
    told.tell("receive_disconnected", 0.2)
    told.answer(RequestFailure.UNKNOWN, 0.21)
    told.tell("receive_connected", 7, 1.0, timeout=6.0)
    told.answer(((OURS,), candidate(), primary(OUR_RECORD, 7), epoch(2001, "w1", version=5)), 1.01)
    told.tell("receive_lease", Lease(session_id=7, until=5.2), 1.1)
    told.check("election/lost_answer")


def test_claim_that_never_gets_a_lease() -> None:
    """It lets go after half a session timeout, so that another may try, and stands again after a pause."""
    told = Story("The claim wins, and no heartbeat is committed. It lets go in time, says why, and stands back.")
    told.claim()
    told.answer(None, 0.2)
    told.answer((candidate(), epoch(2001, "w1", version=5), primary(OUR_RECORD, 7)), 0.3)
    told.tell("handle_timer", 3.2)
    told.answer(None, 3.3)
    told.answer(None, 3.4)
    told.tell("handle_timer", 4.1)
    told.check("election/no_lease")


def test_session_that_is_lost_while_leading() -> None:
    """Nothing is left to release; it stands again in its next session."""
    told = Story(
        "The session ends while the instance leads. Its nodes went with it; it stops, and stands again.", leading=True
    )
    told.tell("receive_disconnected", 11.0)
    told.tell("receive_disconnected", 13.0, lost=True)
    told.tell("receive_deposed", 2001, 13.1)
    told.tell("receive_connected", 8, 13.5, timeout=6.0)
    told.answer((), 13.51)
    told.answer(None, 13.52)
    told.check("election/session_lost")


def test_connection_that_comes_back_while_leading() -> None:
    """No reason to stop: everything is looked at again, because the watches are gone."""
    told = Story(
        "The connection is lost for a second while the instance leads. It goes on, and looks again.", leading=True
    )
    told.tell("receive_disconnected", 11.0)
    told.tell("receive_connected", 7, 12.0, timeout=6.0)
    told.answer((candidate(), epoch(2001, "w1", version=5), primary(OUR_RECORD, 7)), 12.01)
    told.check("election/reconnected")


def test_epoch_node_that_somebody_deletes() -> None:
    """The primary stops, and writes what it knows before it lets go, so that no epoch comes twice."""
    told = Story(
        "Somebody deletes the epoch's node while the instance leads. It stops, and makes the node again.", leading=True
    )
    told.tell("receive_change", 11.0)
    told.answer((candidate(), None, primary(OUR_RECORD, 7)), 11.01)
    told.tell("receive_deposed", 2001, 11.2)
    told.answer(RequestFailure.MISSING, 11.21)
    told.answer(None, 11.22)
    told.answer(((), None, primary(OUR_RECORD, 7)), 11.23)
    told.answer(None, 11.24)
    told.answer(((), epoch(2001, version=0), primary(OUR_RECORD, 7)), 11.25)
    told.answer(None, 11.26)
    told.answer(None, 11.27)
    told.tell("handle_timer", 11.32)
    told.check("election/epoch_deleted")


def test_on_elected_that_fails() -> None:
    """The term is given up; the instance stands back for longer with each failure in a row."""
    told = Story(
        "on_elected raises, twice in a row. Each time the instance lets go and stands back, the second time longer."
    )
    told.claim()
    told.tell("receive_lease", Lease(session_id=7, until=60.0), 0.17)
    told.answer(None, 0.2)
    told.tell("receive_synchronised", 2001, 0.3, succeeded=False, why="ValueError: no such table")
    told.tell("receive_deposed", 2001, 0.4)
    told.answer((candidate(), epoch(2001, "w1", version=5), primary(OUR_RECORD, 7)), 0.41)
    told.answer(None, 0.42)
    told.answer(None, 0.43)
    told.tell("handle_timer", 1.3)
    told.answer((), 1.31)
    told.answer(None, 1.32)
    told.answer((OURS,), 1.33)
    told.answer(candidate(), 1.34)
    told.answer(None, 1.35)
    told.answer(epoch(2001, "w1", version=6), 1.36)
    told.answer(None, 1.37)
    told.tell("receive_synchronised", 2002, 1.5, succeeded=False, why="ValueError: no such table")
    told.tell("receive_deposed", 2002, 1.6)
    again = dataclasses.replace(OUR_RECORD, epoch=2002)
    told.answer((candidate(), epoch(2002, "w1", version=7), primary(again, 7)), 1.61)
    told.answer(None, 1.62)
    told.check("election/on_elected_fails")


def test_on_deposed_that_does_not_return() -> None:
    """Only the end of the process may make room for a successor then."""
    told = Story(
        "The lease ends while the instance leads, and on_deposed does not return: the process must end.", leading=True
    )
    told.tell("handle_timer", 14.2)
    told.tell("handle_timer", 16.2)
    told.tell("receive_deposed", 2001, 16.3)
    told.check("election/on_deposed_hangs")
