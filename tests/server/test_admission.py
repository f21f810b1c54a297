"""The gate in front of the handlers."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.support.requests import call_of, oneway_of
from zkrpc.policies.limit import AdaptiveLimit
from zkrpc.server.admission import Admission
from zkrpc.server.dispatch import Answer
from zkrpc.server.shares import Share
from zkrpc.wire.envelope import MessageKind


def test_admission_counts_what_runs() -> None:
    """As many as the limit says are let in, and as soon as one leaves there is room again."""
    admission, share = Admission(2, SimpleNamespace(accepts_calls=True)), Share("10.0.0.1")
    assert [admission.admits(share) for _ in range(3)] == [True, True, False]
    admission.leave(0.0)
    assert admission.admits(share) and admission.running == 2
    assert repr(admission) == "<Admission running=2/2 queued=0>"


def test_admission_says_why_it_refuses() -> None:
    """At the limit a call is told Overloaded, at the end Draining; both were certainly not executed."""
    answers = {}
    for error, limit, accepting in (("Overloaded", 0, True), ("Draining", 5, False)):
        admission = Admission(limit, SimpleNamespace(accepts_calls=accepting))
        assert not admission.admits(Share("10.0.0.1"))
        answers[error] = admission.refusal(call_of("echo"))
        dropped = admission.refusal(oneway_of("note"))
        assert (dropped.kind, dropped.headers) == (MessageKind.ONEWAY, answers[error].headers)
    for error, answer in answers.items():
        assert answer is not None and answer.headers is not None
        assert answer.headers["zkrpc-error"] == error and answer.headers["zkrpc-executed"] == "no"


class Waiting:
    """A request in the queue that notes what becomes of it."""

    def __init__(self, name: str, fates: list[str], share: Share, budget: int | None = None) -> None:
        headers = {} if budget is None else {"Deadline-Budget": str(budget)}
        self.request = call_of("echo", headers=headers)
        self.name = name
        self.share = share
        self._fates = fates

    def start(self) -> None:
        self._fates.append(f"{self.name} runs")

    def answer(self, answer: Answer | None) -> None:
        assert answer is not None and answer.headers is not None
        self._fates.append(f"{self.name} {answer.headers['zkrpc-error']}")


class Gate:
    """An admission whose places are all taken at time 0, and its queue."""

    def __init__(self, places: int = 1, **options: Any) -> None:
        self.now = 0.0
        self.accepts_calls = True
        self.fates: list[str] = []
        self.admission = Admission(places, self, **{"max_queue": 3, **options}, clock=lambda: self.now)
        self.share = Share("10.0.0.1")
        while self.admission.admits(self.share):
            self.admission.hold(self.share)

    def wait(self, name: str, budget: int | None = None, share: Share | None = None) -> Waiting | None:
        """Queues a request; None if there was no room."""
        ticket = Waiting(name, self.fates, share or self.share, budget)
        return ticket if self.admission.enqueue(ticket) else None

    def leave_at(self, now: float) -> None:
        """A handler ends."""
        self.now = now
        self.admission.release(self.share)
        self.admission.leave(0.0)


def test_queue_runs_the_nearest_deadline_first() -> None:
    """Whoever gives up first comes first, whoever has all the time comes last, equals in the order of arrival."""
    gate = Gate(max_queue=9)
    for name, budget in (("patient", None), ("late", 900), ("early", 300), ("late too", 900)):
        assert gate.wait(name, budget)
    for _ in range(4):
        gate.leave_at(0.1)
    assert gate.fates == ["early runs", "late runs", "late too runs", "patient runs"]
    assert (gate.admission.running, gate.admission.queued) == (1, 0)
    gate.leave_at(0.1)
    assert gate.admission.running == 0


def test_queue_is_short_and_says_so_at_once() -> None:
    """What finds it full is refused, with a hint as soon as the pace is known."""
    gate = Gate(max_queue=2)
    assert gate.wait("a") and gate.wait("b") and gate.wait("c") is None
    first = gate.admission.refusal(call_of("echo"))
    assert first is not None and first.headers is not None and "zkrpc-retry-after-ms" not in first.headers
    gate.leave_at(1.0)
    assert gate.wait("d")
    gate.leave_at(1.5)
    assert gate.wait("e")
    again = gate.admission.refusal(call_of("echo"))
    assert again is not None and again.headers is not None
    # A tenth of the half second between the two that left, for the two who wait and the one who asks.
    assert again.headers["zkrpc-retry-after-ms"] == "150"


def test_queue_answers_whoever_waited_too_long_and_does_not_run_it() -> None:
    """When its turn comes, or when room is wanted."""
    gate = Gate(max_queue=2)
    assert gate.wait("short", 100) and gate.wait("long", 5000)
    gate.leave_at(0.2)
    assert gate.fates == ["short DeadlineExceeded", "long runs"]
    assert gate.wait("brief", 250) and gate.wait("brief too", 250) and gate.wait("none") is None
    gate.now = 0.3
    assert gate.wait("now there is room")
    assert gate.fates[2:] == ["brief DeadlineExceeded", "brief too DeadlineExceeded"]


def test_queue_forgets_who_was_cancelled() -> None:
    """Its place in the queue is free at once, it is never run, and many of them leave nothing behind."""
    gate = Gate(max_queue=1)
    gone = gate.wait("gone", 100)
    assert gone is not None
    gate.admission.forget(gone)
    assert gate.wait("next", 200)
    gate.leave_at(0.0)
    assert gate.fates == ["next runs"]
    for _ in range(1000):
        cancelled = gate.wait("cancelled", 1000)
        assert cancelled is not None
        gate.admission.forget(cancelled)
    assert len(gate.share.heap) < 100
    gate.now = 2.0
    assert gate.wait("another", 3000) and gate.wait("no room") is None
    assert gate.fates == ["next runs"]


def test_queue_takes_nobody_while_the_server_stops() -> None:
    """Who waited before is still run."""
    gate = Gate()
    assert gate.wait("before")
    gate.accepts_calls = False
    assert gate.wait("after") is None
    gate.leave_at(0.0)
    assert gate.fates == ["before runs"]


def test_ended_handler_says_nothing_of_the_time_that_calls_take() -> None:
    """Its place is free all the same."""

    class Limit(AdaptiveLimit):
        samples: list[float] = []

        def receive_sample(self, elapsed: float, running: int, now: float, *, dropped: bool = False) -> None:
            self.samples.append(elapsed)

    gate = Gate(places=5, limit=Limit(initial=2, most=1000))
    assert gate.admission.running == 2
    gate.admission.leave(None)
    gate.leave_at(0.25)
    assert (Limit.samples, gate.admission.running) == ([0.25], 0)


def test_adaptive_limit_decides_how_many_run_but_no_more_than_configured() -> None:
    """A limit that grows lets those who wait in."""

    class Growing(AdaptiveLimit):
        def receive_sample(self, elapsed: float, running: int, now: float, *, dropped: bool = False) -> None:
            self.limit = 9

    gate = Gate(places=4, limit=Growing(initial=2, most=1000))
    assert gate.admission.running == 2
    assert gate.wait("a") and gate.wait("b") and gate.wait("c")
    gate.leave_at(0.1)
    assert gate.fates == ["a runs", "b runs", "c runs"]
    assert gate.admission.running == 4


@given(st.lists(st.tuples(st.sampled_from(["come", "leave", "cancel"]), st.integers(1, 300)), max_size=80))
def test_queue_never_runs_more_than_allowed_and_loses_nobody(steps: list[tuple[str, int]]) -> None:
    """Everybody who was queued runs, is answered, is cancelled, or still waits."""
    gate = Gate(places=2)
    waiting, queued, cancelled = [], 0, 0
    for step, number in steps:
        gate.now += number / 1000
        if step == "come":
            ticket = gate.wait(str(number), number)
            if ticket is not None:
                queued += 1
                waiting.append(ticket)
        elif step == "leave" and gate.admission.running:
            gate.leave_at(gate.now)
        elif step == "cancel" and waiting:
            ticket = waiting.pop()
            cancelled += ticket in gate.admission._waiting
            gate.admission.forget(ticket)
        assert gate.admission.running <= 2 and gate.admission.queued <= 3
    assert queued == len(gate.fates) + cancelled + gate.admission.queued


# -- several addresses -------------------------------------------------------------------------------


def test_last_places_are_for_those_who_hold_less_than_their_part() -> None:
    """While somebody else is connected, slow calls from one address leave an eighth of the places free."""
    admission = Admission(16, SimpleNamespace(accepts_calls=True), reserve=0.125)
    greedy, modest = Share("10.0.0.1"), Share("10.0.0.2")
    admission.share_among(2)
    taken = 0
    while admission.admits(greedy):
        admission.hold(greedy)
        taken += 1
    assert taken == 14
    assert admission.admits(modest) and admission.admits(modest) and not admission.admits(modest)


def test_caller_that_is_alone_may_take_everything() -> None:
    """Nothing is kept for people who are not there, and what was kept is free when the others have gone."""
    admission = Admission(16, SimpleNamespace(accepts_calls=True), reserve=0.125)
    greedy = Share("10.0.0.1")
    admission.share_among(2)
    while admission.admits(greedy):
        admission.hold(greedy)
    admission.share_among(1)
    assert admission.admits(greedy) and admission.admits(greedy) and not admission.admits(greedy)


def test_free_place_goes_to_the_address_that_holds_fewest() -> None:
    """However many of the greedy one's requests wait, and however near their deadlines are."""
    gate = Gate(places=3, max_queue=9)
    modest = Share("10.0.0.2")
    for name in "abc":
        gate.wait(name, 10)
    gate.wait("m", 1000, modest)
    gate.leave_at(0.001)
    assert gate.fates == ["m runs"]
    gate.leave_at(0.002)
    gate.leave_at(0.003)
    assert gate.fates == ["m runs", "a runs", "b runs"]


def test_reserve_is_not_for_those_who_wait_behind_places_that_were_given_up_at_once() -> None:
    """An address whose calls are all taken back has others waiting: these hold their places before they run."""
    admission = Admission(16, SimpleNamespace(accepts_calls=True), max_queue=16, reserve=0.125)
    greedy, modest = Share("10.0.0.1"), Share("10.0.0.2")
    admission.share_among(2)
    running: list[Share] = []
    waiting: list[_Counted] = []
    while admission.admits(greedy):
        admission.hold(greedy)
        running.append(greedy)
    for _ in range(16):
        waiting.append(_Counted(greedy, running, waiting))
        assert admission.enqueue(waiting[-1])
    for _ in range(14):
        running.remove(greedy)
        admission.release(greedy)
        admission.leave(None)
    assert admission.running == greedy.holding == 14 and admission.queued == 2
    assert admission.admits(modest) and admission.admits(modest)


def test_addresses_that_hold_equally_many_take_turns() -> None:
    """One after another, each by the deadlines of its own."""
    gate = Gate(places=4, max_queue=9)
    shares = {name: Share(name) for name in "xyz"}
    for name, share in shares.items():
        for number in range(2):
            gate.wait(f"{name}{number}", 100 - number, share)
    for moment in range(4):
        gate.leave_at(moment / 1000)
    assert gate.fates == ["x1 runs", "y1 runs", "z1 runs", "x0 runs"]


def test_full_queue_makes_room_for_an_address_that_has_less_in_it() -> None:
    """The one of the greediest that has most time left is refused, until all have equally many."""
    gate = Gate(max_queue=4)
    modest = Share("10.0.0.2")
    for number, budget in enumerate((100, 400, 200, 300)):
        gate.wait(f"g{number}", budget)
    assert gate.wait("m0", 500, modest) and gate.wait("m1", 500, modest)
    assert gate.fates == ["g1 Overloaded", "g3 Overloaded"]
    assert not gate.wait("m2", 500, modest) and not gate.wait("g4", 50)
    assert gate.admission.queued == 4


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(("come", "leave", "cancel"))), max_size=60))
def test_no_place_and_no_request_is_lost_between_addresses(steps: list[tuple[str, str]]) -> None:
    """Whatever comes, runs and leaves: places are never overdrawn, counts agree, and nobody waits beside a place that
    is free for all."""
    admission = Admission(4, SimpleNamespace(accepts_calls=True), max_queue=3, reserve=0.25)
    admission.share_among(3)
    shares = {name: Share(name) for name in "abc"}
    running: list[Share] = []
    waiting: list[_Counted] = []
    for name, what in steps:
        share = shares[name]
        if what == "come":
            if admission.admits(share):
                admission.hold(share)
                running.append(share)
            else:
                ticket = _Counted(share, running, waiting)
                waiting.append(ticket)
                if not admission.enqueue(ticket):
                    waiting.remove(ticket)
        elif what == "leave" and share in running:
            running.remove(share)
            admission.release(share)
            admission.leave(None)
        elif what == "cancel" and waiting:
            admission.forget(waiting.pop())
        assert admission.running == len(running) <= 4
        assert admission.queued == len(waiting) <= 3
        assert all(one.holding == running.count(one) for one in shares.values())
        assert all(one.queued == sum(ticket.share is one for ticket in waiting) for one in shares.values())
        assert not waiting or admission.running >= 3


class _Counted:
    """A ticket that keeps the books of the test."""

    def __init__(self, share: Share, running: list[Share], waiting: list[_Counted]) -> None:
        self.request = call_of("echo")
        self.share = share
        self._running, self._waiting = running, waiting

    def start(self) -> None:
        self._waiting.remove(self)
        self._running.append(self.share)

    def answer(self, answer: Answer | None) -> None:
        self._waiting.remove(self)
