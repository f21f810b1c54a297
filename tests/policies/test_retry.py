"""Retry is decided by one fact: was the call executed?"""

from __future__ import annotations

import dataclasses
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.call import Call, Interceptor
from zkrpc.deadline import Deadline
from zkrpc.endpoint import Endpoint
from zkrpc.errors import (
    CallError,
    ConnectionLost,
    DeadlineExceeded,
    Draining,
    Executed,
    NotPrimary,
    Overloaded,
    PermissionDenied,
    RemoteError,
    StaleEpoch,
    Unavailable,
)
from zkrpc.policies.backoff import Backoff
from zkrpc.policies.retry import RetryPolicy, costs, counts, go_on_after, may_repeat, retrying

ENDPOINTS = [Endpoint("10.0.0.1", port) for port in range(1, 10)]
LOST = ConnectionLost
TIMED_OUT = DeadlineExceeded


class Scene:
    """A retrying stack over scripted outcomes, with a clock that only sleeping moves."""

    def __init__(self, *outcomes: object, instances: int = 3, idempotent: bool = False, timeout: float = 5.0) -> None:
        self.now = 100.0
        self.outcomes = list(outcomes)
        self.instances = ENDPOINTS[:instances]
        self.asked: list[Endpoint] = []
        self.pauses: list[float] = []
        self.closed = False
        self.call = Call("get", None, Deadline.after(timeout, self.now), idempotent=idempotent)
        self.policy = RetryPolicy(max_attempts=4, backoff=Backoff(first=0.1, longest=1.0))
        self.tokens = 100
        self.failures: list[BaseException] = []
        self.retried: list[tuple[int, str, float]] = []

    def run(self) -> object:
        """Makes the call."""
        return self.retry()(self.call, self.attempt)

    def run_after_first(self) -> object:
        """Makes the call with its first attempt outside of the machine."""
        self.call.attempt += 1
        try:
            return self.attempt(self.call)
        except BaseException as error:
            return go_on_after(self.retry(), self.attempt, self.call, error)

    def retry(self) -> Interceptor[Call]:
        """The machine."""
        return retrying(
            self.policy,
            clock=lambda: self.now,
            sleep=self.sleep,
            rng=lambda: 0.5,
            is_worth_asking=self.is_worth_asking,
            may_repeat_now=self.withdraw,
            on_retry=lambda call, error, pause: self.retried.append((call.attempt, type(error).__name__, pause)),
            on_failure=lambda call, error: self.failures.append(error),
        )

    def withdraw(self, now: float) -> bool:
        assert now == self.now
        self.tokens -= 1
        return self.tokens >= 0

    def is_worth_asking(self, call: Call, error: CallError) -> bool:
        return any(endpoint not in call.tried for endpoint in self.instances)

    def sleep(self, seconds: float) -> bool:
        self.pauses.append(seconds)
        self.now += seconds
        return not self.closed

    def attempt(self, call: Call) -> object:
        fresh = [endpoint for endpoint in self.instances if endpoint not in call.tried] or self.instances
        call.endpoint = fresh[0] if fresh else None
        self.asked.extend(fresh[:1])
        outcome = self.outcomes.pop(0) if len(self.outcomes) > 1 else self.outcomes[0]
        if isinstance(outcome, type) and issubclass(outcome, Exception):
            raise outcome("scripted")
        if isinstance(outcome, BaseException):
            raise outcome
        return outcome


def test_success_is_returned_and_counted_as_first_attempt() -> None:
    """No error, no problem."""
    scene = Scene(42)
    assert scene.run() == 42
    assert (scene.call.attempt, scene.pauses) == (1, [])


def test_each_call_that_fails_is_told_once() -> None:
    """When it is not sent again, however it ends, a declared exception or a timeout of its caller too."""
    scene = Scene(Overloaded, "ok", instances=1)
    assert scene.run() == "ok" and scene.failures == []
    for error in (Overloaded("full"), KeyError("declared"), KeyboardInterrupt()):
        scene = Scene(error, instances=1, timeout=0.2)
        with pytest.raises(type(error)):
            scene.run()
        assert [type(one) for one in scene.failures] == [type(error)]


def test_not_executed_goes_to_another_instance_at_once() -> None:
    """While untried instances remain there is nothing to wait for."""
    scene = Scene(Unavailable, Draining, "ok")
    assert scene.run() == "ok"
    assert (scene.asked, scene.pauses) == (ENDPOINTS[:3], [])


def test_call_that_the_caller_may_not_make_is_made_once() -> None:
    """Others would refuse it as well, and a caller that is not on the list must not cost each instance a look."""
    scene = Scene(PermissionDenied, "ok", instances=5)
    with pytest.raises(PermissionDenied) as caught:
        scene.run()
    assert (scene.asked, caught.value.executed, scene.pauses) == (ENDPOINTS[:1], Executed.NO, [])


def test_not_executed_pauses_once_everybody_was_asked() -> None:
    """After the last instance the backoff begins, doubling."""
    scene = Scene(Overloaded, Overloaded, Overloaded, "ok", instances=1)
    assert scene.run() == "ok"
    assert scene.pauses == [0.05, 0.1, 0.2]


@pytest.mark.parametrize("error", [ConnectionLost, Draining])
def test_attempts_are_spent_over_the_deadline_where_connections_break(error: type[CallError]) -> None:
    """One that comes up again within half of the time is found, whatever happens within milliseconds."""
    scene = Scene(error, instances=1, idempotent=True, timeout=8.0)
    with pytest.raises(error) as caught:
        scene.run()
    assert (caught.value.attempts, scene.pauses[0]) == (4, 0.05)
    assert 0.5 < scene.pauses[1] < 1.0 < 2.0 < scene.pauses[2] < 4.0
    assert scene.now < 108.0


def test_attempts_at_a_primary_whose_link_breaks_are_spent_over_the_deadline() -> None:
    """Others lead back to it between them, which makes none of its attempts come sooner."""
    outcomes = (LOST, NotPrimary, LOST, NotPrimary, LOST, NotPrimary, LOST)
    scene = Scene(*outcomes, instances=1, idempotent=True, timeout=8.0)
    with pytest.raises(ConnectionLost) as caught:
        scene.run()
    assert caught.value.attempts == 7
    assert sum(scene.pauses[:2]) < 0.3 and sum(scene.pauses) > 3.0 and scene.now < 108.0


def test_two_lost_connections_do_not_hold_a_call_up_while_there_are_others() -> None:
    """Two instances have died: the third one is asked at once."""
    scene = Scene(LOST, LOST, "ok", idempotent=True)
    assert scene.run() == "ok"
    assert scene.pauses == []


def test_maybe_executed_is_final_for_a_method_that_is_not_idempotent() -> None:
    """Sending it again could do it twice."""
    scene = Scene(LOST)
    with pytest.raises(ConnectionLost) as caught:
        scene.run()
    assert (caught.value.executed, caught.value.attempts, scene.pauses) == (Executed.MAYBE, 1, [])


def test_maybe_executed_is_repeated_for_an_idempotent_method() -> None:
    """Doing it twice does no harm."""
    assert Scene(LOST, "ok", idempotent=True).run() == "ok"


@pytest.mark.parametrize("idempotent", [False, True])
def test_executed_is_never_repeated(idempotent: bool) -> None:
    """The handler's own failure is an answer."""
    scene = Scene(RemoteError, idempotent=idempotent)
    with pytest.raises(RemoteError):
        scene.run()
    assert scene.call.attempt == 1


def test_attempts_that_reached_a_server_are_limited() -> None:
    """The fifth attempt is not made."""
    scene = Scene(Overloaded, instances=9)
    with pytest.raises(Overloaded) as caught:
        scene.run()
    assert (caught.value.attempts, scene.pauses) == (4, [])
    assert "4 attempts" in str(caught.value)


def test_attempts_that_reached_nobody_go_on_until_the_deadline() -> None:
    """A restart longer than four attempts is ridden out."""
    scene = Scene(*[Unavailable] * 9, "ok", instances=1)
    assert scene.run() == "ok"
    assert scene.call.attempt == 10


def test_pause_beyond_the_deadline_is_not_begun() -> None:
    """The caller gets the reason, and gets it before the time is up."""
    scene = Scene(Unavailable, instances=0, timeout=1.0)
    with pytest.raises(Unavailable) as caught:
        scene.run()
    assert 100.5 < scene.now < 101.0
    assert (caught.value.endpoint, caught.value.attempts) == (None, len(scene.pauses) + 1)


def test_time_that_runs_out_between_attempts_does_not_hide_the_reason() -> None:
    """A pause may end late; the next attempt then finds no time left, and the caller still hears what was wrong."""
    scene = Scene(Unavailable("nobody is there"), DeadlineExceeded("no time left", executed=Executed.NO), instances=0)
    with pytest.raises(Unavailable, match="nobody is there") as caught:
        scene.run()
    assert caught.value.attempts == 1


def test_time_that_runs_out_at_an_instance_is_told_as_it_is() -> None:
    """An attempt that reached somebody and got no answer is the newer and the truer news."""
    scene = Scene(Unavailable("refused"), TIMED_OUT)
    with pytest.raises(DeadlineExceeded) as caught:
        scene.run()
    assert caught.value.executed is Executed.MAYBE


@pytest.mark.parametrize("refusal", [NotPrimary("not here"), StaleEpoch("over", seen=2, current=1)])
def test_election_is_waited_for_until_the_deadline(refusal: CallError) -> None:
    """Attempts that found no primary are not counted, and the pauses shrink so that all of the time is used."""
    scene = Scene(refusal, instances=0, timeout=3.0)
    with pytest.raises(type(refusal)) as caught:
        scene.run()
    assert (caught.value.executed, caught.value.attempts) == (Executed.NO, len(scene.pauses) + 1)
    assert 4 < len(scene.pauses) < 15
    assert 102.9 <= scene.now < 103.0


def test_redirect_is_followed_at_once() -> None:
    """While there is somebody worth asking, as many times as it takes."""
    scene = Scene(*[NotPrimary("there")] * 8, "ok", instances=9)
    assert scene.run() == "ok"
    assert (scene.call.attempt, scene.pauses) == (9, [])


def test_wait_for_a_primary_does_not_hide_that_the_call_may_have_run() -> None:
    """The primary was lost with the call; what comes after it cannot make that undone."""
    scene = Scene(LOST, NotPrimary("not here"), idempotent=True, instances=1, timeout=1.0)
    with pytest.raises(NotPrimary) as caught:
        scene.run()
    assert caught.value.executed is Executed.MAYBE


def test_expired_deadline_ends_the_attempts_even_if_instances_are_left() -> None:
    """Time up is time up."""
    scene = Scene(DeadlineExceeded("late", executed=Executed.NO), timeout=0.0)
    with pytest.raises(DeadlineExceeded):
        scene.run()
    assert scene.call.attempt == 1


def test_overloaded_everywhere_waits_as_long_as_the_server_said() -> None:
    """The hint comes on top of the jitter, once nobody else is left."""
    scene = Scene(Overloaded("full", retry_after=0.5), "ok", instances=1)
    assert scene.run() == "ok"
    assert scene.pauses == [0.55]


def test_later_refusal_does_not_hide_that_the_call_may_have_run() -> None:
    """After a lost connection, "not executed" would be a lie about the call as a whole."""
    scene = Scene(LOST, Unavailable, idempotent=True, instances=1, timeout=1.0)
    with pytest.raises(Unavailable) as caught:
        scene.run()
    assert caught.value.executed is Executed.MAYBE


def test_closing_ends_the_attempts_with_the_last_error() -> None:
    """When nothing can come any more, the error that led to the pause stands."""
    scene = Scene(Unavailable, instances=1)
    scene.closed = True
    with pytest.raises(Unavailable):
        scene.run()
    assert (scene.call.attempt, len(scene.pauses)) == (1, 1)


def test_other_exceptions_pass_untouched() -> None:
    """Declared exceptions and bugs are not the policy's business."""
    scene = Scene(KeyError("no such user"))
    with pytest.raises(KeyError):
        scene.run()


@pytest.mark.parametrize(
    ("error", "counted"),
    [
        (Unavailable("x"), False),
        (ConnectionLost("x", executed=Executed.NO), False),
        (ConnectionLost("x"), True),
        (Draining("x"), True),
        (DeadlineExceeded("x"), True),
        (NotPrimary("x"), False),
        (NotPrimary("x", executed=Executed.MAYBE), True),
        (StaleEpoch("x", seen=2, current=1), False),
    ],
)
def test_attempt_counts_if_a_server_had_a_say_in_it(error: CallError, counted: bool) -> None:
    """A refusal by a server has cost that server something; not being the primary costs it nothing."""
    assert counts(error) is counted


kinds = st.sampled_from([Unavailable, Draining, Overloaded, NotPrimary, LOST, TIMED_OUT, RemoteError])


@settings(deadline=None, max_examples=200)
@given(st.lists(kinds, min_size=1, max_size=30), st.booleans(), st.integers(0, 4))
def test_no_history_breaks_the_rules(outcomes: list[type[CallError]], idempotent: bool, instances: int) -> None:
    """Never a repeat after YES, none after MAYBE unless idempotent, never over the limit, never past the deadline."""
    scene = Scene(*outcomes, "ok", idempotent=idempotent, instances=instances)
    try:
        scene.run()
    except CallError as error:
        assert error.attempts == scene.call.attempt
    seen = [outcome("x") for outcome in outcomes][: scene.call.attempt - 1]
    assert all(may_repeat(error, idempotent) for error in seen)
    assert sum(counts(error) for error in seen) < 4
    assert scene.now < scene.call.deadline.at


def test_budget_bounds_what_is_sent_again() -> None:
    """With the last token gone, the last error stands."""
    scene = Scene(Overloaded)
    scene.tokens = 2
    with pytest.raises(Overloaded) as caught:
        scene.run()
    assert (caught.value.attempts, scene.tokens) == (3, -1)


def test_what_reached_nobody_costs_nothing() -> None:
    """Nor does a server that leaves, or an instance that does not lead."""
    assert not any(costs(error("x")) for error in (Unavailable, Draining, NotPrimary))
    assert not costs(ConnectionLost("x", executed=Executed.NO))
    assert all(costs(error("x")) for error in (ConnectionLost, DeadlineExceeded, Overloaded))
    scene = Scene(Unavailable, Draining, "ok")
    scene.tokens = 0
    assert scene.run() == "ok"


def test_waiting_for_a_primary_costs_nothing_even_after_a_lost_attempt() -> None:
    """One attempt may have run; the many that follow until there is a primary again are no work for anybody."""
    scene = Scene(LOST, *[NotPrimary] * 20, "ok", idempotent=True, timeout=60.0)
    scene.tokens = 1
    assert scene.run() == "ok"
    assert scene.tokens == 0


def test_repetition_is_not_repeated_one_hop_down() -> None:
    """The hop above does that. What reached nobody is tried elsewhere all the same."""
    scene = Scene(Unavailable, Overloaded, "ok")
    scene.call.repeated = True
    with pytest.raises(Overloaded) as caught:
        scene.run()
    assert (caught.value.attempts, scene.tokens) == (2, 100)


def test_plan_of_a_call_says_how_often() -> None:
    """Whatever the policy's own number is."""
    scene = Scene(Overloaded)
    scene.call.plan = SimpleNamespace(max_attempts=2, hedge=None)
    with pytest.raises(Overloaded) as caught:
        scene.run()
    assert caught.value.attempts == 2


def alone(scene: Scene) -> CallError:
    """The error of a call that found no instance; the scene's policy is patient for 2 s."""
    with pytest.raises(Unavailable) as caught:
        scene.run()
    return caught.value


def test_absence_is_waited_out_in_one_pause_and_no_longer_than_patience_lasts() -> None:
    """Only news can help, and news end the pause; asking again and again would help nobody."""
    scene = Scene(Unavailable("x", nobody=True), instances=0)
    scene.policy = dataclasses.replace(scene.policy, patience=2.0)
    assert alone(scene).attempts == 2
    assert scene.pauses == [2.0]


def test_absence_is_not_waited_out_past_the_deadline() -> None:
    """The caller wants the reason, not the time."""
    scene = Scene(Unavailable("x", nobody=True), instances=0, timeout=1.0)
    scene.policy = dataclasses.replace(scene.policy, patience=2.0)
    alone(scene)
    assert scene.pauses == [0.9]


def test_patience_begins_anew_when_somebody_was_there() -> None:
    """And an instance that comes ends the wait."""
    nobody = Unavailable("x", nobody=True)
    scene = Scene(nobody, Overloaded, nobody, "ok", instances=1)
    scene.policy = dataclasses.replace(scene.policy, patience=2.0)
    assert scene.run() == "ok"
    assert scene.pauses == [2.0, 0.1, 2.0]


def test_a_call_does_not_wait_for_a_member_that_no_waiting_helps_with() -> None:
    """It takes other connections than the client makes; others are asked, and nothing more is done."""
    scene = Scene(Unavailable("it takes TLS only", lasting=True), instances=3)
    with pytest.raises(Unavailable):
        scene.run()
    assert len(scene.asked) == 3 and sum(scene.pauses) == 0


def test_each_repetition_is_told_before_it_is_made() -> None:
    """With the number of the attempt that failed, how it ended, and the pause that follows."""
    scene = Scene(Unavailable, Overloaded, "ok", instances=2)
    assert scene.run() == "ok"
    assert scene.retried[0] == (1, "Unavailable", 0.0)
    assert scene.retried[1] == (2, "Overloaded", scene.pauses[0])
    assert len(scene.retried) == 2 and scene.failures == []


def test_first_attempt_may_be_made_before_retries_are_set_going() -> None:
    """It is counted once, its instance is not asked again, and later attempts are made as any."""
    scene = Scene(Unavailable, Draining, "ok")
    assert scene.run_after_first() == "ok"
    assert (scene.call.attempt, scene.asked, scene.pauses) == (3, ENDPOINTS[:3], [])
    assert scene.retried == [(1, "Unavailable", 0.0), (2, "Draining", 0.0)]


def test_error_of_a_first_attempt_that_is_final_is_raised_itself() -> None:
    """A declared exception, one of the greenlet, and a call that may have run; each is told once."""
    for error in (KeyError("declared"), KeyboardInterrupt(), TIMED_OUT("maybe", executed=Executed.MAYBE)):
        scene = Scene(error)
        with pytest.raises(type(error)) as caught:
            scene.run_after_first()
        assert caught.value is error and scene.failures == [error]
        assert (scene.call.attempt, len(scene.asked)) == (1, 1)


@settings(deadline=None, max_examples=150)
@given(
    st.lists(
        st.sampled_from([Unavailable, LOST, TIMED_OUT, Draining, Overloaded, RemoteError, KeyError, "ok"]), max_size=8
    ),
    st.booleans(),
    st.integers(0, 3),
)
def test_first_attempt_made_outside_changes_nothing(outcomes: list[object], idempotent: bool, instances: int) -> None:
    """The same attempts at the same instances, after the same pauses, with the same end, as if all had been made by
    the machine."""
    ends = []
    for way in (Scene.run, Scene.run_after_first):
        scene = Scene(*outcomes, "ok", instances=instances, idempotent=idempotent, timeout=3.0)
        try:
            end = way(scene)
        except Exception as error:
            end = type(error), getattr(error, "executed", None), getattr(error, "attempts", None)
        told = [type(one) for one in scene.failures]
        ends.append((end, scene.call.attempt, scene.call.tried, scene.asked, scene.pauses, scene.retried, told))
    assert ends[0] == ends[1]
