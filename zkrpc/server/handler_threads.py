"""The hub's side of handlers that run in native threads: an event loop for ``async def``, a pool for ``zkrpc.offload``.

Threads are started by the first call that needs one, so never before a worker was forked, and end when the server
stops. The greenlet that serves a call waits here for its job. If it is ended, because the caller cancelled or the
deadline has passed, its job is cancelled: a task at once; a function in a thread only as long as it has not begun, as
nothing can end it then. The greenlet goes on being ended when its handler is done, so that interceptors see the end of
a call after its handler's, as on the hub.
"""

from __future__ import annotations

import contextvars
import functools
import logging
import os
from collections.abc import Callable, Mapping
from typing import Any

import gevent
from gevent import get_hub, getcurrent
from gevent.event import Event

from zkrpc.call import ServerCall
from zkrpc.callables import Kind
from zkrpc.config import ServerConfig
from zkrpc.errors import DeadlineExceeded, Draining, Executed
from zkrpc.greenlets import attempt
from zkrpc.server.crossing import Crossing, Job, Seats
from zkrpc.server.event_loop import WIND_UP, EventLoop
from zkrpc.server.native_threads import NativeThreads

log = logging.getLogger(__name__)

_STOP = WIND_UP + 1.0
"""Seconds that a stop waits for threads to end; those that do not are left behind."""


class HandlerThreads:
    """The threads of one server. Belongs to the hub of the thread that made it; ``clock`` gives monotonic seconds."""

    def __init__(self, config: ServerConfig, clock: Callable[[], float]) -> None:
        threads, queue = config.offload_threads, config.offload_queue
        self.seats = Seats(threads, threads if queue is None else queue)
        """Who has a thread of the pool, and who waits for one."""
        self.runners: Mapping[Kind, Callable[[ServerCall], Any]] = {
            Kind.TASK: self._run_task,
            Kind.THREAD: self._run_offloaded,
        }
        """What runs a call's handler, by where that is."""
        self._clock = clock
        self._pid = os.getpid()
        self._hub: Any = get_hub()
        self._jobs: dict[Job, None] = {}
        self._watcher: Any = None
        self._done: Crossing[Job | EventLoop | NativeThreads] = Crossing(self._wake)
        self._loop: EventLoop | None = None
        self._pool: NativeThreads | None = None
        self._loops = 0
        """Event loops that were started: one, unless it failed."""
        self._ended = 0
        """Threads that have ended, as far as the hub knows."""
        self._none_left = Event()
        self._stopped = False

    def __repr__(self) -> str:
        """The pool and the number of tasks."""
        return f"<HandlerThreads {self.seats!r} tasks={self.tasks}>"

    @property
    def tasks(self) -> int:
        """Calls of ``async def`` handlers that run."""
        return len(self._jobs) - self.seats.taken

    def counts(self) -> dict[str, int]:
        """How much runs and waits here, by the names of a server's status."""
        seats = self.seats
        return {
            "tasks": self.tasks,
            "offload_running": seats.running,
            "offload_threads": seats.threads,
            "offload_queued": seats.queued,
            "offload_queue": seats.queue,
        }

    @property
    def _left(self) -> int:
        """Threads that were started and have not ended."""
        return self._loops + (0 if self._pool is None else self._pool.count) - self._ended

    def stop(self) -> None:
        """Ends the threads, and waits for that, if any was started: for two seconds at most. Nobody waits for what
        still runs then."""
        self._stopped = True
        if self._watcher is None:
            return
        gevent.sleep(0)  # those that were ended just now cancel their jobs
        if self._loop is not None:
            self._loop.stop()
        if self._pool is not None:
            self._pool.close()
        if self._left and not self._none_left.wait(_STOP):
            names = ", ".join(sorted({job.call.method for job in self._jobs})) or "none of a call"
            log.warning("left %d threads behind, whose handlers do not end: %s", self._left, names)
        watcher, self._watcher = self._watcher, None
        watcher.close()
        for job in list(self._jobs):
            job.error = gevent.GreenletExit()
            self._end(job, self._hub.loop.run_callback)

    def look(self, now: float) -> None:
        """To be called a few times a second: notices when a task blocks the event loop."""
        if self._loop is not None:
            self._loop.look(now)

    def forked(self) -> None:
        """In a forked child: lets go of the parent's event loop."""
        if self._loop is not None:
            self._loop.forked()

    # -- in the greenlet that serves the call

    def _run_task(self, call: ServerCall) -> Any:
        self._require_open()
        loop = self._loop or self._start_loop()
        job = Job(call, contextvars.copy_context(), getcurrent())
        self._jobs[job] = None
        loop.put(job)
        return self._await(job, loop.put)

    def _run_offloaded(self, call: ServerCall) -> Any:
        self._require_open()
        pool = self._pool or self._start_pool()
        self.seats.take()
        job = Job(call, contextvars.copy_context(), getcurrent(), seated=True)
        self._jobs[job] = None
        work = functools.partial(self._work, job)
        pool.put(work, self.seats.taken)
        return self._await(job, functools.partial(self._take_back, work))

    def _await(self, job: Job, cancel: Callable[[Job], object]) -> Any:
        switch = self._hub.switch
        try:
            while not job.ended:
                switch()
        except BaseException:
            job.cancelled = True
            cancel(job)
            while not job.ended:
                switch()
            job.error = None
            raise
        finally:
            job.greenlet = None
        if job.begun_at is None and job.error is None:
            raise Draining("the server is stopping" if self._stopped else "the event loop of its handlers has failed")
        return job.outcome()

    def _require_open(self) -> None:
        if self._stopped:
            raise Draining("the server is stopping")

    def _take_back(self, work: Callable[[], object], job: Job) -> None:
        if self._pool is not None and self._pool.remove(work):
            self._end(job, None)

    # -- in the hub

    def _start_loop(self) -> EventLoop:
        self._begin()
        self._loops += 1
        self._loop = loop = EventLoop(self._done.put, lambda: self._done.put(loop))
        return loop

    def _start_pool(self) -> NativeThreads:
        self._begin()
        put = self._done.put
        self._pool = pool = NativeThreads(self.seats.threads, lambda: put(pool))
        return pool

    def _begin(self) -> None:
        if self._watcher is None:
            self._watcher = self._hub.loop.async_()
            self._watcher.start(self._look)

    def _look(self) -> None:
        for item in self._done.take():
            if isinstance(item, Job):
                self._end(item, _at_once)
                continue
            self._ended += 1
            if item is self._loop and not self._stopped:
                self._loop = None  # a handler has stopped it, or it has failed; the next call starts another
            if not self._left:
                self._none_left.set()

    def _end(self, job: Job, resume: Callable[[Callable[[], object]], object] | None) -> None:
        """A job has ended: has the greenlet that waits for it go on, by ``resume``; None if that one runs already."""
        if job.ended:
            return
        job.ended = True
        del self._jobs[job]
        if job.seated:
            self.seats.free(None if job.begun_at is None else self._clock() - job.begun_at)
        if job.greenlet is not None and resume is not None:
            resume(job.greenlet.switch)

    # -- in the threads

    def _wake(self) -> None:
        watcher = self._watcher
        if watcher is not None:
            watcher.send()

    def _work(self, job: Job) -> None:
        call, now = job.call, self._clock()
        deadline = call.deadline
        if deadline is not None and now >= deadline.at:
            message = "the deadline passed while the call waited for a thread"
            job.error = DeadlineExceeded(message, executed=Executed.NO)
        else:
            job.begin(now)
            arguments = (call.handler, *call.arguments)
            job.value, job.error = attempt(self._pid, job.context.run, arguments, {})
        self._done.put(job)


def _at_once(switch: Callable[[], object]) -> None:
    switch()
