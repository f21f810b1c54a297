"""Three services that call one another; each writes down when it stopped working on a call.

``$PROBE_JOURNAL/<service>`` has a line for each call: its id, and the monotonic time, which all processes share.
"""

from __future__ import annotations

import functools
import os
import time
from pathlib import Path

import gevent

import zkrpc

SLOW = 1.5
"""Seconds that the last one takes."""
NAMES = ("front", "middle", "back")
WARM_UP = "warm-up"
"""The id of a call for which the last one does not take long."""

idl = zkrpc.load(Path(__file__).with_name("chain.thrift"))


class Link:
    """``name`` is its own, ``following`` the next service's; it finds that through ``$CHAIN_ZOOKEEPER``."""

    def __init__(self, name: str, following: str | None) -> None:
        self._next = following and zkrpc.connect(idl.Link, following, zookeeper=os.environ["CHAIN_ZOOKEEPER"])
        path = Path(os.environ["PROBE_JOURNAL"], name)
        self._journal = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def work(self, request_id: str) -> None:
        """Passes the call on, or sits on it."""
        try:
            if self._next:
                self._next.work(request_id)
            elif request_id != WARM_UP:
                gevent.sleep(SLOW)
        finally:
            os.write(self._journal, f"{request_id} {time.monotonic():.6f}\n".encode())


def _service(name: str, following: str | None) -> zkrpc.Service:
    return zkrpc.Service(idl.Link, functools.partial(Link, name, following), name=name)


front = _service("front", "middle")
middle = _service("middle", "back")
back = _service("back", None)
