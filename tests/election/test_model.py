"""Many processes, every fault at once, in the model of ZooKeeper: there is one primary at a time, in Zab's order.

Three kinds of run, of which the first two take at least ten thousand steps each, with many events in each step, every
time they are run. The state machine lets hypothesis choose the faults and shrink what it finds. The walks are long ones
from fixed seeds. The mutations take a guard out and must be caught, which proves that the checks can fail.
"""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tests.election.model import PATHS, SERVERS, Process, Violation, World
from zkrpc.election import lease
from zkrpc.election.candidate_state import CandidacyBackoff, CandidateState
from zkrpc.election.lease import Lease
from zkrpc.election.tree import EpochRecord

TIMEOUTS, TICKS = (2.0, 6.0, 10.0), (2.0, 2.5, 3.0, 4.0, 5.0)

Fault = Callable[[World, Process, int], None]


def rebuild(process: Process) -> None:
    """The client dies and another takes its place, in a new session, while the old one lives on for a while."""
    process.run(lambda: (process.client.drop(), process.client.forget()), process.life)


def deafen(process: Process) -> None:
    """Replies to the process are lost until it reconnects."""
    if process.alive and process.client.connection is not None:
        process.client.connection.deaf = True


def step_down(world: World, process: Process) -> None:
    """A hand-over, half of the time to somebody by name."""
    heir = world.rng.choice(["", "", world.rng.choice(world.processes).name])
    process.run(lambda: process.machine.step_down(process.clock(), heir), process.life)


def change_mind(process: Process) -> None:
    """Withdraw, and come back soon after."""
    process.run(lambda: process.machine.withdraw(process.clock()), process.life)
    process.world.after(
        0.5,
        lambda: process.run(lambda: process.machine.campaign(process.clock()), process.life if process.alive else 0),
    )


def remove_candidate(world: World, process: Process) -> None:
    """Somebody deletes a candidate by hand. (Not the primary's node: only the epoch protects against that.)"""

    def remove(tree: dict[str, object]) -> None:
        for path in [path for path in tree if f"/candidates/{process.name}." in path]:
            del tree[path]

    if world.has_quorum():
        world.commit(remove)


def hang(world: World, process: Process) -> None:
    """``on_deposed`` never returns, or does again."""
    process.deposed_hangs = not process.deposed_hangs


def revive(world: World, process: Process) -> None:
    """A new process in the place of a dead one."""
    if not process.alive:
        process.start()


def set_hole(process: Process, holed: bool) -> None:
    """The link to ZooKeeper swallows everything, or no more."""
    process.holed = holed


def set_lag(world: World, number: int) -> None:
    """A server is slow to learn what was committed, or quick."""
    world.servers[number].lag = world.rng.choice((0.01, 0.01, 1.0))


def slow_down(process: Process, part: float) -> None:
    """The link to ZooKeeper takes so long each way, in parts of T; 0: it is quick again."""
    process.delay = part * process.world.timeout


def meddle(world: World, how: str) -> None:
    """Somebody writes the epoch's node: its own value again, nonsense, an old value, a wrong one; or deletes it."""
    node = world.tree.get(PATHS.epoch)
    newest = world.epochs[-1][0] if world.epochs else 0
    values = {
        "touch": node.value if node is not None else None,
        "garble": b"\xffnot a record",
        "exhaust": EpochRecord(epoch=2**63 - 1).dump(),
        "lower": EpochRecord(epoch=max(0, newest - 2), instance="p0").dump(),
        "right": EpochRecord(epoch=newest).dump(),
        "delete": None,
    }
    world.write_epoch(values[how])


def sicken(process: Process) -> None:
    """``on_elected`` raises from now on, or does no more."""
    process.failing = not process.failing


FAULTS: list[tuple[float, Fault]] = [
    (5, lambda world, process, number: process.freeze()),
    (7, lambda world, process, number: process.thaw()),
    (4, lambda world, process, number: set_hole(process, True)),
    (6, lambda world, process, number: set_hole(process, False)),
    (3, lambda world, process, number: world.cut_server(number)),
    (5, lambda world, process, number: world.link_server(number)),
    (2, lambda world, process, number: world.kill_server(number)),
    (5, lambda world, process, number: world.start_server(number)),
    (1, lambda world, process, number: process.kill(supervised=True)),
    (1, lambda world, process, number: process.kill(supervised=False)),
    (4, lambda world, process, number: revive(world, process)),
    (3, lambda world, process, number: deafen(process)),
    (2, lambda world, process, number: step_down(world, process)),
    (1, lambda world, process, number: change_mind(process)),
    (1, lambda world, process, number: set_lag(world, number)),
    (1, lambda world, process, number: rebuild(process)),
    (1, lambda world, process, number: remove_candidate(world, process)),
    (0.5, lambda world, process, number: hang(world, process)),
    (1, lambda world, process, number: slow_down(process, world.rng.choice((0.05, 0.15, 0.4)))),
    (2, lambda world, process, number: slow_down(process, 0.0)),
    (0.5, lambda world, process, number: sicken(process)),
    (0.5, lambda world, process, number: meddle(world, "touch")),
    (0.3, lambda world, process, number: meddle(world, "garble")),
    (0.2, lambda world, process, number: meddle(world, "exhaust")),
    (0.5, lambda world, process, number: meddle(world, "lower")),
    (1, lambda world, process, number: meddle(world, "right")),
    (0.3, lambda world, process, number: meddle(world, "delete")),
    (0.3, lambda world, process, number: world.delete_tree()),
]


def walk(seed: int, steps: int) -> World:
    """``steps`` steps from a seed: half of them let time pass, the others are faults and their ends."""
    rng = random.Random(seed)
    world = World(rng, processes=rng.choice((2, 3, 4)), timeout=rng.choice(TIMEOUTS), ticks=rng.choice(TICKS))
    weights, faults = zip(*FAULTS)
    world.advance(2.0)
    for _ in range(steps):
        if rng.random() < 0.5:
            world.advance(rng.random() * world.timeout / 2)
        else:
            (fault,) = rng.choices(faults, weights)
            fault(world, rng.choice(world.processes), rng.randrange(SERVERS))
    return world


def caught(seeds: range, steps: int) -> str:
    """The first violation that a walk from these seeds meets; empty if none does."""
    for seed in seeds:
        try:
            walk(seed, steps)
        except Violation as violation:
            return str(violation)
    return ""


class Elections(RuleBasedStateMachine):
    """Hypothesis chooses what goes wrong, and when."""

    steps = 0
    acts = 0

    @initialize(
        seed=st.integers(0, 2**32),
        processes=st.integers(2, 4),
        timeout=st.sampled_from(TIMEOUTS),
        ticks=st.sampled_from(TICKS),
    )
    def begin(self, seed: int, processes: int, timeout: float, ticks: float) -> None:
        """A fresh ensemble and processes that campaign."""
        self.world = World(random.Random(seed), processes=processes, timeout=timeout, ticks=ticks)

    @rule(part=st.sampled_from((0.02, 0.1, 0.3, 0.75, 1.5)))
    def pass_time(self, part: float) -> None:
        """Time passes, in parts of T."""
        self.world.advance(part * self.world.timeout)

    @rule(fault=st.sampled_from([fault for _, fault in FAULTS]), process=st.integers(0, 3), server=st.integers(0, 2))
    def go_wrong(self, fault: Fault, process: int, server: int) -> None:
        """Something happens to a process or to a server."""
        fault(self.world, self.world.processes[process % len(self.world.processes)], server)

    @rule()
    def mend(self) -> None:
        """Everything is repaired, and after a while somebody leads."""
        world = self.world
        for number in range(SERVERS):
            world.start_server(number)
            world.link_server(number)
            world.servers[number].lag = 0.01
        for process in world.processes:
            process.deposed_hangs = process.holed = process.failing = False
            process.delay = 0.0
            process.thaw()
            revive(world, process)
        world.wait(world.has_quorum, 20.0)  # nobody can write before
        meddle(world, "right")
        for process in world.processes:
            process.run(lambda process=process: process.machine.campaign(process.clock()), process.life)
        world.wait(lambda: world.primary() is not None, 8 * world.timeout + 20.0)

    @invariant()
    def one_primary(self) -> None:
        """Also checked by the world itself after each of its events, with the order of epochs and of acts."""
        if hasattr(self, "world"):
            Elections.steps += 1
            self.world.check()

    def teardown(self) -> None:
        """Counts what was done under a lease, so that the test knows that it tested something."""
        if hasattr(self, "world"):
            Elections.acts += len(self.world.acts)


def test_elections_hold_whatever_hypothesis_tries() -> None:
    """No interleaving of faults makes two primaries, in ten thousand steps, and when everything is mended there is one.

    Many short lives rather than few long ones: what goes wrong is close to a beginning, and shrinks better.
    """
    from hypothesis.stateful import run_state_machine_as_test

    Elections.steps = Elections.acts = 0
    run_state_machine_as_test(
        Elections,
        settings=settings(
            max_examples=280,
            stateful_step_count=45,
            deadline=None,
            suppress_health_check=list(HealthCheck),
            database=None,
        ),
    )
    assert Elections.steps > 10_000 and Elections.acts > 10_000


def test_elections_hold_for_ten_thousand_steps_from_fixed_seeds() -> None:
    """Ten thousand steps, each with many events, in which leads change often and primaries act all the time."""
    worlds = [walk(seed, 250) for seed in range(40)]
    assert sum(len(world.epochs) for world in worlds) > 150
    assert sum(len(world.acts) for world in worlds) > 10_000
    assert sum(world.steps for world in worlds) > 10_000


def test_model_without_the_lease_check_goes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """A primary that believes in itself for ever is caught beside its successor."""
    monkeypatch.setattr(Lease, "is_valid", lambda self, now: True)
    monkeypatch.setattr(World, "punctual", False)
    assert "two valid leases" in caught(range(20), 150)


@pytest.mark.parametrize("fraction", [0.95, 1.2])
def test_model_with_too_long_a_lease_goes_red(monkeypatch: pytest.MonkeyPatch, fraction: float) -> None:
    """A lease that outlives what was proved is caught at once, without waiting for the fault that would show it."""
    monkeypatch.setattr(lease, "lease_end", lambda sent_at, support_at, timeout: sent_at + fraction * timeout)
    assert "proved" in caught(range(20), 150)


def test_model_with_a_lease_that_needs_no_support_goes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """0.7 T after the last write is not safe by itself, not even with a heartbeat every T/6."""
    monkeypatch.setattr(lease, "lease_end", lambda sent_at, support_at, timeout: sent_at + 0.7 * timeout)
    monkeypatch.setattr(lease, "heartbeat_interval", lambda timeout, *, weak: timeout / 6)
    assert "proved" in caught(range(40), 150)


def lose_a_claim_and_its_session(world: World) -> None:
    """A claim succeeds, its reply and then its session are lost to the client; the session lives on for a while. Then
    the link breaks, just before that session ends."""
    while not world.epochs:
        # In steps shorter than the answer takes.
        world.advance(0.001)
    (claimer,) = [process for process in world.processes if process.machine.state.value == "claiming"]
    rebuild(claimer)
    world.advance(0.9 * world.timeout)
    claimer.holed = True
    world.advance(1.5 * world.timeout)


def test_model_without_the_owner_check_goes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever takes a node for its own because of the name on it leads on after that node's session has ended."""
    world = World(random.Random(5), timeout=6.0, ticks=5.0, steady=True)
    lose_a_claim_and_its_session(world)
    assert [epoch for epoch, _ in world.epochs] == [1, 2]
    monkeypatch.setattr(
        CandidateState,
        "is_ours",
        lambda self, node: node is not None and self.participant.instance.encode() in node.value,
    )
    with pytest.raises(Violation, match="two valid leases"):
        lose_a_claim_and_its_session(World(random.Random(5), timeout=6.0, ticks=5.0, steady=True))


def test_model_without_memory_and_clock_goes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever believes the epoch's node alone repeats an epoch when somebody has deleted or lowered it."""
    monkeypatch.setattr(CandidateState, "note", lambda self, epoch: setattr(self, "highest", epoch))
    monkeypatch.setattr(CandidateState, "next_epoch", lambda self: self.highest + 1)
    assert "was granted after" in caught(range(60), 150)


def test_elections_hold_without_memory_as_long_as_the_clock_is_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody alive need remember: whoever claims enrolled after the loss, so its epoch is above all that was lost."""
    monkeypatch.setattr(CandidateState, "note", lambda self, epoch: setattr(self, "highest", epoch))
    assert caught(range(20), 150) == ""


def test_model_without_an_end_to_backoffs_goes_red(monkeypatch: pytest.MonkeyPatch) -> None:
    """A backoff that is over and goes on being waited for keeps a driver spinning."""
    monkeypatch.setattr(CandidacyBackoff, "handle_timer", lambda self, now: None)
    assert "wants to be woken" in caught(range(20), 150)
