"""What tests leave running, told at the module that left it: there an innocent test's count is not what suffers."""

from __future__ import annotations

import gc
import threading
import time
import traceback
from collections.abc import Iterator
from contextlib import contextmanager

import gevent
from gevent.baseserver import BaseServer
from kazoo.client import KazooClient

from zkrpc.server.greenlet_pool import Worker

_PATIENCE = 30.0
"""Seconds in which what was told to end has to have ended."""


@contextmanager
def nothing_outlives() -> Iterator[None]:
    """Fails if a session, a listening server, a greenlet or a thread that began in the block is still there after it.

    What has been told to end may take its time for that. Greenlets that a server keeps for its next requests go with
    the server.
    """
    before = {id(one): one for one in _running()}
    yield
    give_up_at = time.monotonic() + _PATIENCE
    while left := [one for one in _running() if id(one) not in before]:
        assert time.monotonic() < give_up_at, "left running:\n" + "\n".join(map(_described, left))
        gevent.sleep(0.05)


def _running() -> list[object]:
    """All that runs in this process now. Walks everything that the garbage collector knows."""
    kinds = (gevent.Greenlet, KazooClient, BaseServer)
    found = [one for one in gc.get_objects() if isinstance(one, kinds) and _is_running(one)]
    # What Python says of a thread that is not its own, as gevent's are, outlasts the thread.
    threads = [one for one in threading.enumerate() if not isinstance(one, threading._DummyThread)]
    return [*found, *threads]


def _is_running(one: object) -> bool:
    if isinstance(one, KazooClient):
        return not one._stopped.is_set()
    if isinstance(one, BaseServer):
        return bool(one.started)
    return isinstance(one, gevent.Greenlet) and not isinstance(one, Worker) and bool(one)


def _described(one: object) -> str:
    """What it is, and for a greenlet where it waits."""
    frame = one.gr_frame if isinstance(one, gevent.Greenlet) else None
    where = "" if frame is None else "".join(traceback.format_stack(frame)[-4:])
    return f"{one!r}\n{where}"
