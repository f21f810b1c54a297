"""The service under fault with a gate that knows what its database can do."""

from __future__ import annotations

import zkrpc
from faults.target import SLOTS, TargetHandler, idl

# One call waits for each that runs: twice the time of a call at the worst, and enough to keep the slots busy.
service = zkrpc.Service(
    idl.Target,
    TargetHandler,
    name="shedding",
    config=zkrpc.ServerConfig(max_concurrent=SLOTS, max_queue=SLOTS),
)
