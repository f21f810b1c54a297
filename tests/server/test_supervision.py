"""When workers are started, restarted and ended."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from zkrpc.server.supervision import (
    EXIT_CONFIG,
    CloseSession,
    Exit,
    Kill,
    Spawn,
    Supervision,
    SupervisionState,
    Terminate,
)


def running(workers: int = 2) -> Supervision:
    supervision = Supervision(workers, backoff=0.2, max_backoff=1.0, healthy_after=10.0)
    supervision.start(0.0)
    assert supervision.effects() == [Spawn(number) for number in range(workers)]
    return supervision


def test_supervision_restarts_a_worker_that_was_healthy_at_once() -> None:
    """After a crash the session is closed first, then the same slot starts again without a pause."""
    supervision = running()
    supervision.receive_exit(1, -9, 50.0)
    assert supervision.effects() == [CloseSession(1)]
    assert supervision.next_timer() == 50.0
    supervision.handle_timer(50.0)
    assert supervision.effects() == [Spawn(1)]


def test_supervision_pauses_longer_for_a_worker_that_keeps_dying() -> None:
    """0, 0.2, 0.4, 0.8, then at most 1.0 seconds; ten healthy seconds begin anew."""
    supervision = running(1)
    now, pauses = 0.0, []
    for _ in range(6):
        supervision.receive_exit(0, 1, now)
        due = supervision.next_timer()
        assert due is not None
        pauses.append(round(due - now, 3))
        now = due
        supervision.handle_timer(now)
    assert pauses == [0.0, 0.2, 0.4, 0.8, 1.0, 1.0]
    supervision.receive_exit(0, 1, now + 10.0)
    assert supervision.next_timer() == now + 10.0


def test_supervision_drains_then_kills() -> None:
    """The first stop asks, the second one ends what is left; the end comes when the last worker is gone."""
    supervision = running(2)
    supervision.stop(1.0)
    assert supervision.effects() == [Terminate(0), Terminate(1)]
    supervision.receive_exit(0, 0, 2.0)
    supervision.stop(3.0)
    assert supervision.effects() == [CloseSession(0), Kill(1)]
    supervision.receive_exit(1, -9, 3.1)
    assert supervision.effects() == [CloseSession(1), Exit(0)]
    supervision.stop(4.0)
    assert supervision.effects() == [] and supervision.state is SupervisionState.DONE


def test_supervision_gives_up_when_a_worker_says_the_settings_are_wrong() -> None:
    """A bad module name is reported once, not every ten seconds for ever."""
    supervision = running(2)
    supervision.receive_exit(0, EXIT_CONFIG, 0.5)
    assert supervision.effects() == [CloseSession(0), Terminate(1)]
    supervision.receive_exit(1, 0, 0.6)
    assert supervision.effects() == [CloseSession(1), Exit(EXIT_CONFIG)]


def test_supervision_survives_wrong_settings_that_a_running_service_meets() -> None:
    """A worker that was ready and finds a broken file when it restarts is tried again; the others go on."""
    supervision = running(2)
    supervision.receive_ready(0)
    supervision.receive_exit(0, -9, 50.0)
    supervision.handle_timer(50.0)
    supervision.receive_exit(0, EXIT_CONFIG, 50.1)
    assert supervision.effects() == [CloseSession(0), Spawn(0), CloseSession(0)]
    assert supervision.next_timer() == 50.1 + 0.2 and supervision.state is SupervisionState.RUNNING


def test_supervision_reload_replaces_one_worker_after_another() -> None:
    """The second one is asked to drain when the first one's successor is ready, not before."""
    supervision = running(2)
    supervision.reload(1.0)
    supervision.receive_ready(0)
    supervision.receive_ready(1)
    assert supervision.effects() == [Terminate(0)], "the ready ones are the old ones"
    supervision.receive_exit(0, 0, 1.5)
    supervision.handle_timer(1.5)
    assert supervision.effects() == [CloseSession(0), Spawn(0)]
    supervision.receive_ready(0)
    assert supervision.effects() == [Terminate(1)]
    supervision.receive_exit(1, 0, 2.0)
    supervision.handle_timer(2.0)
    supervision.receive_ready(1)
    assert supervision.effects() == [CloseSession(1), Spawn(1)]


def test_supervision_reload_stops_at_a_successor_that_does_not_come_up() -> None:
    """New code that is broken costs one worker; the next reload begins with that one."""
    supervision = running(2)
    supervision.reload(1.0)
    supervision.receive_exit(0, 0, 1.5)
    supervision.handle_timer(1.5)
    supervision.receive_exit(0, 1, 1.6)
    supervision.handle_timer(1.6)
    assert supervision.effects() == [Terminate(0), CloseSession(0), Spawn(0), CloseSession(0), Spawn(0)]
    supervision.reload(2.0)
    assert supervision.effects() == [Terminate(0)]
    supervision.receive_exit(0, 0, 2.1)
    supervision.handle_timer(2.1)
    supervision.receive_ready(0)
    assert supervision.effects() == [CloseSession(0), Spawn(0), Terminate(1)]


def test_supervision_reload_passes_over_a_worker_that_died_meanwhile() -> None:
    """Its successor is as new as can be; so is one that still waits for its restart."""
    supervision = running(3)
    supervision.receive_exit(2, 1, 0.1)
    supervision.reload(1.0)
    supervision.receive_exit(1, -9, 1.1)
    supervision.receive_exit(0, 0, 1.5)
    supervision.handle_timer(1.5)
    supervision.receive_ready(0)
    effects = supervision.effects()
    assert [effect for effect in effects if isinstance(effect, Terminate)] == [Terminate(0)]
    assert {effect for effect in effects if isinstance(effect, Spawn)} == {Spawn(0), Spawn(1), Spawn(2)}


def test_supervision_stop_does_not_ask_a_draining_worker_twice() -> None:
    """A worker takes the second request for a kill."""
    supervision = running(2)
    supervision.reload(1.0)
    supervision.stop(1.1)
    assert supervision.effects() == [Terminate(0), Terminate(1)]


def test_supervision_reload_replaces_each_worker_without_a_pause() -> None:
    """A reload drains; the successor starts when its predecessor is gone, and it is not held against the slot."""
    supervision = running(1)
    supervision.reload(1.0)
    assert supervision.effects() == [Terminate(0)]
    supervision.receive_exit(0, 0, 1.5)
    supervision.handle_timer(1.5)
    assert supervision.effects() == [CloseSession(0), Spawn(0)]


def test_supervision_reload_ends_the_pause_of_a_crashing_worker() -> None:
    """Whoever fixes the code and saves does not want to wait for the backoff."""
    supervision = running(1)
    supervision.receive_exit(0, 1, 0.1)
    supervision.handle_timer(0.1)
    supervision.receive_exit(0, 1, 0.2)
    assert supervision.next_timer() == 0.4
    supervision.reload(0.25)
    assert supervision.next_timer() == 0.25
    supervision.stop(0.3)
    assert supervision.effects()[-1] == Exit(0)
    supervision.reload(0.4)
    assert supervision.effects() == [] and "done" in repr(supervision)


@given(
    st.lists(st.tuples(st.sampled_from(["exit", "ready", "stop", "reload", "timer"]), st.integers(0, 2)), max_size=40)
)
def test_supervision_never_closes_the_session_of_a_running_worker(inputs: list[tuple[str, int]]) -> None:
    """In any history: a session is closed only after its worker's exit, and never two workers run in one slot."""
    supervision = running(3)
    alive = {0, 1, 2}
    now = 0.0
    for name, number in inputs:
        now += 0.3
        if name == "exit" and number in alive:
            alive.discard(number)
            supervision.receive_exit(number, 1, now)
        elif name == "ready" and number in alive:
            supervision.receive_ready(number)
        elif name == "stop":
            supervision.stop(now)
        elif name == "reload":
            supervision.reload(now)
        elif name == "timer":
            supervision.handle_timer(now)
        for effect in supervision.effects():
            if isinstance(effect, CloseSession):
                assert effect.slot not in alive
            if isinstance(effect, Spawn):
                assert effect.slot not in alive
                alive.add(effect.slot)
            if isinstance(effect, (Terminate, Kill)):
                assert effect.slot in alive
