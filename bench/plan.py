"""What a run measures: rows, and the cells of each."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator

from bench.values import WORKLOADS

CALLERS = (1, 16, 64, 256)
LOADED = 64
"""Callers where a figure has to hold."""
PLAIN_CONNECTIONS = 256
IDLE_CONNECTIONS = 500


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One way to make calls: a client of one module of ``peers`` against the server of another."""

    name: str
    client: str
    server: str
    title: str
    pure: bool = False
    """Whether both sides are kept from what is compiled of zkrpc."""


ZKRPC = Row("zkrpc", "zkrpc_stack", "zkrpc_stack", "zkrpc")
PURE = Row("zkrpc-pure", "zkrpc_stack", "zkrpc_stack", "zkrpc, pure Python", pure=True)
GRPCIO = Row("grpcio", "grpcio_sync", "grpcio_sync", "grpcio")
GRPCIO_AIO = Row("grpcio-aio", "grpcio_aio", "grpcio_aio", "grpcio (aio)")
THRIFTPY2 = Row("thriftpy2", "thriftpy2_peer", "thriftpy2_peer", "thriftpy2 + gevent")
APACHE = Row("apache", "apache", "apache", "Apache Thrift + gevent")
APACHE_THREADS = Row("apache-threads", "apache_threads", "apache_threads", "Apache Thrift, threads")
PEERS = (ZKRPC, GRPCIO, GRPCIO_AIO, THRIFTPY2, APACHE, APACHE_THREADS)
"""What a user could take."""

THRIFTPY2_THREADS = Row("thriftpy2-threads", "thriftpy2_threads", "thriftpy2_threads", "thriftpy2, threads")
THRIFTPY2_ONE = Row("thriftpy2-one", "thriftpy2_one", "thriftpy2_peer", "thriftpy2 + gevent, one connection")
APACHE_ONE = Row("apache-one", "apache_one", "apache", "Apache Thrift + gevent, one connection")
MEASURED = Row("zkrpc-measured", "zkrpc_measured", "zkrpc_measured", "zkrpc with metrics")
BARE = Row("zkrpc-bare", "zkrpc_bare", "zkrpc_stack", "zkrpc's bare connection")
TRACED = Row("zkrpc-traced", "zkrpc_traced", "zkrpc_traced", "zkrpc, 1 % of its calls traced")
THREADS = Row("zkrpc-threads", "zkrpc_threads", "zkrpc_stack", "zkrpc.threads")
AIO = Row("zkrpc-aio", "zkrpc_aio", "zkrpc_stack", "zkrpc.aio")
TASKS = Row("zkrpc-tasks", "zkrpc_tasks", "zkrpc_tasks", "zkrpc, handlers async def")
OFFLOAD = Row("zkrpc-offload", "zkrpc_offload", "zkrpc_offload", "zkrpc, handlers in threads")
TLS = Row("zkrpc-tls", "zkrpc_tls", "zkrpc_tls", "zkrpc over TLS")
GRPCIO_TLS = Row("grpcio-tls", "grpcio_tls", "grpcio_tls", "grpcio over TLS")
PLAIN_ZKRPC = Row("plain-zkrpc", "plain", "zkrpc_stack", "plain Thrift clients of zkrpc")
PLAIN_THRIFTPY2 = Row("plain-thriftpy2", "plain", "thriftpy2_framed", "plain Thrift clients of thriftpy2 + gevent")
PLAIN_APACHE = Row("plain-apache", "plain", "apache_framed", "plain Thrift clients of Apache Thrift, threads")
GEVENT_FLOOR = Row("gevent-floor", "gevent_floor", "gevent_floor", "raw gevent")
C_FLOOR = Row("c-floor", "c_floor", "c_floor", "raw epoll in C")
ROWS = {
    row.name: row
    for row in (
        *(*PEERS, THREADS, AIO, THRIFTPY2_THREADS, TASKS, OFFLOAD, THRIFTPY2_ONE, APACHE_ONE, BARE, MEASURED, TRACED),
        *(PURE, TLS, GRPCIO_TLS, PLAIN_ZKRPC, PLAIN_THRIFTPY2, PLAIN_APACHE, GEVENT_FLOOR, C_FLOOR),
    )
}


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class Cell:
    """One workload at one number of callers."""

    workload: str
    callers: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What is measured, and for how long. Durations are seconds."""

    rows: tuple[Row, ...] = tuple(ROWS.values())
    workloads: tuple[str, ...] = WORKLOADS
    callers: tuple[int, ...] = CALLERS
    rounds: int = 5
    warm_up: float = 0.3
    seconds: float = 1.0
    quick: bool = False
    """Only the cells that are held to something, and no open loop."""

    def cells(self, row: Row) -> tuple[Cell, ...]:
        """The cells of one row."""
        if row is PURE:
            return (*(Cell(workload, LOADED) for workload in self.workloads), *self._alone())
        if row not in PEERS and "echo" not in self.workloads:
            return ()
        if row in (PLAIN_ZKRPC, PLAIN_THRIFTPY2, PLAIN_APACHE):
            return (Cell("echo", PLAIN_CONNECTIONS),)
        if row in (BARE, MEASURED, TRACED, TLS, GRPCIO_TLS, THRIFTPY2_ONE, APACHE_ONE, GEVENT_FLOOR, C_FLOOR):
            return (Cell("echo", LOADED),)
        if row in (THREADS, AIO, THRIFTPY2_THREADS, TASKS, OFFLOAD):
            return (*self._alone(), Cell("echo", LOADED))
        every = (Cell(workload, callers) for workload in self.workloads for callers in self.callers)
        return tuple(cell for cell in every if not self.quick or cell in _QUICK)

    def _alone(self) -> tuple[Cell, ...]:
        return (Cell("echo", 1),) if "echo" in self.workloads else ()

    def turns(self) -> Iterator[tuple[Cell, list[Row]]]:
        """For each cell, whose turns a round has."""
        rows: dict[Cell, list[Row]] = {}
        for row in self.rows:
            for cell in self.cells(row):
                rows.setdefault(cell, []).append(row)
        yield from sorted(rows.items())


_HELD_TO_NOTHING = (PURE, TASKS, OFFLOAD, C_FLOOR)
_QUICK = (Cell("echo", 1), Cell("echo", LOADED), Cell("rich", LOADED), Cell("blob", LOADED))


def quick(plan: Plan) -> Plan:
    """The same in a minute. Its figures are noisier; of all rows it leaves out those which hold nobody to anything."""
    left_out = _HELD_TO_NOTHING if len(plan.rows) == len(ROWS) else ()
    rows = tuple(row for row in plan.rows if row not in left_out)
    return dataclasses.replace(plan, rows=rows, quick=True, rounds=min(plan.rounds, 5), warm_up=0.08, seconds=0.16)


def rows_named(names: Collection[str]) -> tuple[Row, ...]:
    """The rows of these names, in their own order; all of them for no name. ValueError for an unknown one."""
    unknown = sorted(set(names) - set(ROWS))
    if unknown:
        raise ValueError(f"unknown peer {', '.join(unknown)}; there are {', '.join(ROWS)}")
    return tuple(row for row in ROWS.values() if not names or row.name in names)
