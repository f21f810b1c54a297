"""The machine of the way to one endpoint; its stories are in tests/transcripts/test_connectivity.py."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from zkrpc.client.connectivity import (
    STANDINGS,
    TRANSITIONS,
    CancelDial,
    Close,
    ConnectivityEvent,
    ConnectivityMachine,
    ConnectivityState,
    Dial,
    Report,
    Standing,
)
from zkrpc.policies.backoff import Backoff

IDLE, CONNECTING, READY = ConnectivityState.IDLE, ConnectivityState.CONNECTING, ConnectivityState.READY
FAILED, DRAINING, SHUTDOWN = (
    ConnectivityState.TRANSIENT_FAILURE,
    ConnectivityState.DRAINING,
    ConnectivityState.SHUTDOWN,
)
WELL, SUSPECT, DOWN = Standing.WELL, Standing.SUSPECT, Standing.DOWN


def machine(*, asks: bool = True) -> ConnectivityMachine:
    """Its pauses are half of the bounds: 0.5 s, 1 s, 2 s, and so on up to 4 s."""
    return ConnectivityMachine(Backoff(first=1.0, longest=8.0), asks=asks, rng=lambda: 0.5)


def ready(*, asks: bool = True) -> ConnectivityMachine:
    """Connected for a call, with nothing to do."""
    one = machine(asks=asks)
    one.connect(0.0)
    one.receive_connected(0.0)
    one.effects()
    return one


def failed() -> ConnectivityMachine:
    """A first dial was refused."""
    one = machine()
    one.connect(0.0)
    one.receive_refused("refused", 0.0)
    one.effects()
    return one


def test_every_state_and_standing_has_its_row_and_shutdown_is_the_end() -> None:
    """The tables are whole, every state can be reached, and all but SHUTDOWN can be retired."""
    assert set(TRANSITIONS) == set(ConnectivityState) and set(STANDINGS) == set(Standing)
    assert {after for row in TRANSITIONS.values() for after in row.values()} == set(ConnectivityState)
    assert not TRANSITIONS[SHUTDOWN]
    for state in set(ConnectivityState) - {SHUTDOWN}:
        assert TRANSITIONS[state][ConnectivityEvent.RETIRED] is SHUTDOWN


def test_calls_that_find_no_connection_share_one_dial() -> None:
    """The second one only waits."""
    one = machine()
    one.connect(0.0)
    one.connect(0.0)
    assert one.effects() == [Dial(prove=False), Report(CONNECTING, WELL, WELL)]
    one.receive_connected(0.1)
    assert one.effects() == [Report(READY, WELL, WELL)]
    assert repr(one) == "<ConnectivityMachine READY WELL failure=None>"


def test_backoff_grows_with_each_failed_dial_and_begins_anew_after_a_success() -> None:
    """Up to its longest pause."""
    one, now, pauses = failed(), 0.0, []
    for _ in range(5):
        pauses.append((one.next_timer() or 0.0) - now)
        now += pauses[-1]
        one.handle_timer(now)
        assert one.effects() == [Dial(prove=True)] and one.next_timer() is None
        one.receive_refused("refused", now)
    assert pauses == [0.5, 1.0, 2.0, 4.0, 4.0]
    one.receive_connected(15.0)
    assert (one.failure, one.next_timer(), one.effects()) == (None, None, [Report(READY, WELL, DOWN)])
    one.receive_refused("refused", 20.0)
    assert one.next_timer() == 20.5


def test_call_in_transient_failure_orders_nothing() -> None:
    """It fails at once; the machine dials when its time has come, and not before."""
    one = failed()
    one.connect(0.1)
    one.handle_timer(0.4)
    assert one.effects() == [] and one.next_timer() == 0.5


def test_failure_of_another_dial_does_not_make_the_pause_longer() -> None:
    """Calls of a plain server dial for themselves, several at a time."""
    one = failed()
    one.receive_refused("also refused", 0.4)
    assert (one.next_timer(), one.failure, one.effects()) == (0.5, "also refused", [])


def test_silence_is_a_suspicion_until_the_next_byte() -> None:
    """Calls go on; the connection is the same."""
    one = ready()
    one.receive_silent(1.0)
    one.receive_silent(2.0)
    one.receive_heard(3.0)
    one.receive_heard(4.0)
    assert one.effects() == [Report(READY, SUSPECT, WELL), Report(READY, WELL, SUSPECT)]


def test_server_that_was_mute_to_the_end_must_prove_that_it_is_back() -> None:
    """Whatever is open leads to the same frozen process, and so does a dial under way."""
    one = ready()
    one.receive_silent(1.0)
    one.effects()
    one.receive_closed(2.0, silent=True, connected=True)
    assert one.effects() == [CancelDial(), Close(), Report(FAILED, DOWN, SUSPECT)]
    assert (one.failure, one.next_timer()) == ("it gave no sign of life", 2.5)
    one.receive_closed(2.1, silent=True, connected=False)
    assert one.effects() == [] and one.next_timer() == 2.5
    one.handle_timer(2.5)
    assert one.effects() == [Dial(prove=True)]


def test_server_that_cannot_be_asked_is_left_alone_longer_each_time() -> None:
    """And never longer than a minute; a call that comes all the same dials, and what comes of it counts."""
    one, rests = ready(asks=False), []
    for _ in range(4):
        one.receive_silent(0.0)
        one.receive_closed(0.0, silent=True, connected=False)
        assert (one.state, one.standing) == (IDLE, SUSPECT)
        rests.append(one.next_timer())
        one.connect(0.0)
        assert one.standing is SUSPECT
        one.receive_connected(0.0)
        assert (one.standing, one.next_timer()) == (WELL, None)
    assert rests == [16.0, 32.0, 60.0, 60.0]
    one.receive_heard(0.0)
    assert one.unheard == 0


def test_mute_server_that_cannot_be_asked_is_as_good_as_any_after_the_rest() -> None:
    """A rest that is over is news; one that something else ended is none."""
    one = ready(asks=False)
    one.receive_silent(0.0)
    one.receive_closed(0.0, silent=True, connected=True)
    one.effects()
    one.handle_timer(16.0)
    assert one.effects() == [Report(READY, WELL, SUSPECT)]
    one.receive_closed(17.0, silent=True, connected=False)  # of one that was trusted again meanwhile
    assert (one.effects(), one.next_timer(), one.unheard) == ([Report(IDLE, WELL, WELL)], None, 2)


def test_lost_connection_is_dialled_again_by_the_next_call() -> None:
    """Unless another one is left."""
    one = ready()
    one.receive_closed(1.0, silent=False, connected=True)
    assert one.effects() == []
    one.receive_closed(1.0, silent=False, connected=False)
    assert one.effects() == [Report(IDLE, WELL, WELL)]


def test_server_that_drains_rests_and_then_gets_calls_again() -> None:
    """What comes of it while it rests is its old connection's, and changes nothing."""
    one = ready()
    one.receive_draining(1.0)
    one.receive_draining(2.0)
    one.receive_silent(2.0)
    one.receive_heard(2.0)
    one.receive_closed(3.0, silent=False, connected=False)
    assert (one.effects(), one.next_timer()) == ([Report(DRAINING, DOWN, WELL)], 9.0)
    one.handle_timer(9.0)
    assert one.effects() == [Report(IDLE, WELL, DOWN)]


@pytest.mark.parametrize("connected", [True, False])
def test_call_that_comes_to_a_draining_server_dials_and_nothing_is_taken_back_before_it_succeeds(
    connected: bool,
) -> None:
    """A dial that is under way proves nothing."""
    one = ready()
    one.receive_draining(1.0)
    one.effects()
    one.connect(2.0)
    assert one.effects() == [Dial(prove=False), Report(CONNECTING, DOWN, DOWN)]
    if connected:
        one.receive_connected(3.0)
        assert (one.effects(), one.next_timer()) == ([Report(READY, WELL, DOWN)], None)
    else:
        one.receive_refused("refused", 3.0)
        assert (one.effects(), one.next_timer()) == ([Report(FAILED, DOWN, DOWN)], 3.5)


def test_verification_dials_after_a_pause_and_wants_a_proof() -> None:
    """Of an idle endpoint only: any other state tells by itself, or is about to."""
    one = machine()
    one.verify(0.0)
    one.verify(0.3)
    assert one.next_timer() == 0.5
    one.handle_timer(0.5)
    assert one.effects() == [Dial(prove=True), Report(CONNECTING, WELL, WELL)]
    for busy in (ready(), failed()):
        timer = busy.next_timer()
        busy.verify(0.2)
        assert busy.next_timer() == timer


def test_call_forestalls_a_verification() -> None:
    """Its dial tells as much."""
    one = machine()
    one.verify(0.0)
    one.connect(0.1)
    one.effects()
    one.handle_timer(0.5)
    assert one.effects() == []


def test_retired_machine_does_nothing_more() -> None:
    """Whatever it is told."""
    one = failed()
    one.retire(1.0)
    assert one.effects() == [CancelDial(), Close(), Report(SHUTDOWN, DOWN, DOWN)]
    for step in STEPS:
        tell(one, step, 2.0)
    assert one.effects() == [] and one.next_timer() is None and one.state is SHUTDOWN


STEPS = "connect verify retire connected refused silent heard draining closed last mute last_mute timer".split()


def tell(one: ConnectivityMachine, step: str, now: float) -> None:
    """One input by its short name."""
    closed = {"closed": (False, True), "last": (False, False), "mute": (True, True), "last_mute": (True, False)}
    calls: dict[str, Any] = {
        "connect": one.connect,
        "verify": one.verify,
        "retire": one.retire,
        "connected": one.receive_connected,
        "silent": one.receive_silent,
        "heard": one.receive_heard,
        "draining": one.receive_draining,
    }
    if step == "refused":
        one.receive_refused("refused", now)
    elif step in closed:
        silent, connected = closed[step]
        one.receive_closed(now, silent=silent, connected=connected)
    elif step == "timer":
        one.handle_timer(max(now, one.next_timer() or 0.0))
    else:
        calls[step](now)


@settings(deadline=None)
@given(st.booleans(), st.lists(st.sampled_from([one for one in STEPS if one != "retire"])))
def test_what_speaks_against_an_endpoint_always_ends_by_something(asks: bool, steps: list[str]) -> None:
    """Nobody is avoided for ever: there is a time, a dial under way, or a silent connection that may still speak or
    end."""
    one, dials = machine(asks=asks), 0
    for now, step in enumerate(steps):
        tell(one, step, float(now))
        dials += sum(isinstance(effect, Dial) for effect in one.effects())
        if step in ("connected", "refused"):
            dials = 0
        if one.standing is DOWN:
            assert one.next_timer() is not None or dials
        assert (one.failure is not None) is (one.state is FAILED)
        if one.state is FAILED:
            assert one.standing is DOWN


@given(st.booleans(), st.lists(st.sampled_from(STEPS)))
def test_reports_tell_every_change_in_order(asks: bool, steps: list[str]) -> None:
    """Whoever follows them knows state and standing without asking."""
    one = machine(asks=asks)
    state, standing = one.state, one.standing
    for now, step in enumerate(steps):
        tell(one, step, float(now))
        for report in one.effects():
            if isinstance(report, Report):
                assert report.was is standing and (report.state, report.standing) != (state, standing)
                state, standing = report.state, report.standing
        assert (one.state, one.standing) == (state, standing)
