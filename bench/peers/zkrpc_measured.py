"""zkrpc with metrics on, at both ends: as ``zkrpc serve`` has it, and a program with an admin door."""

from __future__ import annotations

from collections.abc import Callable

from bench.peers import zkrpc_stack
from zkrpc.metrics.metrics import borrow

__all__ = ["make_client", "serve"]


def serve(ready: Callable[[int], None]) -> None:
    """Serves until the process ends, measured."""
    borrow()
    zkrpc_stack.serve(ready)


def make_client(port: int) -> zkrpc_stack.Client:
    """Connects, measured."""
    borrow()
    return zkrpc_stack.Client(port)
