"""zkrpc with traces, of which one in a hundred is recorded, on both sides.

Nobody takes the spans: what a call costs the two processes is the same, and a collector would be measured with them.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import zkrpc
from bench.peers import zkrpc_stack

__all__ = ["make_client", "serve"]

_START = 4.0
"""Seconds that the exporting process has for its start, which takes a core for a while and is not measured."""
_NOBODY = "otlp://127.0.0.1:9"
_SAMPLER = {"OTEL_TRACES_SAMPLER": "parentbased_traceidratio", "OTEL_TRACES_SAMPLER_ARG": "0.01"}


def _trace() -> None:
    zkrpc.start_tracing(_NOBODY, service="bench", environment={**os.environ, **_SAMPLER})
    time.sleep(_START)


def serve(ready: Callable[[int], None]) -> None:
    """Serves until the process ends."""
    _trace()
    zkrpc_stack.serve(ready)


def make_client(port: int) -> zkrpc_stack.Client:
    """A client that traces."""
    _trace()
    return zkrpc_stack.Client(port)
