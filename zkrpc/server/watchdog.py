"""A thread beside the hub that notices when the hub is blocked, and by what; see :mod:`~zkrpc.server.blockage`.

Its cost is a timer callback in the hub and a look at one number in the thread, a few times a second; calls are not
slowed down. The thread does not log, as the hub may be blocked inside of logging and hold its locks. It leaves what it
found to the hub, which logs it as soon as it runs again. Only about a hub that may never run again the thread itself
writes a line, to standard error.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import time
import traceback
from collections.abc import Iterable, Mapping
from types import FrameType
from typing import Any

import gevent
from gevent.event import Event
from gevent.monkey import get_original

from zkrpc.legible import legible
from zkrpc.server.blockage import BEAT_INTERVAL, SOMEWHERE, Blockage, Blockages, Place
from zkrpc.server.built_in import BuiltIns
from zkrpc.server.crew import Crew
from zkrpc.server.greenlet_pool import Worker
from zkrpc.server.startup import is_foreign, log_with_detail
from zkrpc.telemetry.events import HubBlocked
from zkrpc.telemetry.observer import Observer, gather
from zkrpc.wire.message import bare_name
from zkrpc.zookeeper.operations import SessionState
from zkrpc.zookeeper.session import Session

log = logging.getLogger(__name__)

_LOOK_INTERVAL = 0.1
"""Seconds between the thread's checks."""
HOPELESS_AFTER = 60.0
"""Seconds for which a hub may be blocked before the process counts as one that does not recover."""
_MOST_FRAMES = 12
_WORKER, _BUILT_IN = Worker._run.__code__, BuiltIns._run.__code__
"""The functions below which a request runs: what lies between them and the handler may have no frames."""

_ADVICE = (
    "no other call was served, and ZooKeeper heard nothing of us; give such work to zkrpc.offload(function, arguments)"
)


class Watchdog:
    """Watches the hub of the thread that makes it, from ``start`` to ``stop``. One for each process is enough.

    ``observers`` are told of every time that the hub was blocked, also of those that the log leaves out.
    """

    def __init__(self, observers: Iterable[Observer] = ()) -> None:
        self._observers = gather(observers)
        self._machine = Blockages(time.monotonic())
        self._timer = gevent.get_hub().loop.timer(BEAT_INTERVAL, BEAT_INTERVAL)
        self._watched = get_original("_thread", "get_ident")()
        self._process = os.getpid()
        # Of the native kind: the thread waits until it can have it, which is when we stop.
        self._running = get_original("_thread", "allocate_lock")()
        self._follower: gevent.Greenlet[..., None] | None = None

    def __repr__(self) -> str:
        """The state of its machine."""
        return f"<Watchdog {self._machine!r}>"

    def start(self, session: Session | None = None) -> None:
        """Begins to watch. With a session, it also reports when that was lost because the hub was blocked."""
        self._machine = Blockages(time.monotonic())
        self._running.acquire()
        self._timer.start(self._beat)
        get_original("_thread", "start_new_thread")(self._look, ())
        if session is not None:
            self._follower = gevent.spawn(self._follow, session)

    def stop(self) -> None:
        """Stops watching at once; the thread ends a moment later."""
        self._timer.stop()
        self._timer.close()
        if self._running.locked():
            self._running.release()
        if self._follower is not None:
            self._follower.kill(block=False)

    def doubt(self) -> str | None:
        """Why the process cannot serve now, if its hub is blocked. Only another thread ever hears of it."""
        return "the event loop is blocked" if self._machine.blocked_for(time.monotonic()) else None

    def despair(self) -> str | None:
        """Why the process will not serve again, if its hub has been blocked for very long."""
        blocked = self._machine.blocked_for(time.monotonic()) > HOPELESS_AFTER
        return f"the event loop has been blocked for {HOPELESS_AFTER:g} s" if blocked else None

    # -- in the hub

    def _beat(self) -> None:
        if os.getpid() != self._process:
            # The thread stayed in the process that we were forked from.
            self._timer.stop()
            return
        before = self._machine.newest
        blockage = self._machine.receive_beat(time.monotonic())
        if blockage is not None:
            _report(blockage)
        newest = self._machine.newest
        if newest is not None and newest is not before:
            self._observers.tell(HubBlocked(seconds=newest.seconds, place=str(newest.place)))

    def _follow(self, session: Session) -> None:
        changed = Event()
        session.watch_state(changed)
        try:
            while True:
                changed.wait()
                changed.clear()
                timeout = session.timeout
                if session.state is SessionState.LOST and timeout is not None:
                    blockage = self._machine.recall(timeout, time.monotonic())
                    if blockage is not None:
                        log.warning(
                            "the ZooKeeper session, whose timeout is %g s, was lost because the hub was blocked for "
                            "%.1f s by %s",
                            timeout,
                            blockage.seconds,
                            blockage.place,
                        )
        finally:
            session.unwatch_state(changed)

    # -- in the thread

    def _look(self) -> None:
        machine, running = self._machine, self._running
        while not running.acquire(timeout=_LOOK_INTERVAL):
            now = time.monotonic()
            beat_at = machine.look(now)
            if beat_at is not None:
                machine.receive_place(find_place(sys._current_frames().get(self._watched)), beat_at)
            seconds = machine.long_since(now)
            if seconds is not None:
                text = f"zkrpc: pid {self._process}: the hub is blocked since {seconds:.1f} s by {machine.place}\n"
                with contextlib.suppress(OSError):
                    os.write(2, text.encode())
        running.release()


def find_place(frame: FrameType | None) -> Place:
    """The place of a thread whose innermost frame is this one: the method that it serves, and the stack without the
    frames of zkrpc and gevent."""
    frames: list[tuple[str, int, str]] = []
    method = ""
    while frame is not None and not method:
        code = frame.f_code
        if code is _WORKER or code is _BUILT_IN:
            method = _method_of(frame.f_locals)
        elif not is_foreign(code.co_filename):
            frames.append((code.co_filename, frame.f_lineno, code.co_name))
        frame = frame.f_back
    if not frames:
        return Place(f"the method {method}") if method else SOMEWHERE
    doing = f"the method {method}" if method else f"{frames[-1][2]}(), which serves no call,"
    return Place(doing, tuple(reversed(frames[:_MOST_FRAMES])))


def _method_of(names: Mapping[str, Any]) -> str:
    """The method that a worker or a built-in service runs, by the local names of its function; empty if none."""
    worker, request = names["self"], names.get("request")
    if isinstance(worker, Worker):
        crew = getattr(worker.work, "__self__", None)
        request = crew.served_by(worker) if isinstance(crew, Crew) else None
    return "" if request is None else legible(bare_name(request.name).decode("utf-8", "replace"), 200)


def _report(blockage: Blockage) -> None:
    again = f" (and {blockage.since_last_report} times before that)" if blockage.since_last_report else ""
    text = f"the hub was blocked for {blockage.seconds:.2f} s{again} by {blockage.place}: {_ADVICE}"
    frames = [(file, line, function, None) for file, line, function in blockage.place.frames]
    log_with_detail(log, logging.WARNING, text, "".join(traceback.StackSummary.from_list(frames).format()).rstrip())
