"""Whose handshake goes on next, and what one address may have."""

from __future__ import annotations

import pytest

from zkrpc.tls import steps as subject
from zkrpc.tls.steps import BURST, SHARE, Steps


def waiting(*names: str) -> Steps[str]:
    """Handshakes that wait, in this order; the first letter is their address."""
    steps: Steps[str] = Steps()
    for name in names:
        steps.wait(name, name[0])
    return steps


def test_addresses_take_turns() -> None:
    """And of each address the one goes on that has waited longest, however many there are of another."""
    steps = waiting("a2", "a1", "a1", "a3", "b1")
    assert repr(steps) == "<Steps 4 of 2 addresses>"
    assert [steps.take(0.0), steps.take(0.0)] == ["a2", "b1"]
    steps.wait("b2", "b")
    steps.wait("a2", "a")
    assert [steps.take(0.0) for _ in range(5)] == ["a1", "b2", "a3", "a2", None]
    assert len(steps) == 0 and not steps and steps.next_timer() is None


def test_what_is_over_waits_no_more() -> None:
    """Nothing of it is kept; to forget what does not wait is nothing."""
    steps = waiting("a1", "a2", "b1")
    for name in ("b1", "b1", "a1", "c1"):
        steps.forget(name, name[0])
    assert steps.take(0.0) == "a2" and len(steps) == 0


def test_an_address_that_has_had_its_burst_is_held_to_its_share() -> None:
    """Others go on meanwhile; its own go on when the time for which it had too much is over."""
    steps, now = waiting(*(f"a{number}" for number in range(100))), 100.0
    taken = 0
    while steps.take(now) is not None:
        steps.charge("a", BURST / 10, now)
        taken += 1
    assert taken in (10, 11, 12)
    steps.wait("b1", "b")
    assert steps.take(now) == "b1"
    assert steps and steps.take(now) is None
    taken = 0
    for tick in range(1000):  # ten seconds
        now = 100.0 + tick / 100
        if steps.take(now) is not None:
            steps.charge("a", 0.05, now)
            taken += 1
    assert taken * 0.05 == pytest.approx(10 * SHARE, rel=0.1)


def test_an_address_is_in_credit_again_after_a_while() -> None:
    """For what it had then, and no more: nobody saves time up."""
    steps, now = waiting("a1", "a2", "a3"), 100.0
    steps.charge("a", 1.0, now)
    assert steps.take(now) is None
    due = now + (1.0 - BURST) / SHARE
    assert steps.next_timer() == pytest.approx(due)
    assert steps.take(due - 0.01) is None and steps.take(due + 0.01) == "a1"
    now += 1000.0
    steps.charge("a", BURST * 1.01, now)
    assert steps.take(now) is None


def test_what_is_remembered_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who had something least lately is forgotten."""
    monkeypatch.setattr(subject, "_MOST_ADDRESSES", 2)
    steps = waiting("a1", "b1", "c1")
    for address in ("a", "b", "a", "c"):
        steps.charge(address, 1.0, 100.0)
    assert steps.take(100.0) == "b1"
    assert steps.take(100.0) is None
