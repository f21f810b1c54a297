"""Which orders of an election's machine are events to those who observe, and the whole story of a hand-over."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest

import zkrpc
from tests.support.listening import Listener
from zkrpc.config import ServerConfig
from zkrpc.election.candidate_state import Participant
from zkrpc.election.effects import (
    Depose,
    Effect,
    Elect,
    ExitProcess,
    ReadPrimary,
    Reason,
    ReportCandidacyEnded,
    ReportPrimary,
    Serve,
    StartHeartbeats,
)
from zkrpc.election.observing import doubt_of, event_of, status_of
from zkrpc.election.states import ElectionState
from zkrpc.election.tree import ElectionPaths
from zkrpc.endpoint import Endpoint
from zkrpc.idl import load_text
from zkrpc.registry.formats import PrimaryRecord
from zkrpc.telemetry.events import (
    CandidacyEnded,
    Deposed,
    Elected,
    ElectionEvent,
    PrimaryChanged,
    Synchronised,
)
from zkrpc.testing.loopback import Loopback

OURS = Participant(paths=ElectionPaths("ledger"), instance="w1", endpoint=Endpoint("h", 1), unique="u")
COMMON: Any = {"service": "ledger", "group": "main", "instance": "w1"}
RECORD = PrimaryRecord(epoch=7, instance="w2", endpoint=Endpoint("h", 2))


@pytest.mark.parametrize(
    "effect, event",
    [
        (Elect(epoch=7), Elected(epoch=7, **COMMON)),
        (Serve(epoch=7), Synchronised(epoch=7, **COMMON)),
        (
            Depose(epoch=7, reason=Reason.LEASE_ENDED),
            Deposed(epoch=7, reason="lease ended", voluntary=False, **COMMON),
        ),
        (
            Depose(epoch=7, reason=Reason.HANDED_OVER),
            Deposed(epoch=7, reason="handed over", voluntary=True, **COMMON),
        ),
        (ReportPrimary(record=RECORD), PrimaryChanged(primary="w2", endpoint="h:2", epoch=7, **COMMON)),
        (ReportPrimary(record=None), PrimaryChanged(primary="", endpoint="", epoch=None, **COMMON)),
        (ReportCandidacyEnded(), CandidacyEnded(**COMMON)),
        (ExitProcess(epoch=7), None),
        (StartHeartbeats(), None),
        (ReadPrimary(path="/x"), None),
    ],
)
def test_order_is_an_event_if_it_concerns_others(effect: Effect, event: ElectionEvent | None) -> None:
    """Who won, serves, or serves no longer and why; who leads; that a candidate has gone."""
    assert event_of(effect, OURS) == event


def test_observers_hear_of_a_hand_over_and_status_agrees() -> None:
    """From the first election to the second, as each candidate sees it; the status says who leads in which epoch."""
    idl = load_text('service Ledger { i32 add(1: i32 amount) (zkrpc.primary = "true") }')

    class Handler:
        def add(self, amount: int) -> int:
            return amount

    listener = Listener(ElectionEvent)
    service = zkrpc.Service(idl.Ledger, Handler, config=ServerConfig(linger=0, drain_timeout=1))
    loopback = Loopback(service, replicas=2, observers=[listener])
    with loopback as stub:
        first = loopback.primary()
        assert stub.add(1) == 1
        leading = loopback._candidacies[first].status()[0]
        assert leading == dataclasses.replace(
            leading, state="primary", primary=f"replica-{first}", primary_endpoint=f"memory:{first}", group="main"
        )
        assert leading.epoch == leading.primary_epoch and leading.lease_left is not None and leading.lease_left > 0
        waiting = loopback._candidacies[1 - first].status()[0]
        assert (waiting.state, waiting.epoch, waiting.lease_left) == ("waiting", None, None)
        assert json.loads(json.dumps(dataclasses.asdict(leading)))["running"] == 0
        loopback.step_down()
        second = loopback.primary()
    told = [(type(event).__name__, event.instance) for event in listener.of(ElectionEvent)]
    story = [one for one in told if one[0] in ("Elected", "Synchronised", "Deposed")]
    mine, other = f"replica-{first}", f"replica-{second}"
    assert mine != other and story[:5] == [
        ("Elected", mine),
        ("Synchronised", mine),
        ("Deposed", mine),
        ("Elected", other),
        ("Synchronised", other),
    ]
    elected, deposed = listener.of(Elected), listener.of(Deposed)
    assert elected[0].epoch == leading.epoch == deposed[0].epoch < elected[1].epoch
    assert (deposed[0].reason, deposed[0].voluntary) == ("handed over", True)
    assert {event.primary for event in listener.of(PrimaryChanged)} >= {mine, other}


@pytest.mark.parametrize(
    ("state", "epoch", "primary", "doubt"),
    [
        ("primary", 7, RECORD, None),
        ("primary", None, RECORD, "its lease for main has ended"),
        ("synchronising", 7, None, "it is about to lead main"),
        ("confirming", None, None, "it is about to lead main"),
        ("claiming", None, RECORD, "it is about to lead main"),
        ("deposing", 7, RECORD, "it is giving main up"),
        ("resigning", None, None, "it is giving main up"),
        ("exiting", None, None, "it is giving main up"),
        ("waiting", None, RECORD, "it does not lead main; w2 at h:2 does"),
        ("enrolling", None, None, "it does not lead main, and knows of nobody who does"),
        ("idle", None, None, "it does not lead main, and knows of nobody who does"),
    ],
)
def test_doubt_says_why_an_instance_is_not_the_primary(
    state: str, epoch: int | None, primary: PrimaryRecord | None, doubt: str | None
) -> None:
    """None only while calls for the primary are served; otherwise who does, if that is known."""
    assert doubt_of(status_of(OURS.paths, ElectionState(state), epoch, None, 0.0, primary, 0)) == doubt
