"""The cells of the matrix: one peer, one direction, one dialect, and what came of its cases."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from interop.cases import NAMES, OK
from interop.ours import OurServers, call_all
from interop.programs import Broken, NotHere, Program, install, ready, said, started
from interop.table import CALLS_US, IS_CALLED, PEERS, Peer, known

LOST = "connection"
"""What the programs call the case of which they speak when nothing more can be tried."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Cell:
    """What came of one."""

    peer: str
    direction: str
    dialect: str
    passed: int
    failed: Mapping[str, str]
    """The cases that went wrong, and how."""
    known: Mapping[str, str]
    """The cases that went wrong as they had to, by a fault of the peer's library."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Result:
    """What came of a run."""

    cells: list[Cell] = dataclasses.field(default_factory=list)
    skipped: dict[str, str] = dataclasses.field(default_factory=dict)
    """The peers that could not take part, and what they need."""
    broken: dict[str, str] = dataclasses.field(default_factory=dict)
    """The peers whose program could not be built."""

    @property
    def failed(self) -> list[Cell]:
        """The cells in which something went wrong."""
        return [cell for cell in self.cells if cell.failed]


def run(names: Iterable[str], *, with_install: bool = False) -> Result:
    """All cells of these peers, one after another."""
    result = Result()
    for peer in (PEERS[name] for name in names):
        try:
            if with_install:
                install(peer)
            program = ready(peer)
        except NotHere as error:
            result.skipped[peer.name] = str(error)
        except Broken as error:
            result.broken[peer.name] = str(error)
        else:
            result.cells.extend(calls_us(peer, program))
            result.cells.extend(is_called(peer, program))
    return result


def calls_us(peer: Peer, program: Program) -> Iterator[Cell]:
    """Its client calls our server in each of its dialects."""
    ours = OurServers(peer.client)
    try:
        places = ours.start()
        with started(program, "client", *(f"{dialect}={port}" for dialect, port in places.items())) as process:
            lines = said(process)
    finally:
        ours.close()
    for dialect in peer.client:
        told = {case: what for name, case, what in (line for line in lines if len(line) == 3) if name == dialect}
        if all(case in told for case in NAMES) and (wrong := ours.wrong(dialect)):
            told["what reached the handler"] = wrong
        yield judge(peer.name, CALLS_US, dialect, told)


def is_called(peer: Peer, program: Program) -> Iterator[Cell]:
    """Our client calls its server in each of its dialects."""
    with started(program, "server", *peer.server) as process:
        ports = {line[0]: int(line[1]) for line in said(process, "ready")}
        for dialect in peer.server:
            told = dict(call_all(peer, dialect, ports[dialect])) if dialect in ports else {LOST: "it does not listen"}
            yield judge(peer.name, IS_CALLED, dialect, told)


def judge(peer: str, direction: str, dialect: str, told: Mapping[str, str]) -> Cell:
    """What a cell amounts to. A case of which nothing was said has failed, and so has a known fault that is gone."""
    due = known(peer, direction, dialect)
    failed = {case: what for case, what in told.items() if what != OK and case not in due}
    lost = told.get(LOST, "nothing more was said")
    failed |= {case: f"was not made: {lost}" for case in NAMES if case not in told}
    failed |= {case: f"passed, so it is no longer true that {why}" for case, why in due.items() if told.get(case) == OK}
    passed = sum(told.get(case) == OK for case in NAMES)
    return Cell(
        peer=peer,
        direction=direction,
        dialect=dialect,
        passed=passed,
        failed=failed,
        known={case: why for case, why in due.items() if case not in failed},
    )
