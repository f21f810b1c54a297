"""The server of suite ``worlds``: calls that take a while, and what they leave."""

from __future__ import annotations

import gc
from pathlib import Path
from typing import Any

import gevent
from greenlet import greenlet

import zkrpc

idl = zkrpc.load(Path(__file__).with_name("worlds.thrift"))


class WorldsHandler:
    """Does what the IDL says."""

    def __init__(self) -> None:
        self._begun = self._ended = self._cancelled = 0

    def nap(self, milliseconds: int) -> None:
        """A while later."""
        self._begun += 1
        try:
            gevent.sleep(milliseconds / 1000)
        except gevent.GreenletExit:
            self._cancelled += 1
            raise
        finally:
            self._ended += 1

    def echo(self, text: str) -> str:
        """The text."""
        return text

    def held(self) -> Any:
        """Counted now."""
        gc.collect()
        objects = gc.get_objects()
        return idl.Held(
            running=self._begun - self._ended,
            begun=self._begun,
            cancelled=self._cancelled,
            greenlets=sum(isinstance(one, greenlet) for one in objects),
            objects=len(objects),
        )


service = zkrpc.Service(idl.Worlds, WorldsHandler, name="worlds")
