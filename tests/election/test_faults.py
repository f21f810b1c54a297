"""Transcripts: each fault that issues name, played against the model of ZooKeeper on a steady network.

A story is what was ordered of the processes, in order. T is 6 s, a tick 2 s. Each test also says how long nobody led.
The model itself checks after every event that no two leases are valid at once, that epochs grow, and Zab's order.
"""

from __future__ import annotations

import random

import pytest

from tests.election.model import PATHS, Process, Violation, World
from zkrpc.election.fencing import Fence
from zkrpc.election.tree import EpochRecord

T, TICK = 6.0, 2.0


def leading(seed: int = 1, **settings: int) -> tuple[World, Process]:
    """A world with a primary, and the primary."""
    world = World(random.Random(seed), timeout=T, ticks=T / TICK, steady=True, **settings)
    world.wait(lambda: world.primary() is not None, 5.0)
    world.advance(2 * T)
    primary = world.primary()
    assert primary is not None
    assert world.story() == [f"{primary.name} Elect 1", f"{primary.name} Serve 1"]
    return world, primary


def successor(world: World, former: Process, limit: float) -> tuple[Process, float]:
    """The next primary that is not ``former``, and how long it took."""
    gap = world.wait(lambda: world.primary() not in (None, former), limit)
    found = world.primary()
    assert found is not None
    return found, gap


def server_of(process: Process) -> int:
    """The number of the server that the process talks to."""
    assert process.client.connection is not None
    return process.client.connection.server.number


def move_to(world: World, process: Process, *, leader: bool) -> None:
    """Has the process talk to ZooKeeper's leader, or to another server."""

    def there() -> bool:
        connection = process.client.connection
        return connection is not None and (connection.server is world.leader) is leader

    for _ in range(50):
        if there():
            break
        process.run(process.client.drop, process.life)
        world.advance(1.0)
    assert there()
    world.advance(T)
    assert world.story() == []


def test_kill_of_a_supervised_primary_moves_the_lead_in_milliseconds() -> None:
    """kill -9: the supervisor closes the session, and the next in the queue claims."""
    world, former = leading()
    former.kill(supervised=True)
    new, gap = successor(world, former, 1.0)
    assert gap < 0.15
    assert world.story() == [f"{new.name} Elect 2", f"{new.name} Serve 2"]


def test_kill_of_the_whole_process_group_costs_a_session_timeout() -> None:
    """Nobody closes the session: the lead moves after at most T, a tick and half a second."""
    world, former = leading()
    former.kill(supervised=False)
    new, gap = successor(world, former, 3 * T)
    assert gap < T + TICK + 0.5
    assert world.story() == [f"{new.name} Elect 2", f"{new.name} Serve 2"]


@pytest.mark.parametrize("seconds", [1.5 * T, 4 * T])
def test_stopped_primary_finds_itself_deposed_when_it_goes_on(seconds: float) -> None:
    """SIGSTOP beyond the timeout, then SIGCONT: the first thing it does is to step down, and it acts no more."""
    world, former = leading()
    former.freeze()
    new, gap = successor(world, former, seconds)
    assert gap < T + TICK + 0.5
    assert world.story() == [f"{new.name} Elect 2", f"{new.name} Serve 2"]
    world.advance(seconds - gap)
    former.thaw()
    assert former.serving_epoch() is None
    world.advance(2 * T)
    story = world.story()
    assert story[0] in (f"{former.name} Depose 1 lease ended", f"{former.name} Depose 1 session ended")
    assert len(story) == 1 and world.primary() is new


def test_briefly_stopped_primary_goes_on() -> None:
    """SIGSTOP for less than the lease: nobody notices."""
    world, former = leading()
    former.freeze()
    world.advance(0.4 * T)
    former.thaw()
    world.advance(T)
    assert world.story() == [] and world.primary() is former


def test_blocked_hub_beyond_the_lease_ends_the_term_and_not_the_session() -> None:
    """A hub that does not turn for longer than the lease, but not for T: it steps down by itself, and its node goes."""
    world, former = leading()
    former.freeze()
    world.advance(0.85 * T)
    assert former.serving_epoch() is None
    former.thaw()
    new, _ = successor(world, former, 1.0)
    # What was read while it was blocked is handled first, or the timer is: both are right, the lease has run out.
    assert world.story() == [f"{former.name} Depose 1 lease ended", f"{new.name} Elect 2", f"{new.name} Serve 2"]


def test_black_hole_ends_the_lease_before_another_can_lead() -> None:
    """The link swallows everything and TCP stays open: the lease runs out first, the session later."""
    world, former = leading()
    former.holed = True
    held = world.wait(lambda: former.serving_epoch() is None, T)
    assert 0.5 * T < held <= 0.71 * T
    world.advance(0.05)
    assert world.story() == [f"{former.name} DropSocket", f"{former.name} Depose 1 lease ended"]
    new, gap = successor(world, former, 2 * T)
    assert held + gap < T + TICK + 0.5
    former.holed = False
    world.advance(2 * T)
    assert world.story() == [f"{new.name} Elect 2", f"{new.name} Serve 2"] and world.primary() is new


def test_short_black_hole_costs_nothing() -> None:
    """The socket is dropped after T/4, and the session moves while the lease holds."""
    world, former = leading()
    former.holed = True
    world.advance(0.45 * T)
    former.holed = False
    world.advance(T)
    assert world.story() == [f"{former.name} DropSocket"] and world.primary() is former


def test_loss_of_the_primarys_server_costs_nothing() -> None:
    """kill -9 of the ZooKeeper server it talks to: it moves on with its session."""
    world, former = leading()
    move_to(world, former, leader=False)
    world.kill_server(server_of(former))
    world.advance(2 * T)
    assert world.story() == [] and world.primary() is former


def test_cut_between_the_primarys_server_and_the_leader_costs_nothing() -> None:
    """A server that answers pings and commits nothing is left after T/4, for one that commits."""
    world, former = leading()
    move_to(world, former, leader=False)
    world.cut_server(server_of(former))
    # It goes on answering pings: the client sees nothing wrong.
    world.advance(2 * T)
    assert world.story() == [f"{former.name} DropSocket"] and world.primary() is former


def test_loss_of_zookeepers_leader_costs_nothing() -> None:
    """All clients are suspended for about a second, which the lease rides out."""
    world, former = leading()
    assert world.leader is not None
    world.kill_server(world.leader.number)
    world.wait(lambda: world.leader is not None, 3.0)
    world.advance(2 * T)
    assert world.story() == [] and world.primary() is former


def test_cut_of_zookeepers_leader_from_the_rest_costs_nothing() -> None:
    """The primary talks to a leader that leads nobody any more: like any server that commits nothing."""
    world, former = leading()
    move_to(world, former, leader=True)
    world.cut_server(server_of(former))
    world.advance(2 * T)
    assert world.story() == [f"{former.name} DropSocket"] and world.primary() is former


def test_ensemble_down_for_less_than_the_lease_costs_nothing() -> None:
    """All servers stop for two seconds: no leader, no expiry, and the lease holds."""
    world, former = leading()
    for number in range(3):
        world.kill_server(number)
    world.advance(2.0)
    for number in range(3):
        world.start_server(number)
    world.advance(2 * T)
    assert world.story() == [] and world.primary() is former


@pytest.mark.parametrize("seconds", [3.0, 2 * T])
def test_ensemble_down_has_one_primary_again_afterwards(seconds: float) -> None:
    """Beyond the lease nobody serves; when the ensemble is back somebody does, with its next epoch if it stopped."""
    world, former = leading()
    for number in range(3):
        world.kill_server(number)
    world.advance(seconds)
    if seconds > 0.7 * T:
        assert world.primary() is None
        assert world.story() == [f"{former.name} Depose 1 lease ended"]
    for number in range(3):
        world.start_server(number)
    world.wait(lambda: world.primary() is not None, T)
    world.advance(T)
    assert world.epochs[-1][0] == len(world.epochs) <= 2
    assert world.primary() is not None


def test_hand_over_takes_milliseconds_and_the_former_queues_again() -> None:
    """A voluntary step-down waits for nobody's timeout."""
    world, former = leading()
    former.run(lambda: former.machine.step_down(former.clock()), former.life)
    new, gap = successor(world, former, 1.0)
    assert gap <= 0.06
    assert world.story() == [f"{former.name} Depose 1 handed over", f"{new.name} Elect 2", f"{new.name} Serve 2"]
    world.advance(T)
    assert former.machine.state.value == "waiting"


def test_hand_over_to_an_heir_skips_the_queue() -> None:
    """The named instance leads next, whatever its place."""
    world, former = leading()
    names = [name for name in world.tree if name.startswith(f"{PATHS.candidates}/")]
    last = max(names, key=lambda name: name[-10:]).rpartition("/")[2].partition(".")[0]
    former.run(lambda: former.machine.step_down(former.clock(), heir=last), former.life)
    new, gap = successor(world, former, 1.0)
    assert new.name == last and gap <= 0.08


def test_hand_over_to_an_heir_that_does_not_come_goes_on_without_it() -> None:
    """The heir is frozen: after a second of grace the first in the queue claims."""
    world, former = leading()
    names = sorted(
        (name for name in world.tree if name.startswith(f"{PATHS.candidates}/")), key=lambda name: name[-10:]
    )
    last = names[-1].rpartition("/")[2].partition(".")[0]
    heir = next(process for process in world.processes if process.name == last)
    heir.freeze()
    former.run(lambda: former.machine.step_down(former.clock(), heir=last), former.life)
    new, gap = successor(world, former, 3.0)
    assert new is not heir and 0.9 < gap < 1.3


def test_withdrawal_of_everybody_but_one_leaves_that_one() -> None:
    """Those that drain hand over and do not come back."""
    world, former = leading()
    others = [process for process in world.processes if process is not former]
    for process in (former, others[0]):
        process.run(lambda process=process: process.machine.withdraw(process.clock()), process.life)
    new, gap = successor(world, former, 1.0)
    world.advance(T)
    assert gap < 0.1 and world.primary() is others[1]
    assert {process.machine.state.value for process in (former, others[0])} == {"idle"}


def test_stop_hook_that_hangs_ends_the_process() -> None:
    """``on_deposed`` has two seconds here; then the process exits, and its session is closed for it."""
    world, former = leading()
    former.deposed_hangs = True
    former.run(lambda: former.machine.step_down(former.clock()), former.life)
    _, gap = successor(world, former, 4.0)
    assert 2.0 < gap < 2.3
    assert world.story()[:2] == [f"{former.name} Depose 1 handed over", f"{former.name} ExitProcess 1"]


def test_candidate_deleted_by_somebody_steps_down_in_order() -> None:
    """The successor wakes, finds the primary's node still there, and waits until the former has stopped."""
    world, former = leading()
    prefix = f"{PATHS.candidates}/{former.name}."
    assert world.commit(lambda tree: [tree.pop(name) for name in [*tree] if name.startswith(prefix)] and None) is None
    new, _ = successor(world, former, 1.0)
    assert world.story() == [
        f"{former.name} Depose 1 its node was removed",
        f"{new.name} Elect 2",
        f"{new.name} Serve 2",
    ]


def test_primary_node_deleted_by_somebody_leads_to_a_new_epoch() -> None:
    """The former's candidate is still first: nobody else claims before it has stopped and left the queue."""
    world, former = leading()
    assert world.commit(lambda tree: tree.pop(PATHS.primary) and None) is None
    new, _ = successor(world, former, 1.0)
    assert world.story()[0] == f"{former.name} Depose 1 its node was removed"
    assert world.epochs[-1][0] == 2 and new.serving_epoch() == 2


def test_session_closed_by_force_is_covered_by_the_epoch_only() -> None:
    """Somebody ends a living primary's session: two believe in themselves for a moment; a fence tells them apart."""
    world, former = leading()
    world.end_session(former.client.session_id)
    with pytest.raises(Violation, match="two valid leases"):
        world.advance(1.0)
    former_epoch, new_epoch = former.serving_epoch(), world.epochs[-1][0]
    fence = Fence(new_epoch)
    assert former_epoch is not None and not fence.allows(former_epoch)
    world.guarded = False
    world.advance(0.5)
    assert former.serving_epoch() is None and world.story()[-1] == f"{former.name} Depose 1 session ended"


def test_claim_whose_reply_is_lost_is_found_by_reading() -> None:
    """The session goes on over another connection, and the pending epoch is adopted: no second one is taken."""
    world = World(random.Random(3), timeout=T, ticks=3, steady=True, processes=1)
    world.wait(lambda: bool(world.epochs), 5.0)
    only = world.processes[0]
    assert only.client.connection is not None and only.machine.state.value == "claiming"
    only.client.connection.deaf = True
    world.wait(lambda: world.primary() is only, 2 * T)
    assert world.epochs == [(1, only.client.session_id)]
    assert world.story()[-2:] == ["p0 Elect 1", "p0 Serve 1"]


def test_claim_whose_reply_and_session_are_lost_is_not_adopted() -> None:
    """The node carries our name and the epoch we asked for, but lives with a session that is not ours any more."""
    world = World(random.Random(3), timeout=T, ticks=3, steady=True, processes=1)
    world.wait(lambda: bool(world.epochs), 5.0)
    only = world.processes[0]
    first_session = only.client.session_id
    only.run(lambda: (only.client.drop(), only.client.forget()), only.life)
    world.wait(lambda: world.primary() is only, 3 * T)
    assert [epoch for epoch, _ in world.epochs] == [1, 2]
    assert world.epochs[0][1] == first_session != world.epochs[1][1]
    assert world.story() == ["p0 Elect 2", "p0 Serve 2"]


# What people do, and links that are too slow


def behind(world: World, former: Process) -> Process:
    """The one that is next in the queue after ``former``."""
    names = sorted(
        (name for name in world.tree if name.startswith(f"{PATHS.candidates}/")), key=lambda name: name[-10:]
    )
    order = [name.rpartition("/")[2].partition(".")[0] for name in names]
    return next(process for process in world.processes if process.name == order[order.index(former.name) + 1])


@pytest.mark.parametrize("part", [0.15, 0.3])
def test_candidate_with_a_slow_link_lets_the_next_one_lead(part: float) -> None:
    """Its round trip is longer than a heartbeat may take: it sees so before it claims, and goes to the queue's end."""
    world, former = leading()
    slow = behind(world, former)
    slow.delay = part * T
    former.kill(supervised=True)
    new, gap = successor(world, slow, 2 * T)
    assert new is not former and gap < 6 * part * T
    assert world.story() == [f"{new.name} Elect 2", f"{new.name} Serve 2"]
    world.advance(3 * T)
    assert world.primary() is new and world.story() == []


def test_claim_over_a_link_that_becomes_slow_is_given_up() -> None:
    """It commits, and no heartbeat is ever answered in time: after half a timeout it lets go, and others lead."""
    world, former = leading()
    slow = behind(world, former)
    former.kill(supervised=True)
    while slow.machine.state.value != "claiming":
        world.advance(0.001)
    slow.delay = 0.15 * T
    gap = world.wait(lambda: world.primary() not in (None, former, slow), 3 * T)
    assert gap < 2 * T and [epoch for epoch, _ in world.epochs] == [1, 2, 3]


def test_primary_whose_link_becomes_slow_is_succeeded() -> None:
    """Its lease ends, and what it gives up is gone before its session is."""
    world, former = leading()
    former.delay = 0.15 * T
    new, gap = successor(world, former, 3 * T)
    assert gap < 2 * T and new.serving_epoch() == 2
    former.delay = 0.0
    world.advance(2 * T)
    assert world.primary() is new and former.machine.state.value == "waiting"


def test_sick_instances_are_elected_ever_less_often_and_lead_soon_after_they_are_well() -> None:
    """All of them raise from ``on_elected``: not as fast as they can, for as long as that lasts."""
    world, former = leading()
    for process in world.processes:
        process.failing = True
    former.kill(supervised=True)
    former.start()
    world.advance(20.0)
    early = len(world.epochs)
    world.advance(60.0)
    assert len(world.epochs) - early < 50
    for process in world.processes:
        process.failing = False
    assert world.wait(lambda: world.primary() is not None, T + 5.0) < 6.1


def test_touched_epoch_changes_nothing() -> None:
    """Somebody writes its own value into the node again: the version is learnt, and the term goes on."""
    world, former = leading()
    for _ in range(3):
        world.write_epoch(world.tree[PATHS.epoch].value)
        world.advance(0.1)
    assert world.primary() is former and world.story() == []
    assert former.machine.candidacy.epoch_version == world.tree[PATHS.epoch].version
    former.run(lambda: former.machine.step_down(former.clock()), former.life)
    _, gap = successor(world, former, 1.0)
    assert gap <= 0.06


@pytest.mark.parametrize(
    "value",
    [None, b"", b"\xff", EpochRecord(epoch=2**63 - 1).dump(), EpochRecord(epoch=1, instance="somebody").dump()],
    ids=["deleted", "empty", "unreadable", "exhausted", "foreign"],
)
def test_epoch_that_is_not_ours_any_more_ends_the_term_and_is_put_right(value: bytes | None) -> None:
    """Whoever leads knows what it should say: it stops in order, says so, and the next epoch is above."""
    world, former = leading()
    world.write_epoch(value)
    new, gap = successor(world, former, 1.0)
    assert gap < 0.2
    story = world.story()
    assert story[0] == f"{former.name} Depose 1 the epoch's node was changed" and story[-1] == f"{new.name} Serve 2"
    world.advance(2 * T)
    assert world.primary() is new and world.story() == []


def test_higher_epoch_that_somebody_writes_is_gone_above() -> None:
    """An operator who knows of one: the term ends, and the next is above it."""
    world, former = leading()
    world.write_epoch(EpochRecord(epoch=40).dump())
    world.wait(lambda: world.primary() not in (None, former), 1.0)
    assert world.epochs[-1][0] == 41 and world.story()[0] == f"{former.name} Depose 1 a higher epoch was seen"


@pytest.mark.parametrize("value", [b"\xff", EpochRecord(epoch=2**63 - 1).dump()])
@pytest.mark.parametrize("remedy", [None, EpochRecord(epoch=1).dump()])
def test_unreadable_epoch_without_a_primary_is_waited_for(value: bytes, remedy: bytes | None) -> None:
    """Nobody claims, nobody spins, and as soon as it is put right, or deleted, somebody leads in a new epoch."""
    world, former = leading()
    former.kill(supervised=True)
    world.write_epoch(value)
    world.advance(5 * T)
    assert world.primary() is None and world.story() == []
    waiting = [process for process in world.processes if process is not former]
    assert any("epoch" in (process.machine.conversation.failure or "") for process in waiting)
    steps = world.steps
    world.advance(T)
    assert world.steps - steps < 600
    world.write_epoch(remedy)
    assert world.wait(lambda: world.primary() is not None, T + 5.0) < 5.5
    assert world.epochs[-1][0] == 2


def test_deleted_election_goes_on_above_what_was() -> None:
    """All its nodes but the primary's: it stops, and who comes next remembers."""
    world, former = leading()
    world.delete_tree()
    world.wait(lambda: world.primary() is not None and world.primary().serving_epoch() == 2, 2.0)
    assert world.story()[0].startswith(f"{former.name} Depose 1 ")


def test_candidate_that_knows_better_ends_a_term_that_repeats_an_epoch() -> None:
    """The nodes came back as they were long ago, and a new process was elected by them: an old one says so."""
    world, former = leading()
    for _ in range(3):
        primary = world.primary()
        primary.run(lambda: primary.machine.step_down(primary.clock()), primary.life)
        world.wait(lambda: world.primary() not in (None, primary), 1.0)
        world.advance(1.0)
    knows = next(process for process in world.processes if process is not world.primary())
    for process in world.processes:
        if process is not knows:
            process.kill(supervised=True)
    knows.freeze()
    world.advance(0.5)
    assert world.epochs[-1][0] == 4
    world.commit(lambda tree: [tree.pop(name) for name in [*tree] if name.startswith(PATHS.candidates)] and None)
    world.write_epoch(EpochRecord(epoch=1).dump())
    world.epochs.clear()
    world.acts.clear()
    fresh = next(process for process in world.processes if process is not knows)
    fresh.start()
    world.wait(lambda: world.primary() is fresh, T)
    assert fresh.serving_epoch() == 2
    knows.thaw()
    world.wait(lambda: world.primary() is not None and world.primary().serving_epoch() >= 5, 2 * T)
