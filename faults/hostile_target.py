"""The service under attack of suite ``hostile``: it does little, so that what calls cost is what the framework does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import gevent

import zkrpc

idl = zkrpc.load(Path(__file__).with_name("hostile.thrift"))
MEMORY = 256
"""Mebibytes over what it needs at rest that nobody may make the process hold."""
CONFIG = zkrpc.ServerConfig(max_connections=400, max_concurrent=64, linger=0.2, max_buffered=MEMORY * 1024 * 1024 // 2)
_LARGEST = 1024 * 1024
"""Bytes that anybody gets; how many a spoilt call asks for is chance's."""


class TargetHandler:
    """Answers at once, or waits as long as it is told."""

    def on_elected(self, leadership: zkrpc.Leadership) -> None:
        """Nothing to make ready."""

    def echo(self, text: str) -> str:
        """The text."""
        return text

    @zkrpc.primary_only
    def lead(self) -> int:
        """The epoch."""
        call = zkrpc.current_call()
        assert call is not None
        return int(call.epoch or 0)

    def blob(self, size: int) -> bytes:
        """So many bytes, within reason."""
        return bytes(min(max(size, 0), _LARGEST))

    def slow(self, milliseconds: int) -> None:
        """Waits."""
        gevent.sleep(milliseconds / 1000)

    def count(self, pairs: list[Any]) -> int:
        """How many."""
        return len(pairs)

    def note(self, text: str) -> None:
        """Nothing."""


service = zkrpc.Service(idl.Target, TargetHandler, name="target", config=CONFIG)
