"""The event loop of asyncio on which a server's ``async def`` handlers run, in a native thread of its own.

While a task blocks the loop, no other one runs. The hub asks the loop for a sign of life now and then; without one it
looks where the loop's thread is, and the log names that place once the loop runs again.

It is the loop that ``asyncio.new_event_loop`` makes, so uvloop's if its policy is set. asyncio's own is given the
selector that Python has for it: gevent's patches would have it wait on a hub. Each call is a task, in a copy of the
context of the greenlet that serves it, and a call that nobody waits for any more is a task that is cancelled.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any

from gevent.monkey import get_original

from zkrpc.forking import exit_child
from zkrpc.server.crossing import Crossing, Job
from zkrpc.server.native_threads import LoopExecutor, start_thread

log = logging.getLogger(__name__)

WIND_UP = 1.0
"""Seconds that tasks have to end, once they are cancelled as the server stops."""
_EXECUTOR_THREADS = 16
"""For what tasks hand to ``asyncio.to_thread`` and look up in the DNS."""

BLOCKED_AFTER = 1.0
"""Seconds without a sign of life that are reported."""
_REPORT_INTERVAL = 60.0
"""Seconds between two reports."""

_Selector: Any = get_original("selectors", "DefaultSelector")
_get_ident: Any = get_original("_thread", "get_ident")


class EventLoop:
    """A loop in a thread, from the first job to ``stop``. Its methods belong to the hub's thread.

    ``on_job_end`` is called in the loop's thread with each job that has ended, and ``on_end`` once when the thread
    ends.
    """

    def __init__(self, on_job_end: Callable[[Job], object], on_end: Callable[[], object]) -> None:
        self._on_job_end = on_job_end
        self._on_end = on_end
        self._jobs: dict[Job, None] = {}
        """Those that run; only the loop's thread looks at them."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._selector: Any = None
        self._inbox: Crossing[Job] = Crossing(self._wake)
        self._stopping = False
        self._pid = os.getpid()
        self._thread = 0
        self._asked_at: float | None = None
        """When it was asked for a sign of life that it has not given yet."""
        self._found: traceback.StackSummary | None = None
        """Where its thread was, if that took long."""
        self._reported_at = -math.inf
        start_thread(self._main)

    def __repr__(self) -> str:
        """The loop, and what is on its way to it."""
        return f"<EventLoop {self._loop!r} {self._inbox!r}>"

    def put(self, job: Job) -> None:
        """Has a job run; or, if it was put before and is marked so, cancelled."""
        self._inbox.put(job)

    def stop(self) -> None:
        """Cancels what runs, and ends the thread when that has ended, or after :data:`WIND_UP` seconds."""
        self._stopping = True
        self._wake()

    def look(self, now: float) -> None:
        """To be called regularly: asks for a sign of life, and where there has been none for long, takes down where the
        thread is."""
        loop, asked_at = self._loop, self._asked_at
        if asked_at is None and loop is not None:
            self._asked_at = now
            with contextlib.suppress(RuntimeError):  # it has ended
                loop.call_soon_threadsafe(self._beat)
        elif asked_at is not None and now - asked_at > BLOCKED_AFTER and self._found is None:
            frame = sys._current_frames().get(self._thread)
            self._found = traceback.StackSummary.extract(_frames_of_task(frame))

    def forked(self) -> None:
        """In a forked child: closes the loop's selector, which the parent would lose events to. If the loop's own
        thread has forked, this ends the child as soon as its task waits."""
        if self._selector is not None:
            self._selector.close()

    def _wake(self) -> None:
        loop = self._loop
        if loop is not None:  # else it looks for itself when it begins
            try:
                loop.call_soon_threadsafe(self._look)
            except RuntimeError:  # it is closed; _main ends what has come
                self._end_inbox()

    # -- in the thread

    def _main(self) -> None:
        try:
            loop = self._make_loop()
            self._thread, self._loop = _get_ident(), loop
            try:
                loop.call_soon(self._look)
                loop.run_forever()
                loop.run_until_complete(self._wind_up())
            finally:
                self._require_parent()
                loop.close()
        except Exception:
            log.exception("the event loop for async handlers has failed")
        finally:
            self._end_inbox()
            self._on_end()

    def _make_loop(self) -> asyncio.AbstractEventLoop:
        loop = asyncio.new_event_loop()
        if type(loop) is asyncio.SelectorEventLoop:
            loop.close()
            self._selector = _Selector()
            loop = asyncio.SelectorEventLoop(self._selector)
        loop.set_default_executor(LoopExecutor(loop, _EXECUTOR_THREADS))
        return loop

    def _beat(self) -> None:
        asked_at, found = self._asked_at, self._found
        self._asked_at = self._found = None
        now = time.monotonic()
        if (
            asked_at is None
            or not found
            or now - asked_at < BLOCKED_AFTER
            or now < self._reported_at + _REPORT_INTERVAL
        ):
            return
        self._reported_at = now
        place = found[-1]
        text = (
            "an async handler blocked the event loop for %.1f s (%s:%s in %s), and no other one ran; await "
            "asyncio.to_thread(function, ...) there\n%s"
        )
        stack = "".join(found.format()).rstrip()
        log.warning(text, now - asked_at, place.filename, place.lineno, place.name, stack)

    def _look(self) -> None:
        loop = self._loop
        assert loop is not None
        for job in self._inbox.take():
            if job.task is not None:
                self._cancel(job)
            elif job.cancelled:
                self._on_job_end(job)
            else:
                self._jobs[job] = None
                job.begin(time.monotonic())
                job.task = loop.create_task(self._run(job), context=job.context)
        if self._stopping:
            loop.stop()

    async def _run(self, job: Job) -> None:
        call = job.call
        try:
            job.value = await call.handler(*call.arguments)
        except BaseException as error:  # also SystemExit, which would end the loop
            job.error = error
        self._require_parent()
        self._end(job)

    def _cancel(self, job: Job) -> None:
        # One that has not taken its first step would never get to its own end.
        job.task.add_done_callback(lambda _: self._end(job))
        job.task.cancel()

    def _end(self, job: Job) -> None:
        if job in self._jobs:
            del self._jobs[job]
            self._on_job_end(job)

    async def _wind_up(self) -> None:
        for job in list(self._jobs):
            self._cancel(job)
        tasks = asyncio.all_tasks() - {asyncio.current_task()}
        for task in tasks:
            task.cancel()
        if tasks and (left := (await asyncio.wait(tasks, timeout=WIND_UP))[1]):
            names = ", ".join(sorted({job.call.method for job in self._jobs})) or "tasks of handlers"
            log.warning("%d tasks did not end within %g s of being cancelled: %s", len(left), WIND_UP, names)
        await asyncio.get_running_loop().shutdown_asyncgens()

    def _end_inbox(self) -> None:
        for job in self._inbox.take():
            self._on_job_end(job)

    def _require_parent(self) -> None:
        """Ends a child that a task has forked: its loop and its hub are the parent's."""
        if os.getpid() != self._pid:
            exit_child()


def _frames_of_task(frame: FrameType | None) -> Iterator[tuple[FrameType, int]]:
    """A thread's frames from the handler's on, the outermost first; none if it runs no handler."""
    frames = []
    while frame is not None and frame.f_code is not _RUN:
        frames.append((frame, frame.f_lineno))
        frame = frame.f_back
    return reversed(frames if frame is not None else [])


_RUN = EventLoop._run.__code__
