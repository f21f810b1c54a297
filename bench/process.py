"""A process of the bench from inside: ``python -m bench.process serve|call CORE PEER [PORT]``.

A server tells its port in a line and serves until it is ended, or whoever started it has ended in any way. A client
takes orders, a line of JSON each, and answers with one; it ends with its input.
"""

from __future__ import annotations

import ctypes
import importlib
import json
import os
import signal
import sys
from typing import Any

from gevent import monkey

from bench.peers import PATCHED

_PR_SET_PDEATHSIG = 1
"""From ``prctl(2)``: the signal that a process gets when its parent has ended."""


def main() -> None:
    """Pins itself to its core before any thread is started, and becomes the peer."""
    role, core, peer, *port = sys.argv[1:]
    if role == "serve":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
    os.sched_setaffinity(0, {int(core)})
    sys.path.insert(0, os.environ["BENCH_BUILD"])
    if peer in PATCHED:
        monkey.patch_all()
    module = importlib.import_module(f"bench.peers.{peer}")
    if role == "serve":
        module.serve(lambda number: print(number, flush=True))
    else:
        _take_orders(module.make_client(int(port[0])))


def _take_orders(client: Any) -> None:
    from bench.load import Job

    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        if "weigh" in order:
            answer = client.weigh(order["weigh"], order["server_pid"])
        else:
            answer = client.measure(Job(**order)).as_object()
        print(json.dumps(answer), flush=True)


main()
