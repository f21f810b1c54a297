"""zkrpc with handlers that run in native threads, by ``@zkrpc.offload``."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import zkrpc
from bench.peers import zkrpc_stack

__all__ = ["make_client", "serve"]

_CONFIG = zkrpc.ServerConfig(offload_queue=1024)
"""As many threads as there are by default, which are those of grpcio here; and no call is refused."""


class Handler:
    """Gives back what it was given."""

    @zkrpc.offload
    def ping(self) -> None:
        """Nothing."""

    @zkrpc.offload
    def echo(self, text: str) -> str:
        """The text."""
        return text

    @zkrpc.offload
    def rich(self, order: Any) -> Any:
        """The order."""
        return order

    @zkrpc.offload
    def blob(self, data: bytes) -> bytes:
        """The bytes."""
        return data


def serve(ready: Callable[[int], None]) -> None:
    """Serves until the process ends."""
    zkrpc_stack.serve(ready, Handler, _CONFIG)


make_client = zkrpc_stack.Client
