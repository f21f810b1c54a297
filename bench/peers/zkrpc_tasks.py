"""zkrpc with handlers that are ``async def``, which run on an event loop in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from bench.peers import zkrpc_stack

__all__ = ["make_client", "serve"]


class Handler:
    """Gives back what it was given."""

    async def ping(self) -> None:
        """Nothing."""

    async def echo(self, text: str) -> str:
        """The text."""
        return text

    async def rich(self, order: Any) -> Any:
        """The order."""
        return order

    async def blob(self, data: bytes) -> bytes:
        """The bytes."""
        return data


def serve(ready: Callable[[int], None]) -> None:
    """Serves until the process ends."""
    zkrpc_stack.serve(ready, Handler)


make_client = zkrpc_stack.Client
