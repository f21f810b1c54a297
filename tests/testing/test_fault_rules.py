"""Which call meets which fault."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.echo import idl
from zkrpc.errors import CallError, ConfigError, Executed, Overloaded, StaleEpoch, Unavailable
from zkrpc.testing.fault_rules import Fault, FaultPlan, FaultRule, parse_fault


def never() -> float:
    """Dice that lose every throw for a share under 1."""
    return 0.999999


def always() -> float:
    """Dice that win every throw."""
    return 0.0


@pytest.mark.parametrize(
    "fields, told",
    [
        ({}, "does nothing"),
        ({"method": "", "drop": True}, "method"),
        ({"instance": 7, "drop": True}, "instance"),
        ({"delay": -0.1}, "delay"),
        ({"delay": float("inf")}, "delay"),
        ({"delay": "1"}, "delay"),
        ({"delay": 1, "delay_share": 0}, "delay_share"),
        ({"drop": True, "probability": 1.5}, "probability"),
        ({"drop": True, "probability": True}, "probability"),
        ({"drop": True, "count": 0}, "count"),
        ({"drop": True, "count": 1.0}, "count"),
        ({"drop": True, "abort": "Overloaded"}, "choose one"),
        ({"abort": "Overload"}, "names no call error; expected one of CallError"),
        ({"abort": "StaleEpoch"}, "give an exception"),
        ({"abort": StaleEpoch}, "needs arguments"),
        ({"abort": KeyboardInterrupt}, "must be an exception"),
        ({"abort": 7}, "must be an exception"),
    ],
)
def test_rule_says_what_is_wrong_with_it(fields: dict[str, Any], told: str) -> None:
    """A fault that is not the one that was meant proves nothing, so it is refused when it is written."""
    with pytest.raises(ConfigError, match=told):
        FaultRule(**fields)


def test_rule_fits_methods_and_instances_by_pattern() -> None:
    """Exact names, wildcards as in file names, and everything by default."""
    rule = FaultRule(method="get*", instance="10.0.0.?:*", drop=True)
    assert rule.fits("get_user", "10.0.0.1:90") and rule.fits("get", "10.0.0.2:91")
    assert not rule.fits("put", "10.0.0.1:90") and not rule.fits("get", "10.0.1.1:90") and not rule.fits("GET", "")
    assert FaultRule(drop=True).fits("anything", "") and FaultRule(drop=True).fits("anything", "anywhere")


def test_rule_gives_every_call_an_error_of_its_own() -> None:
    """An error carries what became of its call: two calls that shared one would overwrite each other's."""
    stale = StaleEpoch("late", seen=5, current=4)
    for abort, kind in (
        ("Unavailable", Unavailable),
        (Overloaded, Overloaded),
        (ValueError, ValueError),
        (Overloaded("later", retry_after=2.0), Overloaded),
        (stale, StaleEpoch),
        (idl.Oops(why="because"), idl.Oops),
        (FileNotFoundError(2, "gone"), FileNotFoundError),
    ):
        one, other = (FaultRule(abort=abort).fault(always) for _ in range(2))
        assert one is not None and other is not None
        assert type(one.error) is type(other.error) is kind and one.error is not other.error is not abort
    fault = FaultRule(abort=stale).fault(always)
    assert fault is not None and isinstance(fault.error, StaleEpoch)
    assert (fault.error.seen, fault.error.current, fault.error.executed) == (5, 4, Executed.NO)
    fault = FaultRule(abort=idl.Oops(why="because")).fault(always)
    assert fault is not None and repr(fault.error) == "Oops(why='because')"
    fault = FaultRule(abort="RemoteError").fault(always)
    assert fault is not None and isinstance(fault.error, CallError) and fault.error.executed is Executed.YES


def test_rule_throws_for_the_strike_and_for_the_delay() -> None:
    """``probability`` is the share of calls struck, ``delay_share`` the share of those that are delayed."""
    assert FaultRule(drop=True, probability=0.5).fault(never) is None
    assert FaultRule(drop=True, probability=0.5).fault(always) == Fault(drop=True)
    rule = FaultRule(delay=0.5, delay_share=0.5, abort="Overloaded")
    spared, late = rule.fault(never), rule.fault(always)
    assert spared is not None and late is not None
    assert spared.delay == 0.0 and late.delay == 0.5 and isinstance(spared.error, Overloaded)


def test_plan_lets_the_first_rule_that_strikes_decide() -> None:
    """A call meets one fault; a rule that spares it, or has none left, leaves it to the next one."""
    plan = FaultPlan(
        [FaultRule(method="get", delay=1.0, count=1), FaultRule(method="get", delay=2.0), FaultRule(drop=True)], always
    )
    assert plan.decide("get", "a") == Fault(delay=1.0)
    assert plan.decide("get", "a") == Fault(delay=2.0)
    assert plan.decide("put", "a") == Fault(drop=True)
    assert repr(plan) == "<FaultPlan rules=3 struck=3>"
    plan.set([FaultRule(delay=3.0, probability=0.1)])
    assert plan.decide("get", "a") == Fault(delay=3.0)
    plan.set(())
    assert plan.decide("get", "a") is None
    with pytest.raises(ConfigError, match="FaultRule"):
        plan.set(["drop"])  # type: ignore[list-item]


def test_plan_asks_a_later_rule_first_until_it_is_removed() -> None:
    """For a block of a test; the rule counts what it struck."""
    plan = FaultPlan([FaultRule(drop=True)], always)
    armed = plan.put_first(FaultRule(delay=1.0))
    assert plan.decide("get", "a") == Fault(delay=1.0) and armed.struck == 1
    assert "struck=1" in repr(armed)
    plan.remove(armed)
    plan.remove(armed)
    assert plan.decide("get", "a") == Fault(drop=True)


def test_plan_keeps_rules_for_everywhere_and_for_somewhere_apart() -> None:
    """A caller that learns late which instance answers meets each rule once."""
    plan = FaultPlan([FaultRule(instance="b:*", delay=1.0), FaultRule(delay=2.0)], always)
    assert plan.decide_anywhere("get") == Fault(delay=2.0)
    assert plan.decide_at("get", "a:1") is None
    assert plan.decide_at("get", "b:1") == Fault(delay=1.0)
    assert plan.decide("get", "b:1") == Fault(delay=1.0) and plan.decide("get", "a:1") == Fault(delay=2.0)


def test_plan_strikes_by_a_rule_from_elsewhere() -> None:
    """A call may bring its own rule; the plan lends the dice."""
    rule = FaultRule(drop=True, probability=0.5)
    assert FaultPlan((), always).strike_by(rule) == Fault(drop=True)
    assert FaultPlan((), never).strike_by(rule) is None


@given(st.integers(1, 20), st.floats(0.01, 1), st.integers(0))
def test_plan_never_strikes_more_often_than_it_may(count: int, probability: float, seed: int) -> None:
    """``count`` bounds the calls struck, whatever the dice say."""
    plan = FaultPlan([FaultRule(drop=True, probability=probability, count=count)], random.Random(seed).random)
    struck = sum(plan.decide("get", "a") is not None for _ in range(100))
    assert struck == plan.armed[0].struck <= count


def test_header_spells_a_rule() -> None:
    """Any order, any spaces around words."""
    assert parse_fault("delay=0.2; abort=Overloaded; p=0.5") == FaultRule(
        delay=0.2, abort="Overloaded", probability=0.5
    )
    assert parse_fault(" drop;p = 1 ") == FaultRule(drop=True)


@pytest.mark.parametrize(
    "text",
    ["", ";", "drop;", "drop; drop", "drop=1", "delay", "delay=", "delay=-1", "delay=1e3", "delay=nan", "delay=０.1"]
    + ["abort", "abort=", "abort=ValueError", "abort=Overloaded; drop", "p=0.5", "p=2; drop", "Drop", "x=1; drop"]
    + ["drop" + " " * 300],
)
def test_header_that_is_not_quite_one_is_refused(text: str) -> None:
    """Strictly: no word unknown, missing, given twice or without effect."""
    with pytest.raises(ConfigError):
        parse_fault(text)


@given(st.text(st.sampled_from("delaybortp=0.1; O")) | st.text())
def test_header_of_a_stranger_does_no_harm(text: str) -> None:
    """Whatever it holds, it is a rule or a ConfigError."""
    try:
        assert isinstance(parse_fault(text), FaultRule)
    except ConfigError:
        pass
