"""A pair of processes, and one cell."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench.children import ROOT, ClientProcess, ServerProcess
from tests.support.waiting import eventually


@pytest.mark.parametrize(
    "server, client",
    [
        ("zkrpc_stack", "zkrpc_stack"),
        ("zkrpc_stack", "zkrpc_bare"),
        ("thriftpy2_framed", "plain"),
        ("apache_framed", "plain"),
        ("thriftpy2_peer", "thriftpy2_peer"),
        ("apache_threads", "apache_threads"),
        ("gevent_floor", "gevent_floor"),
    ],
)
def test_pair_measures_a_cell(server: str, client: str) -> None:
    """Calls are made and checked, and both sides' processor time is counted."""
    with ServerProcess(server) as peer, ClientProcess(client, peer) as caller:
        sample = caller.measure("echo", 8, warm_up=0.05, seconds=0.5)
    assert sample.calls > 10 and sample.client_cpu > 0 and sample.server_cpu > 0


def test_every_workload_comes_back_as_it_was_sent() -> None:
    """By the client's own comparison, which ends it if they differ."""
    with ServerProcess("zkrpc_stack") as peer, ClientProcess("zkrpc_stack", peer) as caller:
        for workload in ("ping", "rich", "blob"):
            assert caller.measure(workload, 2, warm_up=0.0, seconds=0.5).calls


def test_client_that_ends_is_told_by_name() -> None:
    """And at once: after a timeout, the error would say that it has said nothing."""
    with ServerProcess("zkrpc_stack") as peer, ClientProcess("zkrpc_stack", peer) as caller:
        with pytest.raises(RuntimeError, match="call 1 zkrpc_stack [0-9]+' has ended with status 1"):
            caller.measure("no such workload", 1, warm_up=0.0, seconds=0.05)


def test_server_does_not_outlive_a_bench_that_is_killed() -> None:
    """Else it would take a core from whoever measures next."""
    lines = (
        "from bench.children import ServerProcess",
        "import os",
        "print(ServerProcess('zkrpc_stack').pid, flush=True)",
    )
    program = "; ".join((*lines, "os.kill(os.getpid(), 9)"))
    killed = subprocess.run([sys.executable, "-c", program], cwd=ROOT, stdout=subprocess.PIPE, text=True, timeout=120)
    eventually(lambda: has_ended(int(killed.stdout)))


def has_ended(pid: int) -> bool:
    """Whether a process has ended, even if nobody has taken notice of it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True
