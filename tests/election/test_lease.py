"""The lease: its arithmetic, and the heartbeat that earns it. T is 6 s there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.election.effects import RequestFailure
from zkrpc.election.lease import (
    CreateHeartbeat,
    DropSocket,
    HeartbeatEffect,
    HeartbeatMachine,
    HeartbeatState,
    Lease,
    RenewLease,
    WriteHeartbeat,
    claim_patience,
    drop_after,
    heartbeat_interval,
    is_weak,
    lease_end,
    support_limit,
)


def test_lease_is_valid_before_its_end_only() -> None:
    """The end itself is too late."""
    lease = Lease(session_id=1, until=10.0)
    assert lease.is_valid(9.999) and not lease.is_valid(10.0)
    assert lease.left(9.0) == 1.0 and lease.left(11.0) == 0.0


def test_lease_of_regular_heartbeats_follows_the_rule() -> None:
    """The heartbeat but one supports it: 0.7 T after the last."""
    timeout = 6.0
    before = 100.0 - 2 * heartbeat_interval(timeout, weak=False)
    assert before <= support_limit(100.0, timeout)
    end = lease_end(100.0, before, timeout)
    assert end == pytest.approx(104.2) and not is_weak(end, 100.0, timeout)


def test_lease_after_a_pause_is_as_short_as_its_support() -> None:
    """Nothing said for T/2 before: the leader's clock may have run that long already."""
    end = lease_end(100.0, 97.0, 6.0)
    assert end == pytest.approx(102.82) and is_weak(end, 100.0, 6.0)


def test_lease_leaves_time_to_move() -> None:
    """Dropping an unanswered connection, and a heartbeat elsewhere, fit into a lease."""
    assert drop_after(6.0) + heartbeat_interval(6.0, weak=False) < 0.5 * 6.0
    assert heartbeat_interval(6.0, weak=True) < heartbeat_interval(6.0, weak=False) <= 1.0


@given(st.floats(0, 1e6), st.floats(0, 20), st.floats(1, 60))
def test_lease_never_outlives_what_was_heard(sent_at: float, age: float, timeout: float) -> None:
    """Whatever the ages: the end is before the support's time plus T, with room for clocks that differ by 3 %."""
    assert lease_end(sent_at, sent_at - age, timeout) <= sent_at - age + 0.97 * timeout + 1e-6


def test_claim_has_time_for_one_other_connection_and_ends_within_a_lease() -> None:
    """Who needs two cannot keep what it claims."""
    assert drop_after(6.0) + heartbeat_interval(6.0, weak=False) < claim_patience(6.0) <= 2 * drop_after(6.0)
    assert claim_patience(6.0) < 0.7 * 6.0


T = 6.0
WRITE, CREATE = WriteHeartbeat("/heartbeats/w1", 7), CreateHeartbeat("/heartbeats/w1", 7)


def connected(at: float = 0.0) -> HeartbeatMachine:
    """A quiet machine with a connection."""
    machine = HeartbeatMachine("/heartbeats/w1")
    machine.receive_connected(7, T, at, at)
    return machine


def leading() -> HeartbeatMachine:
    """One that has led for a while with regular heartbeats; the last was at 3.6."""
    machine = connected()
    machine.lead("g", 0.0)
    now, request = 0.0, CREATE
    while now < 3.6:
        answer(machine, now, request)
        request = WRITE
        due = machine.next_timer()
        assert due is not None
        now = due
        machine.handle_timer(now)
    answer(machine, now)
    return machine


def answer(machine: HeartbeatMachine, now: float, request: HeartbeatEffect = WRITE) -> list[HeartbeatEffect]:
    """Answers the request that must be out, a moment later; what follows."""
    assert machine.effects() == [request]
    machine.receive_written(now + 0.01)
    return machine.effects()


def until(effects: list[HeartbeatEffect]) -> float:
    """The end of the lease that was renewed."""
    (renewal,) = effects
    assert isinstance(renewal, RenewLease) and renewal.lease.session_id == 7
    return renewal.lease.until


def test_heartbeat_is_quiet_until_somebody_leads() -> None:
    """No writes, only a timer to collect what the server acknowledged."""
    machine = connected()
    assert machine.state is HeartbeatState.QUIET and machine.effects() == []
    assert machine.next_timer() == pytest.approx(T / 15)
    machine.handle_timer(T / 15)
    assert machine.effects() == [] and machine.next_timer() == pytest.approx(2 * T / 15)


def test_heartbeat_writes_at_once_and_its_lease_rests_on_the_connect() -> None:
    """The connect was heard by the leader itself, so it supports from its own time on."""
    machine = connected(at=1.0)
    machine.lead("g", 1.5)
    assert machine.state is HeartbeatState.BEATING
    assert until(answer(machine, 1.5, CREATE)) == pytest.approx(1.5 + 0.7 * T)
    assert repr(machine) == "<HeartbeatMachine beating groups=1 until=5.700>"


def test_heartbeat_of_an_old_connection_rests_on_what_was_acknowledged() -> None:
    """Only messages answered T/4 earlier count, by their send time; the lease is short, and beats come quickly."""
    machine = connected()
    machine.receive_acknowledged(20.0, 20.4)
    machine.receive_acknowledged(20.0, 20.8)
    machine.receive_acknowledged(22.0, 22.4)
    machine.lead("g", 22.5)
    end = until(answer(machine, 22.5, CREATE))
    assert end == pytest.approx(20.0 + 0.97 * T)
    assert machine.next_timer() == pytest.approx(22.5 + T / 15)


def test_heartbeat_with_nothing_to_rest_on_earns_nothing_yet() -> None:
    """Connected long ago and silent since, as far as we know: the first write proves too little."""
    machine = connected()
    machine.lead("g", 50.0)
    assert until(answer(machine, 50.0, CREATE)) < 50.0


def test_heartbeat_that_is_regular_earns_the_full_lease() -> None:
    """0.7 T after each write, and writes are 2/15 T apart."""
    machine = leading()
    assert machine.lease is not None
    last = machine.lease.until - 0.7 * T
    assert machine.next_timer() == pytest.approx(last + 2 * T / 15)


def test_heartbeat_that_was_blocked_earns_less_the_first_time() -> None:
    """After a pause of half a timeout, what was heard before it counts."""
    machine = leading()
    machine.handle_timer(7.0)
    assert until(answer(machine, 7.0)) < 7.0 + 0.65 * T


def test_heartbeat_without_an_answer_drops_the_socket_once() -> None:
    """T/4 after it was asked for; the write that follows on the next connection renews the lease."""
    machine = leading()
    lease = machine.lease
    due = machine.next_timer()
    assert due is not None
    machine.handle_timer(due)
    assert machine.effects() == [WRITE] and machine.next_timer() == due + T / 4
    machine.handle_timer(due + T / 4 - 0.1)
    assert machine.effects() == []
    machine.handle_timer(due + T / 4)
    assert machine.effects() == [DropSocket()] and machine.next_timer() is None
    machine.receive_disconnected(due + T / 4)
    machine.receive_failure(RequestFailure.UNKNOWN, due + T / 4)
    assert machine.state is HeartbeatState.CUT and machine.lease is lease and machine.next_timer() is None
    machine.receive_connected(7, T, due + 1.6, due + 1.7)
    assert until(answer(machine, due + 1.7)) == pytest.approx(due + 1.7 + 0.7 * T)


def test_heartbeat_of_a_fresh_session_makes_its_node() -> None:
    """A create is as good as a write, and the node of a session that has none costs no second round trip."""
    machine = connected()
    machine.lead("g", 0.0)
    assert until(answer(machine, 0.0, CREATE)) == pytest.approx(0.7 * T)
    machine.handle_timer(2.0)
    assert machine.effects() == [WRITE]


def test_heartbeat_makes_its_node_when_it_is_missing() -> None:
    """Created by an earlier session meanwhile, it is written to; gone with that session, it is made again."""
    machine = connected()
    machine.lead("g", 0.0)
    assert machine.effects() == [CREATE]
    machine.receive_failure(RequestFailure.EXISTS, 0.2)
    assert machine.effects() == [WRITE]
    machine.receive_failure(RequestFailure.MISSING, 0.3)
    assert machine.effects() == [CREATE]
    machine.receive_written(0.4)
    assert until(machine.effects()) == pytest.approx(0.97 * T) or machine.lease is not None
    machine.handle_timer(2.0)
    assert machine.effects() == [WRITE]


def test_heartbeat_that_is_refused_is_tried_again_at_the_usual_time() -> None:
    """No hot loop over a server that says no."""
    machine = connected()
    machine.lead("g", 0.0)
    machine.effects()
    machine.receive_failure(RequestFailure.OTHER, 0.1)
    assert machine.effects() == [] and machine.next_timer() == pytest.approx(T / 15)


def test_heartbeat_of_another_session_proves_nothing() -> None:
    """An answer that arrives when the session is another is for nobody."""
    machine = leading()
    due = machine.next_timer()
    assert due is not None
    machine.handle_timer(due)
    machine.effects()
    machine.receive_connected(8, T, due, due)
    machine.receive_written(due + 0.1)
    assert machine.effects() == []
    machine.handle_timer(due + 2.0)
    assert machine.effects() == [CreateHeartbeat("/heartbeats/w1", 8)]
    machine.receive_written(due + 2.1)
    (renewal,) = machine.effects()
    assert isinstance(renewal, RenewLease) and renewal.lease.session_id == 8


def test_heartbeat_goes_on_until_the_last_group_rests() -> None:
    """One heartbeat for all groups of the process."""
    machine = connected()
    machine.lead("a", 0.0)
    machine.lead("b", 0.0)
    assert answer(machine, 0.0, CREATE)
    machine.rest("a", 0.1)
    assert machine.state is HeartbeatState.BEATING
    machine.rest("b", 0.2)
    assert machine.state is HeartbeatState.QUIET
    machine.handle_timer(5.0)
    assert machine.effects() == []


def test_heartbeat_that_is_wanted_without_a_connection_waits_for_one() -> None:
    """And writes at once when it comes."""
    machine = HeartbeatMachine("/heartbeats/w1")
    machine.lead("g", 0.0)
    assert machine.state is HeartbeatState.CUT and machine.next_timer() is None
    machine.receive_written(0.5)
    machine.handle_timer(1.0)
    machine.receive_connected(7, T, 1.0, 1.1)
    assert machine.effects() == [CREATE]


def test_heartbeat_does_not_hoard_what_was_acknowledged() -> None:
    """Only what can still be a support is kept, also over days of quiet."""
    machine = connected()
    for step in range(1000):
        machine.receive_acknowledged(step * 0.4, step * 0.4 + 0.1)
    assert len(machine._heard) < 10


def test_heartbeat_that_nobody_needs_any_more_cuts_no_connection() -> None:
    """Over a slow link its answer is still on its way when the lease is given up: what else is being said then must not
    be cut short, since somebody waits for it."""
    machine = leading()
    due = machine.next_timer()
    assert due is not None
    machine.handle_timer(due)
    assert machine.effects() == [WRITE] and machine.next_timer() == due + T / 4
    machine.rest("g", due + 0.1)
    assert machine.next_timer() is None
    machine.handle_timer(due + T)
    assert machine.effects() == []
    machine.receive_written(due + T)
    assert machine.state is HeartbeatState.QUIET and machine.next_timer() is not None
