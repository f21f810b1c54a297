"""The gate in front of the handlers."""

from __future__ import annotations

from tests.server.requests import call_of, oneway_of
from zkrpc.server.admission import Admission


def test_admission_counts_what_runs() -> None:
    """As many as the limit says are let in, and as soon as one leaves there is room again."""
    admission = Admission(2, lambda: True)
    assert [admission.admits() for _ in range(3)] == [True, True, False]
    admission.leave()
    assert admission.admits() and admission.running == 2
    assert repr(admission) == "<Admission running=2/2>"


def test_admission_says_why_it_refuses() -> None:
    """At the limit a call is told Overloaded, at the end Draining; both were certainly not executed."""
    answers = {}
    for error, limit, accepting in (("Overloaded", 0, True), ("Draining", 5, False)):
        admission = Admission(limit, lambda accepting=accepting: accepting)  # type: ignore[misc]
        assert not admission.admits()
        answers[error] = admission.refusal(call_of("echo"))
        assert admission.refusal(oneway_of("note")) is None
    for error, answer in answers.items():
        assert answer is not None and answer.headers is not None
        assert answer.headers["zkrpc-error"] == error and answer.headers["zkrpc-executed"] == "no"
