"""Who is measured with what."""

from __future__ import annotations

import pytest

from bench.plan import (
    PEERS,
    PLAIN_APACHE,
    PLAIN_THRIFTPY2,
    PLAIN_ZKRPC,
    PURE,
    TASKS,
    ZKRPC,
    Cell,
    Plan,
    quick,
    rows_named,
)


def test_plan_gives_every_peer_a_turn_in_every_cell() -> None:
    """What one is measured with, all are."""
    turns = dict(Plan().turns())
    for workload in ("ping", "echo", "rich", "blob"):
        for callers in (1, 16, 64, 256):
            assert set(PEERS) <= set(turns[Cell(workload, callers)])


def test_plan_measures_servers_under_plain_clients_beside_each_other() -> None:
    """They have one cell, that of many connections."""
    assert Plan().cells(PLAIN_ZKRPC) == Plan().cells(PLAIN_THRIFTPY2) == Plan().cells(PLAIN_APACHE)
    assert Plan().cells(PLAIN_ZKRPC) == (Cell("echo", 256),)


def test_plan_measures_pure_python_beside_what_is_compiled() -> None:
    """Loaded with every workload, and alone."""
    cells = {Cell("echo", 1), *(Cell(workload, 64) for workload in ("ping", "echo", "rich", "blob"))}
    assert set(Plan().cells(PURE)) == cells and Plan(workloads=("rich",)).cells(PURE) == (Cell("rich", 64),)


def test_quick_plan_fits_into_a_minute() -> None:
    """By its turns alone; what is left is for starting processes."""
    plan = quick(Plan(rounds=9))
    turns = sum(len(rows) for _, rows in plan.turns())
    assert plan.rounds * turns * (plan.warm_up + plan.seconds) < 50
    assert TASKS not in plan.rows and quick(Plan(rows=(TASKS,))).rows == (
        TASKS,
    )  # which is held to nothing, but asked for


def test_rows_are_found_by_name() -> None:
    """All for none; a name that does not exist is told with those that do."""
    assert rows_named(["zkrpc"]) == (ZKRPC,)
    assert set(PEERS) < set(rows_named(()))
    with pytest.raises(ValueError, match="unknown peer brpc; there are zkrpc"):
        rows_named(["zkrpc", "brpc"])
