"""Rounds: who is measured when."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterator, Mapping

from bench.children import BUILD, ClientProcess, ServerProcess, build
from bench.figures import Figures
from bench.plan import C_FLOOR, IDLE_CONNECTIONS, LOADED, PEERS, ZKRPC, Cell, Plan, Row
from bench.sample import Sample

_OPEN_LOOP = Cell("echo", LOADED)
_OPEN_LOOP_SECONDS = 3.0
_TRIES = 3
_DISTURBED = 0.1
"""Cores used by others from which on a sample is taken again."""

Tell = Callable[[str], object]
"""Is told what goes on."""


def run(plan: Plan, rng: random.Random, tell: Tell) -> Figures:
    """Measures everything. Raises RuntimeError if a process does not do its part."""
    build()
    figures = Figures()
    rows = [row for row in plan.rows if row is not C_FLOOR or (BUILD / "floor").exists()]
    # New processes for every round, for two of the same program are not equally fast; a quick run has no time for that.
    for numbers in [range(plan.rounds)] if plan.quick else [[number] for number in range(plan.rounds)]:
        with _processes(rows) as clients:
            for number in numbers:
                tell(f"round {number + 1} of {plan.rounds}")
                _run_round(plan, clients, rng, figures)
    if not plan.quick:
        _run_open_loops(plan, rng, figures, tell)
        _weigh_connections(plan, figures, tell)
    return figures


def _run_round(plan: Plan, clients: Mapping[Row, ClientProcess], rng: random.Random, figures: Figures) -> None:
    for cell, ready in plan.turns():
        takers = [row for row in ready if row in clients]
        for row in rng.sample(takers, len(takers)):
            figures.add(row, cell, _measure(plan, clients[row], cell))


def _measure(plan: Plan, client: ClientProcess, cell: Cell) -> Sample:
    """The sample that other processes disturbed least, of a few if need be."""
    samples: list[Sample] = []
    for _ in range(1 if plan.quick else _TRIES):
        samples.append(client.measure(cell.workload, cell.callers, warm_up=plan.warm_up, seconds=plan.seconds))
        if samples[-1].disturbance < _DISTURBED:
            break
    return min(samples, key=lambda sample: sample.disturbance)


@contextlib.contextmanager
def _processes(rows: list[Row]) -> Iterator[dict[Row, ClientProcess]]:
    """A client for each row, and the servers they call; rows with the same server share its process."""
    with contextlib.ExitStack() as stack:
        kinds = dict.fromkeys((row.server, row.pure) for row in rows)
        servers = {kind: stack.enter_context(ServerProcess(kind[0], pure=kind[1])) for kind in kinds}
        yield {
            row: stack.enter_context(ClientProcess(row.client, servers[row.server, row.pure], pure=row.pure))
            for row in rows
        }


def _run_open_loops(plan: Plan, rng: random.Random, figures: Figures, tell: Tell) -> None:
    """Latencies at half of what each peer can do, and zkrpc's at the same rates."""
    rows = [row for row in plan.rows if row in PEERS and figures.spread(row, _OPEN_LOOP)]
    loops: list[tuple[Row, Row]] = []
    for row in rows:
        most = figures.spread(row, _OPEN_LOOP)
        assert most is not None
        loops += dict.fromkeys(((row, row), (ZKRPC, row)) if ZKRPC in rows else ((row, row),))
        figures.rates[row.name] = round(most.median / 2)
    for number in range(plan.rounds):
        tell(f"round {number + 1} of {plan.rounds}: open loop")
        with _processes(rows) as clients:
            for row, rival in rng.sample(loops, len(loops)):
                sample = clients[row].measure(
                    _OPEN_LOOP.workload,
                    _OPEN_LOOP.callers,
                    warm_up=plan.warm_up,
                    seconds=_OPEN_LOOP_SECONDS,
                    rate=figures.rates[rival.name],
                )
                figures.open_samples.setdefault((row.name, rival.name), []).append(sample)


def _weigh_connections(plan: Plan, figures: Figures, tell: Tell) -> None:
    tell(f"memory of {IDLE_CONNECTIONS} idle connections")
    for row in plan.rows:
        if row in PEERS:
            with _processes([row]) as clients:
                figures.memory[row.name] = clients[row].weigh(IDLE_CONNECTIONS)
