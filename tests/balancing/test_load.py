"""The latency estimate believes bad news at once and good news slowly."""

from __future__ import annotations

import math

from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.balancing.load import DECAY, FORGET_AFTER, UNKNOWN_COST, WORST_COST, Load


def load_after(*answers: tuple[float, float]) -> Load:
    """A load that saw answers of (elapsed, now)."""
    load = Load()
    for elapsed, now in answers:
        load.pending += 1
        load.finish(elapsed, now)
    return load


def test_new_load_costs_nothing_until_its_first_probe_is_out() -> None:
    """An instance without history is picked first, but only for one call."""
    load = Load()
    assert load.score(0.0) == 0.0
    load.pending += 1
    assert load.score(0.0) == 2 * UNKNOWN_COST


def test_slower_answer_replaces_the_estimate_at_once() -> None:
    """A peak is believed in full."""
    assert load_after((0.001, 1.0), (0.5, 1.01)).cost(1.01) == 0.5


def test_faster_answer_is_blended_in() -> None:
    """After one time constant a better latency has won 63 %."""
    cost = load_after((1.0, 0.0), (0.0, DECAY)).cost(DECAY)
    assert math.isclose(cost, 1 / math.e)


def test_cost_fades_while_nobody_asks_and_is_forgotten() -> None:
    """An unused instance becomes attractive again, and at last a new one."""
    load = load_after((1.0, 0.0))
    assert math.isclose(load.cost(DECAY), 1 / math.e)
    assert load.cost(FORGET_AFTER) == 0.0
    load.pending += 1
    load.finish(0.001, FORGET_AFTER)
    assert load.cost(FORGET_AFTER) == 0.001


def test_score_grows_with_calls_in_flight() -> None:
    """Every call in flight is one more to wait for."""
    load = load_after((0.01, 0.0))
    scores = []
    for _ in range(3):
        scores.append(load.score(0.0))
        load.pending += 1
    assert [round(score, 6) for score in scores] == [0.01, 0.02, 0.03]


SEEN = st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.0, 100.0)), max_size=3)


@given(SEEN, SEEN, st.integers(0, 3), st.integers(0, 3), st.floats(100.0, 140.0))
def test_the_cheaper_one_is_the_one_with_the_lower_score(
    some: list[tuple[float, float]], others: list[tuple[float, float]], pending: int, other_pending: int, now: float
) -> None:
    """Known or not, forgotten or not; where they are as good as equal, either will do."""
    one, other = (load_after(*sorted(seen, key=lambda answer: answer[1])) for seen in (some, others))
    one.pending, other.pending = pending, other_pending
    score, other_score = one.score(now), other.score(now)
    assert one.is_cheaper(other, now) is (score <= other_score) or math.isclose(score, other_score, abs_tol=1e-300)


def test_failing_fast_does_not_look_attractive() -> None:
    """A refusal within no time makes the instance dearer than before, up to a bound."""
    load = load_after((0.01, 0.0))
    load.pending += 1
    load.fail(0.0001, 0.0)
    assert math.isclose(load.cost(0.0), 0.081)
    for _ in range(50):
        load.pending += 1
        load.fail(0.0001, 0.0)
    assert load.cost(0.0) == WORST_COST
    assert load.pending == 0


def test_slow_failure_counts_its_time() -> None:
    """A timeout of a minute is worse than any penalty."""
    load = Load()
    load.pending += 1
    load.fail(60.0, 0.0)
    assert load.cost(0.0) == 60.0


def test_abandoned_call_counts_only_if_it_was_slow() -> None:
    """Giving up early says nothing; giving up late says the instance is slow."""
    load = load_after((0.1, 0.0))
    load.pending += 1
    load.abandon(0.01, 0.0)
    assert load.cost(0.0) == 0.1
    load.pending += 1
    load.abandon(2.0, 0.0)
    assert load.cost(0.0) == 2.0
    assert repr(load) == "<Load pending=0 cost=2.000000>"


steps = st.lists(
    st.tuples(st.sampled_from(["finish", "fail", "abandon"]), st.floats(0, 100), st.floats(0, 20)), max_size=40
)


@settings(deadline=None, max_examples=200)
@given(steps)
def test_any_history_leaves_a_finite_cost_and_nothing_pending(history: list[tuple[str, float, float]]) -> None:
    """Whatever happens, the estimate stays a number between 0 and the worst latency seen."""
    load, now = Load(), 0.0
    for verb, elapsed, later in history:
        now += later
        load.pending += 1
        getattr(load, verb)(elapsed, now)
    assert load.pending == 0
    assert 0.0 <= load.cost(now) <= max([WORST_COST, *(elapsed for _, elapsed, _ in history)])


def test_forgotten_load_is_like_a_new_one() -> None:
    """But for the calls that are still in flight."""
    load = Load()
    load.pending += 1
    load.pending += 1
    load.fail(5.0, 10.0)
    load.forget()
    assert (load.cost(10.0), load.pending, load.score(10.0)) == (0.0, 1, 2 * UNKNOWN_COST)
