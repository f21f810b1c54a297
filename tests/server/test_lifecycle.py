"""The order of a graceful stop."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.errors import LocalProtocolError
from zkrpc.server.lifecycle import PEER_PATIENCE, Lifecycle, LifecycleState, Step, describe_calls


def serving() -> Lifecycle:
    lifecycle = Lifecycle(linger=1.0, drain_timeout=10.0)
    lifecycle.started(0.0)
    return lifecycle


def test_lifecycle_stops_in_the_documented_order() -> None:
    """A drain leaves the registry, tells the peers, lingers, closes, waits for calls, and gives up ZooKeeper last."""
    lifecycle = serving()
    assert lifecycle.accepts_calls and lifecycle.effects() == []

    lifecycle.drain(100.0)
    assert lifecycle.effects() == [Step.HAND_OVER, Step.MARK_NOT_READY, Step.WITHDRAW]
    assert lifecycle.accepts_calls and lifecycle.next_timer() is None

    lifecycle.receive_withdrawn(100.2)
    assert lifecycle.effects() == [Step.ANNOUNCE_DRAINING]
    assert lifecycle.accepts_calls and lifecycle.next_timer() == 101.2

    lifecycle.handle_timer(101.2)
    assert lifecycle.effects() == [Step.STOP_ACCEPTING, Step.CLOSE_IDLE]
    assert not lifecycle.accepts_calls and lifecycle.next_timer() == 111.2

    lifecycle.receive_idle(103.0)
    assert lifecycle.effects() == [Step.CLOSE_CLIENTS, Step.CLOSE_SESSION]
    assert lifecycle.state is LifecycleState.STOPPED and lifecycle.next_timer() is None


def test_lifecycle_answers_stragglers_when_the_drain_time_is_over() -> None:
    """A call that never ends cannot hold a stop for longer than the drain time."""
    lifecycle = serving()
    lifecycle.drain(0.0)
    lifecycle.receive_withdrawn(0.0)
    lifecycle.handle_timer(1.0)
    lifecycle.effects()
    lifecycle.handle_timer(11.0)
    assert lifecycle.effects() == [Step.ANSWER_STRAGGLERS, Step.CLOSE_CLIENTS, Step.CLOSE_SESSION]


def test_lifecycle_ignores_idleness_while_lingering() -> None:
    """Nothing in flight is no reason to close early: clients that have not heard may still call."""
    lifecycle = serving()
    lifecycle.drain(0.0)
    lifecycle.receive_withdrawn(0.0)
    lifecycle.receive_idle(0.5)
    assert lifecycle.state is LifecycleState.DRAINING and lifecycle.accepts_calls


def test_lifecycle_gives_up_on_peers_that_say_nothing() -> None:
    """While lingering a silent peer may still call; afterwards it is waited for no longer than a round trip can take,
    counted from when it was asked."""
    lifecycle = serving()
    lifecycle.drain(0.0)
    lifecycle.receive_withdrawn(0.0)
    assert not lifecycle.gives_up(0.0, 0.9)
    lifecycle.handle_timer(1.0)
    assert lifecycle.gives_up(0.0, 1.0)
    assert not lifecycle.gives_up(0.9, 1.0) and lifecycle.gives_up(0.9, 0.9 + PEER_PATIENCE)


def test_calls_in_flight_are_described_in_one_line() -> None:
    """How many, of which methods, the most frequent first; a peer's bytes come as Python writes them."""
    assert describe_calls([]) == "no call in flight"
    assert describe_calls([b"slow"]) == "1 call in flight (slow)"
    assert describe_calls([b"a", b"slow", b"slow"]) == "3 calls in flight (slow 2 times, a)"
    assert describe_calls([b"\x1b[2J\n"]) == "1 call in flight (\\x1b[2J\\n)"
    many = describe_calls([b"m%d" % number for number in range(9)])
    assert many == "9 calls in flight (m0, m1, m2, m3, m4, 4 others)"


def test_lifecycle_kill_waits_for_nobody() -> None:
    """A second signal drops what was planned and frees everything."""
    lifecycle = serving()
    lifecycle.drain(0.0)
    lifecycle.kill(0.1)
    assert lifecycle.effects() == [Step.STOP_ACCEPTING, Step.CLOSE_CLIENTS, Step.CLOSE_SESSION]
    lifecycle.kill(0.2)
    assert lifecycle.effects() == []


def test_lifecycle_starts_once() -> None:
    """Starting twice is a mistake of the program, and changes nothing."""
    lifecycle = serving()
    with pytest.raises(LocalProtocolError, match="starts once"):
        lifecycle.started(1.0)
    assert lifecycle.state is LifecycleState.SERVING


def test_lifecycle_can_be_drained_before_it_served() -> None:
    """A signal during start-up ends in the same order."""
    lifecycle = Lifecycle(linger=0.0, drain_timeout=0.0)
    lifecycle.drain(0.0)
    lifecycle.receive_withdrawn(0.0)
    lifecycle.handle_timer(0.0)
    lifecycle.handle_timer(0.0)
    assert lifecycle.effects()[-1] is Step.CLOSE_SESSION
    assert "stopped" in repr(lifecycle)


@given(st.lists(st.sampled_from(["drain", "kill", "withdrawn", "idle", "timer"]), max_size=30))
def test_lifecycle_gives_every_step_at_most_once_and_the_session_last(inputs: list[str]) -> None:
    """Whatever happens in whatever order, no step is repeated and the session is closed last, if at all."""
    lifecycle = serving()
    seen: list[Step] = []
    for now, name in enumerate(inputs):
        moment = float(now)
        {
            "drain": lifecycle.drain,
            "kill": lifecycle.kill,
            "withdrawn": lifecycle.receive_withdrawn,
            "idle": lifecycle.receive_idle,
            "timer": lifecycle.handle_timer,
        }[name](moment)
        seen += lifecycle.effects()
    assert len(seen) == len(set(seen))
    if Step.CLOSE_SESSION in seen:
        assert seen[-1] is Step.CLOSE_SESSION and lifecycle.state is LifecycleState.STOPPED
