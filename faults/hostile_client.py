"""The client under attack of suite ``hostile``: ``python -m faults.hostile_client HOSTS ENDPOINT SEED``.

Half of its callers call the service by its name, and so its hostile member, too; the others call an honest instance by
its address, and show what one member does to calls of the same process that have nothing to do with it. It says a line
when it is ready, and for each line it hears one of JSON: what has been since the one before.
"""

from __future__ import annotations

import json
import random
import sys
import time
from typing import Any

from gevent.fileobject import FileObject

import zkrpc
from faults import hostile_target
from faults.hostile_honest import Honest
from faults.load import failures, percentile


def main() -> None:
    """Calls until told to end."""
    hosts, endpoint, seed = sys.argv[1:]
    rng, idl = random.Random(int(seed)), hostile_target.idl
    with (
        zkrpc.connect(idl.Target, "target", zookeeper=hosts) as named,
        zkrpc.connect(idl.Target, [endpoint]) as beside,
    ):
        named.options(timeout=30).lead()
        loads = {"named": Honest(named, rng, callers=16), "beside": Honest(beside, rng, callers=16, leads=False)}
        print("ready", flush=True)
        since = time.monotonic()
        for _ in FileObject(sys.stdin.buffer):
            now = time.monotonic()
            told = {name: _told(load, since, now) for name, load in loads.items()}
            print(json.dumps(told), flush=True)
            since = now
        for load in loads.values():
            load.stop()


def _told(load: Honest, since: float, now: float) -> dict[str, Any]:
    calls = load.between(since, now)
    lost = failures(calls)
    told = {
        "calls": len(calls),
        "p99": percentile(calls, 0.99),
        "worst": percentile(calls, 1.0),
        "lost": len(lost),
        "error": str(lost[0].error)[:100] if lost else "",
        "wrong": load.wrong[:3],
        "epochs": sorted(load.epochs),
    }
    # Or the notes themselves would be what grows.
    load.outcomes.clear()
    load.wrong.clear()
    return told


if __name__ == "__main__":
    main()
