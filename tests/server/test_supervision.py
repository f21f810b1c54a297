"""When workers are started, restarted, replaced and ended."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from zkrpc.server.supervision import (
    EXIT_CONFIG,
    KILL_GRACE,
    CloseSession,
    Exit,
    Kill,
    Spawn,
    Supervision,
    SupervisionState,
    Terminate,
)


def running(workers: int = 2, *, ready: bool = False) -> Supervision:
    """A machine whose workers have the numbers of their slots."""
    supervision = Supervision(workers, backoff=0.2, max_backoff=1.0, healthy_after=10.0, port_patience=8.0)
    supervision.start(0.0)
    assert supervision.effects() == [Spawn(number, number) for number in range(workers)]
    for number in range(workers if ready else 0):
        supervision.receive_ready(number, 0.0)
    assert supervision.effects() == []
    return supervision


def at(supervision: Supervision, now: float) -> list[Any]:
    """What is done when that time has come."""
    supervision.handle_timer(now)
    return supervision.effects()


# -- restarts


def test_supervision_restarts_a_worker_that_was_healthy_at_once() -> None:
    """After a crash the session is closed first, then the same slot starts again without a pause."""
    supervision = running()
    supervision.receive_exit(1, -9, 50.0)
    assert supervision.effects() == [CloseSession(1)]
    assert supervision.next_timer() == 50.0
    assert at(supervision, 50.0) == [Spawn(1, 2)]


def test_supervision_pauses_longer_for_a_worker_that_keeps_dying() -> None:
    """0, 0.2, 0.4, 0.8, then at most 1.0 seconds; ten healthy seconds begin anew."""
    supervision = running(1)
    now, pauses = 0.0, []
    for number in range(6):
        supervision.receive_exit(number, 1, now)
        due = supervision.next_timer()
        assert due is not None
        pauses.append(round(due - now, 3))
        now = due
        supervision.handle_timer(now)
    assert pauses == [0.0, 0.2, 0.4, 0.8, 1.0, 1.0]
    supervision.receive_exit(6, 1, now + 10.0)
    assert supervision.next_timer() == now + 10.0


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
    supervision.receive_ready(0, 0.0)
    supervision.receive_exit(0, -9, 50.0)
    assert at(supervision, 50.0) == [CloseSession(0), Spawn(0, 2)]
    supervision.receive_exit(2, EXIT_CONFIG, 50.1)
    assert supervision.effects() == [CloseSession(2)]
    assert supervision.next_timer() == 50.1 + 0.2 and supervision.state is SupervisionState.RUNNING


def test_supervision_that_watches_files_waits_for_a_change_where_a_service_cannot_start() -> None:
    """Its author is about to mend it: the next reload starts the slots that are empty, and a stop ends at once."""
    supervision = Supervision(2, awaits_changes=True)
    supervision.start(0.0)
    assert supervision.effects() == [Spawn(0, 0), Spawn(1, 1)]
    for number in (0, 1):
        supervision.receive_exit(number, EXIT_CONFIG, 0.5)
    assert supervision.effects() == [CloseSession(0), CloseSession(1)]
    assert (supervision.next_timer(), supervision.state) == (None, SupervisionState.RUNNING)
    assert supervision.reload(60.0) and at(supervision, 60.0) == [Spawn(0, 2), Spawn(1, 3)]
    supervision.receive_exit(2, EXIT_CONFIG, 60.5)
    supervision.receive_exit(3, 1, 60.5)
    assert supervision.effects() == [CloseSession(2), CloseSession(3)]
    assert supervision.next_timer() == 60.5, "another failure is tried again as ever"
    assert supervision.stop(61.0) and supervision.effects() == [Exit(0)]


def test_supervision_that_watches_files_gives_up_at_an_address_that_cannot_be_had() -> None:
    """No change of a file mends that."""
    supervision = Supervision(1, awaits_changes=True)
    supervision.start(0.0)
    supervision.receive_exit(0, EXIT_CONFIG, 0.0, by_address=True)
    assert supervision.effects() == [Spawn(0, 0), CloseSession(0), Exit(EXIT_CONFIG)]


# -- stops


def test_supervision_drains_once_however_often_it_is_told() -> None:
    """Signals come twice; what was begun goes on as it was, and the end comes when the last worker is gone."""
    supervision = running(2)
    assert supervision.stop(1.0)
    assert supervision.effects() == [Terminate(0), Terminate(1)]
    supervision.receive_exit(0, 0, 2.0)
    assert not supervision.stop(3.0) and not supervision.reload(3.0) and not supervision.stop(4.0)
    assert supervision.effects() == [CloseSession(0)] and supervision.running == 1
    supervision.receive_exit(1, 0, 4.1)
    assert supervision.effects() == [CloseSession(1), Exit(0)]
    assert not supervision.stop(5.0)
    assert supervision.effects() == [] and supervision.state is SupervisionState.DONE
    assert supervision.next_timer() is None


@pytest.mark.parametrize("asked", [True, False])
def test_supervision_kills_when_it_is_told_so(asked: bool) -> None:
    """Whether a drain was begun or not; once, and the end comes when the workers are gone."""
    supervision = running(2)
    if asked:
        supervision.stop(1.0)
        assert supervision.effects() == [Terminate(0), Terminate(1)]
    supervision.kill(2.0)
    assert supervision.effects() == [Kill(0), Kill(1)]
    supervision.kill(2.1)
    assert supervision.effects() == [] and supervision.next_timer() is None
    supervision.receive_exit(0, -9, 2.2)
    supervision.receive_exit(1, -9, 2.2)
    assert supervision.effects() == [CloseSession(0), CloseSession(1), Exit(0)]


def test_supervision_kills_those_who_do_not_answer() -> None:
    """A worker has as long as it said that its stop may take, and a grace; one that said nothing has the grace."""
    supervision = running(2)
    supervision.receive_bound(0, 11.0)
    supervision.stop(100.0)
    assert supervision.effects() == [Terminate(0), Terminate(1)]
    assert supervision.next_timer() == 100.0 + KILL_GRACE
    assert at(supervision, 100.0 + KILL_GRACE) == [Kill(1, overdue=True)]
    supervision.receive_exit(1, -9, 107.0)
    assert supervision.effects() == [CloseSession(1)]
    assert at(supervision, 110.9 + KILL_GRACE) == []
    assert at(supervision, 111.0 + KILL_GRACE) == [Kill(0, overdue=True)]
    assert at(supervision, 200.0) == [] and supervision.next_timer() is None


def test_supervision_believes_a_bound_that_is_told_late() -> None:
    """It may still be on its way when the worker is asked."""
    supervision = running(1)
    supervision.stop(100.0)
    supervision.receive_bound(0, 11.0)
    supervision.receive_bound(7, 1.0)
    assert supervision.next_timer() == 111.0 + KILL_GRACE


def test_supervision_gives_a_worker_that_is_done_a_grace_to_end() -> None:
    """It was asked, or ended by itself: what is left to do takes no calls' time, and may hang in a thread for ever."""
    supervision = running(2)
    supervision.receive_bound(0, 11.0)
    supervision.stop(100.0)
    supervision.effects()
    supervision.receive_done(0, 101.0)
    supervision.receive_done(7, 101.0)
    assert at(supervision, 101.0 + KILL_GRACE) == [Kill(0, overdue=True), Kill(1, overdue=True)]
    supervision = running(1, ready=True)
    supervision.receive_done(0, 50.0)
    assert supervision.effects() == []
    assert at(supervision, 50.0 + KILL_GRACE) == [Kill(0, overdue=True)]
    supervision.receive_exit(0, -9, 60.0)
    assert at(supervision, 60.0) == [CloseSession(0), Spawn(0, 1)]


# -- reloads


def test_supervision_reload_starts_the_successor_first() -> None:
    """With one worker, too: the old one is asked when the new one is ready, and leaves nobody without an instance."""
    supervision = running(1, ready=True)
    assert supervision.reload(1.0)
    assert supervision.effects() == [Spawn(0, 1)]
    supervision.receive_ready(1, 2.0)
    assert supervision.effects() == [Terminate(0)]
    supervision.receive_exit(0, 0, 3.0)
    assert supervision.effects() == [CloseSession(0)]
    assert supervision.next_timer() is None and supervision.running == 1


def test_supervision_reload_replaces_one_worker_after_another() -> None:
    """The next slot is taken when the worker before has gone: never more than one process beyond those asked for."""
    supervision = running(2, ready=True)
    supervision.reload(1.0)
    supervision.receive_ready(2, 2.0)
    assert supervision.effects() == [Spawn(0, 2), Terminate(0)]
    supervision.receive_exit(0, 0, 3.0)
    assert supervision.effects() == [CloseSession(0), Spawn(1, 3)]
    supervision.receive_ready(3, 4.0)
    supervision.receive_exit(1, 0, 5.0)
    assert supervision.effects() == [Terminate(1), CloseSession(1)]


def test_supervision_reload_kills_an_old_worker_that_is_wedged() -> None:
    """It was asked, and the successor has taken its place: the reload goes on once it is gone."""
    supervision = running(2, ready=True)
    supervision.receive_bound(0, 1.0)
    supervision.reload(1.0)
    supervision.receive_ready(2, 2.0)
    supervision.effects()
    assert at(supervision, 3.0 + KILL_GRACE) == [Kill(0, overdue=True)]
    supervision.receive_exit(0, -9, 10.0)
    assert supervision.effects() == [CloseSession(0), Spawn(1, 3)]


def test_supervision_reload_tries_a_successor_that_dies_again() -> None:
    """With growing pauses; the old worker goes on meanwhile, and so do those whose turn has not come."""
    supervision = running(2, ready=True)
    supervision.reload(20.0)
    supervision.receive_exit(2, 1, 20.1)
    supervision.receive_ready(2, 20.1)
    assert supervision.effects() == [Spawn(0, 2), CloseSession(2)]
    assert at(supervision, 20.1) == [Spawn(0, 3)]
    supervision.receive_exit(3, 1, 20.2)
    assert supervision.next_timer() == pytest.approx(20.4)
    assert at(supervision, 20.4) == [CloseSession(3), Spawn(0, 4)]
    supervision.receive_ready(4, 21.0)
    assert supervision.effects() == [Terminate(0)]


def test_supervision_reload_gives_up_at_code_that_cannot_work() -> None:
    """A successor that says so ends the reload, and nothing else; the next reload begins anew."""
    supervision = running(2, ready=True)
    supervision.reload(1.0)
    supervision.receive_exit(2, EXIT_CONFIG, 1.5)
    assert supervision.effects() == [Spawn(0, 2), CloseSession(2)]
    assert supervision.next_timer() is None and supervision.running == 2
    supervision.reload(2.0)
    assert supervision.effects() == [Spawn(0, 3)]


def test_supervision_reload_replaces_a_successor_that_was_not_ready() -> None:
    """Told twice: what was started before is outdated, and of no use; the next one starts when it has gone."""
    supervision = running(2, ready=True)
    supervision.reload(1.0)
    supervision.reload(1.1)
    assert supervision.effects() == [Spawn(0, 2), Terminate(2)]
    supervision.receive_ready(2, 1.2)
    assert supervision.effects() == [], "it was on its way"
    supervision.receive_exit(2, 0, 1.5)
    assert supervision.effects() == [CloseSession(2), Spawn(0, 3)]
    supervision.receive_ready(3, 2.0)
    assert supervision.effects() == [Terminate(0)]


def test_supervision_reload_while_an_old_worker_drains() -> None:
    """Told again after the successor was ready: that one is replaced, too, when there is room for another."""
    supervision = running(1, ready=True)
    supervision.reload(1.0)
    supervision.receive_ready(1, 2.0)
    supervision.reload(2.5)
    assert supervision.effects() == [Spawn(0, 1), Terminate(0)]
    supervision.receive_exit(0, 0, 3.0)
    assert supervision.effects() == [CloseSession(0), Spawn(0, 2)]
    supervision.receive_ready(2, 4.0)
    assert supervision.effects() == [Terminate(1)]


def test_supervision_reload_passes_over_a_worker_that_died_meanwhile() -> None:
    """Its successor is as new as can be; so is one that still waits for its restart. Both are waited for."""
    supervision = running(3, ready=True)
    supervision.receive_exit(2, 1, 0.1)
    supervision.reload(1.0)
    assert supervision.effects() == [CloseSession(2), Spawn(0, 3)]
    assert at(supervision, 1.0) == [Spawn(2, 4)]
    supervision.receive_exit(1, -9, 1.1)
    assert at(supervision, 1.1) == [CloseSession(1), Spawn(1, 5)]
    supervision.receive_ready(3, 1.2)
    supervision.receive_exit(0, 0, 1.5)
    assert supervision.effects() == [Terminate(0), CloseSession(0)]
    assert supervision.next_timer() is None


def test_supervision_has_a_successor_take_the_place_of_a_worker_that_dies() -> None:
    """It was started already: there is no need for a third one, and the reload goes on when it is ready."""
    supervision = running(2, ready=True)
    supervision.reload(1.0)
    supervision.receive_exit(0, -9, 1.2)
    assert supervision.effects() == [Spawn(0, 2), CloseSession(0)] and supervision.next_timer() is None
    supervision.receive_ready(2, 2.0)
    assert supervision.effects() == [Spawn(1, 3)]


def test_supervision_restarts_the_last_worker_of_a_slot() -> None:
    """Old worker and successor die one after the other: the slot's next worker is a restart like any other."""
    supervision = running(1, ready=True)
    supervision.reload(20.0)
    supervision.receive_exit(0, -9, 20.1)
    supervision.receive_exit(1, EXIT_CONFIG, 20.2)
    assert supervision.effects() == [Spawn(0, 1), CloseSession(0), CloseSession(1)]
    assert at(supervision, supervision.next_timer() or 0) == [Spawn(0, 2)]


def test_supervision_reload_ends_the_pause_of_a_crashing_worker() -> None:
    """Whoever fixes the code and saves does not want to wait for the backoff."""
    supervision = running(1)
    supervision.receive_exit(0, 1, 0.1)
    supervision.handle_timer(0.1)
    supervision.receive_exit(1, 1, 0.2)
    assert supervision.next_timer() == 0.4
    supervision.reload(0.25)
    assert supervision.next_timer() == 0.25
    supervision.stop(0.3)
    assert supervision.effects()[-1] == Exit(0)
    supervision.reload(0.4)
    assert supervision.effects() == [] and "done" in repr(supervision)


def test_supervision_stop_during_a_reload_asks_everybody_once() -> None:
    """The old worker that drains already, the successor that is not ready yet, and those whose turn never came."""
    supervision = running(2, ready=True)
    supervision.reload(1.0)
    supervision.receive_ready(2, 1.5)
    assert supervision.effects() == [Spawn(0, 2), Terminate(0)]
    supervision.stop(2.0)
    assert supervision.effects() == [Terminate(1), Terminate(2)]
    supervision.receive_exit(0, 0, 2.5)
    assert supervision.effects() == [CloseSession(0)] and supervision.next_timer() == 2.0 + KILL_GRACE


# -- ports


def test_supervision_waits_for_a_port_at_the_start() -> None:
    """An orphan of an earlier run gives it up while it drains; somebody else does not, and then trying again is no
    help."""
    supervision = running(1)
    supervision.receive_port_taken(0, 0.0)
    now, number = 0.0, 1
    while now < 8.0:
        due = supervision.next_timer()
        assert due == now + 0.2 and supervision.effects() == []
        now = due
        assert at(supervision, now) == [Spawn(0, number)]
        supervision.receive_port_taken(number, now)
        number += 1
    assert supervision.effects() == [Exit(EXIT_CONFIG)]


def test_supervision_waits_for_a_port_as_long_as_it_takes_once_the_service_runs() -> None:
    """Somebody took it while nobody listened: the others go on, and so does trying."""
    supervision = running(2, ready=True)
    supervision.receive_exit(0, -9, 50.0)
    supervision.handle_timer(50.0)
    supervision.receive_port_taken(2, 50.0)
    supervision.handle_timer(500.0)
    supervision.receive_port_taken(3, 500.0)
    assert supervision.effects() == [CloseSession(0), Spawn(0, 2), Spawn(0, 3)]
    assert supervision.state is SupervisionState.RUNNING and supervision.next_timer() == 500.2
    supervision.stop(501.0)
    supervision.receive_exit(1, 0, 502.0)
    assert supervision.effects() == [Terminate(1), CloseSession(1), Exit(0)]


INPUTS = st.tuples(
    st.sampled_from(["exit", "wrong", "ready", "stop", "reload", "kill", "timer", "port"]), st.integers(0, 5)
)


@given(st.lists(INPUTS, max_size=60))
def test_supervision_keeps_its_promises_in_any_history(inputs: list[tuple[str, int]]) -> None:
    """A session is closed only after its worker's exit; nobody is asked or killed twice; there is at most one process
    beyond those asked for; a slot that is up stays up unless somebody dies; and a stop ends."""
    supervision = running(3)
    alive = {0: 0, 1: 1, 2: 2}
    asked: set[int] = set()
    killed: set[int] = set()
    now, stopping, exited = 0.0, False, False

    def carry_out() -> None:
        nonlocal exited
        for effect in supervision.effects():
            assert not exited
            match effect:
                case Spawn(slot=slot, worker=number):
                    assert not stopping and number not in alive
                    alive[number] = slot
                case CloseSession(worker=number):
                    assert number not in alive
                case Terminate(worker=number):
                    assert number in alive and number not in asked | killed
                    asked.add(number)
                    if not stopping:
                        assert sum(slot == alive[number] for slot in alive.values()) == 2, "its place is taken"
                case Kill(worker=number):
                    assert number in alive and number not in killed
                    killed.add(number)
                case Exit():
                    exited = True
        assert len(alive) <= 4 and all(list(alive.values()).count(slot) <= 2 for slot in range(3))

    def end(number: int, status: int) -> None:
        del alive[number]
        supervision.receive_exit(number, status, now)

    for name, choice in inputs:
        now += 0.3
        some = sorted(alive)[choice % len(alive)] if alive else None
        if name in ("exit", "wrong") and some is not None:
            end(some, 1 if name == "exit" else EXIT_CONFIG)
        elif name == "ready" and some is not None:
            supervision.receive_ready(some, now)
        elif name == "port" and some is not None and list(alive.values()).count(alive[some]) == 1 and some not in asked:
            del alive[some]
            supervision.receive_port_taken(some, now)
        elif name in ("stop", "kill"):
            getattr(supervision, name)(now)
        elif name == "reload":
            supervision.reload(now)
        elif name == "timer":
            supervision.handle_timer(now)
        stopping = supervision.state is not SupervisionState.RUNNING
        carry_out()
    supervision.stop(now)
    stopping = True
    carry_out()
    for number in sorted(alive):
        end(number, 0)
        carry_out()
    assert exited and supervision.state is SupervisionState.DONE


# -- recycling


def test_worn_worker_is_replaced_when_its_successor_is_ready() -> None:
    """As by a reload, and by itself; saying it twice, or while it is replaced, changes nothing."""
    supervision = running(2, ready=True)
    assert supervision.receive_worn(1, 100.0) and not supervision.receive_worn(1, 100.1)
    assert supervision.effects() == [Spawn(1, 2)]
    assert not supervision.receive_worn(1, 100.2) and not supervision.receive_worn(2, 100.2)
    supervision.receive_ready(2, 101.0)
    assert supervision.effects() == [Terminate(1)] and not supervision.receive_worn(1, 101.1)
    supervision.receive_exit(1, 0, 102.0)
    assert supervision.effects() == [CloseSession(1)]
    assert supervision.receive_worn(2, 200.0) and supervision.effects() == [Spawn(1, 3)]


def test_worn_workers_are_replaced_one_after_another() -> None:
    """The next one's turn comes when the one before is gone, however many are worn."""
    supervision = running(3, ready=True)
    assert all(supervision.receive_worn(number, 100.0) for number in (2, 0, 1))
    order = []
    for _ in range(3):
        [spawn] = [effect for effect in supervision.effects() if not isinstance(effect, CloseSession)]
        supervision.receive_ready(spawn.worker, 101.0)
        [terminate] = supervision.effects()
        order.append(terminate.worker)
        supervision.receive_exit(terminate.worker, 0, 102.0)
    assert order == [2, 0, 1]


def test_worn_worker_whose_successor_fails_stays() -> None:
    """It says again that it is worn; nothing is replaced while everything stops."""
    supervision = running(1, ready=True)
    assert supervision.receive_worn(0, 100.0) and supervision.effects() == [Spawn(0, 1)]
    supervision.receive_exit(1, EXIT_CONFIG, 101.0)
    assert supervision.effects() == [CloseSession(1)] and supervision.running == 1
    assert supervision.receive_worn(0, 160.0) and supervision.effects() == [Spawn(0, 2)]
    supervision.stop(161.0)
    assert not supervision.receive_worn(0, 162.0) and not supervision.receive_worn(99, 162.0)


# -- signs of life


def test_worker_that_gives_no_sign_of_life_any_more_is_killed() -> None:
    """One that has never given any is not expected to; one that drains has another bound."""
    supervision = Supervision(3, watch=10.0)
    supervision.start(0.0)
    supervision.effects()
    assert supervision.next_timer() is None
    supervision.receive_beat(1, 0.0)
    supervision.receive_beat(2, 5.0)
    supervision.receive_beat(99, 5.0)
    assert supervision.next_timer() == 10.0
    supervision.receive_beat(1, 9.0)
    assert at(supervision, 14.9) == [] and supervision.next_timer() == 15.0
    assert at(supervision, 15.0) == [Kill(2, hung=True)] and at(supervision, 16.0) == []
    supervision.receive_exit(2, -9, 16.0)
    assert supervision.effects() == [CloseSession(2)] and at(supervision, 16.0) == [Spawn(2, 3)]
    supervision.stop(17.0)
    supervision.effects()
    assert at(supervision, 20.0) == []


def test_nobody_is_killed_for_silence_where_nobody_watches() -> None:
    """Signs of life may come all the same."""
    supervision = running(1)
    supervision.receive_beat(0, 0.0)
    assert at(supervision, 1e6) == [] and supervision.next_timer() is None


def test_standing_counts_ready_workers_and_waits_for_the_replaced() -> None:
    """All are ready, and none is being replaced or about to be."""
    supervision = running(2)
    assert supervision.standing == (0, False)
    supervision.receive_ready(0, 0.0)
    supervision.receive_ready(1, 0.0)
    assert supervision.standing == (2, True)
    supervision.reload(1.0)
    assert supervision.standing == (2, False)
    for successor, old in ((2, 0), (3, 1)):
        supervision.receive_ready(successor, 2.0)
        supervision.receive_exit(old, 0, 3.0)
    assert supervision.standing == (2, True)
    supervision.receive_exit(2, -9, 4.0)
    assert supervision.standing == (1, False)
    supervision.stop(5.0)
    supervision.receive_exit(3, 0, 6.0)
    assert supervision.standing == (0, False)
